"""A survey as one page of HTML to share: no outside request, no script, addresses and queries masked.

Everything that stood in the log enters the page as text, never as markup, and the page forbids itself all but style.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import resources

from logship import __version__
from logship.explain import cost, masks, reasons, text, unread
from logship.explain.advice import advice
from logship.explain.survey import Example, Misfit, Survey
from logship.explain.visits import SiteFigures

BEGINNING = "<!doctype html><!-- logship explain -->"

_PAGES = 20
_SITES = 20
_MISFITS = 5
_LEFT, _RIGHT = 40, 60  # bytes of a line around the place where it broke
_CHART = (600, 90)


def html(survey: Survey, name: str) -> str:
    """Return the page on the log called ``name``."""
    sections = (_figures, _sent, _time, _pages, _sites, _dropped, _unparsed, _foreseen, _cost, _advice)
    body = "\n".join(part for section in sections for part in section(survey))
    style = resources.files("logship.explain").joinpath("page.css").read_text("utf-8")
    return (
        f"{BEGINNING}\n{_HEAD}<style>\n{style}</style>\n<main>{_header(survey, name)}\n{body}\n{_FOOT}</main></html>\n"
    )


def _header(survey: Survey, name: str) -> str:
    formats, when = survey.written_in, ""
    if survey.first is not None and survey.last is not None:
        first, last = text.moment(survey.first), text.moment(survey.last)
        when = f" · {first} to {last} UTC ({text.span(survey.last - survey.first)})"
    return (
        f"<header><h1><b>logship</b> explain</h1><p><code>{escape(name)}</code> · {escape(formats)}{escape(when)}</p>"
        "<p class=soft>A dry run: what this log would send to Plausible, what not and why, and what it would cost. "
        "Nothing was sent. Addresses and queries are masked.</p></header>"
    )


def _figures(survey: Survey) -> Iterator[str]:
    total = survey.total
    month = survey.per_month(survey.events.total())
    figures = [
        ("Lines", f"{survey.lines:,}"),
        ("Events", f"{survey.events.total():,}"),
        ("Visitors", f"{total.visitors:,}"),
        ("Visits", f"{total.visits:,}"),
        ("Page views", f"{total.pageviews:,}"),
        ("Bounce rate", "–" if total.bounce_rate is None else text.percent(total.bounce_rate)),
        ("Visit duration", "–" if total.duration is None else text.span(total.duration)),
        ("Events a month", "–" if month is None else f"{month:,}"),
    ]
    yield "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures) + "</dl>"


def _sent(survey: Survey) -> Iterator[str]:
    steps = [(step.name, step.lines, "good" if step.name == "sent" else "", "") for step in reasons.funnel(survey)]
    yield _section("What will be sent", _bars(steps, survey.lines))
    if survey.events:
        events = [(name, count, "good", "") for name, count in survey.events.most_common()]
        if len(survey.destinations) > 1:
            events += [(f"to {name}", count, "", "") for name, count in survey.destinations.most_common()]
        yield _section("Events", _bars(events, survey.events.total()))


def _time(survey: Survey) -> Iterator[str]:
    counts = text.spread(survey)
    if len(counts) < 4:
        return
    wide, high = _CHART
    step, most = wide / len(counts), max(counts)
    bars = "".join(
        f'<rect x="{at * step:.1f}" y="{high - count / most * high:.1f}" width="{max(step - 1, 0.5):.1f}"'
        f' height="{count / most * high:.1f}"><title>{count:,}</title></rect>'
        for at, count in enumerate(counts)
    )
    first, last = text.moment(min(survey.hours) * 3600.0), text.moment((max(survey.hours) + 1) * 3600.0)
    yield _section(
        "Over time",
        f'<svg viewBox="0 0 {wide} {high}" preserveAspectRatio="none" role="img" aria-label="Events over time">{bars}'
        f"</svg><p class=axis><span>{first}</span><span>{last}</span></p>",
    )


def _pages(survey: Survey) -> Iterator[str]:
    found = [(masks.url(path), count, "", "") for path, count in text.pages(survey, _PAGES)]
    if found:
        yield _section("Top pages", _bars(found, survey.pages.total))


def _sites(survey: Survey) -> Iterator[str]:
    sites = sorted(survey.visits.sites.items(), key=lambda item: -item[1].events)[:_SITES]
    if sites:
        head = ("Site", "Visitors", "Visits", "Page views", "Views a visit", "Bounce", "Duration")
        yield _section("As Plausible would count them", _table(head, [_site(*each) for each in sites]))


def _site(domain: str, each: SiteFigures) -> Sequence[str]:
    views, bounces, seconds = each.views_per_visit, each.bounce_rate, each.duration
    if views is None or bounces is None or seconds is None:
        return (domain, "–", "–", f"{each.pageviews:,}", "–", "–", "–")
    shares = (f"{views:.1f}", text.percent(bounces), text.span(seconds))
    return (domain, f"{each.visitors:,}", f"{each.visits:,}", f"{each.pageviews:,}", *shares)


def _dropped(survey: Survey) -> Iterator[str]:
    rows = []
    for reason, count in survey.dropped.most_common():
        shown = "".join(f"<li>{_example(each)}" for each in survey.examples.get(reason, ()))
        rows.append((reason, count, "bad", f"{escape(reasons.meaning(reason))}<ul>{shown}</ul>"))
    if rows:
        yield _section("What will not, and why", _bars(rows, survey.lines))


def _example(example: Example) -> str:
    record = example.record
    target = masks.url(f"{record.path or '-'}{'?' if record.query else ''}")
    request = escape(text.cut(f"{record.method or '-'} {target} {record.status or '-'}", 120))
    agent = escape(text.cut(masks.free_text(record.user_agent or "no User-Agent"), 160))
    return f"line {example.line}: <code>{request}</code> {masks.address(record.client_ip)} <small>{agent}</small>"


def _unparsed(survey: Survey) -> Iterator[str]:
    rows = [(reason, n, "warn", escape(reasons.unparsed(reason))) for reason, n in survey.unparsed.most_common()]
    if not rows:
        return
    content = _bars(rows, survey.lines) + "".join(map(_misfit, survey.misfits[:_MISFITS]))
    found = unread.nearest(survey.misfits, survey.formats)
    if found is not None:
        fits = f"{found.fits} of {found.tried} of them are in" if found.fits else "the nearest known one is"
        content += f"<p>The format: {fits} <code>{escape(found.name)}</code>.</p>"
    yield _section("What was not understood", content + "<p class=soft>Letters are shown as x, digits as 0.</p>")


def _misfit(misfit: Misfit) -> str:
    start = max(0, misfit.position - _LEFT)
    before = masks.shape(misfit.text[start : misfit.position].decode("utf-8", "replace"))
    after = masks.shape(misfit.text[misfit.position : misfit.position + _RIGHT].decode("utf-8", "replace"))
    line = f"{'…' if start else ''}{escape(before)}<mark>{escape(after) or '&nbsp;'}</mark>"
    return f"<p>line {misfit.line}, byte {misfit.position + 1}: {escape(misfit.reason)}</p><pre>{line}</pre>"


def _foreseen(survey: Survey) -> Iterator[str]:
    rows = [(reason, count, "bad", reasons.foreseen(reason)) for reason, count in survey.foreseen.most_common()]
    content = _bars(rows, survey.events.total()) if rows else "<p>Nothing that can be told from here.</p>"
    note = "Plausible Cloud also drops data centres' addresses, which only it knows."
    yield _section("What Plausible itself would drop", f"{content}<p class=soft>{note}</p>")


def _cost(survey: Survey) -> Iterator[str]:
    month = survey.per_month(survey.events.total())
    if month is None:
        yield _section("What it will cost", "<p>Unknown: the log spans less than a minute.</p>")
        return
    fitting = cost.tier(month)
    tiers = "".join(f"<li{' class=on' if each == fitting else ''}>{cost.short(each)}" for each in cost.TIERS)
    more = f"<li{' class=on' if fitting is None else ''}>more"
    note = f"As known in {cost.KNOWN_SINCE}: {cost.SMALLEST}. Check {cost.PRICES}. Self-hosted, it costs its server."
    yield _section(
        "What it will cost",
        f"<p><strong>{month:,}</strong> events a month at this rate. Plausible Cloud's tiers, by events a month:</p>"
        f"<ol class=tiers>{tiers}{more}</ol><p class=soft>{escape(note)}</p>",
    )


def _advice(survey: Survey) -> Iterator[str]:
    hints = "".join(f"<li>{escape(masks.free_text(hint))}" for hint in advice(survey))
    if hints:
        yield _section("Worth a look", f"<ul class=hints>{hints}</ul>")


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _bars(rows: Iterable[tuple[str, int, str, str]], total: int) -> str:
    """Return rows of a name, a number and its share as a bar; below each what there is to say, as markup."""
    return "<ol class=bars>" + "".join(_bar(*row, total) for row in rows) + "</ol>"


def _bar(name: str, count: int, tone: str, below: str, total: int) -> str:
    share = count / total if total else 0.0
    said = f"<div class=below>{below}</div>" if below else ""
    return (
        f'<li class="{tone}"><div class=row style="--share:{share:.2%}"><span>{escape(name)}</span><b>{count:,}</b>'
        f"<i>{text.percent(share)}</i></div>{said}"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{each}" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(each)}" for each in row) for row in rows)
    return f"<div class=scroll><table><thead><tr>{top}<tbody>{body}</table></div>"


_HEAD = """<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'">
<meta name=color-scheme content="light dark"><meta name=referrer content=no-referrer><title>logship explain</title>
"""
_FOOT = f"<footer class=soft>Made by logship {__version__}. Read from the log alone; Plausible was not asked.</footer>"
