"""Follow every file of every source; hand out chunks while there is room downstream.

Three things happen here, each in its own section below. *Looking* (a task of its own, so that it goes on while nobody
takes chunks): directories are scanned, paths and open files are looked at, and it is noted who has something to read.
*Searching*: what is not where it was left is looked for among the rotated siblings, before anything starts from zero.
*Reading*: one chunk a turn, round robin over logs; within a log the oldest generation first.

Polling makes it right: every file once a second, every directory every ten. Events only make it fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import glob
import math
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import structlog

from logship.metrics import Metrics
from logship.progress.checkpoint import Position
from logship.progress.fingerprint import HEAD, Fingerprint
from logship.progress.ledger import Ledger
from logship.records import Chunk
from logship.source import content, paths, siblings
from logship.source import file as files
from logship.source.file import LogFile, TruncatedError
from logship.source.paths import Followed, Match
from logship.source.quest import Quest, Wanted
from logship.source.siblings import Id, Sibling
from logship.source.watch import EVERYTHING, Wakeup

__all__ = ["Followed", "Tailer", "Timing"]

log = structlog.get_logger(__name__)

_KEEP = 7 * 86400.0  # seconds (wall) that a position is kept for a file that is not there: a disk may be mounted again
_PATIENCE = 10  # a file without a successor may still be written: it is held this many times longer
_EVENT_GAP = 0.1  # seconds between two scans that events ask for: a flood of files must not cost more than that
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_SWEEP, _SOON = "sweep", "soon"  # tokens of our own: look at everything, or only ask again how long to wait


@dataclass(frozen=True, slots=True)
class Timing:
    """When to look; all in seconds.

    Attributes:
        poll: until a file that has just been read is looked at again; doubles where events do not work.
        sweep: between two looks at every file.
        scan: between two scans of the directories.
        linger: how long the end of a rotated file must have been seen before it is closed.
    """

    poll: float = 0.005
    sweep: float = 1.0
    scan: float = 10.0
    linger: float = 60.0


_TIMING = Timing()


@dataclass(slots=True)
class _Opened:
    """What lies at a log's path, where reading starts, and the saved position that it proved."""

    content: content.Plain
    id: Id
    offset: int
    saved: Position | None = None

    def fingerprint(self) -> Fingerprint:
        """Return its fingerprint: a sibling with the same one is a copy."""
        return Fingerprint.of(self.content.pread(HEAD, 0))


@dataclass(slots=True)
class _Lost:
    """A generation whose bytes are not where they were. ``file``: it was being read; None: it was saved."""

    position: Position
    file: LogFile | None = None
    since: float = 0.0

    def wanted(self) -> Wanted:
        """Return what a quest needs to know."""
        saved = self.position
        proof = self.file.proof() if self.file else (saved.offset, saved.fingerprint, saved.anchor)
        return Wanted(proof, (saved.device, saved.inode), saved.seen)


@dataclass(slots=True, eq=False)
class _Log:
    """One log as the configuration sees it: a path, and its generations, oldest first, the live one last.

    Attributes:
        lost: generations to be searched for.
        heads: fingerprints of generations that were ours.
        known: siblings when listed last; None: never listed.
        named: siblings that the configuration names itself, not read yet.
        elsewhere: directories that generations were moved to.
        since: when it was looked for in vain (epoch seconds), so that siblings which are younger are unread.
        searching: a search is due or under way; what is older comes first, so the live file waits for it.
        skip: what the file holds when it is first opened was there before its source was: start at its end.
        dropped: no source means it any more; what was read is settled, and no more is read.
        trouble: why the live file cannot be followed at present.
    """

    path: str
    source: Followed
    files: list[LogFile] = field(default_factory=list)
    live: LogFile | None = None
    saved: list[Position] = field(default_factory=list)
    lost: list[_Lost] = field(default_factory=list)
    heads: deque[Fingerprint] = field(default_factory=lambda: deque(maxlen=64))
    known: dict[Id, Fingerprint] | None = None
    named: set[Id] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    since: float | None = None
    searching: bool = False
    queued: bool = False
    dropped: bool = False
    skip: bool = False
    trouble: str = ""

    def next(self) -> LogFile | None:
        """Return the oldest generation that has something to read."""
        if self.searching or self.dropped:
            return None
        return next((each for each in self.files if each.ready), None)

    def add(self, file: LogFile) -> None:
        """Take in a generation: behind the other old ones, before the live one."""
        self.files.insert(len(self.files) - (1 if self.live else 0), file)

    def ours(self) -> list[Fingerprint]:
        """Return the fingerprints of all generations that are or were ours."""
        now = [each.fingerprint() for each in self.files]
        gone = [each.file.fingerprint() if each.file else each.position.fingerprint for each in self.lost]
        return [*self.heads, *now, *gone]


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
        positions = list(positions)
        self.ready = asyncio.Event()
        self._sources = tuple(sources)
        self._seen = set(seen)
        self._metrics = metrics
        self._ledger = ledger
        self._wakeup = wakeup
        self._once = once
        self._timing = timing
        self._clock = clock
        self._wall = wall
        self._keys = count(1)
        self._logs: dict[str, _Log] = {}
        self._by_id: dict[Id, tuple[_Log, LogFile]] = {}
        self._by_token: dict[str, tuple[_Log, LogFile]] = {}
        self._active: dict[LogFile, tuple[_Log, float, float]] = {}  # look again at, and after which pause
        self._queue: deque[_Log] = deque()
        self._finished = {(each.device, each.inode): each for each in positions if each.finished}
        self._saved = [each for each in positions if not each.finished]
        self._troubles: dict[str, str] = {}
        self._swept = self._scanned = -math.inf
        self._scan_cost = 0.0
        self._directories: set[str] = set()  # to be watched
        self._looked = -math.inf  # epoch seconds of the last scan
        self._moved = False  # a directory's event has asked for a scan
        self._starved = False  # some file waits for a descriptor
        self._more = asyncio.Event()
        self._stopping = False

    # The outside.

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
        self._sweep()
        await self._search()

    def take(self) -> Chunk | None:
        """Read the next chunk of what was seen to be there. None: no log had one in its turn."""
        for _ in range(len(self._queue)):
            each = self._queue.popleft()
            each.queued = False
            chunk = self._read(each)
            self._enqueue(each)
            if chunk:
                return chunk
        return None

    def apply(self, sources: Sequence[Followed]) -> None:
        """Follow these sources from now on. Open files and offsets live on."""
        self._sources = tuple(sources)
        self._scanned = -math.inf
        self._wakeup.nudge()

    def stop(self) -> None:
        """Make `chunks` end promptly."""
        self._stopping = True
        self._more.set()

    def close(self) -> None:
        """Close every file. `positions` are not to be had any more."""
        for each in self._logs.values():
            for file in each.files:
                self._forget(file)

    @property
    def sources(self) -> frozenset[str]:
        """Names of the sources that were ever seen, for the checkpoint."""
        return frozenset(self._seen)

    def positions(self) -> list[Position]:
        """Return where reading resumes, of every file that is known, at the ledger's watermarks."""
        now = self._wall()
        found = [each for each in self._saved if now - each.seen < _KEEP]
        for each in self._logs.values():
            found += each.saved
            found += [self._position(lost.file, now) if lost.file else lost.position for lost in each.lost]
            found += [self._position(one, now) for one in each.files]
        return found + list(self._finished.values())

    def status(self) -> list[dict[str, object]]:
        """Describe every file, and every path that cannot be followed and why."""
        described = [self._describe(each, one) for each in self._logs.values() for one in each.files]
        troubles = {**self._troubles, **{each.path: each.trouble for each in self._logs.values() if each.trouble}}
        followed = {each.path for each in self._logs.values() if each.live}
        return described + [
            {"source": self._owner_of(path), "path": path, "state": "unreadable", "error": text}
            for path, text in troubles.items()
            if path not in followed
        ]

    # Looking: who is there, and who has something to read.

    async def _as_it_comes(self) -> AsyncGenerator[Chunk]:
        watcher = asyncio.create_task(self._watch(), name="tailer: looking")
        watcher.add_done_callback(lambda _: self._more.set())
        try:
            while not self._stopping:
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
        everything = EVERYTHING in noticed
        moved = any(token.startswith("/") for token in noticed)
        self._moved |= moved
        scanning = everything or self._clock() >= self._next_scan()
        if scanning:
            await self._scan()
        now = self._clock()
        if scanning or moved or _SWEEP in noticed or now >= self._swept + self._timing.sweep:
            self._sweep()
        due = [self._by_token[token] for token in noticed & self._by_token.keys()]
        due += [(each, file) for file, (each, at, _) in self._active.items() if at <= now]
        for each, file in due:
            self._look_at(each, file)
        await self._search()

    def _next_scan(self) -> float:
        """Return when to scan: soon after a directory's event, but never so often that scans fill the time."""
        gap = max(_EVENT_GAP, 20 * self._scan_cost) if self._moved else self._timing.scan
        return self._scanned + min(gap, self._timing.scan)

    def _until_due(self) -> float:
        active = min((at for _, at, _ in self._active.values()), default=math.inf)
        return max(min(self._next_scan(), self._swept + self._timing.sweep, active) - self._clock(), 0.0)

    async def _scan(self) -> None:
        """Find what the sources mean by now. In a thread: a directory may be large, or far away."""
        sources, start, looked = self._sources, self._clock(), self._wall()
        self._moved = False
        self._wakeup.watch_directories(self._directories)  # before looking: what comes while we look tells of itself
        known = {each.path: each.known for each in self._logs.values() if each.known is not None}
        found, grown = await asyncio.to_thread(_survey, sources, known)
        for path in grown & self._logs.keys():
            self._logs[path].searching = True  # whatever the live file looks like, something has been rotated
        if new := found.directories - self._directories:
            self._moved = True  # look again: between looking and watching something may have come
            log.debug("directories.found", directories=len(new))
        self._directories = found.directories
        self._wakeup.watch_directories(found.directories)
        self._scanned = self._clock()
        self._scan_cost = self._scanned - start
        self._metrics.watch_degraded.set(self._wakeup.degraded)
        if sources is self._sources:
            self._meet(found)
            self._looked = looked
        if self._finished:
            await self._revisit()

    def _meet(self, found: paths.Found) -> None:
        """Compare what is there with what is followed. Nothing is let go because a scan did not see it."""
        self._report(found.troubles)
        order = sorted(found.matches, key=lambda each: len(os.path.basename(each.path)))
        for match in order:  # shorter names first: a live log before its siblings
            self._meet_one(match)
        for path in self._literal() - self._logs.keys() - found.troubles.keys():
            self._missing(path)
        self._meet_saved()
        for each in self._logs.values():
            self._assign(each)
            # Where nothing is, something may have come and gone between two looks.
            each.searching |= bool(each.lost) or not (each.live or each.dropped or each.trouble)
        self._seen.update(each.name for each in self._sources)

    def _meet_one(self, match: Match) -> None:
        if match.path in self._logs or (match.id in self._by_id and not self._has_moved(match)):
            return
        parent = self._parent(match.path)
        if parent is None:
            skip = match.source.name not in self._seen and match.source.start_at == "end"
            since = None if math.isinf(self._looked) else self._looked
            self._logs[match.path] = _Log(match.path, match.source, skip=skip, since=since)
        elif not parent.skip and match.id not in (parent.known or ()) and match.id not in self._finished:
            parent.named.add(match.id)
            parent.searching = True

    def _has_moved(self, match: Match) -> bool:
        """Tell whether a file that we read has a new name that is a log of its own, and its old name is not there."""
        each, file = self._by_id[match.id]
        renamed = file.gone or not os.path.lexists(each.path)
        return renamed and not paths.is_rotated(os.path.basename(match.path), os.path.basename(each.path))

    def _parent(self, path: str) -> _Log | None:
        """Return the log that a path is a rotated sibling of, if that one is followed, too."""
        directory, name = os.path.split(path)
        for origin in paths.origins(name):
            parent = self._logs.get(os.path.join(directory, origin))
            if parent and paths.is_rotated(name, origin):
                return parent
        return None

    def _meet_saved(self) -> None:
        """Give saved positions to their logs, also to one whose file is not there: it was rotated meanwhile."""
        rest = []
        for each in self._saved:
            home = self._home(each)
            if home:
                home.saved.append(each)
                home.searching = True
            else:
                rest.append(each)
        self._saved = rest

    def _home(self, position: Position) -> _Log | None:
        """Return the log that a saved position belongs to: by its path, or by the name that it was rotated from."""
        if position.path in self._logs:
            return self._logs[position.path]
        directory, name = os.path.split(position.path)
        for path in (position.path, *(os.path.join(directory, each) for each in paths.origins(name))):
            owner = self._logs.get(path) or self._missing(path)
            if owner:
                return owner
        names = set(paths.origins(name))
        return next(
            (
                each
                for each in self._logs.values()
                if each.source.name == position.source and os.path.basename(each.path) in names
            ),
            None,
        )

    def _missing(self, path: str) -> _Log | None:
        """Make the log of a path that is configured, but not there."""
        owner = next((each for each in self._sources if paths.owns(each, path)), None)
        if owner is None or os.path.lexists(path):
            return None
        made = self._logs[path] = _Log(path, owner, searching=True)
        return made

    def _literal(self) -> set[str]:
        """Return the paths that the configuration names without a glob."""
        return {os.path.abspath(each) for source in self._sources for each in source.path if not glob.has_magic(each)}

    def _assign(self, each: _Log) -> None:
        """Give a log to the first source that means it; none: it is dropped, and forgotten when all is settled."""
        owner = next((source for source in self._sources if paths.owns(source, each.path)), None)
        each.dropped = owner is None
        if owner and owner is not each.source:
            each.source = owner
            for file in each.files:
                file.assign(owner.name, owner.cut)
        if owner:
            self._enqueue(each)

    def _sweep(self) -> None:
        """Look at every path and every open file."""
        self._swept = self._clock()
        self._starved = False
        for each in list(self._logs.values()):
            if not each.dropped:
                self._trace(each)
            for file in list(each.files):
                self._look_at(each, file)
                self._retire(each, file)
            if self._is_forgotten(each):
                del self._logs[each.path]
        self._measure()

    def _trace(self, each: _Log) -> None:
        """See who is at the path now."""
        try:
            seen = os.stat(each.path)
            content.refuse(each.path, seen)
        except (FileNotFoundError, NotADirectoryError):
            self._depart(each, successor=False)
            each.trouble = ""
            return
        except (OSError, content.UnusableFileError) as error:
            self._fail(each, error)
            return
        there = (seen.st_dev, seen.st_ino)
        if each.live and each.live.id == there:
            return
        other = self._by_id.get(there)
        if other:
            self._welcome_back(each, *other)
            return
        self._depart(each, successor=True)
        each.searching = True

    def _welcome_back(self, each: _Log, other: _Log, file: LogFile) -> None:
        """Meet a file that is open already: renamed back, renamed to this path, or here by a second name."""
        if other is not each and other.live is file and os.path.exists(other.path) and not file.gone:
            with contextlib.suppress(OSError):
                seen = os.stat(other.path)
                if (seen.st_dev, seen.st_ino) == file.id:
                    return  # a second name; the first source that found it has it
        self._depart(each, successor=True)
        other.files.remove(file)
        if other.live is file:
            other.live = None
        each.files.append(file)
        each.live = file
        file.path, file.gone, file.ending = each.path, "", False
        file.assign(each.source.name, each.source.cut)
        self._register(each, file)

    def _depart(self, each: _Log, *, successor: bool) -> None:
        """Let the live file become an old generation: it has been renamed, replaced or deleted."""
        file = each.live
        if file is None:
            return
        with contextlib.suppress(OSError, TruncatedError):
            file.look()
        file.gone = "rotated" if file.links else "replaced" if successor else "deleted"
        each.live = None
        self._metrics.forget_file(file.source, file.path)
        moved = files.link_of(file.content) if file.content else None
        if moved:
            file.path = moved
            each.elsewhere.add(os.path.dirname(moved))
        if file.content is None:
            self._lose(each, file)
        self._metrics.file_events.labels(file.gone).inc()
        log.info(f"file.{file.gone}", path=each.path, now=moved, source=file.source, unread_bytes=file.behind)

    def _look_at(self, each: _Log, file: LogFile) -> None:
        """See whether a file has grown. When it has not, wait for its next write; or poll it where that cannot be."""
        if file.content is None:
            self._reopen(each, file)
            return
        try:
            ready = file.look() or self._is_ready_after_arming(file)
        except TruncatedError:
            self._truncated(each, file)
        except OSError as error:
            self._shut(file)
            self._fail(each, error)
        else:
            each.searching |= file.stirred and file is each.live
            file.stirred = False
            if ready:
                self._active.pop(file, None)
                self._enqueue(each)
            elif file.quiet_since is None:
                file.quiet_since = self._clock()

    def _is_ready_after_arming(self, file: LogFile) -> bool:
        """Arm a quiet file, and look again: what was written before the watch was set gives no event."""
        if file.content is None or file.content.packed:
            return False
        if self._wakeup.watch_file(_token(file), file.content.fileno()):
            return bool(self._active.pop(file, None)) and file.look()
        if file in self._active:
            each, _, pause = self._active.pop(file)
            if pause * 2 < self._timing.sweep:
                self._active[file] = each, self._clock() + pause * 2, pause * 2
        return False

    def _enqueue(self, each: _Log) -> None:
        if not each.queued and each.next():
            each.queued = True
            self._queue.append(each)

    # Searching: what is not where it was left.

    async def _search(self) -> None:
        """Carry out the searches that are due, each followed by opening the live file."""
        due = [each for each in list(self._logs.values()) if each.searching]
        listing = siblings.Listing()
        for each in due:
            opened = self._open_live(each)
            if each.trouble and not each.lost:
                each.searching = False
                continue
            quest = self._quest(each, opened)
            await asyncio.to_thread(quest.go, listing)
            self._conclude(each, opened, quest)
            self._enqueue(each)
        if due:
            self._measure()

    def _open_live(self, each: _Log) -> _Opened | None:
        """Open what lies at the path, and find where to resume. What was saved and is not proved by it is lost."""
        opened = None
        if not each.live:
            try:
                opened = self._opened(each, self._open(each.path))
                each.trouble = ""
            except (FileNotFoundError, NotADirectoryError):
                each.trouble = ""
            except (OSError, content.UnusableFileError) as error:
                self._fail(each, error)
                return None  # perhaps it is the very file that was saved: not lost before it can be read
        if opened and opened.saved and not opened.saved.offset:
            each.since = opened.saved.seen  # it was empty; perhaps it was filled and emptied meanwhile
        now = self._clock()
        each.lost += [_Lost(saved, since=now) for saved in each.saved if not opened or saved is not opened.saved]
        each.saved = []
        return opened

    def _opened(self, each: _Log, body: content.Plain) -> _Opened:
        seen = body.stat()
        there = (seen.st_dev, seen.st_ino)
        candidates = [*each.saved, *([self._finished[there]] if there in self._finished else [])]
        for saved in candidates:
            same = (saved.device, saved.inode) == there
            if files.proves(body, (saved.offset, saved.fingerprint, saved.anchor)) or (same and not saved.offset):
                return _Opened(body, there, saved.offset, saved)
            if same and files.is_cut(body, seen.st_size, saved.offset, saved.fingerprint):
                return _Opened(body, there, seen.st_size, saved)
        for old in each.files[-1:]:
            if old.offset and not old.behind and old.prove(body):  # replaced by itself: a copy moved into its place
                return _Opened(body, there, old.offset)
        return _Opened(body, there, files.start_of_last_line(body, seen.st_size) if each.skip else 0)

    def _quest(self, each: _Log, opened: _Opened | None) -> Quest:
        elsewhere = each.elsewhere | {os.path.dirname(lost.position.path) for lost in each.lost}
        taken = {*self._by_id, *self._finished} | ({opened.id} if opened else set())
        ours = each.ours() + [one.fingerprint for one in self._finished.values()]
        return Quest(
            os.path.realpath(each.path),
            [os.path.dirname(each.path), *elsewhere],
            [one.wanted() for one in each.lost],
            taken,
            each.known,
            ours + ([opened.fingerprint()] if opened else []),
            set(each.named),
            each.since,
        )

    def _conclude(self, each: _Log, opened: _Opened | None, quest: Quest) -> None:
        """Take in what a quest has found, oldest first, then the live file."""
        each.searching = False
        each.lost, lost = [], each.lost
        entries: list[tuple[Sibling, _Lost | None, content.Content | None]] = [
            (one, None, None) for one in quest.unread
        ]
        for one, wanted in zip(lost, quest.wanted, strict=True):
            if wanted.found:
                entries.append((wanted.found[1], one, wanted.found[0]))
            elif self._is_hopeless(one, wanted.failed):
                self._give_up(each, one)
            else:
                each.lost.append(one)
        for sibling, missed, body in sorted(entries, key=lambda entry: entry[0].age()):
            self._take_in(each, sibling, missed, body)
        if not quest.failed:
            each.known = quest.listed
            each.named.clear()
        for sibling in quest.unusable:
            log.error("file.skipped", path=sibling.path, reason="compressed in a way that cannot be read, or damaged")
            self._metrics.file_events.labels("skipped").inc()
        if opened:
            self._go_live(each, opened)

    def _is_hopeless(self, lost: _Lost, failed: str) -> bool:
        """Tell whether to stop searching: a copy is there at once or never, but a saved file may be mounted again."""
        waited = self._clock() - lost.since
        if failed or not lost.file:
            return waited >= self._timing.linger and not (failed and self._once)
        return True

    def _give_up(self, each: _Log, lost: _Lost) -> None:
        file, saved = lost.file, lost.position
        if file is None:
            log.error("file.vanished", path=saved.path, offset=saved.offset, meaning="its unread rest, if any, is lost")
            self._metrics.file_events.labels("vanished").inc()
            return
        self._ledger.end(file.key)
        self._metrics.bytes_lost.labels(file.source, "truncated").inc(file.behind)
        if file.behind:
            log.error("file.bytes_lost", path=each.path, bytes=file.behind, meaning="truncated before they were read")

    def _take_in(self, each: _Log, sibling: Sibling, lost: _Lost | None, body: content.Content | None) -> None:
        """Read an old generation: where it was left, or from its beginning when nobody has read it."""
        try:
            body = body or content.open_any(sibling.path)
        except (OSError, content.UnusableFileError):
            each.named.add(sibling.id)  # renamed or unreadable: asked for again by the next search
            return
        seen = body.stat()
        if (seen.st_dev, seen.st_ino) in self._by_id:
            body.close()
            return
        if lost and lost.file:
            file = lost.file
            file.adopt(body)
            file.path = sibling.path
        else:
            offset = lost.position.offset if lost else 0
            file = LogFile(next(self._keys), each.source.name, sibling.path, body, offset, each.source.cut)
            self._ledger.begin(file.key, offset)
        file.gone = "rotated"
        each.add(file)
        self._register(each, file)
        event = "resumed" if lost else "opened"
        self._metrics.file_events.labels(event).inc()
        log.info(f"file.{event}", path=sibling.path, of=each.path, offset=file.offset, unread_bytes=file.behind)

    def _go_live(self, each: _Log, opened: _Opened) -> None:
        body, saved = opened.content, opened.saved
        if opened.id in self._by_id:
            body.close()
            return
        if saved:
            self._finished.pop(opened.id, None)
        file = LogFile(next(self._keys), each.source.name, each.path, body, opened.offset, each.source.cut)
        self._ledger.begin(file.key, opened.offset)
        each.files.append(file)
        each.live = file
        each.skip = False
        self._register(each, file)
        event = "resumed" if saved else "opened"
        self._metrics.file_events.labels(event).inc()
        log.info(f"file.{event}", path=each.path, source=file.source, offset=file.offset, unread_bytes=file.behind)

    def _truncated(self, each: _Log, file: LogFile) -> None:
        """Part with what was read: perhaps a copy of it is found. What is there now is another generation."""
        cut = file.begins_here()
        body = file.detach()
        self._metrics.file_events.labels("truncated").inc()
        log.warning("file.truncated", path=file.path, source=file.source, offset=file.offset, unread_bytes=file.behind)
        live, gone = each.live is file, file.gone
        place = each.files.index(file)
        self._lose(each, file)
        if body is None:
            return
        made = LogFile(next(self._keys), file.source, file.path, body, cut, each.source.cut)
        made.gone = gone
        self._ledger.begin(made.key, cut)
        each.files.insert(place, made)
        each.live = made if live else each.live
        self._register(each, made)

    def _lose(self, each: _Log, file: LogFile) -> None:
        position = self._position(file, self._wall())
        self._forget(file)
        each.files.remove(file)
        each.live = None if each.live is file else each.live
        if file.fingerprint().length:
            each.lost.append(_Lost(position, file, self._clock()))
        else:
            self._ledger.end(file.key)
        each.searching = True
        self._wakeup.nudge(_SWEEP)

    async def _revisit(self) -> None:
        """See what became of the finished files: gone ones are forgotten, and one that has grown is read on."""
        there = await asyncio.to_thread(_whereabouts, list(self._finished.values()))
        now = self._wall()
        for key, sibling in there.items():
            position = self._finished.get(key)
            if position is None or key in self._by_id:
                self._finished.pop(key, None)
            elif sibling is None:
                if now - position.seen > self._timing.linger:
                    del self._finished[key]
            elif sibling.size > position.offset and not sibling.packed:
                del self._finished[key]
                self._saved.append(replace(position, path=sibling.path, finished=False))
            else:
                self._finished[key] = replace(position, path=sibling.path, seen=now)
        self._meet_saved()

    # Reading, and the end of it.

    def _read(self, each: _Log) -> Chunk | None:
        file = each.next()
        if file is None:
            return None
        try:
            chunk = file.read()
        except TruncatedError:
            self._truncated(each, file)
            return None
        except OSError as error:
            self._shut(file)
            self._fail(each, error)
            return None
        if chunk:
            self._metrics.bytes_read.labels(file.source).inc(chunk.end - chunk.start)
        if not file.ready:
            self._rest(each, file)
        return chunk

    def _rest(self, each: _Log, file: LogFile) -> None:
        """All is read for now. Look again in a moment; or give the descriptor to a file that waits for one."""
        if self._starved and not file.gone:
            self._shut(file)
            self._wakeup.nudge(_SWEEP)
        elif file.content and not file.content.packed:
            pause = self._timing.poll
            self._active[file] = each, self._clock() + pause, pause
            self._wakeup.nudge(_SOON)

    def _retire(self, each: _Log, file: LogFile) -> None:
        """Close a file that is over: its end was seen for long enough, and every line of it is settled."""
        if each.dropped:
            if self._is_settled(file):
                self._saved.append(self._position(file, self._wall()))
                self._remove(each, file)
            return
        if not file.gone or file.content is None:
            return
        if not file.ended and self._is_over_for(each, file):
            file.ending = file.ready = True
            self._enqueue(each)
        if file.ended and not file.ready and self._is_settled(file):
            if file.links:
                self._finished[file.id] = replace(self._position(file, self._wall()), finished=True)
            each.heads.append(file.fingerprint())
            self._remove(each, file)
            self._metrics.file_events.labels("closed").inc()
            log.info("file.closed", path=file.path, source=file.source, size=file.size)

    def _is_over_for(self, each: _Log, file: LogFile) -> bool:
        if file.quiet_since is None:
            return False
        patience = _PATIENCE if file is each.files[-1] else 1
        return self._clock() - file.quiet_since >= self._timing.linger * patience

    def _end_what_is_over(self) -> bool:
        """With ``once``: pass on the last words of rotated files that nobody has written to for long enough."""
        for each in self._logs.values():
            for file in each.files:
                old = file.gone and file.content and not file.ended
                if old and file.content and self._wall() - file.content.stat().st_mtime >= self._timing.linger:
                    file.ending = file.ready = True
            self._enqueue(each)
        return bool(self._queue)

    def _is_settled(self, file: LogFile) -> bool:
        return self._ledger.watermark(file.key) >= file.offset and not self._ledger.unsettled(file.key)

    def _remove(self, each: _Log, file: LogFile) -> None:
        self._forget(file)
        each.files.remove(file)
        each.live = None if each.live is file else each.live
        self._ledger.end(file.key)
        self._metrics.forget_file(file.source, file.path)

    def _is_forgotten(self, each: _Log) -> bool:
        if each.files or each.lost or each.saved or each.searching:
            return False
        return each.dropped or (each.path not in self._literal() and not os.path.lexists(each.path))

    # Descriptors.

    def _open(self, path: str) -> content.Plain:
        """Open a file; when no descriptor is left, close one that lies idle."""
        try:
            return content.open_plain(path)
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            self._starved = True
            if not self._park():
                raise
        return content.open_plain(path)

    def _park(self) -> bool:
        """Close the file that has been quiet longest; it is opened, and proved, when it grows."""
        idle = [
            each.live
            for each in self._logs.values()
            if each.live and each.live.content and not each.live.ready and each.live.quiet_since is not None
        ]
        if idle:
            self._shut(min(idle, key=lambda file: file.quiet_since or 0.0))
        return bool(idle)

    def _reopen(self, each: _Log, file: LogFile) -> None:
        """Open a file again that was closed for a while, if it has changed, and prove it."""
        try:
            seen = os.stat(file.path)
            same = (seen.st_dev, seen.st_ino) == file.id
            if same and seen.st_size == file.size and not each.trouble:
                return
            body = self._open(file.path)
        except (FileNotFoundError, NotADirectoryError):
            if file.gone:
                self._lose(each, file)
            return  # else it is for the path's own look to say what became of it
        except (OSError, content.UnusableFileError) as error:
            self._fail(each, error)
            return
        if file.prove(body) or (same and not file.fingerprint().length):
            file.adopt(body)
            each.trouble = ""
            self._register(each, file)
            self._enqueue(each)
        else:
            body.close()
            self._lose(each, file)

    def _register(self, each: _Log, file: LogFile) -> None:
        self._by_id[file.id] = each, file
        self._by_token[_token(file)] = each, file
        if file.content and not file.content.packed:
            self._active[file] = each, self._clock(), self._timing.poll

    def _shut(self, file: LogFile) -> None:
        """Close a file's content, for now or for good. What is known of it stays."""
        self._wakeup.forget(_token(file))
        self._active.pop(file, None)
        file.close()

    def _forget(self, file: LogFile) -> None:
        """Close a file, and do not know it any more."""
        self._shut(file)
        self._by_token.pop(_token(file), None)
        if file.id in self._by_id and self._by_id[file.id][1] is file:
            del self._by_id[file.id]

    # What others see.

    def _position(self, file: LogFile, now: float) -> Position:
        offset, fingerprint, anchor = file.position_at(self._ledger.watermark(file.key))
        finished = file.ended and offset == file.offset
        return Position(
            file.source, file.path, file.device, file.inode, offset, fingerprint, anchor, now, finished=finished
        )

    def _fail(self, each: _Log, error: Exception) -> None:
        """Remember why a log cannot be read, and say so once. It is tried again every second."""
        text = getattr(error, "strerror", None) or str(error)
        if text != each.trouble:
            log.warning("file.unreadable", path=each.path, source=each.source.name, error=text)
        each.trouble = text
        each.skip = False  # what is in it then was not there to be skipped

    def _report(self, troubles: dict[str, str]) -> None:
        for path, text in troubles.items():
            if self._troubles.get(path) != text and (path not in self._logs or self._logs[path].trouble != text):
                log.warning("file.unreadable", path=path, source=self._owner_of(path), error=text)
        self._troubles = troubles

    def _measure(self) -> None:
        metrics, held, followed = self._metrics, 0, 0
        for each in self._logs.values():
            for file in each.files:
                metrics.file_behind.labels(file.source, file.path).set(file.behind)
                unsettled = file.offset - self._ledger.watermark(file.key)
                metrics.file_unsettled.labels(file.source, file.path).set(unsettled)
                held += file.size if file.content and not file.links else 0
                followed += file.content is not None
        troubled = {*self._troubles, *(each.path for each in self._logs.values() if each.trouble)}
        metrics.deleted_bytes_held.set(held)
        metrics.files_followed.set(followed)
        metrics.files_unreadable.set(len(troubled))

    def _describe(self, each: _Log, file: LogFile) -> dict[str, object]:
        described: dict[str, object] = {
            "source": file.source,
            "path": file.path,
            "size": file.size,
            "offset": file.offset,
            "settled": self._ledger.watermark(file.key),
            "behind": file.behind,
            "state": _state(each, file),
        }
        if file is each.live and each.trouble:
            described["error"] = each.trouble
        return described

    def _owner_of(self, path: str) -> str:
        return next((each.name for each in self._sources if paths.owns(each, path)), "")


def _state(each: _Log, file: LogFile) -> str:
    if file is each.live:
        return "unreadable" if each.trouble else "following"
    return "deleted" if not file.links else "draining"


def _token(file: LogFile) -> str:
    return f"file {file.key}"


def _survey(sources: Sequence[Followed], known: dict[str, dict[Id, Fingerprint]]) -> tuple[paths.Found, set[str]]:
    """Find what the sources mean, and the logs that have a sibling they did not have when listed last."""
    found, listing, grown = paths.find(sources), siblings.Listing(), set()
    for path, ids in known.items():
        with contextlib.suppress(OSError):
            if listing.has_more(os.path.realpath(path), {inode for _, inode in ids}):
                grown.add(path)
    return found, grown


def _whereabouts(positions: list[Position]) -> dict[Id, Sibling | None]:
    """Return where finished files are now, in the directories where they were; what cannot be told is left out."""
    listing, found = siblings.Listing(), {}
    for each in positions:
        with contextlib.suppress(OSError):
            there = [*listing.with_inode(each.inode, [os.path.dirname(each.path)])]
            found[each.device, each.inode] = there[0] if there else None
    return found
