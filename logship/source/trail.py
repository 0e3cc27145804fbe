"""One log as the configuration sees it: a path, and the generations of files that were found there. State only.

A rotated generation stays with the path that it was written under, wherever it was moved to, so that what is older is
read first and a search knows where to begin.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice, takewhile
from operator import itemgetter

from logship.progress.checkpoint import Position
from logship.progress.fingerprint import HEAD, Anchor, Fingerprint
from logship.progress.ledger import Ledger
from logship.source import paths
from logship.source.census import Generation
from logship.source.file import LogFile, Proof
from logship.source.paths import Followed
from logship.source.quest import Wanted
from logship.source.siblings import Id

_CLOSED = 64
"""Generations that are remembered: more than a rotation keeps, few enough to compare with all."""

_SEEN_GRAIN = 60.0
"""Seconds by which what is saved may be late to say that a log still lies where it was, with nothing else beside it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When to look; all in seconds.

    Attributes:
        poll: until a file that has just been read is looked at again; doubles where events do not work.
        sweep: between two looks at every file.
        scan: between two scans of the directories.
        linger: how long the end of a rotated file must have been seen before it is closed.
        rest: between two looks at a log that is at rest, where events tell of whatever happens to it.
    """

    poll: float = 0.005
    sweep: float = 1.0
    scan: float = 10.0
    linger: float = 60.0
    rest: float = 5.0


@dataclass(slots=True)
class Lost:
    """A generation whose bytes are not where they were.

    ``file``: it was being read; None: it was saved. ``successor``: what is there now, and is to be read after it.
    ``reached``: it was found, and what was saved of lines beyond the offset holds.
    """

    position: Position
    file: LogFile | None = None
    since: float = 0.0
    successor: LogFile | None = None
    reached: bool = False

    def wanted(self) -> Wanted:
        """Return what a quest needs to know."""
        saved = self.position
        proof = self.file.proof() if self.file else (saved.offset, saved.fingerprint, saved.anchor)
        return Wanted(proof, (saved.device, saved.inode), saved.seen, None if self.file else reach_of(saved))


@dataclass(slots=True, eq=False)
class Trail:
    """A path and its generations.

    Attributes:
        path: as configured, or as a glob found it; perhaps a link.
        files: generations that are being read, oldest first, the live one last.
        live: the one that lies at the path now.
        saved: positions from the checkpoint that are not compared with what is there yet.
        lost: generations to be searched for.
        closed: generations that were read to their end, by this process.
        known: siblings when listed last; None: never listed.
        listed_at: when that was (epoch seconds).
        rested: the live generation at the last listing of which everything is known, and its state then.
        named: siblings that the configuration names itself, not read yet.
        elsewhere: directories that generations were moved to.
        since: when the log was not there yet (epoch seconds), so that siblings which are younger are unread.
        looked: the last scan of which everything that it found here is known (epoch seconds).
        searching: a search is due or under way; what is older comes first, so the live file waits for it.
        crowded: its search waits for a descriptor; old generations are read meanwhile, for theirs are wanted.
        attempts: how many searches in a row have left something unread that could not be read; 0: all is known.
        skip: what the file holds when it is first opened was there before its source was: start at its end.
        dropped: no source means it any more; what was read is settled, and no more is read.
        queued: it waits for its turn to be read.
        trouble: why the live file cannot be followed at present.
        rests_until: when to look next (on the caller's clock), unless an event comes before.
    """

    path: str
    source: Followed
    files: list[LogFile] = field(default_factory=list)
    live: LogFile | None = None
    saved: list[Position] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    closed: list[Generation] = field(default_factory=list)
    known: dict[Id, Fingerprint] | None = None
    listed_at: float | None = None
    rested: tuple[LogFile, tuple[int, int]] | None = None
    named: frozenset[Id] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    since: float | None = None
    looked: float | None = None
    searching: bool = False
    crowded: bool = False
    attempts: int = 0
    skip: bool = False
    dropped: bool = False
    queued: bool = False
    trouble: str = ""
    rests_until: float = 0.0

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing here but a live generation that has been read: the rest needs to be looked after."""
        read = self.live is not None and self.live.is_read
        return read and len(self.files) == 1 and not (self.dropped or self.trouble)

    @property
    def real(self) -> str:
        """The path with its links resolved: rotated siblings lie beside the target, and are called after it."""
        return os.path.realpath(self.path)

    def next(self) -> LogFile | None:
        """Return the oldest generation that has something to read."""
        if self.dropped or (self.searching and not self.crowded):
            return None
        return next((each for each in self.files if each.ready and not (self.searching and each is self.live)), None)

    def add(self, file: LogFile, successor: LogFile | None = None) -> None:
        """Take in an old generation: before its successor, or behind the other old ones and before the live one."""
        self.rests_until = 0.0
        later = successor if successor in self.files else self.live
        self.files.insert(self.files.index(later) if later else len(self.files), file)

    def go_live(self, file: LogFile) -> None:
        """Take in what lies at the path now."""
        self.rests_until = 0.0
        self.files.append(file)
        self.live = file

    def remove(self, file: LogFile) -> None:
        """Let a generation go."""
        self.rests_until = 0.0
        self.files.remove(file)
        if self.live is file:
            self.live = None

    def assign(self, source: Followed) -> None:
        """Belong to a source, from the next line on."""
        self.source = source
        for file in self.files:
            file.assign(source.name, source.cut)

    def close(self, file: LogFile) -> None:
        """Remember a generation that was read to its end, to know its copies by what they begin with.

        One that is being made may not hold as much yet: that is looked for of the newest only, and takes a KiB.
        """
        older = [replace(each, head=b"") if len(each.head) == HEAD else each for each in self.closed[1 - _CLOSED :]]
        self.closed = [*older, generation(file, closed=True)]

    def reopen(self, saved: Position) -> None:
        """Forget that a generation was closed: it is read on."""
        there = (saved.device, saved.inode)
        same = (each for each in self.closed if each.id == there and each.fingerprint == saved.fingerprint)
        if found := next(same, None):
            self.closed.remove(found)


class Finished:
    """Positions of files that were read to their end: ``before``, by the process that saved them, and by this one."""

    def __init__(self) -> None:
        self._positions: dict[Id, list[Position]] = {}  # an inode may have been used again
        self._before: dict[Id, list[Position]] = {}
        self._names: list[tuple[str, Position]] | None = None  # of those before, in order

    def __iter__(self) -> Iterator[Position]:
        return chain.from_iterable([*self._before.values(), *self._positions.values()])

    def __bool__(self) -> bool:
        return bool(self._before or self._positions)

    def before_of(self, live: str) -> list[Position]:
        """Return those that were saved of a log with this name, and of what rotation made of it."""
        if self._names is None:
            saved = chain.from_iterable(self._before.values())
            self._names = sorted(((os.path.basename(each.path), each) for each in saved), key=itemgetter(0))
        stem = live.rpartition(".")[0] or live
        start = bisect_left(self._names, stem, key=itemgetter(0))
        alike = takewhile(lambda named: named[0].startswith(stem), islice(self._names, start, None))
        return [each for name, each in alike if paths.is_of(name, live) and each in self._before.get(_id(each), ())]

    def put(self, position: Position, *, saved: bool = False) -> None:
        """Remember a file."""
        kept = self._before if saved else self._positions
        self._names = None if saved else self._names
        kept.setdefault(_id(position), []).append(position)

    def renew(self, position: Position, now: Position) -> None:
        """Remember what is new about a file."""
        for kept in (self._before, self._positions):
            here = kept.get(_id(position), ())
            if position in here:
                self._names = None
                kept[_id(now)] = [now if each == position else each for each in here]
                return

    def drop(self, position: Position) -> None:
        """Forget a file."""
        for kept in (self._before, self._positions):
            here = kept.get(_id(position), [])
            if position in here:
                here.remove(position)
                if not here:
                    del kept[_id(position)]
                return

    def at(self, id_: Id) -> list[Position]:
        """Return what was finished under this device and inode: it may have been used again."""
        return [*self._before.get(id_, ()), *self._positions.get(id_, ())]


def _id(position: Position) -> Id:
    return position.device, position.inode


def generation(file: LogFile, *, closed: bool = False) -> Generation:
    """Return what tells a copy of this generation from another one."""
    size = file.offset if closed else None
    return Generation(file.id, file.fingerprint(), file.proof(), file.head, size=size, latest=file.written)


def position(file: LogFile, ledger: Ledger, now: float, last: Position | None = None) -> Position:
    """Return where reading of a generation resumes: where all before is settled, with what is settled beyond it.

    ``last`` is what was returned before, while the log was at rest: it is returned again for as long as it holds.
    """
    if last is not None and _holds(last, file, ledger, now):
        return last
    offset, fingerprint, anchor = file.position_at(ledger.watermark(file.key))
    finished = file.ended and offset == file.offset
    reach = ledger.reach(file.key)
    proof = file.anchor_at(reach.end) if reach.end > offset else None
    beyond = (reach, proof) if proof is not None else (None, None)
    return Position(file.source, file.path, *file.id, offset, fingerprint, anchor, now, finished, *beyond)


def _holds(last: Position, file: LogFile, ledger: Ledger, now: float) -> bool:
    """Tell whether a position says all there is to say of a file: nobody has read it since, and all is settled."""
    still = last.offset == file.offset and last.reach is None and last.finished == file.ended
    same = last.path == file.path and last.source == file.source and last.fingerprint is file.fingerprint()
    there = (last.device, last.inode) == file.id and abs(now - last.seen) < _SEEN_GRAIN
    return still and same and there and not ledger.unsettled(file.key) and ledger.known(file.key) is None


def reach_of(saved: Position) -> Proof | None:
    """Return what proves that what was saved of lines beyond the offset holds, too; None: nothing was."""
    if saved.reach is None or saved.reach_anchor is None:
        return None
    return saved.reach.end, saved.fingerprint, saved.reach_anchor


def unknown(trail: Trail) -> list[Position]:
    """Return, of a log that cannot be read at present, since when that is so, in the form of an empty file's position.

    It proves nothing; but after a restart it says which siblings are younger than what was known, and so unread.
    """
    since = trail.looked or trail.since
    known = trail.files or trail.saved or trail.lost
    if known or since is None or not (trail.trouble or trail.searching or trail.attempts):
        return []
    nothing = Fingerprint.of(b"")
    return [Position(trail.source.name, trail.path, 0, 0, 0, nothing, Anchor.of(b""), since)]


def is_settled(file: LogFile, ledger: Ledger) -> bool:
    """Tell whether every line that was read of it is settled."""
    return ledger.watermark(file.key) >= file.offset and not ledger.unsettled(file.key)
