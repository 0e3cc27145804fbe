"""The tests a configuration may hold: a line of a log, and what should become of it.

`explain.trial` runs them for `logship check`; nothing else uses them. A line is taken as it stands: what looks like an
environment variable was sent by a visitor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from logship.language import notations, tree
from logship.language.kinds import FAULTY, Kind, Several, Spot, Table, Text
from logship.language.notations import MisfitError
from logship.language.scalars import FLAG, LOOSE
from logship.language.sections import Section, key, keys_of, place

ANY = "any"  # of whatever reason


class _Verbatim(Text):
    """A scalar in which nothing is replaced."""

    def read(self, spot: Spot) -> Any:
        if not isinstance(spot.node, tree.Scalar) or spot.node.empty:
            return self.refuse(spot)
        try:
            return self.parse(spot.node.text)
        except MisfitError as misfit:
            return spot.fault(str(misfit))


def _one_line(text: str) -> str:
    line = text.rstrip("\r\n")
    if not line.strip():
        raise MisfitError("is an empty text; a line of the log is wanted here")
    if "\n" in line:
        raise MisfitError("is more than one line; make a test of each, or name a file with log and expected")
    return line


def _reason(text: str) -> str:
    if text.lower() in notations.TRUTH:
        if not notations.flag(text):
            raise MisfitError('"false" expects nothing; leave it out')
        return ANY
    return notations.identifier(text)


_TEXT = _Verbatim("a text", str, schema=LOOSE)
_REASON = Text("true or a reason", _reason, schema={"type": ["boolean", "string"]})


@dataclass(frozen=True, slots=True)
class ExpectSettings:
    """What should become of a line: `event`, `drop` or `unparsed`. Of an event, only what is given is compared."""

    event: str | None = key(_TEXT, "The name of the one event that is sent.", None)
    drop: str | None = key(_REASON, "The reason why it is dropped; `true`: any reason.", None)
    unparsed: str | None = key(_REASON, "The reason why it is unparsed; `true`: any reason.", None)
    rule: str | None = key(_TEXT, "The rule that takes it, named as in `explain`.", None)
    domain: str | None = key(_TEXT, "The event's site in Plausible.", None)
    url: str | None = key(_TEXT, "The event's URL.", None)
    referrer: str | None = key(_TEXT, 'The event\'s referrer; `""`: none.', None)
    props: Mapping[str, str] | None = key(
        Table(_TEXT, "a mapping of props", name=notations.prop_key, label="NAME"), "All of the event's props.", None
    )
    interactive: bool | None = key(FLAG, "Whether the event keeps a visit from being a bounce.", None)
    user_agent: str | None = key(_TEXT, "The User-Agent that is sent.", None)
    client_ip: str | None = key(_TEXT, "The visitor's address that is sent.", None)
    to: tuple[str, ...] | None = key(Several(_TEXT, "a list of destinations"), "The destinations it is sent to.", None)
    where: str = place()

    def given(self) -> dict[str, Any]:
        """Return what is to be compared, by key."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "where"}
        return {name: value for name, value in known.items() if value is not None}


_FATES = ("event", "drop", "unparsed")


class _Fate(Section):
    """What is expected, as a mapping: exactly one of event, drop and unparsed, and what goes with it."""

    apart = True

    def complete(self, spot: Spot, values: dict[str, Any]) -> Any:
        fates = [name for name in _FATES if name in values]
        if len(fates) != 1:
            said = " and ".join(fates)
            return spot.fault(
                f"{said} exclude each other" if fates else "say event: NAME, drop: REASON or unparsed: true"
            )
        for name in values.keys() - {fates[0], "rule"} if fates[0] != "event" else ():
            spot.beside(name).fault(f"has no meaning beside {fates[0]}; remove it")
        return super().complete(spot, values) if values[fates[0]] is not FAULTY else FAULTY


_FATE = _Fate(
    keys_of(ExpectSettings),
    lambda spot, values: ExpectSettings(**values, where=spot.where),
    meaning="What should become of the line: one of `event`, `drop` and `unparsed`. Of an event, only what is given is "
    "compared.",
)


class _Expect(Kind):
    """The word ``unparsed``, one fate, or a list of the events that the line becomes."""

    noun = "{event: NAME, ...}, {drop: REASON}, unparsed, or a list of events"
    several = Several(_FATE, noun, empty="say {drop: true} where no event is expected", single=False)

    def read(self, spot: Spot) -> Any:
        if isinstance(spot.node, tree.Scalar) and spot.node.text == "unparsed":
            return (ExpectSettings(unparsed=ANY, where=spot.where),)
        if isinstance(spot.node, tree.Mapping):
            fate = _FATE.read(spot)
            return fate if fate is FAULTY else (fate,)
        if not isinstance(spot.node, tree.Sequence):
            return self.refuse(spot)
        found = self.several.read(spot)
        if found is not FAULTY and len(found) > 1 and any(each.event is None for each in found):
            return spot.fault("a list holds events only")
        return found

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"const": "unparsed"}, _FATE.schema(), self.several.schema()]}

    def inner(self) -> Iterable[tuple[str, Kind]]:
        return [("", _FATE)]


@dataclass(frozen=True, slots=True)
class CaseSettings:
    """A test of this configuration: `line` and `expect`, or `log` and `expected`. `logship check` runs it."""

    name: str | None = key(_TEXT, "What it tests, for people.", None)
    source: str | None = key(Text("a name", notations.word), "The source that reads the line.", None, shown="the first")
    line: str | None = key(_Verbatim("a line of the log", _one_line), "A line of the log, as it stands there.", None)
    expect: tuple[ExpectSettings, ...] = key(_Expect(), "What should become of the line.", ())
    log: str | None = key(
        Text("a path", notations.some_text),
        "A file of lines instead of one; relative to the configuration's directory.",
        None,
    )
    expected: str | None = key(
        Text("a path", notations.some_text),
        "A file with what should become of each: the output of `logship explain --json`; keys that are left out are "
        "not compared.",
        None,
    )
    where: str = place()  # "tests[0]"


class _Case(Section):
    """A test: a line and what is expected of it, or a file of lines and a file of what is expected."""

    apart = True

    def complete(self, spot: Spot, values: dict[str, Any]) -> Any:
        given = values.keys() & {"line", "expect", "log", "expected"}
        if given not in ({"line", "expect"}, {"log", "expected"}):
            return spot.fault("a test has line and expect, or log and expected")
        return FAULTY if FAULTY in values.values() else super().complete(spot, values)


CASES = Several(
    _Case(
        keys_of(CaseSettings),
        lambda spot, values: CaseSettings(**values, where=spot.where),
        meaning=(CaseSettings.__doc__ or "").splitlines()[0],
    ),
    'a list of tests, each beginning with "- "',
    single=False,
)
