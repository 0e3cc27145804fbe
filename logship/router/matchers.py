"""Compile the values of one key of a ``when`` into one test: any of them must hold.

A field that the log does not hold is None and fits the empty text ``""`` alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from logship.language.notations import ascii_host
from logship.linear import ExpressionError, compile_expression
from logship.records import readable
from logship.router import addresses, audience, globs

Matches = Callable[[Any], bool]


class MatcherError(ValueError):
    """One value cannot be read. The text is for people."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """``matches`` takes the field's value or None; ``captured`` gives what named groups caught in a text that fits."""

    matches: Matches
    groups: frozenset[str] = frozenset()
    captured: Callable[[str | None], Mapping[str, str]] = field(default=lambda value: {})


def texts(values: Sequence[str], dialect: globs.Dialect = "text", *, ignore_case: bool = True) -> Matcher:
    """Globs and regular expressions (``re:...``)."""
    expressions = [_expression(value[3:]) for value in values if value.startswith("re:")]
    patterns = [value for value in values if value and not value.startswith("re:")]
    tests = [globs.on_re2(each, whole=False) for each in expressions]
    if patterns:
        tests.insert(0, _globs(patterns, dialect, ignore_case))
    groups = frozenset(name for each in expressions for name in each.groupindex)
    return Matcher(_present(globs.any_of(tests), "" in values), groups, _capturing(expressions) if groups else _nothing)


def hosts(values: Sequence[str]) -> Matcher:
    """Text, with letters beyond ASCII as requests have them: in punycode."""
    return texts([value if value.startswith("re:") else ascii_host(value) or value for value in values])


def paths(values: Sequence[str]) -> Matcher:
    """Globs of paths, tried on the path as it was on the wire and, where it holds escapes, decoded too."""
    return texts(values, "path", ignore_case=False)


def exact_case(values: Sequence[str]) -> Matcher:
    """Text in which case counts."""
    return texts(values, ignore_case=False)


def methods(values: Sequence[str]) -> Matcher:
    """Methods, which a rule may write in any case and a request may not: ``get`` is not GET (RFC 9110, 9.1)."""
    return exact_case([value if value.startswith("re:") else value.upper() for value in values])


def statuses(values: Sequence[str]) -> Matcher:
    """``404``, ``2xx``, ``400-499``."""
    wanted = frozenset(status for value in values for status in _statuses(value))
    return Matcher(wanted.__contains__ if "" not in values else lambda status: status is None or status in wanted)


def networks(values: Sequence[str]) -> Matcher:
    """Addresses and CIDR networks. All networks together are every address: then ``matches`` is ``bool`` itself."""
    try:
        wanted = addresses.Networks(value for value in values if value)
    except addresses.AddressError as error:
        raise MatcherError(str(error)) from None
    absent = "" in values
    if wanted.hold_all:
        return Matcher((lambda _: True) if absent else bool)
    return Matcher(lambda address: address in wanted if address else absent)


def audiences(values: Sequence[str]) -> Matcher:
    """``true``, ``false``, or a class of machines. What it is asked about is the class, empty for a person."""
    wanted = frozenset(kind for value in values for kind in _kinds(value))
    return Matcher(wanted.__contains__)


def truths(values: Sequence[str]) -> Matcher:
    """``true`` or ``false``. What it is asked about is a bool."""
    wanted = frozenset(value.lower() == "true" for value in values)
    return Matcher(wanted.__contains__)


def _nothing(_: str | None) -> Mapping[str, str]:
    return {}


def _expression(pattern: str) -> Any:
    try:
        return compile_expression(pattern)
    except ExpressionError as error:
        said = str(error)
        hint = " (RE2 has no look-around and no backreferences)" if "perl operator" in said or "escape" in said else ""
        raise MatcherError(f"regular expression {pattern!r}: {said}{hint}") from None


def _globs(patterns: Sequence[str], dialect: globs.Dialect, ignore_case: bool) -> globs.TextTest:
    try:
        return globs.compile_globs(patterns, dialect, ignore_case=ignore_case)
    except globs.GlobError as error:
        raise MatcherError(str(error)) from None


def _present(test: globs.TextTest, absent: bool) -> Matches:
    return lambda text: test(text) if text else absent


def _capturing(expressions: Sequence[Any]) -> Callable[[str | None], Mapping[str, str]]:
    def captured(text: str | None) -> Mapping[str, str]:
        caught: dict[str, str] = {}
        for expression in expressions if text else ():
            if found := expression.search(readable(text or "")):
                caught |= {name: value for name, value in found.groupdict().items() if value is not None}
        return caught

    return captured


def _statuses(value: str) -> range:
    if not value:
        return range(0)
    if found := re.fullmatch(r"([1-5])[xX]{2}", value):
        return range(int(found[1]) * 100, int(found[1]) * 100 + 100)
    if found := re.fullmatch(r"(\d{3})(?:\s*-\s*(\d{3}))?", value):
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= last:
            return range(first, last + 1)
    raise MatcherError(f"{value!r} is no status: write 404, 2xx or 400-499")


def _kinds(value: str) -> tuple[str, ...]:
    named: dict[str, tuple[str, ...]] = {"true": audience.KINDS, "false": ("",)}
    if value.lower() in named:
        return named[value.lower()]
    if value in audience.KINDS:
        return audience.members(value)
    near = difflib.get_close_matches(value, audience.KINDS, 1)
    hint = f'did you mean "{near[0]}"?' if near else "true, false, " + ", ".join(audience.KINDS)
    raise MatcherError(f"unknown class of machines {value!r} ({hint})")
