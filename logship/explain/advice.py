"""What somebody who has seen many logs would say of this one: what looks wrong, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from logship.explain import unread
from logship.explain.survey import DAY, NO_MISFITS, Survey

_MANY = 0.05  # a share of lines not understood that is worth a word
_SOME = 3  # lines: one or two are an accident
_NEARLY_ALL = 0.9
_MOST_INSIDE = 0.5  # of visits
_ENOUGH_VISITS = 20  # before an address's share of the whole means anything
_TIRELESS = 200  # events of one visit that no person makes
_FEW_LINES = 20

_ALL_DROPPED = {
    "bot": "does the log hold the User-Agent? Without one nobody can be told from a machine: use the format combined",
    "host": "compare `hosts` of the source with the hosts in the log, with and without www.",
    "no_client_ip": "the field for the visitor's address holds none: see client_ip, and what the server writes there",
    "no_rule": "no rule takes these lines: end the list with - preset: pageviews",
    "rule": "one of your rules takes more than it was meant to: see the rule's name at the example",
    "status": "is this the log of a server that only redirects?",
    "asset": "is this the log of a CDN or of static files?",
    "method": "is this the log of an API, or of health checks?",
}


def advice(survey: Survey) -> list[str]:
    """Return what is worth a look, the gravest first."""
    return [text for rule in _RULES for text in rule(survey)] if survey.lines else []


def _not_understood(survey: Survey) -> Iterator[str]:
    if survey.rivals and not survey.formats:
        yield f"{' and '.join(survey.rivals)} fit equally many lines: say which it is, `format: {survey.rivals[0]}`"
        return
    if not survey.understood and (keys := unread.keys(survey.misfits)):
        yield (
            f"the lines are JSON, with keys that are not of the usual spellings ({', '.join(keys)}): say what they "
            "hold, as in --format '{json: {client_ip: KEY, request: KEY, status: KEY, time: KEY, user_agent: KEY}}'"
        )
        return
    lost = sum(count for reason, count in survey.unparsed.items() if reason not in NO_MISFITS)
    if lost > survey.lines * _MANY and lost >= _SOME:
        yield (
            f"{lost / survey.lines:.0%} of the lines were not understood. Give the format as the server's own "
            "configuration has it (log_format or LogFormat), as `format` or --format; `logship init` finds it there"
        )


def _all_dropped(survey: Survey) -> Iterator[str]:
    for reason, count in survey.dropped.most_common(1):
        if count > survey.understood * _NEARLY_ALL and survey.understood >= _FEW_LINES and reason in _ALL_DROPPED:
            yield f"{count / survey.understood:.0%} of the requests are dropped as {reason}: {_ALL_DROPPED[reason]}"


def _proxy(survey: Survey) -> Iterator[str]:
    visits = survey.total.visits
    if survey.visits.inside > visits * _MOST_INSIDE:
        yield (
            "most visits come from addresses inside a network (10.x, 192.168.x, 127.0.0.1, ...): the log holds the "
            "proxy's address and not the visitor's. Log X-Forwarded-For, and name the proxies in "
            "client_ip.trusted_proxies"
        )
    elif survey.visits.cloudflare > visits * _MOST_INSIDE:
        yield (
            "most visits come from Cloudflare's addresses: the log holds those and not the visitors'. Log "
            "X-Forwarded-For, and add client_ip: {trusted_proxies: [cloudflare]}"
        )
    elif visits >= _ENOUGH_VISITS and survey.total.events > visits * _TIRELESS:
        yield "very few visitors make very many events: is the address in the log the visitor's, or a proxy's?"


def _tireless(survey: Survey) -> Iterator[str]:
    visit = survey.visits.busiest
    if visit is not None and visit.events >= _TIRELESS:
        yield (
            f"one visit has {visit.events:,} events, more than a person makes: a machine that says it is "
            f"{visit.who[2]!r}? A rule in front can drop it by its user_agent or client_ip"
        )


def _cuts(survey: Survey) -> Iterator[str]:
    if survey.cuts:
        what = ", ".join(f"{name} {count:,}" for name, count in survey.cuts.most_common())
        yield f"Plausible's limits were applied, values were cut or left out: {what}"


def _short(survey: Survey) -> Iterator[str]:
    if survey.seconds is not None and survey.seconds < DAY and survey.per_month(survey.events.total()):
        yield "the log spans less than a day, so the month is a guess: the log of a whole week knows better"


_RULES: tuple[Callable[[Survey], Iterator[str]], ...] = (
    _not_understood,
    _all_dropped,
    _proxy,
    _tireless,
    _cuts,
    _short,
)
