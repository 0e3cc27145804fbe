"""The kinds of values a configuration holds. Each reads itself from a node, and describes itself as JSON Schema.

Reading never stops at a fault: it notes a Problem, returns `FAULTY` in place of the value, and reads on, so that one
run reports everything that is wrong.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from logship.errors import Problem
from logship.language import tree, variables
from logship.language.notations import MisfitError, listed, meant, quoted

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
    root: Kind
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
    return isinstance(node, tree.Mapping) and any(_is_empty(value) for _, value in node.pairs)


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
        text = _expanded(spot, spot.node.text)
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


def _expanded(spot: Spot, text: str) -> str | _Faulty:
    expanded, faults = variables.expand(text, spot.reading.env)
    for fault in faults:
        spot.fault(fault)
    return FAULTY if faults else expanded


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
            return self.refuse(spot) if not self.single or _is_empty(spot.node) else self.found([self.kind.read(spot)])
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


def _is_empty(node: tree.Node) -> bool:
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
        if not isinstance(node, tree.Scalar) or "${" not in node.text:
            return False
        return variables.expand(node.text, spot.reading.env) == ("", [])

    def schema(self) -> dict[str, Any]:
        """Return the schema, which null fits as well."""
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}

    def show(self, value: Any) -> str:
        """Return ``null``, or the value."""
        return "null" if value is None else self.kind.show(value)

    def inner(self) -> Iterable[tuple[str, Kind]]:
        """Return the kind that is not null."""
        return [("", self.kind)]


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
        for name, key, below in pairs(spot):
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


def pairs(spot: Spot) -> Iterator[tuple[str, tree.Node, Spot]]:
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
