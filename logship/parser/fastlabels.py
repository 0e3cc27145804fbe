r"""Take many lines with labels apart at once: a step at a time for all of them, by functions that loop in C.

What each line is loaded as is the same as one by one; what is saved is the looking up. All lines' values under a label
make a column, and columns are turned into bytes, checked and put together to keys as a whole. Where a column is not
plain (a value of another type, one that is elsewhere in some lines), it is made value by value, as `labelled` does.
Lines that are no requests are left to whoever reads line by line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from logship.memo import Memo
from logship.parser import times

Path = str | tuple[str, ...]  # a label at the top, or the keys on the way inside
Paths = tuple[Path, ...]
Found = Mapping[str, Any]
First = Callable[[Found, Paths], bytes]

_REMEMBERED = 2048  # values, which come again: requests, hosts, User-Agents
_LONGEST = 512  # characters of one
_TIMES = 256
_HEADER_OR_NONE = {list, type(None)}
_PLAIN = ({str}, {int}, {bytes}, {str, type(None)}, {bytes, type(None)})


class Lines:
    """What many lines hold, by where it is."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.found = found
        self._inside: dict[tuple[str, ...], Sequence[Found] | None] = {(): found}

    def values(self, path: Path) -> list[Any] | None:
        """Return what all lines have under a path, None where it leads nowhere in one of them."""
        *way, label = (path,) if isinstance(path, str) else path
        inside = self._at(tuple(way))
        return None if inside is None else _alone(_under(inside, label))

    def _at(self, way: tuple[str, ...]) -> Sequence[Found] | None:
        if way not in self._inside:
            above = self._at(way[:-1])
            inner = [] if above is None else _under(above, way[-1])
            self._inside[way] = inner if set(map(type, inner)) == {dict} else None
        return self._inside[way]


def _under(lines: Sequence[Found], label: str) -> list[Any]:
    try:
        return list(map(itemgetter(label), lines))
    except KeyError:
        return [line.get(label) for line in lines]


def _alone(values: list[Any]) -> list[Any]:
    """Return the values of headers, which came once, where they came."""
    types = set(map(type, values))
    if types == {list} and set(map(len, values)) == {1}:
        return list(map(itemgetter(0), values))
    if types == _HEADER_OR_NONE and all(len(value) == 1 for value in values if value is not None):
        return [None if value is None else value[0] for value in values]
    return values


class Columns:
    """Columns of bytes from many lines' values. ``first`` gives the value of one line, and says what is right."""

    def __init__(self, first: First) -> None:
        self._first = first
        self._raws = Memo(lambda value: first({"": value}, ("",)), _REMEMBERED, worth=_is_short)

    def of(self, lines: Lines, paths: Paths, *, many: bool = False) -> list[bytes]:
        """Return each line's first value that is there, b"" where none is. ``many``: hardly one comes again."""
        values = lines.values(paths[0]) if paths else None
        types = set(map(type, values or ()))
        if not paths:
            return [b""] * len(lines.found)
        if values is None or types not in _PLAIN:
            return [self._first(line, paths) for line in lines.found]
        raws = (_encoded(values) if many and types == {str} else None) or list(map(self._raws.__getitem__, values))
        if len(paths) > 1 and b"" in raws:
            return [raw or self._first(line, paths[1:]) for raw, line in zip(raws, lines.found, strict=True)]
        return raws


def _encoded(texts: Sequence[str]) -> list[bytes] | None:
    """Return texts as bytes, None where one of them is not plain."""
    try:
        raws = "\n".join(texts).encode().split(b"\n")
    except UnicodeEncodeError:
        return None
    return None if len(raws) != len(texts) or b"-" in raws else raws


def _is_short(value: Any) -> bool:
    return value.__class__ is int or value is None or len(value) <= _LONGEST


class Moments:
    """Tells which values are times that can be read."""

    def __init__(self) -> None:
        self._clock = Memo(times.any_of, _TIMES, worth=lambda raw: len(raw) <= _LONGEST)
        self._seconds = Memo(_is_moment, _TIMES)

    def are_plain(self, values: Sequence[Any]) -> bool:
        """Tell whether all values surely are times, without reading each: those with fractions are never the same."""
        kinds = set(map(type, values))
        if kinds == {float}:
            return bool(min(values) >= 1.0 and max(values) < times.LATEST)
        if kinds != {str}:
            return False
        distinct = set(values)
        if len(distinct) * 2 > len(values):
            return self._have_fractions(values)
        return all(self._clock[text.encode("utf-8", "surrogatepass")] is not None for text in distinct)

    def none_of(self, raws: Sequence[bytes]) -> list[int]:
        """Return the places of values that are there and are no times."""
        none = {raw for raw in set(raws) if raw and self._clock[raw] is None}
        return [at for at, raw in enumerate(raws) if raw in none] if none else []

    def _have_fractions(self, texts: Sequence[str]) -> bool:
        joined = "\n".join((*texts, ""))
        found = _WITH_FRACTION(joined)
        return len(found) == len(texts) == joined.count("\n") and all(map(self._seconds.__getitem__, set(found)))


_WITH_FRACTION = re.compile(
    r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{1,9}(Z|[+-]\d\d:\d\d)\n", re.ASCII | re.MULTILINE
).findall


def _is_moment(halves: tuple[str, str]) -> bool:
    return times.iso("".join(halves).encode()) is not None
