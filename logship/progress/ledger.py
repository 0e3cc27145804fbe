"""Count spans in flight. Knows nothing of files or HTTP; feed it opens and settles, ask for watermarks.

Spans tile what was read of a file; the watermark is the start of the oldest span still open, or what was read when
none is. That one sentence is the guarantee: a later success cannot leap over an earlier line, because settled spans
leave the queue at its head only. What no delivery depends on (dropped, unparsed, blank lines) never becomes a span.

One event may be stuck for hours while all others go on. What they have settled beyond the watermark is the `Reach`: it
is saved as well, so that a restart sends again what is open, and not all that came after it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from logship.records import Span

# Settled spans behind an open one are of no use any more: let go when they are the most of what is kept.
_FEW = 4096
# What a reach names: far above what two batches hold, and some 100 KB in the checkpoint.
_MOST_OPEN = 10_000


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a file was read. What begins before ``end`` is settled, but for the lines at ``open``, ascending."""

    end: int
    open: tuple[int, ...] = ()

    def settles(self, start: int, end: int) -> bool:
        """Tell whether the lines from ``start`` on, up to ``end``, are known to be settled."""
        at = bisect_left(self.open, start)
        return start < self.end and not (at < len(self.open) and self.open[at] < end)


@dataclass(slots=True)
class _File:
    """One generation being read: its open spans in order of the file, and settled ones behind an open one."""

    read_to: int
    known: Reach | None = None  # from an earlier life, until all of it was read again
    spans: deque[Span] | tuple[()] = ()  # none, mostly: of a thousand logs most have nothing in flight
    unsettled: int = 0
    reads: deque[tuple[int, float]] | tuple[()] = ()  # (end, read at) of chunks that may hold open spans

    def watermark(self) -> int:
        return self.spans[0].start if self.spans else self.read_to

    def reach(self) -> Reach:
        starts, end = [span.start for span in self.spans if span.parts], self.read_to
        if self.known is not None and self.known.end > end:
            starts += [start for start in self.known.open if start >= end]
            end = self.known.end
        if len(starts) > _MOST_OPEN:
            end = starts[_MOST_OPEN]
        return Reach(end, tuple(starts[:_MOST_OPEN]))

    def add(self, spans: Sequence[Span], read: tuple[int, float]) -> None:
        self.spans = self.spans or deque()
        self.spans.extend(spans)
        self.unsettled += len(spans)
        self.reads = self.reads or deque()
        self.reads.append(read)
        self.tidy()

    def drop_settled(self) -> None:
        spans = self.spans
        while spans and not spans[0].parts:
            spans.popleft()
        if not spans:
            self.spans = self.reads = ()

    def tidy(self) -> None:
        """Let go of what is settled behind an open span: one that is stuck would hold all that comes after it."""
        if max(len(self.spans), len(self.reads)) <= 2 * self.unsettled + _FEW:
            return
        self.spans = deque(span for span in self.spans if span.parts)
        ends = [end for end, _ in self.reads]
        holding = {bisect_right(ends, span.start) for span in self.spans}
        self.reads = deque(read for number, read in enumerate(self.reads) if number in holding)

    def forget_settled_reads(self) -> None:
        settled, reads = self.watermark(), self.reads
        while reads and reads[0][0] <= settled:
            reads.popleft()


class Ledger:
    """Open spans of every file being read, by FileKey. Single-threaded; every call is O(1), amortised, per span."""

    def __init__(self) -> None:
        self.changes = 0  # so far: what is saved of files that lie still need not be saved again
        self._files: dict[int, _File] = {}
        self._last = 0  # FileKeys ascend

    def begin(self, file: int, offset: int, known: Reach | None = None) -> None:
        """Start a generation of a file that is read from ``offset`` on. A FileKey begins once: else ValueError.

        ``known`` is what was saved of it: the caller asks `known` which lines are settled already, and opens none.
        """
        if file in self._files:
            raise ValueError(f"file {file} has begun already")
        self.changes += 1
        self._files[file] = _File(read_to=offset, known=known)
        self._last = max(self._last, file)

    def open(self, file: int, start: int, end: int, parts: Sequence[tuple[int, int]], now: float = 0.0) -> list[Span]:
        """Account for the bytes ``start`` to ``end``, and return a span for each entry of ``parts``.

        Args:
            file: a FileKey that has begun. Of one that has ended meanwhile the lines are still good (it was truncated
                after they were read), only nobody asks for its watermark any more.
            start: where reading stands; anything else would leave a gap or count bytes twice: ValueError.
            end: the end of what was read.
            parts: (start of line, number of deliveries, at least 1) of each surviving line, ascending. A span covers
                its line and what follows it up to the next survivor; what precedes the first one is settled at once.
            now: when the bytes were read, on whatever clock `oldest` is to be compared with.
        """
        if file not in self._files and 0 < file <= self._last:
            return _tile(file, start, end, parts)
        entry = self._files[file]
        if start != entry.read_to or end < start:
            raise ValueError(f"file {file} is read to {entry.read_to}, and {start} to {end} does not follow")
        spans = _tile(file, start, end, parts)
        self.changes += 1
        entry.read_to = end
        if entry.known is not None and entry.known.end <= end:
            entry.known = None
        if spans:
            entry.forget_settled_reads()
            entry.add(spans, (end, now))
        return spans

    def settle(self, spans: Iterable[Span]) -> None:
        """Settle one delivery of each span. Ignored where its file was ended.

        One that is settled already is a fault of the caller: ValueError, once all the others are settled.
        """
        self.changes += 1
        files, touched, twice = self._files, set(), None
        for span in spans:
            file, parts = span.file, span.parts
            entry = files.get(file)
            if entry is None:
                continue
            if parts < 1:
                twice = span
                continue
            span.parts = parts - 1
            if parts == 1:
                entry.unsettled -= 1
                touched.add(file)
        for file in touched:
            files[file].drop_settled()
        if twice is not None:
            raise ValueError(f"bytes {twice.start} to {twice.end} of file {twice.file} are settled already")

    def watermark(self, file: int) -> int:
        """Return the low watermark: every byte before it is settled."""
        return self._files[file].watermark()

    def reach(self, file: int) -> Reach:
        """Return what is settled, and what is not, as far as the file was read: in this life, or in the one before."""
        return self._files[file].reach()

    def known(self, file: int) -> Reach | None:
        """Return what an earlier life has settled of what is being read again; None: there is no such thing."""
        entry = self._files.get(file)
        return entry.known if entry is not None else None

    def read_to(self, file: int) -> int:
        """Return the end of what was read so far."""
        return self._files[file].read_to

    def unsettled(self, file: int | None = None) -> int:
        """Return how many spans (lines) are open, of one file or of all."""
        if file is not None:
            return self._files[file].unsettled
        return sum(entry.unsettled for entry in self._files.values())

    def oldest(self, file: int | None = None) -> float | None:
        """Return when the oldest open span was read, of one file or of all; None when nothing is open."""
        if file is None:
            return min((at for each in self._files if (at := self.oldest(each)) is not None), default=None)
        entry = self._files[file]
        entry.forget_settled_reads()
        return entry.reads[0][1] if entry.reads else None

    def files(self) -> tuple[int, ...]:
        """Return the FileKeys that have begun and not ended."""
        return tuple(self._files)

    def end(self, file: int) -> None:
        """Forget a file. Its spans that are still out may be settled later, to no effect."""
        self.changes += 1
        self._files.pop(file, None)


def _tile(file: int, start: int, end: int, parts: Sequence[tuple[int, int]]) -> list[Span]:
    """Cut what was read into spans, back to front, since a span ends where the next one starts."""
    spans: list[Span] = []
    until = end
    for begin, count in reversed(parts):
        if not start <= begin < until or count < 1:
            raise ValueError(f"parts of file {file}, {start} to {end}, are not ascending lines with deliveries")
        spans.append(Span(file, begin, until, count))
        until = begin
    spans.reverse()
    return spans
