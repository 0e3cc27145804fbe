"""Keys that contradict each other: errors that no key shows by itself, looked for once all keys are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from logship.errors import Problem
from logship.language.notations import listed, meant, quoted
from logship.settings.format import HOSTLESS
from logship.settings.root import Settings

_ADD_SITE = 'add "site: https://example.com", your own'


def find(settings: Settings) -> Iterator[Problem]:
    """Yield what contradicts itself; a source whose host may be missing is a warning."""
    yield from _equal_names("source", [(f"{each.where}.name", each.name) for each in settings.sources])
    yield from _equal_names("rule", [(f"{each.where}.name", each.name) for each in settings.rules if each.name])
    yield from _hostless(settings)
    yield from _unknown_destinations(settings)
    yield from _unknown_sources(settings)


def _equal_names(thing: str, names: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for where, name in names:
        if name in first:
            other = first[name].removesuffix(".name")
            yield Problem(where, f"{other} is called {quoted(name)}, too; give each {thing} its own name")
        first.setdefault(name, where)


def _hostless(settings: Settings) -> Iterator[Problem]:
    for source in settings.sources:
        if source.site or f"{source.where}.site" in settings.places:
            continue
        if isinstance(source.format, str) and source.format in HOSTLESS:
            yield Problem(source.where, f"the format {quoted(source.format)} has no host; {_ADD_SITE}")
        elif source.format == "auto":
            message = f'without "site", lines that carry no host become no event; {_ADD_SITE}'
            yield Problem(source.where, message, warning=True)


def _unknown_destinations(settings: Settings) -> Iterator[Problem]:
    names = [each.name for each in settings.destinations]
    for rule in settings.rules:
        for index, name in enumerate(rule.to):
            where = settings.element(f"{rule.where}.to", index)
            if name in rule.to[:index]:
                yield Problem(where, f"{quoted(name)} is listed twice")
            elif name not in names and f"destinations.{name}" not in settings.places:
                yield Problem(where, f"unknown destination {quoted(name)}{_hint(name, names)}")


def _unknown_sources(settings: Settings) -> Iterator[Problem]:
    names = [each.name for each in settings.sources]
    if _some_source_is_faulty(settings):
        return  # its name is not known, so it may be the one that is meant
    for test in (test for rule in settings.rules for test in rule.when.every_test() if test.field == "source"):
        for index, value in enumerate(test.values):
            if not any(_may_match(value, name) for name in names):
                yield _no_source(settings.element(test.where, index), value, names)
    for case in settings.tests:
        if case.source is not None and case.source not in names:
            yield _no_source(f"{case.where}.source", case.source, names)


def _some_source_is_faulty(settings: Settings) -> bool:
    written = sum(1 for where in settings.places if re.fullmatch(r"sources\[\d+\]", where))
    return len(settings.sources) < written or any(each.name == each.where for each in settings.sources)


def _no_source(where: str, name: str, names: Sequence[str]) -> Problem:
    return Problem(where, f"no source is called {quoted(name)}{_hint(name, names)}")


def _hint(name: str, names: Sequence[str]) -> str:
    return meant(name, names) or f"; {listed(names)}"


def _may_match(value: str, name: str) -> bool:
    """Tell whether a pattern may match a name. Special characters may stand for anything: only the router knows."""
    if value.startswith("re:"):
        return True
    literal = re.split(r"[*?]+|\[[^]]*\]?|\{.*\}?|\\", value)
    return bool(re.fullmatch(".*".join(map(re.escape, literal)), name, re.DOTALL))
