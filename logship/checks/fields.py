"""Warn of fields that the rules need and a source's format does not hold: that is legal, and drops every line.

Only formats are judged whose fields are known from their own text. One whose labels differ from line to line may hold
anything.
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

# A field of a record, the facts that hold it, its name for people, and what would log it in nginx and in Apache.
_NEEDED = (
    ("user_agent", {"user_agent"}, "the User-Agent", '"$http_user_agent"', '"%{User-Agent}i"'),
    ("status", {"status"}, "the status", "$status", "%>s"),
    ("method", {"request", "method"}, "the method", '"$request"', '"%r"'),
)
_PAGES = frozenset(("request", "target", "path"))
_CHAINS = frozenset(("x_forwarded_for", "http_x_forwarded_for"))
_LOG_FIELD = re.compile(r"\{\s*log\.([^{}]+?)\s*\}")


def warnings(plan: Plan) -> Iterator[Problem]:
    """Yield warnings about the formats that are given, and about rules that ask for what none of them holds."""
    for source in plan.sources.values():
        if source.format is not None:
            yield from warnings_of_format(source, source.format)
    yield from _of_rules(plan)


def warnings_of_format(source: SourcePlan, format_: LogFormat) -> Iterator[Problem]:
    """Yield warnings about one source's format: can its lines become events, and their visitors be found?"""
    if format_.any_log and format_.keys is None:
        return  # the fields differ from line to line
    yield from _missing_facts(source, format_)
    yield from _missing_chain(source, format_)


def _missing_facts(source: SourcePlan, format_: LogFormat) -> Iterator[Problem]:
    where = f"{source.settings.where}.format"
    if not format_.facts & _PAGES:
        problem = f"the format {format_.name} does not hold the request, so no line has a page"
        remedy = 'add "$request" (nginx), "%r" (Apache) or the field request, target or path (json, regex)'
        yield Problem(where, f"{problem}; {remedy}", warning=True)
    for field, facts, what, nginx, apache in _NEEDED:
        if not format_.facts & facts and source.table.sends_nothing(frozenset((field,))):
            problem = f"the format {format_.name} does not hold {what}, and without it the rules send nothing"
            remedy = f"add {nginx} (nginx), {apache} (Apache) or the field {field} (json, regex), or change the rules"
            yield Problem(where, f"{problem}; {remedy}", warning=True)


def _missing_chain(source: SourcePlan, format_: LogFormat) -> Iterator[Problem]:
    where, client = f"{source.settings.where}.client_ip", source.settings.client_ip
    if client.trusted_proxies and client.field in _CHAINS and "x_forwarded_for" not in format_.facts:
        problem = (
            f"the format {format_.name} holds no X-Forwarded-For: whoever comes by a trusted proxy is dropped as "
            "no_client_ip"
        )
        remedy = 'add "$http_x_forwarded_for" (nginx) or "%{X-Forwarded-For}i" (Apache), or name the "field"'
        yield Problem(where, f"{problem}; {remedy}", warning=True)
    try:
        formats.require_field(format_, client.field)
    except FormatError as error:
        yield Problem(f"{where}.field", str(error), warning=True)


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
    problem = f"the log holds no field {name!r}{did_you_mean(name, held)}, so it is always empty"
    return Problem(where, f"{problem}; its format has {', '.join(sorted(held))}", warning=True)


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
