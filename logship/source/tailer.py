"""Follow every file of every source; hand out chunks while there is room downstream.

*Looking* is a task of its own, so that it goes on while nobody takes chunks: directories are scanned, paths and open
files are looked at, and it is noted who has something to read. *Reading* takes one chunk a turn, round robin over
trails, and within a trail the oldest generation first. Which trails there are is the business of `register`, and what
is not where it was left that of `search`.

Polling makes it right: every file once a second, every directory every ten. Events only make it fast; but a log that
rests, where they tell of everything, is looked at every five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import stat
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

import structlog

from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.progress.checkpoint import Position
from logship.progress.ledger import Ledger
from logship.records import Chunk
from logship.source import content, report
from logship.source import file as files
from logship.source.file import LogFile, TruncatedError
from logship.source.lines import BLOCK
from logship.source.openfiles import MISSING, SOON, SWEEP, OpenFiles
from logship.source.paths import Followed
from logship.source.register import Register
from logship.source.search import Search
from logship.source.siblings import Id
from logship.source.survey import Survey
from logship.source.trail import Finished, Timing, Trail, is_settled, position, unknown
from logship.source.watch import EVERYTHING, Wakeup

__all__ = ["Followed", "Tailer", "Timing"]

log = structlog.get_logger(__name__)

_KEEP = 7 * 86400.0
"""Seconds (wall) that a position is kept of a file that nothing asks for: a source may come back."""

_PATIENCE = 10
"""How many times longer the newest generation is held: without a successor it may still be the one that is written."""

_HURRY = 2.0
"""Seconds that a rotated file's end is seen when others wait for its descriptor. If it grows, it is opened again."""

_DAMAGED = 8
"""Times that a damaged compressed file is opened again: some five minutes, in which it may be written to its end."""

_SLOW = 0.02
"""Seconds that a read may take before the next one from that disk is left to a thread."""

_SELDOM = 0.05
"""Seconds between two reads of a file from which on an event of its next write costs less than to look for it."""

_AT_A_TIME = 64
"""Logs that are looked at in one step of the loop: a few milliseconds."""

_EVENT_GAP = 0.1
"""Seconds between two scans that events ask for: a flood of files must not cost more than that."""

_GONE = {"rotated": "file.rotated", "replaced": "file.replaced", "deleted": "file.deleted"}
"""What the log says of a file that departs, by why nothing new is expected of it."""

_TIMING = Timing()


class Tailer:
    """Follows files, and says where reading resumes.

    Call `chunks` once, or drive it by hand with `look` and `take`. `close` it when it is over.

    Args:
        sources: what to follow.
        positions: where reading was left, from the checkpoint.
        seen: names of sources that were followed before: what they hold now that is new is read from its beginning.
        metrics: where to count.
        ledger: asked for watermarks; told of generations that begin and end.
        wakeup: file events and the poll interval. The caller closes it.
        once: read all there is, then end.
        timing: intervals.
        clock: monotonic seconds.
        wall: epoch seconds, for the age of what was saved.
    """

    def __init__(
        self,
        sources: Sequence[Followed],
        *,
        positions: Iterable[Position] = (),
        seen: Iterable[str] = (),
        metrics: Metrics,
        ledger: Ledger,
        wakeup: Wakeup,
        once: bool = False,
        timing: Timing = _TIMING,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.ready = asyncio.Event()
        self._metrics = metrics
        self._ledger = ledger
        self._wakeup = wakeup
        self._once = once
        self._timing = timing
        self._clock = clock
        self._wall = wall
        self._finished = Finished()
        self._left: dict[int, Position] = {}  # by FileKey: what `positions` told last
        self._queue: deque[Trail] = deque()
        self._open = OpenFiles(wakeup, timing, clock, unpack=once)
        self._register = Register(
            sources, seen=seen, positions=positions, open_files=self._open, finished=self._finished, wall=wall
        )
        self._trails = self._register.trails
        report.show(metrics, self._trails.values, ledger)
        self._search = Search(
            self._open,
            self._finished,
            ledger=ledger,
            metrics=metrics,
            timing=timing,
            clock=clock,
            wall=wall,
            patient=not once,
        )
        self._survey = Survey()
        self._swept = self._scanned = -math.inf
        self._scan_cost = self._last_scan_took = 0.0
        self._began: float | None = None  # the last scan: epoch seconds
        self._directories: set[str] = set()  # to be watched
        self._moved = False  # a directory's event has asked for a scan
        self._more = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self._slow: dict[int, bool] = {}  # by device: whether the last read kept us waiting

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield chunks as long as it is followed, or with ``once`` until all is read.

        The next one is taken from the disk when it is asked for, never before.
        """
        reading = self._all_there_is() if self._once else self._as_it_comes()
        async with contextlib.aclosing(reading):
            async for chunk in reading:
                yield chunk

    async def look(self) -> None:
        """Scan the directories, look at every file, and search for what is missing, whatever the clock says."""
        await self._scan()
        await self._sweep(all_of_them=True)
        await self._find()

    def take(self) -> Chunk | None:
        """Read the next chunk of what was seen to be there. None: no trail had one in its turn."""
        for _ in range(len(self._queue)):
            trail = self._queue.popleft()
            trail.queued = False
            chunk = self._read(trail)
            self._enqueue(trail)
            if chunk:
                return chunk
        return None

    def read_back(self, file: int, at: int, size: int) -> bytes:
        """Return bytes of a generation that is being read, by its FileKey. OSError when they cannot be had."""
        contents = (each.content for trail in self._trails.values() for each in trail.files if each.key == file)
        content = next(contents, None)
        if content is None:
            raise OSError(errno.ENOENT, "the file is not open")
        return content.pread(size, at)

    def apply(self, sources: Sequence[Followed]) -> None:
        """Follow these sources from now on. Open files and offsets live on."""
        self._register.sources = tuple(sources)
        self._scanned = -math.inf
        self._wakeup.nudge()

    def stop(self) -> None:
        """Make `chunks` end promptly."""
        self._stopping = True
        self._more.set()

    def close(self) -> None:
        """Close every file. `positions` stay as they are."""
        if self._watcher:
            self._watcher.cancel()
        for trail in self._trails.values():
            for file in trail.files:
                file.close()

    @property
    def sources(self) -> frozenset[str]:
        """Names of the sources that were ever seen, for the checkpoint."""
        return frozenset(self._register.seen)

    async def gather(self) -> None:
        """Read what proves the next `positions`, a few files at a time: all at once would keep the loop for long."""
        for number, trail in enumerate(list(self._trails.values()), start=1):
            if not number % _AT_A_TIME:
                await asyncio.sleep(0)
            for file in trail.files:
                file.position_at(self._ledger.watermark(file.key))

    def positions(self) -> list[Position]:
        """Return where reading resumes, of every file that is known, at the ledger's watermarks."""
        found = [each for each in self._register.saved if self._is_kept(each)]
        before, self._left = self._left, {}
        for trail in self._trails.values():
            # As of the last scan: what has been rotated since is not known of yet, and is younger than that.
            now = trail.looked or trail.since or self._wall()
            last = before if trail.at_rest and not (trail.searching or trail.attempts) else {}
            found += trail.saved
            found += [position(each.file, self._ledger, now) for each in trail.lost if each.file]
            found += [each.position for each in trail.lost if not each.file and self._is_kept(each.position)]
            for each in trail.files:
                self._left[each.key] = position(each, self._ledger, now, last.get(each.key))
                found.append(self._left[each.key])
            found += unknown(trail)
        return [*found, *self._finished]

    def _is_kept(self, saved: Position) -> bool:
        return self._wall() - saved.seen < _KEEP

    @property
    def behind(self) -> int:
        """Bytes seen and not read, of all files together."""
        return sum(file.behind for trail in self._trails.values() for file in trail.files)

    def status(self) -> list[dict[str, object]]:
        """Describe every file, and every path that cannot be followed and why.

        Each has ``source``, ``path`` and ``state`` (following, draining, deleted, unreadable); a file also ``size``,
        ``offset``, ``settled`` and ``behind`` in bytes; what is unreadable has an ``error``.
        """
        return report.describe(self._trails.values(), self._ledger)

    # Looking: when.

    async def _as_it_comes(self) -> AsyncGenerator[Chunk]:
        watcher = self._watcher = asyncio.create_task(self._watch(), name="tailer: looking")
        watcher.add_done_callback(lambda _: self._more.set())
        try:
            while not self._stopping:
                await self._fetch()
                if chunk := self.take():
                    yield chunk
                    await asyncio.sleep(0)
                elif not self._queue:
                    await self._more.wait()
                    self._more.clear()
                    if watcher.done():
                        watcher.result()
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _all_there_is(self) -> AsyncGenerator[Chunk]:
        await self.look()
        self.ready.set()
        while not self._stopping:
            if chunk := self.take():
                yield chunk
                await asyncio.sleep(0)
                continue
            if not self._queue:
                await self.look()
            if not self._queue and not self._end_what_is_over():
                return

    async def _watch(self) -> None:
        await self.look()
        self.ready.set()
        while True:
            self._more.set()
            noticed = await self._wakeup.wait(self._until_due()) or set()
            await self._notice(noticed)

    async def _notice(self, noticed: set[str]) -> None:
        moved = any(token.startswith("/") for token in noticed)
        self._moved |= moved
        scanning = EVERYTHING in noticed or self._clock() >= self._next_scan()
        if scanning:
            await self._scan()
        asked = moved or EVERYTHING in noticed or SWEEP in noticed
        sweeping = asked or scanning or self._clock() >= self._swept + self._timing.sweep
        if sweeping:
            await self._sweep(all_of_them=asked)
        missing = False
        for trail, file in self._open.due(noticed):
            trail.rests_until = 0.0
            self._look_at(trail, file)
            missing |= trail.searching
        if sweeping or missing or MISSING in noticed:
            await self._find()

    def _until_due(self) -> float:
        due = min(self._next_scan(), self._swept + self._timing.sweep, self._open.next_due())
        return max(due - self._clock(), 0.0)

    def _next_scan(self) -> float:
        """Return when to scan: soon after a directory's event, but never so often that scans fill the time."""
        gap = max(_EVENT_GAP, 20 * self._scan_cost) if self._moved else self._timing.scan
        return self._scanned + min(gap, self._timing.scan)

    async def _find(self) -> None:
        due = [trail for trail in self._trails.values() if trail.searching]
        if due:
            await self._search.carry_out(due)
            for trail in due:
                self._enqueue(trail)
        if self._began:
            self._register.complete(self._began)
            self._began = None

    # Looking: at directories.

    async def _scan(self) -> None:
        """Find what the sources mean by now. In a thread: a directory may be large, or far away."""
        sources, start, looked = self._register.sources, self._clock(), self._wall()
        self._moved = False
        self._open.reckon()
        if not self._once:
            self._wakeup.watch_directories(self._directories)  # before looking: what comes later tells of itself
        known = {each.path: each.known for each in self._trails.values() if each.known is not None}
        found, grown = await asyncio.to_thread(self._survey.look, sources, known)
        self._scanned = self._clock()
        took = self._scanned - start
        # The smaller of two: one scan that had to wait for the processor must not put off the next for seconds.
        self._scan_cost, self._last_scan_took = min(took, self._last_scan_took), took
        self._moved |= not found.directories <= self._directories  # new ones are not watched yet: look once more
        self._directories = found.directories
        self._metrics.watch_degraded.set(self._wakeup.degraded)
        for path in grown & self._trails.keys():
            self._trails[path].searching = True  # whatever the live file looks like, something has been rotated
        if sources is self._register.sources:
            for trail in await self._register.meet(found):
                self._enqueue(trail)
            self._began = looked
        if self._finished:
            await self._register.revisit()

    # Looking: at paths and files.

    async def _sweep(self, *, all_of_them: bool) -> None:
        """Look at every path and every open file that does not rest, a few at a time: there may be thousands."""
        now = self._swept = self._clock()
        self._open.starved = False
        all_of_them |= not self._wakeup.works
        watched = {each: on for each, on in self._survey.trusted.items() if self._wakeup.is_armed(each)}
        due = [trail for trail in self._trails.values() if all_of_them or trail.rests_until <= now]
        for number, trail in enumerate(due, start=1):
            if not number % _AT_A_TIME:
                await asyncio.sleep(0)
            seen = self._glance(trail)
            if not seen:
                self._look_into(trail)
            # A file may be a mount point: what is changed on the other side gives no event here.
            watched_whole = (
                seen and stat.S_ISREG(seen.st_mode) and watched.get(trail.path.rpartition("/")[0]) == seen.st_dev
            )
            trail.rests_until = now + self._timing.rest if watched_whole else 0.0

    def _glance(self, trail: Trail) -> os.stat_result | None:
        """Return what lies at the path of a log that rests; None: look into it, for something may have happened.

        Where nothing has, one look tells it of all there is. A link is returned as one, with its target looked at.
        """
        file = trail.live
        if file is None or not trail.at_rest or not (self._wakeup.is_armed(file.token) or not self._wakeup.works):
            return None
        try:
            lies = os.lstat(trail.path)
            seen = os.stat(trail.path) if stat.S_ISLNK(lies.st_mode) else lies
        except OSError:
            return None
        return lies if file.is_as_seen(seen) else None

    def _look_into(self, trail: Trail) -> None:
        if not trail.dropped:
            self._trace(trail)
        for file in list(trail.files):
            self._look_at(trail, file)
        for file in list(trail.files):
            self._retire(trail, file)
        if not trail.live:
            self._register.forget(trail)

    def _trace(self, trail: Trail) -> None:
        """See who is at the path now."""
        try:
            seen = os.stat(trail.path)
            content.refuse(trail.path, seen)
        except (FileNotFoundError, NotADirectoryError):
            trail.trouble = ""
            self._depart(trail, successor=False)
            return
        except (OSError, LogshipError) as error:
            self._search.fail(trail, error)
            return
        there = (seen.st_dev, seen.st_ino)
        if trail.live and trail.live.id == there:
            trail.trouble = trail.trouble if trail.live.content is None else ""
            return
        if there in self._open.by_id:
            self._welcome(trail, *self._open.by_id[there])
            return
        self._depart(trail, successor=True)
        trail.searching = True

    def _welcome(self, trail: Trail, other: Trail, file: LogFile) -> None:
        """Meet a file that is open already: renamed to this path, or here by a second name."""
        if other is not trail and other.live is file and _identity(other.path) == file.id:
            return  # a second name; whoever found it first has it
        self._depart(trail, successor=True)
        other.remove(file)
        trail.go_live(file)
        file.path, file.gone, file.ending = trail.path, "", False
        file.assign(trail.source.name, trail.source.cut)
        self._open.enter(trail, file)

    def _depart(self, trail: Trail, *, successor: bool) -> None:
        """Let the live file become an old generation: it has been renamed, replaced or deleted."""
        file = trail.live
        if file is None:
            return
        with contextlib.suppress(OSError):
            file = self._intact(trail, file)
        if not trail.live:
            return
        file.gone = "rotated" if file.links else "replaced" if successor else "deleted"
        trail.live = None
        moved = files.link_of(file.content) if file.content else None
        if moved:
            file.path = moved
            trail.elsewhere |= {os.path.dirname(moved)}
        if file.content is None:
            self._search.lose(trail, file)
        self._metrics.file_events.labels(file.gone).inc()
        log.info(_GONE[file.gone], path=trail.path, now=moved, unread_bytes=file.behind)

    def _intact(self, trail: Trail, file: LogFile) -> LogFile:
        """Look at a file once more, and return what it holds: when it was truncated, that is another generation."""
        try:
            file.look()
        except TruncatedError:
            self._search.truncated(trail, file)
        return trail.live or file

    def _look_at(self, trail: Trail, file: LogFile) -> None:
        """See whether a file has grown. When it has not, wait for its next write."""
        if file.content is None:
            self._reopen(trail, file)
            return
        file.far = self._slow.get(file.device, False)
        try:
            ready = file.look() or self._open.is_growing(file)
        except TruncatedError:
            self._search.truncated(trail, file)
        except OSError as error:
            self._open.shut(file)
            self._search.fail(trail, error)
        else:
            trail.searching |= file.stirred and file is trail.live
            file.stirred = False
            if ready:
                self._open.wake(file)
                self._enqueue(trail)
            elif file.quiet_since is None:
                file.quiet_since = self._clock()

    def _reopen(self, trail: Trail, file: LogFile) -> None:
        """Open a file again that was closed for a while, if it has changed or there is room, and prove it.

        As long as it is closed it is lost when it is deleted, so it is parked no longer than need be.
        """
        if file.failures:  # to unpack it up to where it was left takes long: a search does that in a thread
            if self._clock() >= file.not_before:
                self._search.lose(trail, file)
            return
        try:
            seen = os.stat(file.path)
            same = (seen.st_dev, seen.st_ino) == file.id
            parked = file is trail.live and same and seen.st_size == file.size and not (file.unseen or trail.trouble)
            if not (self._open.room if parked else self._open.make_room()):
                return
            proven = self._prove(file, same=same and file is trail.live)
        except (FileNotFoundError, NotADirectoryError):
            if file.gone:
                self._search.lose(trail, file)
            return  # else it is for the path's own look to say what became of it
        except (OSError, LogshipError) as error:
            self._search.fail(trail, error)
            return
        if proven:
            trail.trouble = ""
            self._open.enter(trail, file)
            self._enqueue(trail)
        else:
            self._search.lose(trail, file)

    def _prove(self, file: LogFile, *, same: bool) -> bool:
        """Open a file's path, and go on there if it is the file. Of an empty live one the inode is all we know."""
        body = self._open.open(file.path)
        try:
            if file.prove(body) or (same and not file.fingerprint().length):
                file.adopt(body)
                return True
        except BaseException:
            body.close()
            raise
        body.close()
        return False

    # Reading, and the end of it.

    def _enqueue(self, trail: Trail) -> None:
        if not trail.queued and trail.next():
            trail.queued = True
            self._queue.append(trail)

    def _read(self, trail: Trail) -> Chunk | None:
        file = trail.next()
        if file is None:
            return None
        try:
            began = self._clock()
            chunk = file.read()
            if self._clock() - began > _SLOW:
                self._slow[file.device] = True
        except TruncatedError:
            self._search.truncated(trail, file)
            self._wakeup.nudge(MISSING)
            return None
        except OSError as error:
            self._stumble(trail, file, error)
            return None
        if chunk:
            file.failures = 0
            self._count(chunk)
        if not file.ready:
            self._rest(trail, file)
        return chunk

    async def _fetch(self) -> None:
        """Read the next bytes in a thread, where they would keep us waiting: the loop has others to serve.

        In general they are in memory already, and a thread would cost more than the read.
        """
        file = self._queue[0].next() if self._queue else None
        if file is None or not self._is_slow(file):
            return
        fetch = None
        with contextlib.suppress(OSError):
            fetch = file.read_ahead()
        if fetch is not None:
            device, took = file.device, await asyncio.to_thread(_timed, fetch, self._clock)
            self._slow[device] = took > _SLOW / 2

    def _is_slow(self, file: LogFile) -> bool:
        """Tell whether to read in a thread. Where the system cannot say, the last read from that disk does."""
        waits = file.waits()
        if waits is None:
            return self._slow.get(file.device, file.behind > BLOCK)
        return waits or self._slow.get(file.device, False)

    def _stumble(self, trail: Trail, file: LogFile, error: OSError) -> None:
        """Close what could not be read, to open it again. A compressed file that stays damaged is given up."""
        damaged = file.content is not None and file.content.packed and error.errno == errno.EILSEQ
        self._open.shut(file)
        self._search.fail(trail, error)
        if damaged:
            file.failures += 1
            file.not_before = self._clock() + min(2.0**file.failures, self._timing.linger)
            if file.failures > _DAMAGED:
                self._search.abandon(trail, file)

    def _count(self, chunk: Chunk) -> None:
        size = chunk.end - chunk.start
        self._metrics.bytes_read.labels(chunk.source).inc(size)
        if not chunk.data and not chunk.oversized:
            self._metrics.nul_bytes.labels(chunk.source).inc(size)

    def _rest(self, trail: Trail, file: LogFile) -> None:
        """All is read for now. Wait for its next write, and where one follows another, look again in a moment.

        Or give the descriptor to a file that waits for one.
        """
        now = self._clock()
        seldom, file.read_at = now - file.read_at > _SELDOM, now
        if self._open.starved and not file.gone:
            self._open.shut(file)
            self._wakeup.nudge(SWEEP)
        elif seldom and self._wakeup.works:
            self._look_at(trail, file)
            if trail.searching:
                self._wakeup.nudge(MISSING)
        else:
            self._open.poll(trail, file, self._timing.poll)
            self._wakeup.nudge(SOON)

    def _retire(self, trail: Trail, file: LogFile) -> None:
        """Close a file that is over: its end was seen for long enough, and every line of it is settled."""
        if trail.dropped:
            if is_settled(file, self._ledger):
                self._register.saved.append(position(file, self._ledger, self._wall()))
                self._remove(trail, file)
        elif file.gone and file.content:
            if not file.ended and self._is_over(trail, file):
                file.ending = file.ready = True
                self._enqueue(trail)
            elif file.ended and not file.ready and is_settled(file, self._ledger):
                self._finish(trail, file)

    def _is_over(self, trail: Trail, file: LogFile) -> bool:
        if file.quiet_since is None:
            return False
        patience = _PATIENCE if file is trail.files[-1] else 1
        hurry = file.links and not self._open.room  # with a name it is found again, should it grow
        linger = _HURRY if hurry else self._timing.linger * patience
        return self._clock() - file.quiet_since >= linger

    def _finish(self, trail: Trail, file: LogFile) -> None:
        self._finished.put(replace(position(file, self._ledger, self._wall()), finished=True))
        trail.close(file)
        self._remove(trail, file)
        self._metrics.file_events.labels("closed").inc()
        log.info("file.closed", path=file.path, source=file.source, size=file.size)

    def _remove(self, trail: Trail, file: LogFile) -> None:
        self._open.leave(file)
        trail.remove(file)
        self._ledger.end(file.key)

    def _end_what_is_over(self) -> bool:
        """With ``once``: pass on the last words of rotated files that nobody has written to for long enough."""
        for trail in self._trails.values():
            for file in trail.files:
                if file.gone and file.content and not file.ended:
                    age = self._wall() - file.written / 1e9
                    file.ending = file.ready = age >= self._timing.linger
            self._enqueue(trail)
        return bool(self._queue)


def _timed(call: Callable[[], None], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began


def _identity(path: str) -> Id | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
