"""What a line format is made of: pieces of fixed text and fields, and what each field means to a Record.

A family (nginx, Apache) turns its own language into a list of pieces; `layout` turns pieces into a matcher. A
field's ``fact`` says what it tells of the request; several fields may tell the same (``$host``, ``$server_name``),
then the lowest ``rank`` is believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from logship.errors import LogshipError

# What a format can tell of a request, by the names that {json: ...} and a regular expression's groups use too.
FACTS = (
    "time",
    "client_ip",
    "x_forwarded_for",
    "host",
    "request",
    "target",
    "method",
    "path",
    "query",
    "question",
    "status",
    "bytes",
    "referrer",
    "user_agent",
    "user",
    "scheme",
    "protocol",
    "content_type",
)
# What decides most lines, and is cheap to remember because it repeats: the parts of an outline's key.
KEY_FACTS = (
    *("request", "method", "target", "path", "query", "question", "protocol"),
    *("status", "host", "scheme", "content_type"),
)


class FormatError(LogshipError):
    """A format cannot be used; the text says why and what to do.

    ``below`` is the path of keys inside of the format at which it is wrong, as ``json.ip``; empty: all of it.
    """

    def __init__(self, message: str, below: str = "") -> None:
        super().__init__(message)
        self.below = below


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a line: its ``log.NAME``, what it tells, and what it is made of (a shape of `layout`)."""

    name: str
    fact: str = ""
    shape: str = "text"
    rank: int = 0
    reader: str = ""  # of a time: a key of `times.READERS`


Piece = bytes | Field


def joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Return the pieces with neighbouring texts made one and empty ones left out."""
    result: list[Piece] = []
    for piece in pieces:
        if piece == b"":
            continue
        last = result[-1] if result else None
        if isinstance(piece, bytes) and isinstance(last, bytes):
            result[-1] = last + piece
        else:
            result.append(piece)
    return tuple(result)


def meaning(name: str) -> str:
    """Return what a field tells that a user has named; nothing, if nothing of a request. A query may hold its ``?``."""
    return "question" if name == "query" else name if name in FACTS else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean "x"?)`` or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""
