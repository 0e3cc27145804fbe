"""A survey as a page of text: three questions and their answers, in spans of text with a tone.

The tones are for whoever prints it: ``title``, ``good``, ``bad``, ``warn``, ``soft`` and the plain ``""``. Text comes
as it stood in the log, so a printer for terminals must clean it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from logship.explain import cost, reasons, unread
from logship.explain.advice import advice
from logship.explain.lines import Describe, Explained
from logship.explain.survey import DAY, HOUR, MINUTE, Example, Misfit, Survey
from logship.records import Unparsed

Span = tuple[str, str]
Line = tuple[Span, ...]

_BAR = 30  # characters of the longest bar
_PAGES = 10
_MISFITS = 3
_SITES = 10
_SHOWN = 80  # characters of a request beside its verdict
_LEFT = 40  # bytes of a line that are shown before the place where it broke
_HANGING = 6  # columns by which the rest of a broken line is set in, where it has no first column of its own
_MOST_HANGING = 32
_LITTLE = 20  # columns that are too few to begin a text in
_WORD = re.compile(r"\s*(?:[\d,.]+ )?\S+|\s+")  # a number stays with what it counts
_BLOCKS = " ▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_MOMENTS = 60  # columns of the course over time


def page(survey: Survey, name: str, *, width: int = 100) -> Iterator[Line]:
    """Yield the lines of the report on the log called ``name``, none of them wider than ``width``, if that can be."""
    for section in (
        _head(survey, name),
        _sent(survey),
        _not_sent(survey, width),
        _misread(survey, width),
        _cost(survey),
    ):
        lines = list(section)
        if lines:
            yield ()
            yield from lines
    hints = advice(survey)
    if hints:
        yield from ((), _title("worth a look"))
        yield from ((("  ! ", "warn"), (hint, "")) for hint in hints)


def fit(line: Line, width: int) -> Iterator[Line]:
    """Yield a line of the report in as many as a terminal of so many columns needs, broken between words."""
    if sum(len(words) for words, _ in line) <= width:
        yield line
        return
    first = len(line[0][0])
    hanging = first if len(line) > 1 and first <= _MOST_HANGING else _HANGING
    row: list[Span] = []
    used = 0
    for words, tone in line:
        begun = ""
        if hanging < width - _LITTLE < used and used + len(words) > width:
            yield tuple(row)
            row, used, words = [(" " * hanging, "")], hanging, words.lstrip()
        for word in _WORD.findall(words):
            if used + len(begun) + len(word.rstrip()) > width and used + len(begun) > hanging:
                yield (*row, (begun, tone))
                row, used, begun, word = [(" " * hanging, "")], hanging, "", word.lstrip()
            begun += word
        row.append((begun, tone))
        used += len(begun)
    yield tuple(row)


def verdict(each: Explained, describe: Describe) -> Iterator[Line]:
    """Yield what became of one line: its events with what they hold, or why there are none."""
    rule: Span = (f"  (rule: {each.rule})" if each.rule else "", "soft")
    if each.result != "event":
        tone = "warn" if each.result == "unparsed" else "bad"
        yield (
            (f"{each.line:>7}  ", "soft"),
            (f"{each.result:<8}  ", tone),
            (f"{each.reason}  {_request(each)}", ""),
            rule,
        )
        return
    for request in describe(each)["requests"]:
        body = dict(request["body"])
        known = f"{body.pop('name')}  {body.pop('url')}"
        yield ((f"{each.line:>7}  ", "soft"), ("event     ", "good"), (known, ""), (f"  {_rest(body)}", "soft"), rule)


def _request(each: Explained) -> str:
    record = each.record
    if isinstance(record, Unparsed):
        return cut(each.text.decode("utf-8", "replace"), _SHOWN)
    return cut(f"{record.method or '-'} {record.path or '-'} {record.status or '-'}", _SHOWN)


def _rest(body: dict[str, Any]) -> str:
    return "  ".join(f"{key}: {value}" for key, value in body.items())


def _title(text: str) -> Line:
    return ((text.upper(), "title"),)


def _head(survey: Survey, name: str) -> Iterator[Line]:
    written_in = (survey.written_in,) if survey.lines else ()
    yield ((f"{name}: ", "title"), (", ".join((counted(survey.lines, "line"), *written_in)), ""))
    if survey.first is not None and survey.last is not None:
        yield ((f"{moment(survey.first)} to {moment(survey.last)} UTC, {span(survey.last - survey.first)}", "soft"),)


def _sent(survey: Survey) -> Iterator[Line]:
    yield _title("what will be sent")
    for step in reasons.funnel(survey):
        tone = "good" if step.name == "sent" else ""
        yield _bar_row(step.name, step.lines, survey.lines, tone)
    yield ()
    rows = survey.events.most_common() or [("no event", 0)]
    yield from _numbers((f"event: {event}", count) for event, count in rows)
    if len(survey.destinations) > 1:
        yield from _numbers((f"to {name}", count) for name, count in survey.destinations.most_common())
    if survey.events:
        yield from _course(survey)
        yield from _as_plausible_counts(survey)
        yield from _foreseen(survey)


def _course(survey: Survey) -> Iterator[Line]:
    """How events spread over time, where the log spans more than a few hours."""
    counts = spread(survey)
    if len(counts) > 3:
        most = max(counts)
        sparks = "".join(_SPARKS[min(7, count * 8 // most) if most else 0] for count in counts)
        yield ((f"  {'over time':<14}", ""), (sparks, "good"))


def _as_plausible_counts(survey: Survey) -> Iterator[Line]:
    yield from ((), (("  as Plausible would count them", "soft"),))
    sites = sorted(survey.visits.sites.items(), key=lambda item: -item[1].events)
    for domain, each in sites[:_SITES]:
        figures = [(each.visitors, "visitor"), (each.visits, "visit"), (each.pageviews, "page view")]
        text = ", ".join(counted(number, what) for number, what in figures)
        yield ((f"  {domain}: {text}", ""), (_per_visit(each.views_per_visit, each.bounce_rate, each.duration), "soft"))
    if len(sites) > _SITES:
        yield ((f"  and {len(sites) - _SITES} more sites", "soft"),)
    if survey.pages.total:
        yield from ((), (("  top pages", "soft"),))
        yield from ((((f"  {count:>11,}  ", ""), (path, ""))) for path, count in pages(survey, _PAGES))


def _per_visit(views: float | None, bounces: float | None, seconds: float | None) -> str:
    if views is None or bounces is None or seconds is None:
        return ""
    return f" ({views:.1f} a visit, {percent(bounces)} bounce, {span(seconds)} long)"


def _foreseen(survey: Survey) -> Iterator[Line]:
    yield from ((), (("  what Plausible itself would drop of it", "soft"),))
    for reason, count in survey.foreseen.most_common():
        yield ((f"  {count:>11,}  {reason:<14}", "bad"), (reasons.foreseen(reason), ""))
    if not survey.foreseen:
        yield ((f"  {'nothing':>11}  that can be told from here", ""),)
    yield (
        (f"  {'?':>11}  {'dc_ip':<14}", "soft"),
        ("data centres' addresses: Plausible Cloud drops them, and only it knows them", "soft"),
    )


def _not_sent(survey: Survey, width: int) -> Iterator[Line]:
    if not survey.dropped:
        return
    yield _title("what will not, and why")
    for reason, count in survey.dropped.most_common():
        yield (*_bar_row(f"dropped: {reason}", count, survey.lines, "bad"), (f"  {reasons.meaning(reason)}", "soft"))
        for example in survey.examples.get(reason, ())[:1]:
            yield ((cut(f"      line {example.line}: {_seen(example)}", width), "soft"),)
    yield from ((), (("  Follow a line through every rule: logship explain --line NUMBER ...", "soft"),))


def _seen(example: Example) -> str:
    """Return what decides of a line, in the same order whatever its format: the request, who sent it, the rule."""
    record = example.record
    target = f"{record.path or '-'}{f'?{record.query}' if record.query else ''}"
    request = f"{record.method or '-'} {cut(target, _SHOWN)} {record.status or '-'}"
    visitor = (request, record.client_ip or "no address", record.user_agent or "no User-Agent")
    return f"{f'{example.rule}: ' if example.rule else ''}{', '.join(visitor)}"


def _misread(survey: Survey, width: int) -> Iterator[Line]:
    if not survey.unparsed:
        return
    yield _title("what was not understood")
    for reason, count in survey.unparsed.most_common():
        row = _bar_row(f"unparsed: {reason}", count, survey.lines, "warn")
        yield (*row, (f"  {reasons.unparsed(reason)}", "soft"))
    for misfit in survey.misfits[:_MISFITS]:
        yield from broken_at(misfit, width)
    yield from nearest(survey)


def broken_at(misfit: Misfit, width: int = 100) -> Iterator[Line]:
    """Yield a line that was not understood, and a mark under the place where its format stopped fitting."""
    start = max(0, misfit.position - _LEFT)
    before = misfit.text[start : misfit.position].decode("utf-8", "replace").expandtabs(1)
    after = misfit.text[misfit.position :][:1000].decode("utf-8", "replace").expandtabs(1)
    shown = ("…" if start else "") + before
    yield ((f"      line {misfit.line}, byte {misfit.position + 1}: {misfit.reason}", "soft"),)
    yield (("        ", ""), (shown, ""), (cut(after, max(8, width - 8 - len(shown))), "warn"))
    yield ((" " * (8 + len(shown)) + "^", "warn"),)


def nearest(survey: Survey) -> Iterator[Line]:
    """Yield the known format that fits the lines that were not understood, or comes nearest."""
    found = unread.nearest(survey.misfits, survey.formats)
    if found is None:
        return
    if found.fits:
        yield ((f"      {found.fits} of {found.tried} of them are in the format ", ""), (found.name, "good"))
    else:
        yield (
            ("      The nearest known format is ", ""),
            (found.name, "good"),
            (f", which stops fitting at byte {found.position + 1} of the first", ""),
        )


def _cost(survey: Survey) -> Iterator[Line]:
    yield _title("what it will cost")
    month = survey.per_month(survey.events.total())
    if month is None:
        why = "the log spans less than a minute" if survey.seconds is not None else "no line tells its time"
        yield ((f"  events a month at this rate: unknown, {why}", ""),)
        return
    yield (("  events a month at this rate: ", ""), (f"{month:,}", "title"))
    for name, count in survey.destinations.most_common() if len(survey.destinations) > 1 else ():
        yield ((f"    to {name}: {survey.per_month(count):,}", ""),)
    yield from _tiers(month)


def _tiers(month: int) -> Iterator[Line]:
    fitting = cost.tier(month)
    tiers: list[Span] = [
        (f" [{cost.short(each)}]", "good") if each == fitting else (f" {cost.short(each)}", "soft")
        for each in cost.TIERS
    ]
    end = (" [more: ask them]", "warn") if fitting is None else (" more", "soft")
    yield (("  Plausible Cloud's tiers, events a month:", ""), *tiers, end)
    yield ((f"  As known in {cost.KNOWN_SINCE}: {cost.SMALLEST}; check {cost.PRICES}", "soft"),)
    yield (("  A self-hosted Plausible costs its server.", "soft"),)


# What other pages tell in the same words.


def pages(survey: Survey, most: int) -> list[tuple[str, int]]:
    """Return the pages seen most: decoded paths, with the host where there are several."""
    found = [(url.split("/", 3), count) for url, count in survey.pages.top(most)]
    several = len({parts[2] for parts, _ in found}) > 1
    return [(f"{parts[2] if several else ''}/{unquote(''.join(parts[3:]))}", count) for parts, count in found]


def spread(survey: Survey) -> list[int]:
    """Return the events by stretches of time of equal length, whole hours each, from the first to the last."""
    if not survey.hours:
        return []
    first, last = min(survey.hours), max(survey.hours)
    stretch = (last - first) // _MOMENTS + 1
    counts = [0] * ((last - first) // stretch + 1)
    for hour, count in survey.hours.items():
        counts[(hour - first) // stretch] += count
    return counts


def moment(seconds: float) -> str:
    """Return a time for people, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y %H:%M")


def span(seconds: float) -> str:
    """Return a stretch of time for people: ``2 days 5 h``, ``1 h 23 min``, ``4 min 5 s``, ``1 day``."""
    units = ((DAY, "day", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1.0, "s"))
    for unit, name, below, name_below in units:
        if seconds >= unit:
            whole, rest = divmod(seconds, unit)
            name += "s" if name == "day" and whole > 1 else ""
            return f"{whole:.0f} {name}" + (f" {rest // below:.0f} {name_below}" if rest >= below else "")
    return f"{seconds:.0f} s"


def counted(number: int, what: str) -> str:
    """Return a number of things: ``1 visit``, ``1,200 visits``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def cut(text: str, width: int) -> str:
    """Return text of at most so many characters."""
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def _bar_row(name: str, count: int, total: int, tone: str) -> Line:
    share = count / total if total else 0.0
    return ((f"  {name:<20} {count:>12,}  ", ""), (f"{_bar(share):<{_BAR}}", tone), (f" {percent(share):>6}", tone))


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    if not eighths and share:
        eighths = 1
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def percent(share: float) -> str:
    """Return a share: ``42 %``, ``0.3 %``; what is there is never 0, and what is not all is never 100."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.995 <= share < 1:
        return f"{min(share, 0.999):.1%}".replace("%", " %")
    return (f"{share:.0%}" if share >= 0.01 or not share else f"{share:.1%}").replace("%", " %")


def _numbers(rows: Iterable[tuple[str, int]]) -> Iterator[Line]:
    for name, count in rows:
        yield ((f"  {name:<20} {count:>12,}", ""),)
