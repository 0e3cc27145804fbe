r"""Take a plain line of a text format apart with splits alone: about 1 µs where an expression takes 5.

What a format needs of that (see `parts`) is written out as one function, for a loop over the format's parts would cost
more than the expression. The function's text is made of numbers and names of ours; whatever comes from the format is
passed to it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from logship.parser import escapes, layout, parts
from logship.parser.columns import Columns, Outline, Rest
from logship.parser.fields import Piece
from logship.parser.parts import Part, Word

_CHECKS = {
    "word": "if not {0}: return None",
    "peer": "if not {0} or {0}[-1:] == b',': return None",  # more addresses follow a comma
    "host": "if b'/' in {0}: return None",
    "path": "if b'?' in {0}: return None",
    "size": "if not {0}.isdigit() and {0} != b'-': return None",
    "status": "if {0} not in STATUSES: return None",
}


def outliner(pieces: Sequence[Piece], escape: str, columns: Columns) -> Callable[[bytes], Outline | None]:
    """Return a function that takes plain lines of a format apart, and gives None for all others."""
    found = parts.divide(pieces, columns)
    if found is None:
        return _never
    writer = _LineWriter(layout.patterns(pieces, escape), columns, eased=escapes.EASED[escape], undone=undoing(escape))
    return writer.function(found, escapes=escape != "none")


def _never(line: bytes) -> None:
    return None


def undoing(escape: str) -> Callable[[Outline], Outline]:
    """Return what undoes the escapes of an outline's values."""
    undo, rest_undone = escapes.UNDO[escape], undoing_rest(escape)

    def undone(outline: Outline) -> Outline:
        key, agent, rest = outline
        return tuple(map(undo, key)), undo(agent), rest_undone(rest)

    return undone


def undoing_rest(escape: str) -> Callable[[Rest], Rest]:
    """Do the same for what is beside key and User-Agent: few of these values have any."""
    undo = escapes.UNDO[escape]

    def undone(rest: Rest) -> Rest:
        time, *raws, logs = rest
        plain = [raw if raw is None or b"\\" not in raw else undo(raw) for raw in raws]
        return (time, *plain, tuple([raw and undo(raw) for raw in logs]))  # type: ignore[return-value]

    return undone


class Writer:
    """Writes a function: its statements, and the values that they name."""

    def __init__(self, patterns: Sequence[bytes], columns: Columns, **names: object) -> None:
        self._patterns = patterns
        self._columns = columns
        self._names: dict[str, object] = {"STATUSES": parts.STATUSES, **names}
        self._lines: list[str] = []

    def say(self, line: str) -> None:
        """Add a statement."""
        self._lines.append(line)

    def named(self, value: object) -> str:
        """Return the name under which the function finds a value."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def outline(self, values: Callable[[int], str], time: str) -> str:
        """Return the expression of an outline, made of the expressions of the fields."""
        chosen = self._columns
        key, logs = (
            "".join(f"{'None' if at is None else values(at)}, " for at in some) for some in (chosen.key, chosen.logs)
        )
        middle = (chosen.peer, chosen.chain, chosen.size, chosen.referrer, chosen.user)
        rest = ", ".join("None" if at is None else values(at) for at in middle)
        agent = "b''" if chosen.agent is None else values(chosen.agent)
        return f"({key}), {agent}, ({time}, {rest}, ({logs}))"

    def compiled(self, head: str) -> Any:
        """Return the function that the statements make."""
        text = f"def {head}:\n" + "".join(f"    {line}\n" for line in self._lines)
        exec(text, self._names)  # noqa: S102 - see the module's docstring
        return self._names[head.partition("(")[0]]


class _LineWriter(Writer):
    """Each field is a local variable, or a slice of one."""

    def function(self, found: Sequence[Part], *, escapes: bool) -> Callable[[bytes], Outline | None]:
        self._values: dict[int, str] = {}
        if escapes:
            self.say("escaped = b'\\\\' in line")
            self.say("if escaped: line = eased(line)")
            self.say("if line is None: return None")
        self.say("p = line.split(b'\"')")
        self.say(f"if len(p) != {len(found)} or b'\\0' in line: return None")
        if found[-1].words[-1].kind != "text":
            self.say("if line[-1:] == b'\\r': return None")
        for at, part in enumerate(found):
            self._part(f"p[{at}]", part)
        time = "None" if self._columns.time is None else "time"
        outline = self.outline(self._values.__getitem__, time)
        self.say(f"return undone(({outline})) if escaped else ({outline})" if escapes else f"return {outline}")
        return self.compiled("outline(line)")  # type: ignore[no-any-return]

    def _part(self, value: str, part: Part) -> None:
        if not part.divided:
            self._word(value, part.words[0])
            return
        if part.lists:
            self.say(f"if b',' in {value} or b' : ' in {value}: return None")
        names = [f"w{value[2:-1]}_{at}" for at in range(part.width)]
        self.say(f"w = {value}.split(b' ')")
        self.say(f"if len(w) != {len(names)}: return None")
        self.say(f"{', '.join(names)}, = w")
        self._words(iter(names), part.words)

    def _words(self, names: Iterator[str], words: Sequence[Word]) -> None:
        for word in words:
            if word.kind == "clf":
                self._clf(next(names), next(names), word)
            else:
                self._word(next(names), word)

    def _clf(self, day: str, zone: str, word: Word) -> None:
        before, after = word.around
        self._moment(f"({day}, {zone})", parts.clf_clock(word), word.first)
        self._values[word.first] = f"({day}[{len(before)}:] + b' ' + {zone}[:{-len(after) or None}])"

    def _word(self, value: str, word: Word) -> None:
        match word.kind:
            case "text":
                text = word.around[0]
                self.say(f"if {value} != {self.named(text)}: return None" if text else f"if {value}: return None")
                return
            case "pattern":
                self._pattern(value, word)
                return
            case "bracketed":
                self.say(f"if {value}[:1] != b'[' or {value}.find(b']') != len({value}) - 1: return None")
                value = f"{value}[1:-1]"
            case "moment":
                self._moment(value, parts.clock(word.fields[0]), word.first)
            case "free":
                pass
            case kind:
                self.say(_CHECKS[kind].format(value))
        self._values[word.first] = value

    def _pattern(self, value: str, word: Word) -> None:
        """An expression lets ``-`` pass for a status, and 31 November for a time."""
        found = f"m{word.first}"
        self.say(f"{found} = {self.named(parts.matcher(word, self._patterns))}({value})")
        self.say(f"if {found} is None: return None")
        for at, field in enumerate(word.fields, word.first):
            self._values[at] = f"{found}[{at - word.first + 1}]"
            if field.shape == "status":
                self.say(_CHECKS["status"].format(self._values[at]))
            if at == self._columns.time:
                self._moment(self._values[at], parts.clock(field), at)

    def _moment(self, value: str, clock: object, at: int) -> None:
        name = "time" if at == self._columns.time else "other"
        self.say(f"{name} = {self.named(clock)}[{value}]")
        self.say(f"if {name} is None: return None")
