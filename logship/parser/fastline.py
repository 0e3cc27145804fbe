r"""Take a plain line of a text format apart with splits alone: about 1 µs where an expression takes 5.

A line without escapes has its quotes where the format has them, so splitting it at the quotes and then at the blanks
gives its fields, if the counts are right. What a format needs of that is written out as one function, for a loop over
the format's pieces would cost more than the expression. The counts make the reading unique: as many quotes and blanks
as the format has itself leave none for the fields.

The function's text is made of numbers and names of ours; whatever comes from the format is passed to it by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from logship.parser import layout, times
from logship.parser.columns import Columns, Outline
from logship.parser.fields import Field, Piece

STATUSES = frozenset(b"%d" % status for status in range(100, 1000))
_TIMES = 256
_SMALL = "if not {0}.isdigit() and {0} != b'-': return None"
_CHECKS = {
    "word": "if not {0}: return None",
    "peer": "if not {0} or {0}[-1:] == b',': return None",  # more addresses follow a comma
    "host": "if b'/' in {0}: return None",
    "path": "if b'?' in {0}: return None",
    "size": _SMALL,
    "status": "if {0} not in STATUSES: return None",
}
_FREE = frozenset(("text", "list", "user", "wide", "target", "args", "number"))
_UNBOUNDED = frozenset(("rest", "strftime"))  # may hold quotes or blanks: only the expression can tell
_MOST_FIELDS_IN_A_WORD = 2


def outliner(pieces: Sequence[Piece], escape: str, columns: Columns) -> Callable[[bytes], Outline | None]:
    """Return a function that takes plain lines of a format apart, and gives None for all others."""
    if any(isinstance(piece, Field) and piece.shape in _UNBOUNDED for piece in pieces):
        return _never
    return _Writer(pieces, escape, columns).function()


def _never(line: bytes) -> None:
    return None


class _Clock:
    """Reads times, and remembers the last ones: a busy log has many lines a second."""

    def __init__(self, read: times.Time, prefix: bytes = b"", suffix: bytes = b"") -> None:
        self.known: dict[bytes, float] = {}
        self._read = read
        self._prefix = prefix
        self._suffix = suffix

    def read(self, text: bytes) -> float | None:
        """Return the time between prefix and suffix, None when one of the three is not right."""
        if not (text.startswith(self._prefix) and text.endswith(self._suffix)):
            return None
        found = self._read(text[len(self._prefix) : len(text) - len(self._suffix)])
        if found is not None:
            if len(self.known) >= _TIMES:
                self.known.clear()
            self.known[text] = found
        return found


class _Writer:
    """Writes the function of one format: statements, and the values that they name."""

    def __init__(self, pieces: Sequence[Piece], escape: str, columns: Columns) -> None:
        self._columns = columns
        self._places = layout.places(pieces)
        self._patterns = layout.patterns(pieces, escape)
        self._segments = list(_segments(pieces))
        self._field = 0
        self._values: dict[int, str] = {}
        self._names: dict[str, object] = {"STATUSES": STATUSES}
        self._lines: list[str] = []

    def function(self) -> Callable[[bytes], Outline | None]:
        self._say("p = line.split(b'\"')")
        self._say(f"if len(p) != {len(self._segments)} or b'\\\\' in line or b'\\0' in line: return None")
        if self._segments[-1] and isinstance(self._segments[-1][-1], Field):
            self._say("if line[-1:] == b'\\r': return None")
        for at, segment in enumerate(self._segments):
            self._segment(f"p[{at}]", segment)
        self._say(f"return {self._result()}")
        text = "def outline(line):\n" + "".join(f"    {line}\n" for line in self._lines)
        exec(text, self._names)  # noqa: S102 - see the module's docstring
        return self._names["outline"]  # type: ignore[return-value]

    def _result(self) -> str:
        chosen = self._columns
        key = "".join(f"{self._values[at]}, " for at in chosen.key)
        logs = "".join(f"{self._value(at)}, " for at in chosen.logs)
        middle = (chosen.peer, chosen.chain, chosen.size, chosen.referrer, chosen.user, chosen.content_type)
        rest = ", ".join(self._value(at) for at in middle)
        agent = "b''" if chosen.agent is None else self._values[chosen.agent]
        time = "None" if chosen.time is None else "time"
        return f"({key}), {agent}, ({time}, {rest}, ({logs}))"

    def _value(self, at: int | None) -> str:
        return "None" if at is None else self._values[at]

    def _say(self, line: str) -> None:
        self._lines.append(line)

    def _named(self, value: object) -> str:
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def _segment(self, part: str, items: list[Piece]) -> None:
        """What stands between two quotes: nothing but text, one field alone, or words."""
        fields = [item for item in items if isinstance(item, Field)]
        if not fields:
            self._say(f"if {part} != {self._named(b''.join(_texts(items)))}: return None")
            return
        words = [[*items]] if len(items) == 1 else list(_words(items))
        if any(sum(isinstance(item, Field) for item in word) > _MOST_FIELDS_IN_A_WORD for word in words):
            self._expression(part, items)
        elif len(words) == 1:
            self._word(part, words[0])
        else:
            self._split(part, words)

    def _split(self, part: str, words: list[list[Piece]]) -> None:
        clf = next((at for at, word in enumerate(words) if _is_clf(word)), None)
        if clf is None:
            self._split_words(part, part[2:-1], words)
        elif any(isinstance(item, Field) for word in words[clf + 1 :] for item in word):
            self._expression(part, _unsplit(words))
        elif clf == 0:
            self._word(part, _unsplit(words))
        else:
            end = [b" ", *_unsplit(words[clf:])]
            self._split_words(f"{part}[:-{_length(end)}]", part[2:-1], words[:clf])
            self._clf(part, end)

    def _split_words(self, part: str, label: str, words: list[list[Piece]]) -> None:
        if any(isinstance(item, Field) and item.shape == "list" for word in words for item in word):
            self._say(f"if b',' in {part} or b' : ' in {part}: return None")
        names = [f"w{label}_{at}" for at in range(len(words))]
        self._say(f"w = {part}.split(b' ')")
        self._say(f"if len(w) != {len(words)}: return None")
        self._say(f"{', '.join(names)}, = w")
        for name, word in zip(names, words, strict=True):
            self._word(name, word)

    def _clf(self, part: str, items: list[Piece]) -> None:
        """A time holds a blank itself, but its length is known: the last bytes of a part, with the text around it."""
        at = next(at for at, item in enumerate(items) if isinstance(item, Field))
        prefix, suffix = b"".join(_texts(items[:at])), b"".join(_texts(items[at + 1 :]))
        end, length = f"e{part[2:-1]}", _length(items)
        self._say(f"{end} = {part}[-{length}:]")
        self._moment(end, _Clock(times.clf, prefix, suffix), "time" if self._field == self._columns.time else "other")
        self._take(f"{end}[{len(prefix)}:{length - len(suffix)}]")

    def _word(self, value: str, word: list[Piece]) -> None:
        fields = [item for item in word if isinstance(item, Field)]
        if not fields:
            text = b"".join(_texts(word))
            self._say(f"if {value} != {self._named(text)}: return None" if text else f"if {value}: return None")
        elif _is_clf(word):
            self._say(f"if len({value}) != {_length(word)}: return None")
            self._clf(value, word)
        elif len(word) == 1:
            self._field_alone(value, fields[0])
        elif len(word) == 3 and len(fields) == 1 and word[0] == b"[" and word[2] == b"]" and fields[0].shape in _FREE:
            self._say(f"if {value}[:1] != b'[' or {value}.find(b']') != len({value}) - 1: return None")
            self._take(f"{value}[1:-1]")
        else:
            self._expression(value, word)

    def _field_alone(self, value: str, field: Field) -> None:
        place = self._places[self._field]
        if self._field == self._columns.time:
            self._moment(value, _Clock(times.reader(field.reader)))
        elif place.alone and field.shape not in ("status", "size", "clf", "mark", "name"):
            pass
        elif field.shape in _CHECKS:
            self._say(_CHECKS[field.shape].format(value))
        elif field.shape not in _FREE:
            self._expression(value, [field])
            return
        self._take(value)

    def _moment(self, value: str, clock: _Clock, name: str = "time") -> None:
        known, read = self._named(clock.known), self._named(clock.read)
        self._say(f"{name} = {known}.get({value})")
        self._say(f"if {name} is None and ({name} := {read}({value})) is None: return None")

    def _expression(self, value: str, items: list[Piece]) -> None:
        """Several fields in a word, or words that blanks do not divide: the format's own expression for that part."""
        parts, first = [], self._field
        for item in items:
            if isinstance(item, Field):
                parts.append(b"(" + self._patterns[self._field] + b")")
                self._field += 1
            else:
                parts.append(re.escape(item))
        found = f"m{first}"
        self._say(f"{found} = {self._named(re.compile(b''.join(parts), re.DOTALL).fullmatch)}({value})")
        self._say(f"if {found} is None: return None")
        for at in range(first, self._field):
            self._values[at] = f"{found}[{at - first + 1}]"
            self._check_taken(at)

    def _check_taken(self, at: int) -> None:
        """An expression lets ``-`` pass for a status, and 31 November for a time."""
        if self._places[at].field.shape == "status":
            self._say(_CHECKS["status"].format(self._values[at]))
        if at == self._columns.time:
            self._moment(self._values[at], _Clock(times.reader(self._places[at].field.reader)))

    def _take(self, value: str) -> None:
        self._values[self._field] = value
        self._field += 1


def _segments(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Yield what stands between the format's quotes."""
    segment: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Field):
            segment.append(piece)
            continue
        first, *others = piece.split(b'"')
        segment += [first] if first else []
        for other in others:
            yield segment
            segment = [other] if other else []
    yield segment


def _words(items: Sequence[Piece]) -> Iterator[list[Piece]]:
    word: list[Piece] = []
    for item in items:
        if isinstance(item, Field):
            word.append(item)
            continue
        first, *others = item.split(b" ")
        word += [first] if first else []
        for other in others:
            yield word
            word = [other] if other else []
    yield word


def _is_clf(word: list[Piece]) -> bool:
    """A time that holds a blank itself, and perhaps brackets around it."""
    fields = [item for item in word if isinstance(item, Field)]
    return len(fields) == 1 and fields[0].shape == "clf"


def _unsplit(words: list[list[Piece]]) -> list[Piece]:
    return [item for word in words for item in (*word, b" ")][:-1]


def _length(items: Sequence[Piece]) -> int:
    return sum(len(item) if isinstance(item, bytes) else 26 for item in items)


def _texts(items: Sequence[Piece]) -> list[bytes]:
    return [item for item in items if isinstance(item, bytes)]
