"""Bytes in, whole lines out, as spans that tile the file. Does no reading: it says what to read, and is fed.

    while (piece := lines.feed(read(*lines.want()))) is None: ...

A line waits for its end however long that takes, and costs no memory meanwhile: at the end of the file what was held
is let go, and read again when the file has grown. A line over `LIMIT` is looked through block by block for its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BLOCK = 128 * 1024
"""Bytes asked for at a time: large enough that a read costs little per line, small enough to take turns."""

LIMIT = 1024 * 1024
"""Longest line that travels, without its end. No web server writes a longer one; a corrupt log may."""

HOLE = 4096
"""A run of NULs this long at the start of a line is a hole (truncated under a writer that does not append)."""

Cut = Callable[[bytes], int]
"""Given bytes that end in a newline: how many of them are complete logical lines."""


@dataclass(slots=True)
class Piece:
    """Bytes ``start`` to ``end``: whole lines, or an empty place where ``oversized`` lines or ``nuls`` were."""

    data: bytes
    start: int
    end: int
    oversized: int = 0
    nuls: int = 0


class Lines:
    """Cuts one file into pieces. ``offset``: the start of the next line; ``seen``: no line ends before it."""

    __slots__ = ("_held", "_skipping", "cut", "offset", "seen")

    def __init__(self, offset: int = 0, cut: Cut | None = None) -> None:
        self.offset = self.seen = offset
        self.cut = cut
        self._held = b""
        self._skipping = False

    def want(self) -> tuple[int, int]:
        """Return what to read next: how many bytes, and from where. Fewer mean the end of the file."""
        return BLOCK, self.seen if self._skipping else self.offset + len(self._held)

    def feed(self, block: bytes) -> Piece | None:
        """Take the bytes that were wanted, and return a piece when a line has ended."""
        at_end = len(block) < BLOCK
        if self._skipping:
            return self._skip(block)
        if not self._held and block.startswith(b"\0") and (nuls := len(block) - len(block.lstrip(b"\0"))) >= HOLE:
            return self._pass(b"", self.offset + nuls, nuls=nuls)
        held = len(self._held)
        data = self._held + block if held else block
        end = self._whole(data, held)
        if end and held and (first := data.find(b"\n")) > LIMIT:
            return self._pass(b"", self.offset + first + 1, oversized=1)
        if end:
            return self._pass(data if end == len(data) else data[:end], self.offset + end, self.offset + len(data))
        self._hold(data, at_end=at_end)
        return None

    def rest(self, data: bytes) -> Piece | None:
        """Pass on what is left of a file that will not grow: ``data`` is what stands there from ``offset`` on."""
        if self._skipping or (len(data) > LIMIT and b"\n" not in data):
            self._skipping = False
            return self._pass(b"", max(self.seen, self.offset + len(data)), oversized=1)
        return self._pass(data, self.offset + len(data)) if data else None

    def _whole(self, data: bytes, held: int) -> int:
        """Return how many bytes are complete lines. What a cut holds back beyond the limit is let go."""
        end = data.rfind(b"\n", 0 if self.cut else held) + 1
        if not end or self.cut is None:
            return end
        return self.cut(data if end == len(data) else data[:end]) or (end if len(data) > LIMIT else 0)

    def _hold(self, data: bytes, *, at_end: bool) -> None:
        self.seen = self.offset + len(data)
        self._skipping = len(data) > LIMIT
        self._held = b"" if at_end or self._skipping else data

    def _skip(self, block: bytes) -> Piece | None:
        end = block.find(b"\n") + 1
        if end:
            self._skipping = False
            return self._pass(b"", self.seen + end, oversized=1)
        self.seen += len(block)
        return None

    def _pass(self, data: bytes, end: int, seen: int = 0, *, oversized: int = 0, nuls: int = 0) -> Piece:
        piece = Piece(data, self.offset, end, oversized, nuls)
        self.offset, self.seen, self._held = end, max(end, seen), b""
        return piece
