"""One generation of one log: read what it holds, and notice when it is not the file that was left.

A generation is a stream of bytes that only grows. It may be renamed, deleted while open, or live on as a copy: then
its content is swapped (`adopt`), its key and offset stay. When what was read does not stand there any more, that is a
`TruncatedError`, and the bytes that are there now are another generation, with another key.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from contextlib import suppress

from logship.progress.fingerprint import BEFORE, HEAD, Anchor, Fingerprint
from logship.records import Chunk
from logship.source.content import Ahead, Content, Plain
from logship.source.lines import BLOCK, LIMIT, Cut, Lines, Piece

_TURN = 8
"""Blocks read at most in one turn: what a line at the limit takes."""

Proof = tuple[int, Fingerprint, Anchor]
"""An offset, and what stands at the head and before the offset if this is the file."""


class TruncatedError(Exception):
    """What was read of this generation does not stand there any more."""


class LogFile:
    """One generation being read.

    Attributes:
        key: FileKey, never used twice in a process.
        id: device and inode.
        token: what its events are called by.
        path: where it was seen last.
        content: None while closed for want of descriptors, or because it could not be read.
        size: of the file when looked at last (of a compressed one: what was read).
        ready: whether there may be something to read.
        gone: why nothing new is expected ("rotated", "deleted", ...); "" for a live file.
        ending: what is left without a line end is to be passed on, and then the file has ``ended``.
        stirred: it was touched without growing, and what was read still stands: perhaps it was longer in between.
        far: its disk is slow: nothing is read to look at growth, or to save a position; the last chunk's end serves.
        failures: how many times in a row it was found damaged: a compressed file that is broken, or not complete yet.
        not_before: when to open it again after that, on the caller's clock.
        quiet_since: since when nothing was left to read, on the caller's clock; None while there is.
        read_at: when it was read to its end last, on the caller's clock.
    """

    __slots__ = (
        *("key", "id", "token", "source", "path", "content", "size", "links", "ready", "gone", "ending", "ended"),
        *("stirred", "far", "failures", "not_before", "quiet_since", "read_at", "_ahead", "_lines", "_head", "_print"),
        *("_before", "_saved", "_reached", "_marks", "_state"),
    )

    def __init__(
        self, key: int, source: str, path: str, content: Content, offset: int = 0, cut: Cut | None = None
    ) -> None:
        self.key = key
        self.token = f"file {key}"
        self.source = source
        self.path = path
        self.content: Content | None = content
        self.gone = ""
        self.ending = self.ended = False
        self.quiet_since: float | None = None
        self.links = 1
        self.far = False
        self.failures = 0
        self.not_before = 0.0
        self.read_at = -math.inf
        self._ahead: tuple[Content, dict[tuple[int, int], bytes] | OSError] | None = None
        self.ready = self.stirred = False
        self._lines = Lines(offset, cut)
        self._head = content.pread(HEAD, 0)
        self._print = Fingerprint.of(self._head)
        self._before = _before(content, offset)
        self._saved = offset, Anchor.of(self._before)
        self._reached: tuple[int, Anchor] | None = None  # the end of what a saved reach tells of, or was asked for last
        self._marks: list[tuple[int, bytes]] = []  # of a file that is costly to read again: offsets, for anchors
        self._state = 0, 0, 0
        self._enter(content)

    @property
    def device(self) -> int:
        """The device that it lies on."""
        return self.id[0]

    @property
    def inode(self) -> int:
        """Its inode there."""
        return self.id[1]

    @property
    def offset(self) -> int:
        """The start of the next line to read."""
        return self._lines.offset

    @property
    def written(self) -> int:
        """When it was written to last, as far as it was seen: nanoseconds of the file system's clock."""
        return self._state[1]

    @property
    def state(self) -> tuple[int, int]:
        """Size and time of the last write (ns), when it was looked at last."""
        return self._state[0], self._state[1]

    @property
    def behind(self) -> int:
        """Bytes seen and not read; a line that has not ended yet counts."""
        return max(self.size - self.offset, 0)

    @property
    def unseen(self) -> bool:
        """Whether there were bytes, when it was looked at last, that have not been searched for a line's end."""
        return self.size > self._lines.seen

    @property
    def is_read(self) -> bool:
        """Whether it is open, and was found to hold nothing more to read."""
        content = self.content
        return content is not None and not content.packed and not self.ready and self.quiet_since is not None

    @property
    def head(self) -> bytes:
        """As much of the head as was seen."""
        return self._head

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of as much of the head as was seen."""
        if self._print.length != len(self._head):
            self._print = Fingerprint.of(self._head)
        return self._print

    def proof(self) -> Proof:
        """Return what proves another content to be this generation, as far as it was read."""
        return self.offset, self.fingerprint(), Anchor.of(self._before)

    def is_as_seen(self, seen: os.stat_result) -> bool:
        """Tell whether that is this file, in the state in which it was looked at last."""
        state = seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
        return (seen.st_dev, seen.st_ino) == self.id and state == self._state

    def look(self) -> bool:
        """Notice growth, and return whether there is something to read. TruncatedError, or OSError."""
        content = self.content
        if content is None or content.packed:
            return self.ready
        seen = content.stat()
        state = seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
        self.links = seen.st_nlink
        if state != self._state:
            if not (self.far and seen.st_size > self._state[0]):  # `read` will check it, with bytes fetched ahead
                self._check(content, seen.st_size)
            if len(self._head) < HEAD and not self.far:
                self._head = _longer(self._head, content.pread(HEAD, 0))
            # All that may fail is done: an error leaves the change to be noticed by the next look.
            self.stirred |= seen.st_size <= self._state[0]
            self._state, self.size = state, seen.st_size
            if seen.st_size != self._lines.seen:
                self.ready = True
                self.ending = self.ended = False
                self.quiet_since = None
        return self.ready

    def read(self) -> Chunk | None:
        """Return the next whole lines; None when none are there yet, or a long line takes another turn.

        Raises:
            TruncatedError: the bytes before the offset have changed; nothing was passed on.
            OSError: it cannot be read at present; nothing was passed on.
        """
        content, turn = self.content, _TURN
        if content is None:
            return None
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[0] is content:
            if isinstance(ahead[1], OSError):
                raise ahead[1]
            content, turn = Ahead(content, ahead[1]), 1
        for _ in range(turn):
            size, at = self._lines.want()
            block = content.pread(size, at)
            # After reading: whatever happens later, these bytes stood behind the ones we know.
            self._check(content, at + len(block))
            piece = self._lines.feed(block)
            if piece:
                self._settle_end(at + len(block), short=len(block) < size)
                return self._chunk(piece, content, piece.data or block[: piece.end - at])
            if len(block) < size:
                self._settle_end(at + len(block), short=True)
                return self._last(content) if self.ending else None
        return None

    def waits(self) -> bool | None:
        """Tell whether the next `read` would keep us waiting, for a disk or for decompression. None: nobody knows."""
        if not isinstance(self.content, Plain):
            return self.content is not None
        size, at = self._lines.want()
        last = min(at + size, self.size) - 1
        at_hand = self.content.at_hand(0, max(self.offset - len(self._before), 0), at, max(last, at))
        return None if at_hand is None else not at_hand

    def read_ahead(self) -> Callable[[], None] | None:
        """Return what fetches the bytes that `read` will ask for, to be called in another thread; None: nothing can.

        It changes nothing but the bytes at hand. An error is kept for `read`.
        """
        content, before = self.content, len(self._before)
        if content is None:
            return None
        wanted = [(before, self.offset - before), self._lines.want(), (len(self._head), 0), (HEAD, 0)]
        # What is decompressed has one stream only, and nobody but `read` uses it.
        twin = content.twin() if isinstance(content, Plain) else content

        def fetch() -> None:
            try:
                self._ahead = content, {each: twin.pread(*each) for each in wanted}
            except OSError as error:
                self._ahead = content, error
            except ValueError as error:  # closed meanwhile
                self._ahead = content, OSError(errno.EBADF, str(error))
            finally:
                if twin is not content:
                    twin.close()

        return fetch

    def assign(self, source: str, cut: Cut | None) -> None:
        """Belong to another source, or to the same one with another idea of logical lines, from the next read on."""
        self.source = source
        self._lines.cut = cut

    def prove(self, content: Content) -> bool:
        """Tell whether this content is this generation: the same head, and the same bytes before the offset."""
        return proves(content, self.proof())

    def begins_here(self) -> int:
        """Return where the next generation begins: at 0, or at the end where only the end was cut off."""
        if self.content is None or self.content.packed:
            return 0
        size = self.content.stat().st_size
        return size if is_cut(self.content, size, self.offset, self.fingerprint(), self._head) else 0

    def adopt(self, content: Content) -> None:
        """Go on in another content that was proved to be the same bytes."""
        self.close()
        self._enter(content)

    def position_at(self, watermark: int) -> Proof:
        """Return where to resume, with its proof, for what is settled up to ``watermark``.

        It is the watermark itself wherever its anchor can be had. In a compressed file, one on a slow disk, or one that
        is closed at the moment, it may be an earlier one.
        """
        if self._saved[0] != watermark:
            self._saved = self._anchor(watermark) or self._saved
        return self._saved[0], self.fingerprint(), self._saved[1]

    def reached(self, end: int, anchor: Anchor) -> None:
        """Note how far it was read in an earlier life, with the proof, for as long as that is not read again."""
        self._reached = end, anchor

    def anchor_at(self, end: int) -> Anchor | None:
        """Return the anchor of the end of what was read; None where it cannot be had at present."""
        if self._reached is None or self._reached[0] != end:
            before = self._bytes_before(end)
            self._reached = (end, Anchor.of(before)) if before is not None else None
        return self._reached[1] if self._reached else None

    def detach(self) -> Content | None:
        """Give the content away."""
        content, self.content, self.ready = self.content, None, False
        return content

    def close(self) -> None:
        """Close the content, and keep everything else."""
        content = self.detach()
        if content:
            content.close()

    def _enter(self, content: Content) -> None:
        seen = content.stat()
        self.content = content
        self.id, self.links = (seen.st_dev, seen.st_ino), seen.st_nlink
        self.size = self.offset if content.packed else seen.st_size
        self._state = self.size, seen.st_mtime_ns, seen.st_ctime_ns
        self.ready = content.packed or self.size > self.offset
        self.ending = content.packed
        self.quiet_since = None

    def _check(self, content: Content, size: int) -> None:
        before, head = self._before, self._head
        intact = size >= self.offset and content.pread(len(before), self.offset - len(before)) == before
        # Lines may be as alike as two health checks, so the head has a say, too; and it has the only one while no
        # line has ended. A compressed file cannot be truncated, and would have to be unpacked from its beginning.
        if intact and head and not content.packed:
            intact = content.pread(len(head), 0) == head
        if not intact:
            raise TruncatedError(self.path)

    def _settle_end(self, end: int, *, short: bool) -> None:
        self.size = max(self.size, end)
        if short and self._lines.seen == end:
            self.ready = self.ending and not self.ended

    def _chunk(self, piece: Piece, content: Content, tail: bytes, *, final: bool = False) -> Chunk:
        """Make a piece into a chunk, and its last bytes into the next anchor. Nothing may fail here: it has passed."""
        costly = content.packed or self.far
        if costly and not self._marks:
            self._marks.append((piece.start, self._before))
        whole = self._before + tail if len(tail) < BEFORE and piece.data else tail
        self._before = whole[-BEFORE:]
        if len(self._head) < HEAD:
            with suppress(OSError):
                self._head = _longer(self._head, content.pread(HEAD, 0))
        if costly:
            self._marks.append((piece.end, self._before))
        return Chunk(self.key, self.source, self.path, piece.data, piece.start, piece.end, final, piece.oversized)

    def _last(self, content: Content) -> Chunk | None:
        """Pass on what is left without a line end."""
        data = content.pread(LIMIT + BLOCK, self.offset)
        tail = data if len(data) <= LIMIT else _before(content, max(self._lines.seen, self.offset + len(data)))
        self.ended, self.ready = True, False
        rest = self._lines.rest(data)
        return self._chunk(rest, content, tail, final=True) if rest else None

    def _anchor(self, watermark: int) -> tuple[int, Anchor] | None:
        if watermark == self.offset:
            self._marks.clear()
            return watermark, Anchor.of(self._before)
        if self.content is None:
            return None
        if self.content.packed or self.far:
            settled = [mark for mark in self._marks if mark[0] <= watermark]
            del self._marks[: max(len(settled) - 1, 0)]
            return (settled[-1][0], Anchor.of(settled[-1][1])) if settled else None
        before = self._read_before(self.content, watermark)
        return (watermark, Anchor.of(before)) if before is not None else None

    def _bytes_before(self, end: int) -> bytes | None:
        if end == self.offset:
            return self._before
        if self.content is None:
            return None
        if self.content.packed or self.far:
            return next((before for at, before in self._marks if at == end), None)
        return self._read_before(self.content, end)

    def _read_before(self, content: Content, offset: int) -> bytes | None:
        try:
            before = _before(content, offset)
            self._check(content, self.size)
        except (OSError, TruncatedError):
            return None
        return before


def proves(content: Content, proof: Proof) -> bool:
    """Tell whether a content has what a proof says. It proves nothing where there is nothing: False for no bytes."""
    offset, fingerprint, anchor = proof
    if not fingerprint.length or offset < anchor.length or not fingerprint.matches(content.pread(HEAD, 0)):
        return False
    before = content.pread(anchor.length, offset - anchor.length)
    return len(before) == anchor.length and anchor.matches(before)


def is_cut(content: Content, size: int, offset: int, fingerprint: Fingerprint, known: bytes = b"") -> bool:
    """Tell whether a content is what was read up to ``offset``, cut off before it. ``known``: more of the head."""
    if not 0 < size < offset or not fingerprint.length:
        return False
    head = content.pread(HEAD, 0)
    return known.startswith(head) if known else fingerprint.matches(head)


def start_of_last_line(content: Content, size: int) -> int:
    """Return where the line begins that is being written at the end: it will be whole one day, and is new then."""
    tail = content.pread(min(size, LIMIT), max(0, size - LIMIT))
    found = tail.rfind(b"\n") + 1
    return size - len(tail) + found if found or len(tail) == size else size


def link_of(content: Content) -> str | None:
    """Return the path that an open file has now; None if it has none, or /proc is not there."""
    try:
        path = os.readlink(f"/proc/self/fd/{content.fileno()}")
    except OSError:
        return None
    return None if path.endswith(" (deleted)") or not path.startswith("/") else path


def _before(content: Content, offset: int) -> bytes:
    length = min(BEFORE, offset)
    return content.pread(length, offset - length) if length else b""


def _longer(head: bytes, now: bytes) -> bytes:
    return now if len(now) > len(head) and now.startswith(head) else head
