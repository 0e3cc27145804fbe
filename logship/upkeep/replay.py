"""Send dead letters again. An entry leaves the file only when the API has accepted it.

    dead-letter.jsonl -- renamed --> dead-letter.replaying.jsonl -- a Destination --> accepted: gone
            ^                                                                              |
            +--------- appended and synced: refused again, not sent, not chosen -----------+

The file is moved aside first (`aside`); a running daemon begins a new one. A crash at any instant loses no entry. It
may leave an entry twice, or one that was accepted already: the next replay takes up what was left, and sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from logship.deadletter import LETTERS, DeadLetters
from logship.dispatcher.destination import Destination
from logship.errors import StateError
from logship.metrics import Metrics
from logship.records import Delivery, Outcome
from logship.settings.root import Settings
from logship.upkeep import aside
from logship.upkeep.letters import Letter, lines, numbered
from logship.upkeep.selection import NO_DESTINATION, NOT_CHOSEN, TOO_OLD, UNUSABLE, Selection

_LOOK_EVERY = 0.1  # seconds between two looks at whether to go on
_LAST_ANSWERS = 1.0  # seconds that requests under way to a misconfigured destination are still given
_UNSETTLED = "unsettled"


@dataclass(slots=True)
class Report:
    """How a replay ended.

    Attributes:
        accepted: entries that are gone from the file.
        refused: entries that were refused again, by destination, status and detail; they are kept.
        unsettled: chosen entries that were not settled when it was stopped; they are kept.
        stay: entries that were not sent, by reason; they are kept.
        dropped: accepted entries that Plausible said it dropped.
        misconfigured: what is wrong with destinations that are misconfigured; the replay ended there.
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
    """Sends dead letters again, to the destinations of a configuration. `run` it once."""

    def __init__(self, settings: Settings, selection: Selection) -> None:
        self._settings = {each.name: replace(each, when_full="wait") for each in settings.destinations}
        self._directory = settings.state_dir
        self._grace = settings.grace_period
        self._selection = selection
        self._fates: list[Outcome | str] = [NOT_CHOSEN]  # by an entry's number; text says why it stays
        self._refusals = _Refusals(self._directory / LETTERS)
        self._destinations: dict[str, Destination] = {}
        self._running: list[asyncio.Task[None]] = []
        self._misconfigured: dict[str, str] = {}

    async def run(self, *, stop: asyncio.Event | None = None, step: Callable[[str], None] = lambda _: None) -> Report:
        """Send, wait for every answer, and keep what was not accepted.

        Args:
            stop: set it to end within the grace period.
            step: called each time something has changed on disk, and when all answers are there.

        Raises:
            LogshipError: another replay is under way, or the disk refuses; no entry is lost.
        """
        with aside.alone(self._directory):
            try:
                moved = [(part, aside.size(part)) for part in aside.move_aside(self._directory, step)]
                await self._send(moved, stop or asyncio.Event())
                step("sent")
                return self._report(self._put_back(moved, step))
            except OSError as error:
                raise StateError(
                    f"dead letters cannot be written: {error}; no entry is lost, those that were moved are still in "
                    "dead-letter.replaying.jsonl: make room, and replay again"
                ) from error

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
        for letter in numbered(line for part, end in moved for line in lines(part, end)):
            chosen = self._selection.choose(letter)
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
                max_event_age=self._selection.oldest,
                now=self._selection.now,
            )
            self._running.append(tasks.create_task(made.run(), name=f"destination {name}"))
        return self._destinations[name]

    def _ack(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        for delivery in deliveries:
            if delivery.span is not None:
                self._fates[delivery.span.start] = outcome

    async def _halted(self, stop: asyncio.Event) -> None:
        """Return as soon as sending is to end early: when told to stop, or when a destination is misconfigured.

        A daemon waits until somebody fixes the configuration. Here somebody is waiting for the command.
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
        """Put back what was not accepted, part by part. Count the fates."""
        fates: Counter[Outcome | str] = Counter()

        def kept(lines: Iterator[bytes]) -> Iterator[bytes]:
            return self._kept(numbered(lines, fates.total()), fates)

        for part, end in moved:
            aside.put_back(part, end, kept, step)
        return fates

    def _kept(self, found: Iterable[Letter], fates: Counter[Outcome | str]) -> Iterator[bytes]:
        """Yield the lines that stay. An entry that was refused again says why it was refused this time."""
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
        chosen = self._selection.choose(letter)  # not reached before the stop
        return chosen if isinstance(chosen, str) else _UNSETTLED

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
        self.why: dict[int, dict[str, Any]] = {}  # by the entry's number, which is in its span
        self._same: dict[str, str] = {}

    def append_many(self, entries: Iterable[Mapping[str, object]]) -> None:
        """Remember why each was refused. The API's words are mostly the same, so each text is kept once."""
        for entry in entries:
            detail = str(entry["detail"])
            why = {name: entry[name] for name in ("time", "destination", "status")}
            self.why[int(str(entry["offset"]))] = {**why, "detail": self._same.setdefault(detail, detail)}
