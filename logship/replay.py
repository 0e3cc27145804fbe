"""Send dead letters again. An entry leaves the file only when the API has accepted it.

    dead-letter.jsonl -- renamed --> dead-letter.replaying.jsonl -- a Destination --> accepted: gone
            ^                                                                              |
            +--------- appended and synced: refused again, not sent, not chosen -----------+

The file is moved aside first; a daemon that runs makes itself a new one. What is kept is back in that one, on disk,
before the part that was moved is emptied. So a crash at any instant leaves each entry in at least one of them, and may
leave one in both, or one that was accepted already: it is then sent a second time. Parts that a crash left behind are
taken up by the next replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from logship import deadletter
from logship.deadletter import LETTERS, DeadLetters
from logship.dispatcher.destination import Destination
from logship.errors import LogshipError, StateError
from logship.language.notations import meant
from logship.metrics import Metrics
from logship.records import Delivery, Event, Outcome, Span
from logship.settings.root import Settings

LOCK = "replay.lock"

_PART = re.compile(r"dead-letter\.replaying(?:\.(\d+))?\.jsonl")
_BATCH = 4 << 20  # bytes that are written back at a time
_LOOK_EVERY = 0.1  # seconds between two looks at whether to go on
_LAST_ANSWERS = 1.0  # seconds that requests to a destination which is set up wrong are still given
_UNUSED_WITHIN = 2.0  # seconds that a daemon is given to close what was moved away under it

# Why an entry is not sent.
NOT_CHOSEN, TOO_OLD, NO_DESTINATION, UNUSABLE = "not chosen", "too old", "no destination", "unusable"
_UNSETTLED = "unsettled"

_TEXT, _MAPPING = (str,), (dict, type(None))
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "domain", "url", "user_agent", "client_ip"), _TEXT),
    **dict.fromkeys(("props", "revenue"), _MAPPING),
    "referrer": (str, type(None)),
    "interactive": (bool, type(None)),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One line of the dead letters. ``number`` counts the entries from 1; a torn line has no entry, and 0."""

    number: int
    line: bytes
    entry: Mapping[str, Any] | None


def parts(state_dir: Path) -> list[Path]:
    """Return what replays that were cut short have left, oldest first."""
    return sorted((each for each in state_dir.glob("dead-letter.replaying*") if _number(each)), key=_number)


def letters(state_dir: Path) -> Iterator[Letter]:
    """Yield every dead letter there is, oldest first, numbered as a replay counts them."""
    files = (*parts(state_dir), *deadletter.older(state_dir), state_dir / LETTERS)
    return _numbered(line for path in files for line in _lines(path))


@dataclass(slots=True)
class Survey:
    """What a replay would send, by destination, and what it would leave; ``torn`` lines are no entries."""

    send: Counter[str] = field(default_factory=Counter)
    stay: Counter[str] = field(default_factory=Counter)
    torn: int = 0


@dataclass(slots=True)
class Report:
    """How a replay ended.

    Attributes:
        accepted: entries that are gone from the file.
        refused: entries that were refused again, by destination, status and detail; they are kept.
        unsettled: chosen entries that were not settled when it was stopped; they are kept.
        stay: entries that were not sent, by reason; they are kept.
        dropped: how many of the accepted Plausible said it dropped.
        misconfigured: destinations that are set up wrong, and how; the replay ended there.
    """

    accepted: int = 0
    refused: Counter[tuple[str, int | None, str]] = field(default_factory=Counter)
    unsettled: int = 0
    stay: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    misconfigured: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every entry that was to be sent has been accepted."""
        return not (self.refused or self.unsettled or self.stay[NO_DESTINATION] or self.stay[UNUSABLE])


class Replay:
    """Sends entries again to the destinations of a configuration. `survey` it, then `run` it once.

    Args:
        settings: the configuration.
        to: the destination of all that is sent; None: each entry's own.
        numbers: the entries to send, as `letters` counts them; none: all.
        older: send what is older than ``max_event_age``, too.
        now: wall clock, epoch seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        to: str | None = None,
        numbers: Iterable[int] = (),
        older: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = {each.name: replace(each, when_full="wait") for each in settings.destinations}
        self._directory = settings.state_dir
        self._grace = settings.grace_period
        self._oldest = None if older else settings.max_event_age
        self._to = to
        self._numbers = frozenset(numbers)
        self._now = now
        self._fates: list[Outcome | str] = [NOT_CHOSEN]  # by an entry's number; text says why it stays
        self._refusals = _Refusals(self._directory / LETTERS)
        self._destinations: dict[str, Destination] = {}
        self._running: list[asyncio.Task[None]] = []
        self._misconfigured: dict[str, str] = {}

    # -- looking

    def survey(self) -> Survey:
        """Look at what there is, and change nothing.

        Raises:
            LogshipError: a destination or a number that is not there.
        """
        if self._to is not None and self._to not in self._settings:
            hint = meant(self._to, self._settings)
            raise LogshipError(f"--to {self._to}: there is no such destination{hint}; {self._known()}")
        found, last, homeless = Survey(), 0, dict[str, int]()
        for letter in letters(self._directory):
            last = max(last, letter.number)
            if letter.entry is None:
                found.torn += 1
                continue
            chosen = self._choose(letter)
            if isinstance(chosen, Delivery):
                found.send[chosen.destination] += 1
                continue
            found.stay[chosen] += 1
            if chosen == NO_DESTINATION:
                homeless.setdefault(str(letter.entry.get("destination")), letter.number)
        self._refuse_missing(last)
        self._refuse_homeless(homeless, found.stay[NO_DESTINATION])
        return found

    def chosen(self) -> Iterator[tuple[int, Delivery]]:
        """Yield what would be sent, with its number."""
        for letter in letters(self._directory):
            delivery = self._choose(letter)
            if isinstance(delivery, Delivery):
                yield letter.number, delivery

    def _choose(self, letter: Letter) -> Delivery | str:
        """Return what to send for an entry, or why it stays."""
        if letter.entry is None or (self._numbers and letter.number not in self._numbers):
            return NOT_CHOSEN
        event, at = _event(letter.entry.get("event")), letter.entry.get("event_time")
        if event is None or not isinstance(at, int | float | None):
            return UNUSABLE
        name = self._to or str(letter.entry.get("destination"))
        if name not in self._settings:
            return NO_DESTINATION
        if self._oldest is not None and at is not None and self._now() - at > self._oldest:
            return TOO_OLD
        # The span is the entry's place among the dead letters: by it an answer finds back to its entry.
        return Delivery(name, event, at, Span(0, letter.number, letter.number + 1, 1))

    def _refuse_missing(self, last: int) -> None:
        if missing := sorted(number for number in self._numbers if not 0 < number <= last):
            raise LogshipError(f"there is no entry {missing[0]}; `dead-letter list` shows {last}, counted from 1")

    def _refuse_homeless(self, homeless: Mapping[str, int], count: int) -> None:
        if homeless:
            name, number = next(iter(homeless.items()))
            told = (
                f"{count} of the entries (the first is {number}) were for a destination that is not configured: {name}"
            )
            raise LogshipError(f"{told}; name another with --to, or choose entries by number; {self._known()}")

    def _known(self) -> str:
        return f"configured: {', '.join(self._settings) or 'none'}"

    # -- sending

    async def run(self, *, stop: asyncio.Event | None = None, step: Callable[[str], None] = lambda _: None) -> Report:
        """Send, wait for every answer, and keep what was not accepted. ``stop``: end within the grace period.

        ``step`` is told each time that something has changed on disk, or that all answers are there.

        Raises:
            LogshipError: another replay is under way, or the disk refuses; no entry is lost.
        """
        with _alone(self._directory):
            try:
                moved = [(part, _size(part)) for part in _move_aside(self._directory, step)]
                await self._send(moved, stop or asyncio.Event())
                step("sent")
                return self._report(self._put_back(moved, step))
            except OSError as error:
                told = f"dead letters cannot be written: {error}; no entry is lost, those that were moved are still in"
                raise StateError(f"{told} dead-letter.replaying.jsonl: make room, and replay again") from error

    async def _send(self, moved: Sequence[tuple[Path, int]], stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(self._deliver(moved, tasks))
            halted = tasks.create_task(self._halted(stop))
            await asyncio.wait((delivering, halted), return_when=asyncio.FIRST_COMPLETED)
            delivering.cancel()
            halted.cancel()
            await asyncio.gather(*(each.stop(self._patience(name)) for name, each in self._destinations.items()))
            for each in self._running:
                each.cancel()

    def _patience(self, name: str) -> float:
        return min(self._grace, _LAST_ANSWERS) if name in self._misconfigured else self._grace

    async def _deliver(self, moved: Sequence[tuple[Path, int]], tasks: asyncio.TaskGroup) -> None:
        for letter in _numbered(line for part, end in moved for line in _lines(part, end)):
            chosen = self._choose(letter)
            if letter.entry is not None:
                self._fates.append(chosen if isinstance(chosen, str) else _UNSETTLED)
            if isinstance(chosen, Delivery):
                await self._destination(chosen.destination, tasks).add([chosen])
        for destination in self._destinations.values():
            await destination.stop(math.inf)

    def _destination(self, name: str, tasks: asyncio.TaskGroup) -> Destination:
        if name not in self._destinations:
            made = self._destinations[name] = Destination(
                self._settings[name],
                ack=self._ack,
                dead_letters=self._refusals,
                metrics=Metrics(),
                max_event_age=self._oldest,
                now=self._now,
            )
            self._running.append(tasks.create_task(made.run(), name=f"destination {name}"))
        return self._destinations[name]

    def _ack(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        for delivery in deliveries:
            if delivery.span is not None:
                self._fates[delivery.span.start] = outcome

    async def _halted(self, stop: asyncio.Event) -> None:
        """Return when to end before all is settled: told to, or a destination is set up wrong.

        A daemon would wait for somebody to set it right. Here somebody waits for the command.
        """
        while not stop.is_set() and not self._misconfigured:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
            for name, destination in self._destinations.items():
                status = destination.status()
                if status["cause"] == "misconfigured":
                    self._misconfigured[name] = status["last_error"]["reason"]

    # -- keeping

    def _put_back(self, moved: Sequence[tuple[Path, int]], step: Callable[[str], None]) -> Counter[Outcome | str]:
        """Append what was not accepted to the dead letters, part by part, and let go of the parts. Count the fates."""
        fates: Counter[Outcome | str] = Counter()
        last = 0
        for part, end in moved:
            with part.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for batch in _batches(self._kept(_numbered(_lines_of(file, end), last), fates)):
                    self._append(batch)
                    step("kept")
                last = fates.total()
                if late := file.read():  # by a daemon that had opened it before it was moved
                    self._append(late)
                    step("kept late ones")
                file.truncate(0)
                os.fsync(file.fileno())
                step("emptied")
            _remove_unused(part)
            step("removed")
        return fates

    def _kept(self, found: Iterable[Letter], fates: Counter[Outcome | str]) -> Iterator[bytes]:
        """Yield the lines that stay; what was refused again says why it was this time."""
        for letter in found:
            line = letter.line
            if letter.entry is not None:
                fate = self._fate(letter)
                fates[fate] += 1
                if fate is Outcome.DELIVERED:
                    continue
                if fate is Outcome.DEAD_LETTER:
                    line = json.dumps({**letter.entry, **self._refusals.why[letter.number]}).encode()
            yield line if line.endswith(b"\n") else line + b"\n"

    def _fate(self, letter: Letter) -> Outcome | str:
        if letter.number < len(self._fates):
            return self._fates[letter.number]
        chosen = self._choose(letter)  # never read: it was stopped before
        return chosen if isinstance(chosen, str) else _UNSETTLED

    def _append(self, data: bytes) -> None:
        path = self._directory / LETTERS
        _make(path)
        deadletter.append_lines(path, data)  # as they are, torn ones too

    def _report(self, fates: Counter[Outcome | str]) -> Report:
        stay = Counter({reason: fates[reason] for reason in (NOT_CHOSEN, TOO_OLD, NO_DESTINATION, UNUSABLE)})
        stay[TOO_OLD] += fates[Outcome.EXPIRED]  # while it waited
        return Report(
            accepted=fates[Outcome.DELIVERED],
            refused=Counter((why["destination"], why["status"], why["detail"]) for why in self._refusals.why.values()),
            unsettled=fates[_UNSETTLED],
            stay=stay,
            dropped=sum(each.status()["counts"].get("plausible_dropped", 0) for each in self._destinations.values()),
            misconfigured=self._misconfigured,
        )


class _Refusals(DeadLetters):
    """Takes what a destination gives up, and writes nothing: the entry still stands in the part it was read from."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.why: dict[int, dict[str, Any]] = {}  # by the entry's number, which its span bears
        self._same: dict[str, str] = {}

    def append_many(self, entries: Iterable[Mapping[str, object]]) -> None:
        """Remember why, and of the API's words, which are mostly the same, each only once."""
        for entry in entries:
            detail = str(entry["detail"])
            why = {name: entry[name] for name in ("time", "destination", "status")}
            self.why[int(str(entry["offset"]))] = {**why, "detail": self._same.setdefault(detail, detail)}


# Reading


def _numbered(lines: Iterable[bytes], last: int = 0) -> Iterator[Letter]:
    for line in lines:
        entry = _decode(line)
        last += entry is not None
        yield Letter(0 if entry is None else last, line, entry)


def _lines(path: Path, end: float = math.inf) -> Iterator[bytes]:
    """Yield the lines of a file that is perhaps not there, up to an offset, blank ones left out."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        yield from _lines_of(file, end)


def _lines_of(file: IO[bytes], end: float) -> Iterator[bytes]:
    while file.tell() < end and (line := file.readline()):
        if line.strip():
            yield line


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _event(written: object) -> Event | None:
    """Make an event of what was written; None when somebody has edited it into something that cannot be sent."""
    if not isinstance(written, dict):
        return None
    values = {name: written.get(name) for name in _TYPES}
    fit = all(isinstance(values[name], types) for name, types in _TYPES.items())
    return Event(**values) if fit else None  # type: ignore[arg-type]


# The files


@contextlib.contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Let one replay work at a time."""
    try:
        descriptor = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(f"state directory {state_dir} cannot be used: {error.strerror}") from error
    try:
        _take(descriptor, state_dir)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, state_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LogshipError(f"another replay is under way in {state_dir}; wait until it has ended") from error


def _number(path: Path) -> int:
    """Return the number of a part; 0 for what is none."""
    match = _PART.fullmatch(path.name)
    return int(match[1] or 1) if match else 0


def _move_aside(state_dir: Path, step: Callable[[str], None]) -> list[Path]:
    """Move the dead letters away from under the daemon; return all parts, those that were left the first.

    Nothing is synced: after a power cut either name does.
    """
    found = parts(state_dir)
    for path in (*deadletter.older(state_dir), state_dir / LETTERS):
        number = max(map(_number, found), default=0) + 1
        new = state_dir / (f"dead-letter.replaying.{number}.jsonl" if number > 1 else "dead-letter.replaying.jsonl")
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, new)
            found.append(new)
            step("moved")
    return found


def _size(part: Path) -> int:
    """Return the size at a moment when nobody is writing."""
    with part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return os.fstat(file.fileno()).st_size


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    batch, size = [], 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= _BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _make(path: Path) -> None:
    """Make the file, if root is about to: a daemon that is not root must be able to append to it."""
    if os.geteuid() or path.exists():
        return
    new, owner = path.with_name("dead-letter.new"), path.parent.stat()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchown(descriptor, owner.st_uid, owner.st_gid)
    os.close(descriptor)
    with contextlib.suppress(FileExistsError):  # the daemon was quicker
        os.link(new, path)
    os.unlink(new)


def _remove_unused(part: Path) -> None:
    """Remove an empty part, unless a process still has it open to write: then it is left to the next replay.

    A daemon that opened the file before it was moved, and was suspended before it could lock it, would write to a file
    without a name. The kernel grants a read lease only where nobody has the file open for writing, and under its new
    name nobody opens it.
    """
    with part.open("rb") as file:
        patience = time.monotonic() + _UNUSED_WITHIN
        while _is_written_to(file) and time.monotonic() < patience:
            time.sleep(_LOOK_EVERY / 10)
        if not _is_written_to(file) and not os.fstat(file.fileno()).st_size:
            os.unlink(part)


def _is_written_to(file: IO[bytes]) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN  # else: a file system without leases
    return False
