"""One log as the configuration sees it: a path, and the generations of files that were found there. State only.

A rotated generation stays with the path that it was written under, wherever it was moved to, so that what is older is
read first and a search knows where to begin.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from logship.progress.checkpoint import Position
from logship.progress.fingerprint import Anchor, Fingerprint
from logship.progress.ledger import Ledger
from logship.source.census import Generation
from logship.source.file import LogFile, Proof
from logship.source.paths import Followed
from logship.source.quest import Wanted
from logship.source.siblings import Id

_CLOSED = 64
"""Generations that are remembered: more than a rotation keeps, few enough to compare with all."""


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
    """

    path: str
    source: Followed
    files: list[LogFile] = field(default_factory=list)
    live: LogFile | None = None
    saved: list[Position] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    closed: deque[Generation] = field(default_factory=lambda: deque(maxlen=_CLOSED))
    known: dict[Id, Fingerprint] | None = None
    listed_at: float | None = None
    rested: tuple[LogFile, tuple[int, int]] | None = None
    named: set[Id] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    since: float | None = None
    looked: float | None = None
    searching: bool = False
    crowded: bool = False
    attempts: int = 0
    skip: bool = False
    dropped: bool = False
    queued: bool = False
    trouble: str = ""

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
        later = successor if successor in self.files else self.live
        self.files.insert(self.files.index(later) if later else len(self.files), file)

    def go_live(self, file: LogFile) -> None:
        """Take in what lies at the path now."""
        self.files.append(file)
        self.live = file

    def remove(self, file: LogFile) -> None:
        """Let a generation go."""
        self.files.remove(file)
        if self.live is file:
            self.live = None

    def assign(self, source: Followed) -> None:
        """Belong to a source, from the next line on."""
        self.source = source
        for file in self.files:
            file.assign(source.name, source.cut)

    def reopen(self, saved: Position) -> None:
        """Forget that a generation was closed: it is read on."""
        there = (saved.device, saved.inode)
        same = (each for each in self.closed if each.id == there and each.fingerprint == saved.fingerprint)
        if found := next(same, None):
            self.closed.remove(found)


class Finished:
    """Positions of files that were read to their end: ``before``, by the process that saved them, and by this one."""

    def __init__(self) -> None:
        self._positions: list[Position] = []
        self._before: list[Position] = []

    def __iter__(self) -> Iterator[Position]:
        return iter([*self._before, *self._positions])

    def __len__(self) -> int:
        return len(self._before) + len(self._positions)

    @property
    def before(self) -> list[Position]:
        """Those that were saved."""
        return list(self._before)

    def put(self, position: Position, *, saved: bool = False) -> None:
        """Remember a file."""
        (self._before if saved else self._positions).append(position)

    def renew(self, position: Position, now: Position) -> None:
        """Remember what is new about a file."""
        for each in (self._before, self._positions):
            if position in each:
                each[each.index(position)] = now
                return

    def drop(self, position: Position) -> None:
        """Forget a file."""
        for each in (self._before, self._positions):
            if position in each:
                each.remove(position)
                return

    def at(self, id_: Id) -> list[Position]:
        """Return what was finished under this device and inode: it may have been used again."""
        return [each for each in self if (each.device, each.inode) == id_]


def generation(file: LogFile, *, closed: bool = False) -> Generation:
    """Return what tells a copy of this generation from another one."""
    size = file.offset if closed else None
    return Generation(file.id, file.fingerprint(), file.proof(), file.head, size=size, latest=file.written)


def position(file: LogFile, ledger: Ledger, now: float) -> Position:
    """Return where reading of a generation resumes: where all before is settled, with what is settled beyond it."""
    offset, fingerprint, anchor = file.position_at(ledger.watermark(file.key))
    finished = file.ended and offset == file.offset
    left = Position(file.source, file.path, file.device, file.inode, offset, fingerprint, anchor, now, finished)
    reach = ledger.reach(file.key)
    proof = file.anchor_at(reach.end) if reach.end > offset else None
    return replace(left, reach=reach, reach_anchor=proof) if proof is not None else left


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
