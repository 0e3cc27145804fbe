"""The page at `/`: a daemon's status for people. A status in, HTML out; it reads nothing and knows no clock.

All of it is drawn here, so that it is a page of tables without JavaScript; the script in `page.html` only fetches
it anew and replaces what has changed. Everything in a status may have been written by strangers and is escaped, and the
policy allows one style sheet and one script, by their hashes.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

_REASONS = 15  # bars of the funnel; what is rarer is drawn as one
_WIDTH = 1000  # of a drawing, in units of its own: it is as wide as its place


def render(status: Mapping[str, Any], now: float) -> str:
    """Return the page. ``now``: epoch seconds, for how long ago things were."""
    drawn = {
        "title": f"logship: {_state(status)[0].lower()}",
        "state": '<span class="state {1}">{0}</span>'.format(*_state(status)),
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


# The head: is all well?


def _state(status: Mapping[str, Any]) -> tuple[str, str]:
    if status["stopping"]:
        return "Stopping", "bad"
    if not status["ready"]:
        return "Not ready", "bad"
    return ("Delivering", "good") if _behind(status) == 0 else ("Delivering, catching up", "good")


def _alarms(status: Mapping[str, Any]) -> str:
    alarms = [*_alarms_of_files(status), *_alarms_of_destinations(status)]
    if not status["checkpoint_saved"]:
        alarms.append("The checkpoint cannot be saved: is the disk full?")
    if status["reload"]["problems"]:
        alarms.append("The configuration was refused, the previous one stays in use: see below.")
    return f'<section class="alarm" aria-label="What is wrong">{_list(alarms)}</section>' if alarms else ""


def _alarms_of_files(status: Mapping[str, Any]) -> Iterator[str]:
    if not status["files"]:
        yield "No file is followed: none fits the configured paths."
    for each in status["files"]:
        if each.get("error"):
            yield f"{each['path']}: {each['error']}"


def _alarms_of_destinations(status: Mapping[str, Any]) -> Iterator[str]:
    for each in status["destinations"]:
        if each["state"] != "ok":
            error = (each["last_error"] or {}).get("reason", each["cause"])
            yield f"Destination {each['name']} is {each['state']}: {error}"
        for domain in each["dropping"]:
            yield f"{each['name']} drops nearly all events for {domain}: is it a site there, are the addresses right?"


def _now(status: Mapping[str, Any]) -> str:
    rates, files = status["rates"], status["files"]
    figures = [
        ("lines a second", number(rates["lines_per_second"])),
        ("events a second", number(rates["events_per_second"])),
        ("files followed", number(sum(each["state"] == "following" for each in files))),
        ("behind", size(_behind(status))),
        (
            "oldest line not settled",
            duration(status["oldest_unsettled_seconds"]) if status["unsettled_lines"] else "none",
        ),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in figures)


def _behind(status: Mapping[str, Any]) -> int:
    return sum(each.get("behind", 0) for each in status["files"])


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
    head = _heads(("what", "picture", "lines:n", "share:n"))
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
    at, width = _WIDTH * start / lines, max(_WIDTH * count / lines, 3 if count else 0)
    kind = escape(kind)
    drawing = f'<rect class="f-{kind}" x="{min(at, _WIDTH - width):.1f}" width="{width:.1f}" height="16"/>'
    return (
        f'<tr class="{kind}"><th scope="row">{escape(label)}</th><td class="pic">{_svg("bar", 16, drawing)}</td>'
        f'<td class="n">{count:,}</td><td class="n">{escape(share(count, lines))}</td></tr>'
    )


def _svg(kind: str, height: int, drawing: str) -> str:
    box = f'viewBox="0 0 {_WIDTH} {height}" preserveAspectRatio="none"'
    return f'<svg class="{kind}" {box} aria-hidden="true" focusable="false">{drawing}</svg>'


# Events a second, as they went


def _rate(rates: Mapping[str, Any]) -> str:
    history, step, steps = (rates["history"][key] for key in ("events", "step", "steps"))
    if not history:
        return '<p class="soft">The picture begins in a moment.</p>'
    most = max(history)
    width, top, first = _WIDTH / steps, most or 1.0, steps - len(history)
    drawing = "".join(
        f'<rect class="f-area" x="{n * width:.1f}" y="{64 - 60 * value / top:.1f}" width="{width * 0.85:.1f}" '
        f'height="{60 * value / top:.1f}"/>'
        for n, value in enumerate(history, first)
        if value
    )
    caption = (
        f"The last {duration(len(history) * step)}, {step} s a bar: now {number(history[-1])}, at most {number(most)}."
    )
    return f'{_svg("line", 64, drawing)}<p class="soft">{caption}</p>'


# Tables


def _destinations(destinations: Sequence[Mapping[str, Any]], now: float) -> str:
    rows = [
        (
            f'<th scope="row">{escape(each["name"])}<br><span class="soft p">{escape(each["url"])}</span></th>',
            f'<td class="{"good" if each["state"] == "ok" else "bad"}">{escape(_state_of(each))}</td>',
            f'<td class="n">{each["counts"].get("delivered", 0):,}</td>',
            f'<td class="n">{each["queued"] + each["in_flight"]:,}</td>',
            f'<td class="p">{escape(error_of(each["last_error"], now) or "none")}</td>',
            f'<td class="p">{escape(_rest_of(each["counts"]))}</td>',
        )
        for each in destinations
    ]
    return _table(("destination", "state", "delivered:n", "waiting:n", "last error", "besides"), rows)


def _state_of(destination: Mapping[str, Any]) -> str:
    if destination["state"] == "ok":
        return "ok"
    after = destination["retry_in"]
    return f"{destination['state']} ({destination['cause']}){f', tried again in {duration(after)}' if after else ''}"


def _rest_of(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count and name != "delivered"
    )


def error_of(error: Mapping[str, Any] | None, now: float) -> str:
    """Say what a destination's last error was, and how long ago; empty where there was none."""
    if not error:
        return ""
    try:
        ago = f"{duration(max(0.0, now - datetime.fromisoformat(error['time']).timestamp()))} ago"
    except ValueError:
        ago = str(error["time"])
    said = str(error["reason"] or "")
    status = str(error["status"] or "")
    return f"{ago}: {said if status in said else f'{status} {said}'}"


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
    return _table(("file", "state", "behind:n", "read:n", "size:n", "source"), rows)


def _without_files(status: Mapping[str, Any]) -> str:
    """Name the sources whose path fits no file: not wrong where one is to come, and a typing error elsewhere."""
    if not (names := status["sources_without_files"]) or not status["files"]:
        return ""
    return f'<p class="soft">No file fits the path of: {escape(", ".join(names))}.</p>'


def _progress(file: Mapping[str, Any]) -> str:
    return share(file["offset"], file["size"]) if file.get("size") else ""


def _table(heads: Iterable[str], rows: Sequence[Iterable[str]]) -> str:
    if not rows:
        return '<p class="soft">none</p>'
    heads = tuple(heads)
    body = "".join(f"<tr>{''.join(map(_labelled, row, heads))}</tr>" for row in rows)
    return f"<table class=rows><thead><tr>{_heads(heads)}</tr></thead><tbody>{body}</tbody></table>"


def _labelled(cell: str, head: str) -> str:
    # On a phone a row is a list, and each of its cells says what it is.
    return cell.replace("<td", f'<td data-label="{head.partition(":")[0]}"', 1)


def _heads(heads: Iterable[str]) -> str:
    """Return cells of the heading; ``:n`` marks a column of numbers."""
    named = (each.partition(":") for each in heads)
    return "".join(f'<th scope="col"{" class=n" if kind else ""}>{name}</th>' for name, _, kind in named)


def _config(status: Mapping[str, Any], now: float) -> str:
    reload = status["reload"]
    file, ago = escape(status["config"]), duration(now - reload["at"])
    if reload["problems"]:
        refusal = f'{file} was <b class="bad">refused</b> {ago} ago; the previous configuration stays in use.'
        return f'<p>{refusal}</p><ul class="changes">{_items(reload["problems"])}</ul>'
    how = "read at the start" if reload["number"] == 1 else "read again"
    changes = reload["changes"] or (["nothing changed"] if reload["number"] > 1 else [])
    listed = f'<ul class="changes">{_items(changes)}</ul>' if changes else ""
    return f"<p>{file}, {how} {ago} ago; hash {escape(reload['hash'][:12])}.</p>{listed}"


def _list(texts: Iterable[str]) -> str:
    return f"<ul>{_items(texts)}</ul>"


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


# Figures


def number(value: float) -> str:
    """Return a number as people read it: ``1,234``, ``12.5``, ``0.25``."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def size(value: float | None) -> str:
    """Return bytes with their unit: ``512 B``, ``1.5 MiB``; nothing for None."""
    if value is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError  # the loop ends with its last unit


def duration(seconds: float) -> str:
    """Return a time span by its two greatest units: ``3 s``, ``4 min 10 s``, ``2 d 3 h``."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s".replace(".0 s", " s")
    left, parts = round(seconds), list[str]()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def share(part: float, whole: float) -> str:
    """Return a percentage; what is there is never shown as nothing, nor what is missing as all."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.9 < percent < 100 else f"{percent:.1f} %".replace(".0 %", " %")
