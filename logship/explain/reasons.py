"""What each reason means in a few words, and at which step of the funnel its lines leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logship.explain.survey import Survey

PAGE, PERSON, RULES = "page", "person", "rules"

# Reason -> the step, and what such a line is. What is not here is a reason of the user's own.
_KNOWN: Mapping[str, tuple[str, str]] = {
    "method": (PAGE, "no GET: forms, API calls, health checks"),
    "status": (PAGE, "no page came: errors, redirects, missing pages"),
    "asset": (PAGE, "a part of a page: images, scripts, styles, downloads"),
    "robots": (PAGE, "robots.txt"),
    "well_known": (PAGE, "/.well-known/, asked for by programs"),
    "sitemap": (PAGE, "sitemaps, asked for by crawlers"),
    "feed": (PAGE, "feeds"),
    "content_type": (PAGE, "the answer was no HTML"),
    "bot": (PERSON, "sent by a machine: crawlers, monitors, libraries, or no User-Agent at all"),
    "scanner": (PERSON, "sent by who asked for what only exploits ask for"),
    "crawler": (PERSON, "sent from an address that fetched robots.txt"),
    "too_fast": (PERSON, "sent faster than a person reads"),
    "prefetch": (PERSON, "fetched ahead by a browser, asked for by nobody"),
    "referrer_spam": (PERSON, "with a referrer that is on the list of spammers"),
    "repeated": (RULES, "the same event of the same visitor again, which a rule counts once"),
    "no_client_ip": (PERSON, "without the visitor's address"),
    "host": (RULES, "for a host that is not among yours, or for none, and there is no `site`"),
    "no_rule": (RULES, "taken by none of the rules"),
    "rule": (RULES, "taken by a rule of yours that drops"),
    "sampled": (RULES, "of visitors outside the sample"),
    "target": (PAGE, "no path in the request: probes, and what only looks like a request"),
    "too_long": (RULES, "with a URL longer than Plausible takes"),
}
_UNPARSED: Mapping[str, str] = {
    "blank": "empty",
    "format": "the format does not fit",
    "time": "no such moment",
    "status": "no such status",
    "json": "no JSON",
    "wrapper": "without the wrapper that the others have",
    "no_fields": "before any heading that names the columns",
    "directive": "a heading that says how the next lines are to be read",
    "partial": "half a line, whose end is missing",
    "not_access": "no request: another kind of entry",
}
_FORESEEN: Mapping[str, str] = {
    "bot": "crawlers and headless browsers by Plausible's own list",
    "spam_referrer": "referrers that are known for spam",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: how many lines are left, in words."""

    name: str
    lines: int


def meaning(reason: str) -> str:
    """Return what lines dropped for a reason are; empty for a reason of the user's own."""
    return _KNOWN[reason][1] if reason in _KNOWN else ""


def unparsed(reason: str) -> str:
    """Return what is wrong with lines that are no request."""
    return _UNPARSED.get(reason, "")


def foreseen(reason: str) -> str:
    """Return what Plausible drops for a reason."""
    return _FORESEEN.get(reason, "")


def funnel(survey: Survey) -> list[Step]:
    """Return how lines become fewer from step to step; a step that nothing leaves at is left out."""
    leaving = dict.fromkeys((PAGE, PERSON, RULES), 0)
    for reason, count in survey.dropped.items():
        leaving[_KNOWN.get(reason, (RULES,))[0]] += count
    asked = survey.understood - leaving[PAGE]
    people = asked - leaving[PERSON]
    steps = [
        Step("lines", survey.lines),
        Step("understood", survey.understood),
        Step("for a page", asked),
        Step("by a person", people),
        Step("sent", survey.sending),
    ]
    named = [step for step, before in zip(steps[1:-1], steps, strict=False) if step.lines != before.lines]
    return [steps[0], *named, steps[-1]]
