"""What the rules ask of a line and the format of its source does not hold. For `check` to warn: it is legal, and drops.

Judged is what is known: a format that is given or was found, whose fields its own text names. One whose labels differ
from line to line may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from logship.errors import Problem
from logship.language.notations import is_pattern
from logship.parser import formats
from logship.parser.fields import did_you_mean
from logship.parser.formats import FormatError, LogFormat
from logship.plan import Plan, SourcePlan
from logship.settings.conditions import Test
from logship.settings.rule import RuleSettings

# A field of a record, the facts that tell it, what it is called, and what would tell it: nginx's and Apache's.
_NEEDED = (
    ("user_agent", {"user_agent"}, "the User-Agent", '"$http_user_agent"', '"%{User-Agent}i"'),
    ("status", {"status"}, "the status", "$status", "%>s"),
    ("method", {"request", "method"}, "the method", '"$request"', '"%r"'),
)
_PAGES = frozenset(("request", "target", "path"))
_CHAINS = frozenset(("x_forwarded_for", "http_x_forwarded_for"))
_LOG_FIELD = re.compile(r"\{\s*log\.([^{}]+?)\s*\}")


def doubts(plan: Plan) -> Iterator[Problem]:
    """Yield warnings of all formats that are given, and of the rules that ask for what none of them holds."""
    for source in plan.sources.values():
        if source.format is not None:
            yield from of_format(source, source.format)
    yield from _of_rules(plan)


def of_format(source: SourcePlan, format_: LogFormat) -> Iterator[Problem]:
    """Yield warnings of one source's format: whether its lines can become events, and their visitors be found."""
    where, client = source.settings.where, source.settings.client_ip
    if format_.any_log and format_.keys is None:
        return  # any keys: what a line holds shows when it is there
    if not format_.facts & _PAGES:
        told = f"the format {format_.name} does not hold the request, so no line has a page; add "
        remedy = '"$request" (nginx), "%r" (Apache) or the field request, target or path (json, regex)'
        yield Problem(f"{where}.format", told + remedy, warning=True)
    for field, facts, what, nginx, apache in _NEEDED:
        if not format_.facts & facts and source.table.sends_nothing(frozenset((field,))):
            told = f"the format {format_.name} does not hold {what}, and without it the rules send nothing"
            remedy = f"; add {nginx} (nginx), {apache} (Apache) or the field {field} (json, regex), or change the rules"
            yield Problem(f"{where}.format", told + remedy, warning=True)
    if client.trusted_proxies and client.field in _CHAINS and "x_forwarded_for" not in format_.facts:
        told = f"the format {format_.name} holds no X-Forwarded-For: whoever comes by a trusted proxy is dropped as "
        remedy = (
            'no_client_ip; add "$http_x_forwarded_for" (nginx) or "%{X-Forwarded-For}i" (Apache), or name the "field"'
        )
        yield Problem(f"{where}.client_ip", told + remedy, warning=True)
    try:
        formats.require_field(format_, client.field)
    except FormatError as error:
        yield Problem(f"{where}.client_ip.field", str(error), warning=True)


def _of_rules(plan: Plan) -> Iterator[Problem]:
    for rule in plan.settings.rules:
        sources = [source for source in plan.sources.values() if _is_for(rule, source)]
        known = [source.format for source in sources if source.format is not None and not source.format.any_log]
        if sources and len(known) == len(sources):
            held = frozenset().union(*(each.logs for each in known))
            yield from (_unheld(where, name, held) for where, name in _asked(rule) if name not in held)


def _is_for(rule: RuleSettings, source: SourcePlan) -> bool:
    """Tell whether lines of a source can meet a rule: most rules are for all sources."""
    asked = [test for test in rule.when.tests if isinstance(test, Test) and test.field == "source"]
    return all(source.settings.name in test.values or any(map(is_pattern, test.values)) for test in asked)


def _unheld(where: str, name: str, held: frozenset[str]) -> Problem:
    told = f"the log holds no field {name!r}{did_you_mean(name, held)}, so it is always empty"
    return Problem(where, f"{told}; its format has {', '.join(sorted(held))}", warning=True)


def _asked(rule: RuleSettings) -> Iterator[tuple[str, str]]:
    """Yield the log.NAME fields that a rule reads, each with the path of keys where it stands."""
    tests = (test for test in rule.when.every_test() if test.field.startswith("log."))
    yield from ((test.where, test.field.removeprefix("log.")) for test in tests)
    for where, text in _texts(rule):
        yield from ((where, name) for name in dict.fromkeys(_LOG_FIELD.findall(text)))


def _texts(rule: RuleSettings) -> Iterator[tuple[str, str]]:
    revenue = {} if rule.revenue is None else {"currency": rule.revenue.currency, "amount": rule.revenue.amount}
    groups: Mapping[str, Mapping[str, str]] = {"props": rule.props, "revenue": revenue}
    for key in ("event", "domain", "url", "referrer", "user_agent", "client_ip"):
        if (text := getattr(rule, key)) is not None:
            yield f"{rule.where}.{key}", text
    for group, texts in groups.items():
        yield from ((f"{rule.where}.{group}.{name}", text) for name, text in texts.items())
