"""The page at `/`: a daemon's status for people. A status in, HTML out; it reads nothing and knows no clock.

All of it is drawn here, so that it is a page of tables without JavaScript; the script in `page.html` only fetches it
anew and replaces what has changed. Everything in a status may have been written by strangers and is escaped, and the
policy allows one style sheet and one script, by their hashes.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from logship.admin import alarms, drawing
from logship.admin.figures import duration, number, share, size

_REASONS = 15  # bars of the funnel; what is rarer is drawn as one


def render(status: Mapping[str, Any], now: float) -> str:
    """Return the page. ``now``: epoch seconds, for how long ago things were."""
    drawn = {
        "title": f"logship: {alarms.state(status)[0].lower()}",
        "state": '<span class="state {1}">{0}</span>'.format(*alarms.state(status)),
        "who": escape(f"{status['version']}, pid {status['pid']}, up {duration(now - status['started'])}"),
        "alarms": _alarms(status),
        "now": _now(status),
        "funnel": _funnel(status, now),
        "rate": _rate(status["rates"]),
        "destinations": _destinations(status["destinations"], now),
        "files": _files(status["files"]) + _without_files(status),
        "config": _config(status, now),
        "at": f"As of {datetime.fromtimestamp(now, UTC):%H:%M:%S} UTC",
    }
    return _PLACE.sub(lambda found: drawn[found[1]], _TEMPLATE)


_TEMPLATE = Path(__file__).with_name("page.html").read_text("utf-8")
_PLACE = re.compile(r"\{([a-z]+)\}(?=<)")  # beyond the style sheet and the script, a tag follows each


def _hash_of(element: str) -> str:
    [body] = re.findall(rf"<{element}>(.*?)</{element}>", _TEMPLATE, re.DOTALL)
    return "'sha256-" + base64.b64encode(sha256(body.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_hash_of('style')}; script-src {_hash_of('script')}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page."""


# The head


def _alarms(status: Mapping[str, Any]) -> str:
    found = [*alarms.raised(status)]
    return f'<section class="alarm" aria-label="What is wrong">{drawing.items(found)}</section>' if found else ""


def _now(status: Mapping[str, Any]) -> str:
    rates, files = status["rates"], status["files"]
    figures = [
        ("lines a second", number(rates["lines_per_second"])),
        ("events a second", number(rates["events_per_second"])),
        ("files followed", number(sum(each["state"] == "following" for each in files))),
        ("behind", size(alarms.behind(status))),
        (
            "oldest line not settled",
            duration(status["oldest_unsettled_seconds"]) if status["unsettled_lines"] else "none",
        ),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in figures)


# The funnel: each row takes its share off what the rows above have left


def _funnel(status: Mapping[str, Any], now: float) -> str:
    totals = sum((Counter(each) for each in status["lines"].values()), Counter[str]())
    lines = totals["read"]
    if not lines:
        return '<p class="soft">No line was read yet.</p>'
    rows, left = [_bar("lines", "Lines read", lines, 0, lines)], lines
    for kind, reason, count in _taken(status["reasons"], totals["expired"]):
        left -= count
        rows.append(_bar(kind, reason, count, left, lines))
    rows.append(_bar("event", "Lines that became events", left, 0, lines))
    since = (
        f"Since the start, {duration(now - status['started'])} ago. What became of each line, the most frequent first."
    )
    head = drawing.headings(("what", "picture", "lines:n", "share:n"))
    return f"<table><caption>{since}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _taken(reasons: Mapping[str, Mapping[str, Mapping[str, int]]], expired: int) -> Iterator[tuple[str, str, int]]:
    """Yield kind, label and number of what was not sent, the most frequent first, the rare ones as one."""
    counts: Counter[tuple[str, str]] = Counter({("expired", "Expired: older than max_event_age"): expired})
    for of_source in reasons.values():
        for kind, of_kind in of_source.items():
            counts.update({(kind, f"{kind.capitalize()}: {reason}"): count for reason, count in of_kind.items()})
    ordered = [(kind, label, count) for (kind, label), count in counts.most_common() if count]
    yield from ordered[:_REASONS]
    if rare := ordered[_REASONS:]:
        yield "dropped", f"{len(rare)} other reasons", sum(count for _, _, count in rare)


def _bar(kind: str, label: str, count: int, start: int, lines: int) -> str:
    at, width = drawing.WIDTH * start / lines, max(drawing.WIDTH * count / lines, 3 if count else 0)
    kind = escape(kind)
    shape = f'<rect class="f-{kind}" x="{min(at, drawing.WIDTH - width):.1f}" width="{width:.1f}" height="16"/>'
    pic = drawing.picture("bar", 16, shape)
    return (
        f'<tr class="{kind}"><th scope="row">{escape(label)}</th><td class="pic">{pic}</td>'
        f'<td class="n">{count:,}</td><td class="n">{escape(share(count, lines))}</td></tr>'
    )


# Events a second, as they went


def _rate(rates: Mapping[str, Any]) -> str:
    history, step, steps = (rates["history"][key] for key in ("events", "step", "steps"))
    if not history:
        return '<p class="soft">The picture begins in a moment.</p>'
    most = max(history)
    width, top, first = drawing.WIDTH / steps, most or 1.0, steps - len(history)
    shapes = "".join(
        f'<rect class="f-area" x="{n * width:.1f}" y="{64 - 60 * value / top:.1f}" width="{width * 0.85:.1f}" '
        f'height="{60 * value / top:.1f}"/>'
        for n, value in enumerate(history, first)
        if value
    )
    caption = (
        f"The last {duration(len(history) * step)}, {step} s a bar: now {number(history[-1])}, at most {number(most)}."
    )
    return f'{drawing.picture("line", 64, shapes)}<p class="soft">{caption}</p>'


# Tables


def _destinations(destinations: Sequence[Mapping[str, Any]], now: float) -> str:
    rows = [
        (
            f'<th scope="row">{escape(each["name"])}<br><span class="soft p">{escape(each["url"])}</span></th>',
            f'<td class="{"good" if each["state"] == "ok" else "bad"}">{escape(_state_of(each))}</td>',
            f'<td class="n">{each["counts"].get("delivered", 0):,}</td>',
            f'<td class="n">{each["queued"] + each["in_flight"]:,}</td>',
            f'<td class="p">{escape(alarms.error_of(each["last_error"], now) or "none")}</td>',
            f'<td class="p">{escape(_rest_of(each["counts"]))}</td>',
        )
        for each in destinations
    ]
    return drawing.table(("destination", "state", "delivered:n", "waiting:n", "last error", "besides"), rows)


def _state_of(destination: Mapping[str, Any]) -> str:
    if destination["state"] == "ok":
        return "ok"
    after = destination["retry_in"]
    return f"{destination['state']} ({destination['cause']}){f', tried again in {duration(after)}' if after else ''}"


def _rest_of(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count and name != "delivered"
    )


def _files(files: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            f'<th scope="row" class="p">{escape(each["path"])}</th>',
            f'<td class="{"bad" if each.get("error") else ""}">{escape(each["state"])}</td>',
            f'<td class="n">{size(each.get("behind"))}</td>',
            f'<td class="n">{escape(_progress(each))}</td>',
            f'<td class="n">{size(each.get("size"))}</td>',
            f"<td>{escape(each['source'])}</td>",
        )
        for each in files
    ]
    return drawing.table(("file", "state", "behind:n", "read:n", "size:n", "source"), rows)


def _without_files(status: Mapping[str, Any]) -> str:
    """Name the sources whose path fits no file: not wrong where one is to come, and a typing error elsewhere."""
    if not (names := status["sources_without_files"]) or not status["files"]:
        return ""
    return f'<p class="soft">No file fits the path of: {escape(", ".join(names))}.</p>'


def _progress(file: Mapping[str, Any]) -> str:
    return share(file["offset"], file["size"]) if file.get("size") else ""


def _config(status: Mapping[str, Any], now: float) -> str:
    reload = status["reload"]
    file, ago = escape(status["config"]), duration(now - reload["at"])
    if reload["problems"]:
        refusal = f'{file} was <b class="bad">refused</b> {ago} ago; the previous configuration stays in use.'
        return f"<p>{refusal}</p>{drawing.items(reload['problems'], 'changes')}"
    how = "read at the start" if reload["number"] == 1 else "read again"
    changes = reload["changes"] or (["nothing changed"] if reload["number"] > 1 else [])
    listed = drawing.items(changes, "changes") if changes else ""
    return f"<p>{file}, {how} {ago} ago; hash {escape(reload['hash'][:12])}.</p>{listed}"
