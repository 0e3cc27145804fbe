"""What the names of a server are worth: which one is a site, which are patterns, which say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LABEL = re.compile(r"[^\W_]([\w-]{0,61}\w)?|_[\w-]{1,62}")
_NOBODY = frozenset(("localhost", "default", "default_server", "catchall", "catch-all", "hostname", "_default_"))
_NOWHERE = ("localhost", "localdomain", "invalid")


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a server: real hosts, patterns with ``*``, and what cannot be turned into either."""

    real: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def sort(names: Iterable[str]) -> Names:
    """Sort a server's names. nginx's ``.example.com`` is both the host and all below it."""
    real: dict[str, None] = {}
    patterns: dict[str, None] = {}
    others: dict[str, None] = {}
    for name in (name.lower().removesuffix(".") for name in names):
        if name.startswith(".") and is_host(name[1:]):
            real[name[1:]] = patterns["*" + name] = None
        elif is_host(name):
            real[name] = None
        elif _is_pattern(name):
            patterns[name] = None
        elif name:
            others[name] = None
    # A name without a dot is an intranet's at best: a complete one tells more.
    ordered = sorted(real, key=lambda host: "." not in host)
    return Names(tuple(ordered), tuple(patterns), tuple(others))


def is_host(name: str) -> bool:
    """Tell whether a name is a host that visitors may know; an address and ``localhost`` are none."""
    labels = name.split(".")
    if name in _NOBODY or labels[-1] in _NOWHERE or labels[-1].isdigit() or len(name) > 253:
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


def _is_pattern(name: str) -> bool:
    """Tell whether a name with wildcards says anything: one of wildcards alone is a catch-all."""
    letters = re.sub(r"[*?]+", "x", name)
    return letters != name and bool(name.strip("*?.")) and name[0] != "~" and is_host(f"{letters}.x")


def bare(host: str) -> str:
    """Return a host without ``www.``: what Plausible calls the site."""
    return host.removeprefix("www.")


def joined(groups: Sequence[Iterable[str]]) -> list[list[int]]:
    """Return which groups belong together, as they share a name: sites, each a list of the groups' numbers."""
    known: dict[str, int] = {}
    parent: list[int] = []
    for number, names in enumerate(groups):
        parent.append(number)
        for name in names:
            parent[_root(parent, number)] = _root(parent, known.setdefault(name, number))
    members: dict[int, list[int]] = {}
    for number in range(len(groups)):
        members.setdefault(_root(parent, number), []).append(number)
    return list(members.values())


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number
