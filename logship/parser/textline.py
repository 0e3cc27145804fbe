"""Take a line of a text format (nginx's, Apache's) apart: the general way, by one expression."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache

from logship.parser import columns, escapes, fastblock, fastline, layout, parts, times
from logship.parser.columns import Columns, Outline, Raw
from logship.parser.fields import Field, Piece
from logship.records import Unparsed


class Reader:
    """Reads lines of one format. ``columns`` says which group of the expression tells what."""

    def __init__(self, pieces: Sequence[Piece], escape: str, chain: str, logs: Sequence[str]) -> None:
        fields = [piece for piece in pieces if isinstance(piece, Field)]
        self.columns = columns.choose(fields, chain, logs)
        self.key_names = self.columns.key_names
        self._undo: Callable[[bytes], bytes] = escapes.UNDO[escape]
        self._match = re.compile(layout.expression(pieces, escape), re.DOTALL).fullmatch
        self._prefixes = layout.prefixes(pieces, escape)
        self.outline = fastline.outliner(pieces, escape, self.columns)
        self.block = fastblock.block(pieces, escape, self.columns)
        time = self.columns.time
        self._time = times.reader("any" if time is None else fields[time].reader)

    def read(self, line: bytes) -> Outline | Unparsed:
        """Return the parts of a line, or why it is none of this format."""
        match = self._match(line)
        if match is None:
            return Unparsed("format", self._broke_at(line))
        raws: Sequence[Raw] = match.groups()
        if b"\\" in line:
            raws = [raw and self._undo(raw) for raw in raws]
        found = take(self.columns, raws, self._time)
        return found if isinstance(found, tuple) else Unparsed(found, max(0, match.start(self._column(found) + 1)))

    def _broke_at(self, line: bytes) -> int:
        """Return where the longest prefix that fits ends; where a prefix fails, no longer one fits."""
        count = bisect_left(self._prefixes, True, key=lambda prefix: _fits(prefix, line) is None)
        match = _fits(self._prefixes[count - 1], line) if count else None
        return match.end() if match else 0

    def _column(self, reason: str) -> int:
        at = self.columns.time if reason == "time" else self.columns.key[self.columns.key_names.index("status")]
        return at or 0


def take(chosen: Columns, raws: Sequence[Raw], time: times.Time) -> Outline | str:
    """Return the outline that columns make, or the reason why they make no request: ``time``, ``status``."""
    key = tuple([raws[at] or b"" for at in chosen.key])
    if "status" in chosen.key_names and key[chosen.key_names.index("status")] not in parts.STATUSES:
        return "status"
    seconds = None
    if chosen.time is not None:
        raw = raws[chosen.time]
        seconds = time(raw) if raw else None
        if seconds is None:
            return "time"

    def column(at: int | None) -> Raw:
        return None if at is None else raws[at]

    rest = (
        seconds,
        column(chosen.peer),
        column(chosen.chain),
        column(chosen.size),
        column(chosen.referrer),
        column(chosen.user),
        tuple([column(at) for at in chosen.logs]),
    )
    return key, column(chosen.agent) or b"", rest


def _fits(prefix: bytes, line: bytes) -> re.Match[bytes] | None:
    return _compiled(prefix).match(line)


@lru_cache(256)
def _compiled(prefix: bytes) -> re.Pattern[bytes]:
    return re.compile(prefix, re.DOTALL)
