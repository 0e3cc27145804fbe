"""Take lines apart by the user's own regular expression, run by RE2: no pattern and no stranger's line can stall it.

Most people write one that leaves nothing to be tried twice. Plain lines are then taken apart by Python's own engine,
which is faster (`deterministic`), many of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any

from logship.linear import ExpressionError, compile_expression
from logship.memo import Memo
from logship.parser import columns, deterministic, escapes, times
from logship.parser.columns import Outline, Raw
from logship.parser.fastblock import Block, Sheet, visits_of
from logship.parser.fields import Field, FormatError, meaning
from logship.parser.parts import STATUSES
from logship.parser.textline import take
from logship.records import Unparsed

_TIMES = 256
_LONGEST = 64  # bytes of a time worth remembering
_ODD = (b"\\", b"\0", b"\r", b"\n", b"\v")  # escaped, to be stripped first, or seen differently by the two engines
_Values = Callable[[Any], Sequence[Raw]]


def fields(pattern: str) -> tuple[Field, ...]:
    """Return the named groups of a pattern as fields. Raises FormatError."""
    groups = [name.decode() for name in _compiled(pattern).groupindex]
    if not groups:
        raise FormatError("regex: no named groups; write (?P<client_ip>...), (?P<request>...) and so on", "regex")
    return tuple(Field(name, meaning(name), reader="any") for name in groups)


class Reader:
    """Reads lines of one expression, which may match anywhere in a line; ``^`` and ``$`` bind it."""

    def __init__(self, pattern: str, chain: str, logs: Sequence[str]) -> None:
        compiled = _compiled(pattern)
        self._groups = tuple(compiled.groupindex.values())
        self.columns = columns.choose(fields(pattern), chain, logs)
        self.key_names = self.columns.key_names
        self._search = compiled.search
        self._values = _values(self._groups)
        self._match = deterministic.engine(pattern)
        self._clock = Memo(times.any_of, _TIMES, worth=lambda text: len(text) <= _LONGEST)
        self.block = None if self._match is None or not self.columns.key else Block(self._sheet, _fits)

    def outline(self, line: bytes) -> Outline | None:
        """Return the parts of a line that nothing has to be taken off from."""
        if b"\0" in line or line[-1:] == b"\r":
            return None
        if self._match is None or any(odd in line for odd in _ODD):
            found = self.read(line)
            return found if isinstance(found, tuple) else None
        match = self._match(line)
        outline = None if match is None else take(self.columns, self._values(match), self._clock.__getitem__)
        return outline if isinstance(outline, tuple) else None

    def read(self, line: bytes) -> Outline | Unparsed:
        """Return the parts of a line, or why it is none of this format."""
        match = self._search(line)
        if match is None:
            return Unparsed("format")
        raws: list[Raw] = [match.group(number) for number in self._groups]
        found = take(self.columns, [raw and escapes.undo(raw) for raw in raws], times.any_of)
        return found if isinstance(found, tuple) else Unparsed(found)

    def _sheet(self, lines: Sequence[bytes]) -> Sheet | None:
        text = b"".join(lines)
        if self._match is None or any(odd in text for odd in _ODD):
            return None
        matches = list(map(self._match, lines))
        if None in matches:
            return None
        rows = list(map(self._values, matches))
        raws = list(zip(*rows, strict=True))
        chosen = self.columns
        keys = [raws[at] if None not in raws[at] else [raw or b"" for raw in raws[at]] for at in chosen.key]
        if "status" in self.key_names and not STATUSES.issuperset(keys[self.key_names.index("status")]):
            return None
        if chosen.time is not None and not all(raws[chosen.time]):
            return None
        if chosen.time is not None and None in map(self._clock.__getitem__, set(raws[chosen.time])):
            return None

        def outline(at: int) -> Outline:
            found = take(chosen, rows[at], self._clock.__getitem__)
            assert isinstance(found, tuple)
            return found

        agents = [b""] * len(lines) if chosen.agent is None else [raw or b"" for raw in raws[chosen.agent]]
        return Sheet(zip(*keys, strict=True), agents, outline, visits_of(outline))


def _values(groups: Sequence[int]) -> _Values:
    """Return what gives the values of groups of a match; asked for one alone, a match gives no tuple."""
    return methodcaller("group", *groups) if len(groups) > 1 else lambda match: (match[groups[0]],)


def _fits(lines: Sequence[bytes]) -> bytearray:
    return bytearray(not any(odd in line for odd in _ODD) for line in lines)


def _compiled(pattern: str) -> Any:
    try:
        return compile_expression(pattern.encode())
    except ExpressionError as error:
        raise FormatError(f"regex: {error} (RE2 syntax: no look-around and no back-references)", "regex") from None
