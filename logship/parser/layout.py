r"""Turn a format's pieces into a matcher: one anchored expression that can match a line in one way only.

What a field may be made of follows from its shape and from what stands around it: between quotes it ends at the next
quote that is not escaped, before a ``]`` at the ``]``, before a blank at the blank. The exceptions (a user's name may
hold blanks) are allowed where only one reading is possible, and refused elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from logship.parser import times
from logship.parser.fields import Field, FormatError, Piece

# Shapes whose bytes are known whatever surrounds them.
_STRICT = {
    "clf": rb"\d\d/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
    "status": rb"\d{3}|-",
    "size": rb"\d+|-",
    "number": rb"-?[\d.]+|-",
    "mark": rb"\??",
    "name": rb"[A-Za-z][A-Za-z0-9+.-]*|-",
    "rest": rb".*",
}
_WIDE = frozenset(("user", "wide"))
# Which field may follow which with nothing between: the second begins with a byte that the first cannot hold.
_TOUCHING = {
    "target": frozenset(("host", "name")),
    "path": frozenset(("host", "name")),
    "question": frozenset(("path",)),
    "mark": frozenset(("path",)),
    "args": frozenset(("mark",)),
}
_PLAIN = re.compile(rb"[A-Za-z0-9._-]*")
_EDGES = (b" ", b'"', b"")
_NEVER = {"host": b"/", "path": b"?"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands: inside quotes or not, and the fixed text before and after it."""

    field: Field
    quoted: bool
    before: bytes
    after: bytes
    touching: bool  # another field stands immediately before it

    @property
    def alone(self) -> bool:
        """Whether the field fills its quotes."""
        return self.quoted and self.before.endswith(b'"') and self.after.startswith(b'"')

    @property
    def word(self) -> bool:
        """Whether blanks, quotes or the line's ends stand around it."""
        return not self.touching and self.before[-1:] in _EDGES and self.after[:1] in _EDGES


def places(pieces: Sequence[Piece]) -> list[Place]:
    """Return the fields of a format with what surrounds them."""
    result, quotes = [], 0
    for at, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            quotes += piece.count(b'"')
            continue
        before, after = _text(pieces, at - 1), _text(pieces, at + 1)
        touching = at > 0 and not isinstance(pieces[at - 1], bytes)
        result.append(Place(piece, quotes % 2 == 1, before, after, touching))
    return result


def check(pieces: Sequence[Piece]) -> None:
    """Raise FormatError when a line could be read in two ways."""
    found = places(pieces)
    open_end: Field | None = None
    for place, following in pairwise(found):
        _check_between(place.field, place.after, following.field)
    for place in found:
        wide = place.field.shape in _WIDE and not place.quoted and place.after[:1] in (b" ", b"")
        if wide and open_end is not None:
            raise FormatError(
                f"ambiguous: {open_end.name} and {place.field.name} may both hold blanks and only blanks divide them; "
                "put quotes around one of them"
            )
        if wide:
            open_end = place.field
        if _PLAIN.fullmatch(place.after.replace(b" ", b"")) is None:
            open_end = None


def expression(pieces: Sequence[Piece], escape: str) -> bytes:
    """Return the expression of a whole line; each field is one group."""
    return b"".join(_parts(pieces, escape))


def prefixes(pieces: Sequence[Piece], escape: str) -> list[bytes]:
    """Return expressions for ever more of a line, to tell where one broke: the first piece, two pieces, ..."""
    return [b"".join(parts) for parts in accumulate([part] for part in _parts(pieces, escape))]


def patterns(pieces: Sequence[Piece], escape: str) -> list[bytes]:
    """Return the expression of each field where it stands."""
    return [_pattern(place, escape) for place in places(pieces)]


def _parts(pieces: Sequence[Piece], escape: str) -> list[bytes]:
    found = iter(patterns(pieces, escape))
    return [re.escape(piece) if isinstance(piece, bytes) else b"(" + next(found) + b")" for piece in pieces]


def _pattern(place: Place, escape: str) -> bytes:
    shape = place.field.shape
    if shape == "strftime":
        return times.expression(place.field.reader.removeprefix("strftime:"))
    if place.alone and shape not in _STRICT:
        return _run(b'"', escape, b"*+")
    if shape in _STRICT and not (shape == "number" and place.word):
        return _STRICT[shape] + b"|" if place.alone and shape != "clf" else _STRICT[shape]
    if shape in ("list", "peer"):
        return _list(place, escape)
    if shape == "user" and not place.quoted:
        return b'""|' + _run(_stops(place), escape, b"*?")
    body = _run(_stops(place), escape, b"*?" if shape in _WIDE else b"+" if shape == "word" else b"*")
    if shape == "question":
        return rb"(?:\?" + body + b")?"
    return b"/" + body if place.touching and shape in ("target", "path") else body


def _run(stops: bytes, escape: str, quantifier: bytes) -> bytes:
    if escape == "none":
        return b"[^" + re.escape(stops) + b"]" + quantifier
    excluded = re.escape(stops + b"\\")
    if quantifier == b"*+":
        return b"(?:[^" + excluded + rb"]++|\\[^ ])*+" if b" " in stops else b"(?:[^" + excluded + rb"]++|\\.)*+"
    return b"(?:[^" + excluded + (rb"]|\\[^ ])" if b" " in stops else rb"]|\\.)") + quantifier


def _list(place: Place, escape: str) -> bytes:
    """Addresses or an upstream's figures: words, and after a comma (or a lone colon) more of them.

    Never given back once taken: a line of commas alone would otherwise be tried in every division. An atomic group, for
    Python before 3.11.5 (Debian 12 has 3.11.2) takes no match of a group that is repeated possessively (gh-106052).
    """
    alone = place.after[:1] == b":" or (_PLAIN.fullmatch(place.after[:1]) and place.after)
    nothing = b"|" if place.field.shape == "list" else b""
    if alone or place.after[:2] in (b" :", b" ,"):
        return _run(b' "' + _closing(place), escape, b"+") + nothing
    word = _run(b' "' + _closing(place), escape, b"++")
    between = rb"(?:(?<=,) | [:,] )" if place.field.shape == "list" else rb"(?<=,) "
    return word + b"(?>(?:" + between + word + b")*)" + nothing


def _stops(place: Place) -> bytes:
    """Return the bytes that end a field."""
    stops = b'"' + _closing(place)
    stops += _NEVER.get(place.field.shape, b"")
    return stops if _may_hold_blanks(place) else stops + b" "


def _may_hold_blanks(place: Place) -> bool:
    shape = place.field.shape
    if shape in _WIDE or (shape == "target" and place.quoted):
        return True
    return shape != "word" and not (place.before[-1:] in _EDGES and place.after[:1] in _EDGES)


def _closing(place: Place) -> bytes:
    first = place.after[:1]
    return b"" if _PLAIN.fullmatch(first) or first in (b" ", b'"', b":") else first


def _check_between(first: Field, text: bytes, second: Field) -> None:
    if not text:
        if first.shape not in _TOUCHING.get(second.shape, ()):
            raise FormatError(
                f"ambiguous: nothing stands between {first.name} and {second.name}; put a blank or quotes between them"
            )
    elif _PLAIN.fullmatch(text) and not {first.shape, second.shape} & _STRICT.keys():
        raise FormatError(
            f"ambiguous: {text.decode()!r} between {first.name} and {second.name} may be part of either; "
            "put a blank or quotes between them"
        )


def _text(pieces: Sequence[Piece], at: int) -> bytes:
    piece = pieces[at] if 0 <= at < len(pieces) else b""
    return piece if isinstance(piece, bytes) else b""
