"""Sections: mappings with known keys. One declaration of a key serves reading, JSON Schema and the reference pages.

A dataclass declares its keys as fields made by `key`: kind, help text, default. `Section.of` reads that dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from logship.language import tree
from logship.language.kinds import FAULTY, Kind, Optional, Spot, pairs
from logship.language.notations import listed, meant


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
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=declared)
    return field(default=default, metadata=declared)


def place() -> Any:
    """Return a dataclass field for the path of keys: where a thing is written does not change what it means."""
    return field(default="", compare=False)


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
    """A mapping with known keys, read into what ``build`` makes of its spot and of the values that could be read."""

    apart = False  # True where keys have the names of keys elsewhere: never suggested as the place of a misplaced key

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
        self.partial = partial  # build even if a required key is missing
        self.noun = f"a mapping of {thing}s ({', '.join(_some(list(self.keys)))})"

    @classmethod
    def of(
        cls, made: type, build: Callable[[Spot, dict[str, Any]], Any] | None = None, *, partial: bool = False
    ) -> Section:
        """Return the section that reads a dataclass by the keys it declares."""
        meaning = (made.__doc__ or "").splitlines()[0]
        return cls(keys_of(made), build or (lambda _, values: made(**values)), meaning=meaning, partial=partial)

    def read(self, spot: Spot) -> Any:
        """Return what is built; FAULTY when a required key is missing or faulty."""
        if not isinstance(spot.node, tree.Mapping):
            return self.refuse(spot)
        values: dict[str, Any] = {}
        for name, key, below in pairs(spot):
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
        """Return the required keys that were surely meant, as faulty, so that they are not reported as missing too."""
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
        """Return what to say of an unknown key: where it belongs, or what it may be a misspelling of."""
        if place := self._place_below(name):
            return f'unknown {self.thing} here; it belongs in "{place}"'
        if hint := meant(name, self.keys, closeness=0.85):
            return f"unknown {self.thing}{hint}"
        if place := _only_place(name, spot.reading.root):
            return f'unknown {self.thing} here; it belongs in "{place}"'
        hint = meant(name, self.keys) or f"; {listed(each.name for each in self.described())}"
        return f"unknown {self.thing}{hint}"

    def _place_below(self, name: str) -> str | None:
        """Return the one section directly below that knows a key; None if there is no such section, or several."""
        nearest = (next(sections(each.kind, each.name), None) for each in self.keys.values())
        found = [each[0] for each in nearest if each and name in each[1].keys and not each[1].apart]
        return found[0] if len(found) == 1 else None

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


def _only_place(name: str, root: Kind) -> str | None:
    """Return the one section of the whole file that knows a key; None if there is no such section, or several."""
    found = [path for path, section in sections(root) if name in section.keys and not section.apart]
    return (found[0] or "the top level") if len(found) == 1 else None


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
