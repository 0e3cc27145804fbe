"""Kinds of values: each reads itself from a node, describes itself for the JSON Schema, and names itself for people.

One declaration of a key (`Key`: name, kind, default, help) is all there is; reading, schema and reference follow from
it. A reading never stops at a fault: it notes a Problem, leaves the faulty piece out (`FAULTY`) and reads on.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from logship.errors import Problem
from logship.language import notations, tree
from logship.language.notations import MisfitError, Secret, listed, meant, quoted

_VARIABLE = re.compile(r"\$?\$\{(?P<inside>[^}]*)\}?")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL | re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENVIRONMENT = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}


class _Faulty:
    """Stands for a value that could not be read and whose fault is noted."""

    def __repr__(self) -> str:
        return "FAULTY"


FAULTY = _Faulty()


@dataclass(slots=True)
class Reading:
    """One reading of one file: what it needs (environment, root) and what it finds (problems, places)."""

    env: Mapping[str, str]
    root: Section
    problems: list[Problem] = field(default_factory=list)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spot:
    """A node of the tree, the path of keys that leads to it, and the reading that came by."""

    reading: Reading
    where: str
    node: tree.Node

    def key(self, name: str, key: tree.Node, value: tree.Node) -> Spot:
        """Return the spot of a mapping's value. A list or an empty value stands where its key stands."""
        here = value if isinstance(value, tree.Scalar) and not value.empty else key
        spot = replace(self.beside(name), node=value)
        self.reading.places[spot.where] = (here.line, here.column)
        return spot

    def beside(self, name: str) -> Spot:
        """Return the spot of a key in this mapping, without its value."""
        name = _UNPRINTABLE.sub("?", name)[:80]
        return replace(self, where=f"{self.where}.{name}" if self.where else name)

    def item(self, index: int, node: tree.Node) -> Spot:
        """Return the spot of a list's element."""
        where = f"{self.where}[{index}]"
        self.reading.places[where] = (node.line, node.column)
        return Spot(self.reading, where, node)

    def fault(self, message: str, node: tree.Node | None = None) -> _Faulty:
        """Note what is wrong here, or at a node nearby."""
        place = (node.line, node.column) if node else self.reading.places.get(self.where, (0, 0))
        self.reading.problems.append(Problem(self.where, message, *place))
        return FAULTY

    @property
    def faulty(self) -> bool:
        """Whether a fault was noted here or below."""
        return any(_below(problem.where, self.where) for problem in self.reading.problems)


def _below(where: str, ancestor: str) -> bool:
    return where == ancestor or where.startswith((f"{ancestor}.", f"{ancestor}["))


class Kind(ABC):
    """What may stand behind a key. ``noun`` names it with its article, as in ``a duration``."""

    noun: str = "a value"

    @abstractmethod
    def read(self, spot: Spot) -> Any:
        """Return the value, or FAULTY after noting why not."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the value."""

    def show(self, value: Any) -> str:
        """Return a value as YAML text, for the reference."""
        return str(value)

    def inner(self) -> Iterable[tuple[str, Kind]]:
        """Return the kinds inside, each with what it adds to the path of keys."""
        return ()

    def refuse(self, spot: Spot) -> _Faulty:
        """Note that something else stands here."""
        if isinstance(spot.node, tree.Scalar) and spot.node.empty:
            return spot.fault(f"has no value; {self.noun} is wanted here")
        braces = ' (put a text with braces in quotes: "{path}")' if _is_template(spot.node) else ""
        return spot.fault(f"got {_NAMES[type(spot.node)]}; {self.noun} is wanted here{braces}")


_NAMES = {tree.Scalar: "a single value", tree.Sequence: "a list", tree.Mapping: "a mapping of keys"}


def _is_template(node: tree.Node) -> bool:
    """Tell whether a mapping is what YAML makes of ``{path}`` without quotes."""
    return isinstance(node, tree.Mapping) and any(_nothing(value) for _, value in node.pairs)


class Text(Kind):
    """A scalar, read from its own text by ``parse``, which raises MisfitError."""

    def __init__(
        self,
        noun: str,
        parse: Callable[[str], Any],
        *,
        show: Callable[[Any], str] = str,
        schema: Mapping[str, Any] | None = None,
    ) -> None:
        self.noun = noun
        self.parse = parse
        self.as_text = show
        self.as_schema = dict(schema or {"type": "string"})

    def read(self, spot: Spot) -> Any:
        """Return the parsed text."""
        if not isinstance(spot.node, tree.Scalar) or spot.node.empty:
            return self.refuse(spot)
        text = expand(spot, spot.node.text)
        if isinstance(text, _Faulty):
            return FAULTY
        try:
            return self.parse(text)
        except MisfitError as misfit:
            return spot.fault(str(misfit))

    def schema(self) -> dict[str, Any]:
        """Return the schema, which an environment variable fits as well."""
        takes_any = self.as_schema.keys() == {"type"} and "string" in self.as_schema["type"]
        return dict(self.as_schema) if takes_any else {"anyOf": [self.as_schema, _ENVIRONMENT]}

    def show(self, value: Any) -> str:
        """Return the value as it is written."""
        return self.as_text(value)


def expand(spot: Spot, text: str) -> str | _Faulty:
    """Return the text with ``${ENV}`` and ``${ENV:-default}`` replaced (then a Secret); ``$${`` stands for ``${``."""
    if "${" not in text:
        return text
    faults: list[str] = []
    replaced: list[str] = []

    def replace(found: re.Match[str]) -> str:
        if found[0].startswith("$$"):
            return found[0][1:]
        variable = _INSIDE.fullmatch(found["inside"]) if found[0].endswith("}") else None
        value = _value(variable, spot.reading.env) if variable else None
        if value is None:
            faults.append(_unset(variable["name"]) if variable else _MALFORMED)
        replaced.append(value or "")
        return value or ""

    result = _VARIABLE.sub(replace, text)
    for fault in dict.fromkeys(faults):
        spot.fault(fault)
    if faults:
        return FAULTY
    return Secret(result, written=_VARIABLE.sub(_without_default, text)) if replaced else result


_MALFORMED = 'a "${" that is neither ${NAME} nor ${NAME:-default}; write "$${" for the text "${" itself'


def _unset(name: str) -> str:
    return (
        f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}, "
        f"or $${{{name}}} for the text itself"
    )


def _value(variable: re.Match[str], env: Mapping[str, str]) -> str | None:
    if variable["default"] is not None:
        return env.get(variable["name"]) or variable["default"]
    return env.get(variable["name"])


def _without_default(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("$$") else f"${{{found['inside'].partition(':-')[0]}}}"


class Word(Text):
    """One of a few known words."""

    def __init__(self, noun: str, words: Iterable[str]) -> None:
        self.words = tuple(words)
        super().__init__(noun, self.choose, schema={"enum": list(self.words)})

    def choose(self, text: str) -> str:
        """Return the word."""
        if text not in self.words:
            hint = meant(text, self.words) or f"; {listed(self.words)}"
            raise MisfitError(f"{quoted(text)} is not known here{hint}")
        return str(text)


class Several(Kind):
    """A list of one kind, or a single one without brackets; read as a tuple."""

    def __init__(self, kind: Kind, noun: str, *, empty: str | None = None, single: bool = True) -> None:
        self.kind = kind
        self.noun = noun
        self.empty = empty  # what to say of an empty list; None: it is fine
        self.single = single

    def read(self, spot: Spot) -> Any:
        """Return a tuple of those that could be read."""
        if not isinstance(spot.node, tree.Sequence):
            return self.refuse(spot) if not self.single or _nothing(spot.node) else self.found([self.kind.read(spot)])
        if not spot.node.items and self.empty:
            return spot.fault(f"the list is empty; {self.empty}")
        return self.found([self.kind.read(spot.item(index, node)) for index, node in enumerate(spot.node.items)])

    def found(self, values: list[Any]) -> Any:
        """Return what could be read; FAULTY when nothing could."""
        good = tuple(value for value in values if value is not FAULTY)
        return good if good or not values else FAULTY

    def schema(self) -> dict[str, Any]:
        """Return the schema of the list, and of a single one."""
        items = {"type": "array", "items": self.kind.schema(), **({"minItems": 1} if self.empty else {})}
        return {"anyOf": [self.kind.schema(), items]} if self.single else items

    def show(self, value: Any) -> str:
        """Return the list in brackets."""
        return f"[{', '.join(_in_flow(self.kind.show(each)) for each in value)}]"

    def inner(self) -> Iterable[tuple[str, Kind]]:
        """Return the kind of the elements."""
        return [("[]", self.kind)]


def _in_flow(text: str) -> str:
    return text if text[:1].isalnum() else f'"{text}"'


def _nothing(node: tree.Node) -> bool:
    return isinstance(node, tree.Scalar) and node.empty


class Optional(Kind):
    """A kind, or null; an environment variable that is empty counts as null, too."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.noun = f"{kind.noun} or null"

    def read(self, spot: Spot) -> Any:
        """Return None for null, else the value."""
        if isinstance(spot.node, tree.Scalar) and (spot.node.empty or self.vanishes(spot)):
            return None
        return self.kind.read(spot)

    def vanishes(self, spot: Spot) -> bool:
        """Tell whether a variable leaves nothing of the text."""
        node = spot.node
        return isinstance(node, tree.Scalar) and "${" in node.text and expand(_silent(spot), node.text) == ""

    def schema(self) -> dict[str, Any]:
        """Return the schema, which null fits as well."""
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}

    def show(self, value: Any) -> str:
        """Return ``null``, or the value."""
        return "null" if value is None else self.kind.show(value)

    def inner(self) -> Iterable[tuple[str, Kind]]:
        """Return the kind that is not null."""
        return [("", self.kind)]


def _silent(spot: Spot) -> Spot:
    return Spot(Reading(spot.reading.env, spot.reading.root), spot.where, spot.node)


class Table(Kind):
    """A mapping whose keys the user names; read as a dict."""

    def __init__(
        self, kind: Kind, noun: str, *, name: Callable[[str], str], label: str, limit: str = "", most: int = 0
    ) -> None:
        self.kind = kind
        self.noun = noun
        self.name = name
        self.label = label  # what stands for the name in the reference
        self.most = most
        self.limit = limit  # what to say of more than `most` entries

    def read(self, spot: Spot) -> Any:
        """Return a dict of those that could be read."""
        if not isinstance(spot.node, tree.Mapping):
            return self.refuse(spot)
        found = {}
        for name, key, below in _pairs(spot):
            try:
                found[self.name(name)] = self.kind.read(below)
            except MisfitError as misfit:
                below.fault(str(misfit), key)
        if self.most and len(found) > self.most:
            spot.fault(f"{len(found)} entries; {self.limit}")
        return {name: value for name, value in found.items() if value is not FAULTY}

    def schema(self) -> dict[str, Any]:
        """Return the schema of the mapping."""
        limit = {"maxProperties": self.most} if self.most else {}
        return {"type": "object", "additionalProperties": self.kind.schema(), **limit}

    def show(self, value: Any) -> str:
        """Return the mapping in braces."""
        return f"{{{', '.join(f'{name}: {self.kind.show(each)}' for name, each in value.items())}}}"

    def inner(self) -> Iterable[tuple[str, Kind]]:
        """Return the kind of the values."""
        return [(f".{self.label}", self.kind)]


def _pairs(spot: Spot) -> Iterator[tuple[str, tree.Node, Spot]]:
    """Yield name, key and value of each entry; note keys that are no text, and all but the first of equal ones."""
    assert isinstance(spot.node, tree.Mapping)
    first: dict[str, tree.Node] = {}
    for key, value in spot.node.pairs:
        if not isinstance(key, tree.Scalar):
            spot.fault("a key must be a plain word", key)
        elif key.text in first:
            line = first[key.text].line
            spot.beside(key.text).fault(f"given twice (first on line {line}); keep one", key)
        else:
            first[key.text] = key
            yield key.text, key, spot.key(key.text, key, value)


@dataclass(frozen=True, slots=True)
class Key:
    """The one declaration of a key. ``default`` is the value when the key is left out; MISSING: it must be given."""

    name: str
    kind: Kind
    default: Any
    help: str
    attribute: str = ""  # of the dataclass; the name where both are the same
    shown: str = ""  # the default in words, where it depends on something else

    @property
    def required(self) -> bool:
        """Whether the key must be given."""
        return self.shown == "required" or (self.default is MISSING and not self.shown)

    @property
    def shown_default(self) -> str:
        """Return the default as YAML text or in words; empty where there is none to tell."""
        if self.shown or self.default is MISSING:
            return self.shown or "required"
        value = "" if self.default is None and not isinstance(self.kind, Optional) else self.kind.show(self.default)
        return f"`{value}`" if value else ""


def key(kind: Kind, help: str, default: Any = MISSING, *, name: str = "", shown: str = "") -> Any:  # noqa: A002
    """Return a dataclass field that is a key of the configuration."""
    declared = {"kind": kind, "help": help, "name": name, "shown": shown}
    plain = isinstance(default, dict)
    if plain:
        return field(default_factory=default.copy, metadata=declared)
    return field(metadata=declared) if default is MISSING else field(default=default, metadata=declared)


def keys_of(cls: type) -> tuple[Key, ...]:
    """Return the keys that a dataclass declares."""
    return tuple(
        Key(
            each.metadata["name"] or each.name,
            each.metadata["kind"],
            each.default if each.default_factory is MISSING else each.default_factory(),
            each.metadata["help"],
            each.name,
            each.metadata["shown"],
        )
        for each in fields(cls)
        if "kind" in each.metadata
    )


class Section(Kind):
    """A mapping of known keys, read into what ``build`` makes of the spot and the values that could be read."""

    apart = False  # whether its keys repeat others' names: nobody who misplaces one of those means it here

    def __init__(
        self,
        keys: Iterable[Key],
        build: Callable[[Spot, dict[str, Any]], Any],
        *,
        meaning: str,
        thing: str = "key",
        partial: bool = False,
    ) -> None:
        self.keys = {each.name: each for each in keys}
        self.build = build
        self.meaning = meaning
        self.thing = thing
        self.partial = partial  # build from what there is, even if a key that must be given is missing
        self.noun = f"a mapping of {thing}s ({', '.join(_some(list(self.keys)))})"

    @classmethod
    def of(
        cls, made: type, build: Callable[[Spot, dict[str, Any]], Any] | None = None, *, partial: bool = False
    ) -> Section:
        """Return the section that reads a dataclass by the keys it declares."""
        meaning = (made.__doc__ or "").splitlines()[0]
        return cls(keys_of(made), build or (lambda _, values: made(**values)), meaning=meaning, partial=partial)

    def read(self, spot: Spot) -> Any:
        """Return what is built; FAULTY when a key that must be given is missing or faulty."""
        if not isinstance(spot.node, tree.Mapping):
            return self.refuse(spot)
        values: dict[str, Any] = {}
        for name, key, below in _pairs(spot):
            known = self.find(name)
            if known:
                values[known.attribute or name] = known.kind.read(below)
            else:
                below.fault(self.unknown(name, spot), key)
                values |= self.misspelt(name)
        return self.complete(spot, values)

    def described(self) -> Iterable[Key]:
        """Return the keys that the reference lists."""
        return self.keys.values()

    def find(self, name: str) -> Key | None:
        """Return the declaration of a key."""
        return self.keys.get(name)

    def misspelt(self, name: str) -> dict[str, Any]:
        """Return the key that was surely meant, as faulty, lest it is called missing as well."""
        close = [known for known in self.keys.values() if meant(name, [known.name])]
        return {known.attribute or known.name: FAULTY for known in close if known.required}

    def complete(self, spot: Spot, values: dict[str, Any]) -> Any:
        """Note what is missing, and build."""
        needed = [each for each in self.keys.values() if each.required]
        for each in needed:
            if (each.attribute or each.name) not in values:
                spot.fault(f'"{each.name}" is missing: {each.help}')
        good = {name: value for name, value in values.items() if value is not FAULTY}
        if not self.partial and any((each.attribute or each.name) not in good for each in needed):
            return FAULTY
        return self.build(spot, good)

    def unknown(self, name: str, spot: Spot) -> str:
        """Return what to say of a key that is not known here: the surest of what may help."""
        nearest = (next(sections(each.kind, each.name), None) for each in self.keys.values())
        below = [found[0] for found in nearest if found and name in found[1].keys and not found[1].apart]
        everywhere = [
            path or "the top level"
            for path, section in sections(spot.reading.root)
            if name in section.keys and not section.apart
        ]
        if len(below) == 1:
            return f'unknown {self.thing} here; it belongs in "{below[0]}"'
        if hint := meant(name, self.keys, closeness=0.85):
            return f"unknown {self.thing}{hint}"
        if len(everywhere) == 1:
            return f'unknown {self.thing} here; it belongs in "{everywhere[0]}"'
        hint = meant(name, self.keys) or f"; {listed(each.name for each in self.described())}"
        return f"unknown {self.thing}{hint}"

    def schema(self) -> dict[str, Any]:
        """Return the schema of the mapping: its keys, and no other."""
        needed = [each.name for each in self.keys.values() if each.required]
        return {
            "type": "object",
            "properties": {name: documented(each) for name, each in self.keys.items()},
            "additionalProperties": False,
            **({"required": needed} if needed else {}),
        }

    def show(self, value: Any) -> str:
        """Return nothing: the keys tell their own defaults."""
        return ""

    def inner(self) -> Iterable[tuple[str, Kind]]:
        """Return the kinds of the keys."""
        return [(f".{each.name}", each.kind) for each in self.keys.values()]


def _some(names: list[str]) -> list[str]:
    return names if len(names) <= 3 else [*names[:3], "..."]


def documented(key: Key) -> dict[str, Any]:
    """Return the schema of a key's value with its meaning and default."""
    fallback = f" Default: {key.shown_default}." if key.shown_default and not key.required else ""
    return {**key.kind.schema(), "description": key.help + fallback}


def sections(kind: Kind, path: str = "") -> Iterator[tuple[str, Section]]:
    """Yield every section inside a kind with its path, as in ``sources[].client_ip``, itself included."""
    if isinstance(kind, Section):
        yield path.lstrip("."), kind
    for step, inside in kind.inner():
        yield from sections(inside, path + step)


# The kinds that most keys need.

FLAG = Text("true or false", notations.flag, show=lambda value: str(value).lower(), schema={"type": "boolean"})
LOOSE = {"type": ["string", "number", "boolean"]}  # a bare 404 is text where text is wanted


def duration(least: float = 0.0) -> Text:
    """Return the kind of a duration of at least so many seconds."""

    def parse(text: str) -> float:
        seconds = notations.duration(text)
        if seconds < least:
            raise MisfitError(f"{quoted(text)} is too short; {notations.shown_duration(least)} at least")
        return seconds

    pattern = {"type": ["string", "integer"], "pattern": r"^(0|[0-9.]+(ms|s|m|h|d))$", "maximum": 0, "minimum": 0}
    return Text("a duration", parse, show=notations.shown_duration, schema=pattern)


def whole_number(least: int, most: int) -> Text:
    """Return the kind of a whole number within bounds."""

    def parse(text: str) -> int:
        value = notations.whole_number(text)
        if not least <= value <= most:
            raise MisfitError(f"{quoted(text)} is outside {least} to {most}")
        return value

    return Text("a whole number", parse, schema={"type": "integer", "minimum": least, "maximum": most})
