r"""Take many plain lines of a text format apart at once: about 1 µs a line, nearly all of it in C.

All lines are joined and split at the quotes in one step, so that every n-th piece is a column: all requests, all
User-Agents. A column of words is joined and split at the blanks the same way. Counts prove that every line has its
quotes and blanks where the format has them: what we put between the lines and words is found again at every n-th
place, and is in no line itself. Columns are then checked as a whole, with functions that loop in C; no row is made
but of a line that is asked for.

One line that does not fit makes its block refused as a whole: `Block.fits` tells the usual ones, to be left out. Values
with escapes are plain enough: quotes among them are written in another way first, and undone in what is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, compress, product
from operator import and_
from typing import NamedTuple

from logship.memo import Memo
from logship.parser import escapes, layout, parts
from logship.parser.columns import Columns, Key, Outline, Visits
from logship.parser.fastline import Writer, undoing_rest
from logship.parser.fields import Piece
from logship.parser.parts import Part, Word


class Sheet(NamedTuple):
    """Lines taken apart: their outlines' keys, their User-Agents, and a line's outline by its number.

    ``visits`` gives of some lines what is in their outlines' rests. ``fits`` tells which of the lines they are; None:
    all.
    """

    keys: Iterable[Key]
    agents: Sequence[bytes]
    outline: Callable[[int], Outline]
    visits: Callable[[Sequence[int]], Visits]
    fits: bytearray | None = None


def visits_of(outline: Callable[[int], Outline]) -> Callable[[Sequence[int]], Visits]:
    """Return `Sheet.visits` for one who has no quicker way than by the outlines."""

    def visits(some: Sequence[int]) -> Visits:
        times, peers, chains, _, referrers, _, logs = zip(*(outline(at)[2] for at in some), strict=True)
        return times, peers, chains, referrers, [any(raw and raw != b"-" for raw in raws) for raws in logs]

    return visits


class Block(NamedTuple):
    """A format's way to take lines apart: ``sheet`` gives None unless it can vouch for them.

    ``fits`` tells cheaply of each line whether it may be among them.
    """

    sheet: Callable[[Sequence[bytes]], Sheet | None]
    fits: Callable[[Sequence[bytes]], bytearray]

    def some(self, lines: Sequence[bytes]) -> Sheet | None:
        """Take apart those lines that make a block, None where hardly any do."""
        sheet = self.sheet(lines)
        if sheet is not None:
            return sheet
        fits = self.fits(lines)
        plain = list(compress(lines, fits))
        sheet = self.sheet(plain) if WORTH_IT <= len(plain) < len(lines) else None
        return None if sheet is None or sheet.fits is not None else sheet._replace(fits=fits)


WORTH_IT = 12  # lines: for fewer, the way line by line is shorter
_ODD = (b"\0", b"\r")
_AGENTS = 2048  # and other values with escapes
_LONGEST = 512
_AND_NEWLINE = (1).__add__
# {0} is a column.
_CHECKS = {
    "word": "if not all({0}): return None",
    "peer": "if not all({0}) or b',' in b''.join({0}): return None",  # more addresses follow a comma
    "host": "if b'/' in b''.join({0}): return None",
    "path": "if b'?' in b''.join({0}): return None",
    "size": "if sum(map(bytes.isdigit, {0})) + {0}.count(b'-') != n: return None",
    "status": "if not STATUSES.issuperset({0}): return None",
}


def block(pieces: Sequence[Piece], escape: str, columns: Columns) -> Block | None:
    """Return what takes blocks of a format's lines apart, None when there is no faster way than line by line."""
    found = parts.divide(pieces, columns)
    if found is None or not columns.key:
        return None
    undo = Memo(escapes.UNDO[escape], _AGENTS, worth=lambda raw: len(raw) <= _LONGEST).__getitem__
    eased = escapes.EASED[escape]
    writer = _BlockWriter(
        layout.patterns(pieces, escape), columns, **_NAMES, eased=eased, undo=undo, undone=undoing_rest(escape)
    )
    return Block(writer.function(found, escapes=escape != "none"), _fits(len(found) - 1, eased))


def _fits(quotes: int, eased: Callable[[bytes], bytes | None]) -> Callable[[Sequence[bytes]], bytearray]:
    def fits(lines: Sequence[bytes]) -> bytearray:
        easy = [eased(line) if b"\\" in line else line for line in lines]
        found = bytearray(line is not None for line in easy)
        lines = [line or b"" for line in easy]
        text = b"\n".join(lines)
        ends = list(accumulate(map(_AND_NEWLINE, map(len, lines))))
        for byte in _ODD:
            at = text.find(byte)
            while at >= 0:
                number = bisect_right(ends, at)
                found[number] = 0
                at = text.find(byte, ends[number])
        if text.count(b'"') != quotes * len(lines):
            found = bytearray(map(and_, found, [line.count(b'"') == quotes for line in lines]))
        return found

    return fits


class _Column(NamedTuple):
    """Expressions: of all values of a field, and of the one at ``i``."""

    all: str
    one: str


class _BlockWriter(Writer):
    """Each field is a slice of a list of pieces or words."""

    def function(self, found: Sequence[Part], *, escapes: bool) -> Callable[[Sequence[bytes]], Sheet | None]:
        self._values: dict[int, _Column] = {}
        self._time = "None"
        self._split_lines(found, escapes=escapes)
        for at, part in enumerate(_closed(found)):
            self._part(_every("p", at, len(_closed(found))), part, at)
        return self._finished(escapes=escapes)

    def _split_lines(self, found: Sequence[Part], *, escapes: bool) -> None:
        end = b'\n"' if len(_closed(found)) == len(found) else b'"\n"'
        self.say("n = len(lines)")
        self.say(f"text = {self.named(end)}.join((*lines, b''))")
        if escapes:
            self.say("escaped = b'\\\\' in text")
            self.say("if escaped: text = eased(text)")
            self.say("if text is None: return None")
        self.say("if b'\\0' in text or b'\\r' in text: return None")
        self.say("p = text.split(b'\"')")
        self.say(f"if len(p) != n * {len(_closed(found))} + 1: return None")
        self.say("p.pop()")

    def _finished(self, *, escapes: bool) -> Callable[[Sequence[bytes]], Sheet | None]:
        chosen = self._columns
        columns = [self._values[at].all for at in chosen.key]
        agents = "[b''] * n" if chosen.agent is None else self._values[chosen.agent].all
        self.say(f"def outline(i): return {self.outline(lambda at: self._values[at].one, self._time)}")
        self.say(f"def visits(some): return {self._visits()}")
        if escapes:
            keys = ", ".join(f"map(undo, {column})" for column in columns)
            self.say("if escaped:")
            self.say(f"    keys, agents = list(zip({keys})), list(map(undo, {agents}))")
            self.say("    def whole(i): return keys[i], agents[i], undone(outline(i)[2])")
            self.say("    return Sheet(keys, agents, whole, visits_of(whole))")
        self.say(f"return Sheet(zip({', '.join(columns)}), {agents}, outline, visits)")
        return self.compiled("sheet(lines)")  # type: ignore[no-any-return]

    def _visits(self) -> str:
        chosen = self._columns
        raws = (None if at is None else self._values[at].one for at in (chosen.peer, chosen.chain, chosen.referrer))
        columns = [
            f"[{one} for i in some]" if one else "[None] * len(some)" for one in (self._time.replace("None", ""), *raws)
        ]
        return ", ".join([*columns, "[True] * len(some)" if chosen.logs else "None"])

    def _part(self, column: _Column, part: Part, at: int) -> None:
        if not part.divided:
            self._word(column, part.words[0])
            return
        before, words, after = _trimmed(part.words)
        step = sum(word.width for word in words) + 1
        self.say(f"text = b'\"{before}' + b'{after}\"{before}'.join({column.all}) + b'{after}\"'")
        if part.lists:
            self.say("if b',' in text or b' : ' in text: return None")
        self.say(f"w{at} = text.split(b' ')")
        self.say(f"if len(w{at}) != n * {step} + 1 or w{at}[::{step}].count(b'\"') != n + 1: return None")
        self._words(iter([_every(f"w{at}", first, step) for first in range(1, step)]), words)

    def _words(self, columns: Iterator[_Column], words: Sequence[Word]) -> None:
        for word in words:
            if word.kind == "clf":
                self._clf(next(columns), next(columns), word)
            else:
                self._word(next(columns), word)

    def _clf(self, day: _Column, zone: _Column, word: Word) -> None:
        before, after = word.around
        clock = self.named(parts.clf_clock(word))
        self.say(f"zones = {zone.all}")
        self.say("if zones.count(zones[0]) != n: return None")  # twice a year there are two
        self.say(f"if None in map({clock}.__getitem__, product(set({day.all}), zones[:1])): return None")
        if word.first == self._columns.time:
            self._time = f"{clock}[{day.one}, {zone.one}]"
        cuts = f"[{len(before)}:] + b' ' + ", f"[:{-len(after) or None}]"
        one = day.one + cuts[0] + zone.one + cuts[1]
        self._values[word.first] = _Column(f"[x{cuts[0]}y{cuts[1]} for x, y in zip({day.all}, {zone.all})]", one)

    def _word(self, column: _Column, word: Word) -> None:
        match word.kind:
            case "text":
                self.say(f"if {column.all}.count({self.named(word.around[0])}) != n: return None")
                return
            case "pattern":
                self._pattern(column, word)
                return
            case "bracketed":
                self.say(f"if not all(map(bracketed, {column.all})): return None")
                column = _Column(f"[x[1:-1] for x in {column.all}]", f"{column.one}[1:-1]")
            case "moment":
                self._moment(column, parts.clock(word.fields[0]))
            case "free":
                pass
            case kind:
                self.say(_CHECKS[kind].format(column.all))
        self._values[word.first] = column

    def _pattern(self, column: _Column, word: Word) -> None:
        """An expression lets ``-`` pass for a status, and 31 November for a time."""
        found = f"m{word.first}"
        self.say(f"{found} = list(map({self.named(parts.matcher(word, self._patterns))}, {column.all}))")
        self.say(f"if None in {found}: return None")
        for group, field in enumerate(word.fields, 1):
            at = word.first + group - 1
            taken = self._values[at] = _Column(f"[m[{group}] for m in {found}]", f"{found}[i][{group}]")
            if field.shape == "status":
                self.say(_CHECKS["status"].format(taken.all))
            if at == self._columns.time:
                self._moment(taken, parts.clock(field))

    def _moment(self, column: _Column, clock: object) -> None:
        name = self.named(clock)
        self.say(f"if None in map({name}.__getitem__, set({column.all})): return None")
        self._time = f"{name}[{column.one}]"


def _trimmed(words: Sequence[Word]) -> tuple[str, Sequence[Word], str]:
    """Return words without the empty ones at the ends, and the blank to put there: none where the part has its own."""
    first, last = (word.kind == "text" and not word.around[0] for word in (words[0], words[-1]))
    return "" if first else " ", words[first : len(words) - last], "" if last else " "


def _every(name: str, first: int, step: int) -> _Column:
    return _Column(f"{name}[{first}::{step}]", f"{name}[{first} + {step} * i]")


def _closed(found: Sequence[Part]) -> list[Part]:
    """Return the parts of a line that ends with a newline and a quote of ours: so no line runs into the next."""
    *before, last = found
    if last.divided or last.words[0].kind != "text":
        return [*found, _newline()]
    return [*before, _newline(last.words[0].around[0])]


def _newline(before: bytes = b"") -> Part:
    return Part((Word("text", (before + b"\n",), 0),), divided=False)


def _bracketed(text: bytes) -> bool:
    return text[:1] == b"[" and text.find(b"]") == len(text) - 1


_NAMES = {"Sheet": Sheet, "visits_of": visits_of, "product": product, "bracketed": _bracketed}
