"""Try a configuration on its own tests: say of each line that fares otherwise than expected what came instead.

Only `logship check` does so. A test that fails is a doubt about rules that work; the daemon, which somebody restarts at
night, starts all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from logship.errors import Problem
from logship.explain.lines import Describe, Explained, Explainer, describer, events
from logship.plan import Plan, SourcePlan
from logship.records import Event, readable
from logship.settings.cases import ANY, CaseSettings, ExpectSettings

_MOST = 5  # differences told of one file
_SHOWN = 200


def problems(plan: Plan) -> list[Problem]:
    """Run the tests of a configuration, and return what they found, each at its place in the file."""
    settings = plan.settings
    found = (
        Problem(where, f"{case.name}: {message}" if case.name else message)
        for case in settings.tests
        for where, message in _try(case, plan)
    )
    return [problem.at(*settings.place(problem.where)) for problem in found]


def _try(case: CaseSettings, plan: Plan) -> Iterator[tuple[str, str]]:
    source = plan.sources[case.source] if case.source is not None else next(iter(plan.sources.values()), None)
    if source is None:
        yield case.where, "there is no source to read the line"
    elif case.line is not None:
        yield from _try_line(case, source)
    else:
        yield from _try_log(case, source, plan)


def _try_line(case: CaseSettings, source: SourcePlan) -> Iterator[tuple[str, str]]:
    text = (case.line or "").encode("utf-8", "surrogateescape")
    [explained] = Explainer(source).explain(text + b"\n")
    expected = [_fate(each) for each in case.expect]
    results = {fate for fate, _ in expected}
    if results != {explained.result}:
        yield case.expect[0].where, f"expected {' and '.join(said for _, said in expected)}, got {_came(explained)}"
    elif explained.result == "event":
        yield from _compare_events(case, explained)
    else:
        yield from _compare_reason(case.expect[0], explained)


def _fate(expect: ExpectSettings) -> tuple[str, str]:
    if expect.event is not None:
        return "event", f"the event {expect.event}"
    result, reason = ("dropped", expect.drop) if expect.drop is not None else ("unparsed", expect.unparsed)
    return result, result if reason == ANY else f"{result} as {reason}"


def _came(explained: Explained) -> str:
    taken = f" (rule: {explained.rule})" if explained.rule else ""
    if explained.decision is not None and explained.result == "event":
        names = " and ".join(f"the event {event.name}" for event in events(explained.decision))
        return f"{names}{taken}"
    return f"{explained.result} as {explained.reason}{taken}"


def _compare_reason(expect: ExpectSettings, explained: Explained) -> Iterator[tuple[str, str]]:
    reason = expect.drop if expect.drop is not None else expect.unparsed
    if reason not in (ANY, explained.reason):
        yield expect.where, f"expected {_fate(expect)[1]}, got {_came(explained)}"
    elif expect.rule not in (None, explained.rule):
        yield f"{expect.where}.rule", f"expected the rule {expect.rule}, got {explained.rule or 'none'}"


def _compare_events(case: CaseSettings, explained: Explained) -> Iterator[tuple[str, str]]:
    assert explained.decision is not None
    sent = events(explained.decision)
    if [event.name for event in sent] != [each.event for each in case.expect]:
        wanted = " and ".join(_fate(each)[1] for each in case.expect)
        yield case.expect[0].where, f"expected {wanted}, got {_came(explained)}"
        return
    for expect, event in zip(case.expect, sent, strict=True):
        to = tuple(each.destination for each in explained.decision.deliveries if each.event is event)
        actual = _facts(event) | {"rule": explained.rule, "to": to}
        for name, value in expect.given().items():
            if actual[name] != value:
                yield f"{expect.where}.{name}", f"expected {_shown(value)}, got {_shown(actual[name])}"


def _facts(event: Event) -> dict[str, Any]:
    """Return an event in the words of the configuration; what is left out stands for its default."""
    return {
        "event": event.name,
        "domain": event.domain,
        "url": event.url,
        "referrer": event.referrer or "",
        "props": dict(event.props or {}),
        "interactive": event.interactive is not False,
        "user_agent": readable(event.user_agent),
        "client_ip": event.client_ip,
    }


def _try_log(case: CaseSettings, source: SourcePlan, plan: Plan) -> Iterator[tuple[str, str]]:
    """Compare a file of lines with what was kept of `explain --json`."""
    describe, home = describer(plan.settings.destinations), Path(plan.settings.file).parent
    texts: dict[str, bytes] = {}
    for key, name in (("log", case.log or ""), ("expected", case.expected or "")):
        try:
            texts[key] = (home / name).read_bytes()
        except OSError as error:
            yield f"{case.where}.{key}", f"{home / name} cannot be read: {error.strerror}"
    if len(texts) == 2:
        found = list(_differences(texts["log"], texts["expected"], source, describe))
        yield from ((f"{case.where}.expected", f"{case.expected}: {message}") for message in found[:_MOST])
        if len(found) > _MOST:
            yield f"{case.where}.expected", f"{case.expected}: and {len(found) - _MOST} more differences"


def _differences(log: bytes, expected: bytes, source: SourcePlan, describe: Describe) -> Iterator[str]:
    data = log if log.endswith(b"\n") or not log else log + b"\n"
    lines = [describe(each) for each in Explainer(source).explain(data)]
    kept = [line for line in expected.split(b"\n") if line.strip()]
    if len(lines) != len(kept):
        yield f"holds {len(kept):,} lines, the log {len(lines):,}"
        return
    for number, (actual, text) in enumerate(zip_longest(lines, kept), 1):
        try:
            wanted = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield f"line {number} is no JSON: {error}"
            continue
        yield from (f"line {number}: {difference}" for difference in _unlike("", wanted, actual))


def _unlike(path: str, wanted: Any, actual: Any) -> Iterator[str]:
    """Yield where the actual value is not what is wanted; a key that nobody wants is not compared."""
    if isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        for name, value in wanted.items():
            yield from _unlike(f"{path}.{name}" if path else name, value, actual.get(name))
    elif _is_list(wanted) and _is_list(actual) and len(wanted) == len(actual):
        for at, (one, other) in enumerate(zip(wanted, actual, strict=True)):
            yield from _unlike(f"{path}[{at}]", one, other)
    elif wanted != actual:
        yield f"{path}: expected {_shown(wanted)}, got {_shown(actual)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _shown(value: Any) -> str:
    if value in (None, "", {}, ()):
        return "none"
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
