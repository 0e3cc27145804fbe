r"""Know what a plain line of a text format is made of: parts between quotes, and in them words between blanks.

A line without escapes has its quotes where the format has them, so splitting it at the quotes and then at the blanks
gives its fields, if the counts are right. The counts make the reading unique: as many quotes and blanks as the format
has itself leave none for the fields. `fastline` writes this out for one line, `fastblock` for many at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from logship.memo import Memo
from logship.parser import layout, times
from logship.parser.columns import Columns
from logship.parser.fields import Field, Piece

STATUSES = frozenset(b"%d" % status for status in range(100, 1000))
CHECKED = frozenset(("word", "peer", "host", "path", "size", "status"))
_FREE = frozenset(("text", "list", "user", "wide", "target", "args", "number"))
_UNBOUNDED = frozenset(("rest", "strftime"))  # may hold quotes or blanks: only the expression can tell
_CHECKED_ALONE = frozenset(("status", "size", "clf", "mark", "name"))
_MOST_FIELDS_IN_A_WORD = 2
_TIMES = 256  # a busy log has many lines a second
_LONGEST = 64  # bytes of a time worth remembering


@dataclass(frozen=True, slots=True)
class Word:
    """Text that is taken as a whole, or several fields that only an expression divides.

    ``kind`` is "text" (fixed), "free" (any text is a value), one of `CHECKED`, "bracketed" (a free field in brackets),
    "moment" (the line's time), "clf" (a time that holds a blank, perhaps in brackets) or "pattern". ``first`` is the
    number of its first field.
    """

    kind: str
    items: tuple[Piece, ...]
    first: int

    @property
    def width(self) -> int:
        """How many words between blanks it is."""
        return 2 if self.kind == "clf" else 1

    @property
    def fields(self) -> list[Field]:
        """The fields it holds."""
        return [item for item in self.items if isinstance(item, Field)]

    @property
    def around(self) -> tuple[bytes, bytes]:
        """The text before its first field and after it; all of its text when there is none."""
        at = next((at for at, item in enumerate(self.items) if isinstance(item, Field)), len(self.items))
        return _text(self.items[:at]), _text(self.items[at + 1 :])


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two quotes: one word that may hold blanks, or words between blanks."""

    words: tuple[Word, ...]
    divided: bool

    @property
    def width(self) -> int:
        """How many words between blanks it is."""
        return sum(word.width for word in self.words)

    @property
    def lists(self) -> bool:
        """Whether a word may be followed by more of its kind, after a comma or a lone colon."""
        return any(field.shape == "list" for word in self.words for field in word.fields)


def divide(pieces: Sequence[Piece], columns: Columns) -> list[Part] | None:
    """Return the parts of a format's lines, None when quotes and blanks do not tell its fields apart."""
    if any(isinstance(piece, Field) and piece.shape in _UNBOUNDED for piece in pieces):
        return None
    return _Divider(pieces, columns).parts()


def matcher(word: Word, patterns: Sequence[bytes]) -> Callable[[bytes], re.Match[bytes] | None]:
    """Return the expression of a word of the kind "pattern"; each of its fields is one group."""
    found = iter(patterns[word.first :])
    parts = [b"(" + next(found) + b")" if isinstance(item, Field) else re.escape(item) for item in word.items]
    return re.compile(b"".join(parts), re.DOTALL).fullmatch


def clock(field: Field) -> Memo[bytes, float | None]:
    """Return what reads a field's times, and remembers the last ones."""
    return Memo(times.reader(field.reader), _TIMES, worth=lambda text: len(text) <= _LONGEST)


def clf_clock(word: Word) -> Memo[tuple[bytes, bytes], float | None]:
    """Return what reads the two halves of a "clf" with the text around it, None when one of them is not right."""
    before, after = word.around

    def read(halves: tuple[bytes, bytes]) -> float | None:
        text = b" ".join(halves)
        if not (text.startswith(before) and text.endswith(after)):
            return None
        return times.clf(text[len(before) : len(text) - len(after)])

    return Memo(read, _TIMES, worth=lambda halves: len(halves[0]) + len(halves[1]) <= _LONGEST)


class _Divider:
    def __init__(self, pieces: Sequence[Piece], columns: Columns) -> None:
        self._pieces = pieces
        self._time = columns.time
        self._places = layout.places(pieces)
        self._field = 0

    def parts(self) -> list[Part]:
        return [self._part(part) for part in _between_quotes(self._pieces)]

    def _part(self, items: list[Piece]) -> Part:
        words = [items] if len(items) == 1 and not _is_clf(items) else list(_between_blanks(items))
        if not any(isinstance(item, Field) for item in items):
            return self._whole("text", items)
        if any(_fields(word) > _MOST_FIELDS_IN_A_WORD or (_holds_clf(word) and not _is_clf(word)) for word in words):
            return self._whole("pattern", items)
        return Part(tuple(self._word(self._kind(word), word) for word in words), len(words) > 1 or _is_clf(words[0]))

    def _whole(self, kind: str, items: list[Piece]) -> Part:
        return Part((self._word(kind, items),), divided=False)

    def _word(self, kind: str, items: list[Piece]) -> Word:
        word = Word(kind, tuple(items), self._field)
        self._field += len(word.fields)
        return word

    def _kind(self, word: list[Piece]) -> str:
        fields = [item for item in word if isinstance(item, Field)]
        if not fields:
            return "text"
        if _is_clf(word):
            return "clf"
        if len(word) == 1:
            return self._kind_alone(fields[0])
        in_brackets = len(word) == 3 and len(fields) == 1 and word[0] == b"[" and word[2] == b"]"
        return "bracketed" if in_brackets and fields[0].shape in _FREE else "pattern"

    def _kind_alone(self, field: Field) -> str:
        if self._field == self._time:
            return "moment"
        if field.shape in _FREE or (self._places[self._field].alone and field.shape not in _CHECKED_ALONE):
            return "free"
        return field.shape if field.shape in CHECKED else "pattern"


def _between_quotes(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    return _split(pieces, b'"')


def _between_blanks(items: Sequence[Piece]) -> Iterator[list[Piece]]:
    return _split(items, b" ")


def _split(pieces: Sequence[Piece], divider: bytes) -> Iterator[list[Piece]]:
    part: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Field):
            part.append(piece)
            continue
        first, *others = piece.split(divider)
        part += [first] if first else []
        for other in others:
            yield part
            part = [other] if other else []
    yield part


def _fields(word: Sequence[Piece]) -> int:
    return sum(isinstance(item, Field) for item in word)


def _holds_clf(word: Sequence[Piece]) -> bool:
    return any(isinstance(item, Field) and item.shape == "clf" for item in word)


def _is_clf(word: Sequence[Piece]) -> bool:
    return _fields(word) == 1 and _holds_clf(word)


def _text(items: Sequence[Piece]) -> bytes:
    return b"".join(item for item in items if isinstance(item, bytes))
