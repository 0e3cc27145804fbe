"""The whole path, put together: run a plan, apply a new one, stop in the order of the flow.

    tailer -> sieve -> ledger.open -> destination.add -> (lanes, verdicts) -> ack -> ledger.settle -> checkpoint

A plan is replaced between two chunks; what lives on stays here: open files and offsets (tailer), spans (ledger),
queues (destinations). The log file is the queue, so the one place where reading waits is `Destination.add`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import time
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence, Set
from typing import Any

import structlog

from logship.account import Account
from logship.admin.decisions import Judge, written_names
from logship.admin.tap import Tap
from logship.backlog import Sifting
from logship.deadletter import DeadLetters
from logship.dispatcher.destination import Destination
from logship.errors import ConfigError
from logship.metrics import Metrics
from logship.plan import Plan
from logship.progress.checkpoint import Checkpoint
from logship.progress.ledger import Ledger
from logship.records import Chunk, Delivery, Outcome
from logship.router import audience
from logship.router.scrutiny import Memory
from logship.saving import Saving
from logship.settings.destination import DestinationSettings
from logship.sieve.sieve import Sieve
from logship.sieve.sifted import Sifted
from logship.source.paths import Followed
from logship.source.tailer import Tailer
from logship.source.watch import Wakeup

log = structlog.get_logger(__name__)


class Pipeline:
    """A running plan. `run` returns when it was stopped, or with ``once`` when all there was has been delivered."""

    def __init__(
        self, plan: Plan, *, checkpoint: Checkpoint, dead_letters: DeadLetters, metrics: Metrics, once: bool = False
    ) -> None:
        self.plan = plan
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._once = once
        self._ledger = Ledger()
        metrics.dead_letter_bytes.set_function(lambda: float(dead_letters.size))
        metrics.oldest_unsettled.set_function(self._oldest_unsettled)
        self._stopping = asyncio.Event()
        self._memories: dict[str, Memory] = {}  # by source: what they remember of visitors outlives a reload
        self._sieves = self._make_sieves(plan)
        self._sifting = Sifting(lambda: self._sieves, lambda: self._tailer.behind, time.time, audience.prepare)
        self._destinations: dict[str, Destination] = {}
        self._retired: dict[str, Destination] = {}  # taken out by a reload; what still comes to them ends there
        self._running: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[asyncio.Task[None], str] = {}  # taken out, and may still send: to which address
        self._retiring: set[asyncio.Task[None]] = set()
        self._wakeup = Wakeup(events=not once)
        self._tailer = Tailer(
            self._followed(plan),
            positions=checkpoint.positions,
            seen=_seen(plan, checkpoint),
            metrics=metrics,
            ledger=self._ledger,
            wakeup=self._wakeup,
            once=once,
        )
        self._saving = Saving(checkpoint, self._tailer, self._ledger, metrics)
        self._account = Account(metrics)
        self.delivered = 0
        self.tap = Tap(time.monotonic)
        self.unsettled_at_stop = 0
        self.leaving = False  # whether all that is left to do is to save

    async def run(self) -> None:
        """Follow, sift, deliver and remember, until stopped. Raise what no stage could deal with."""
        with contextlib.closing(self._wakeup), contextlib.closing(self._tailer):
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._tasks = tasks
                    for settings in self.plan.settings.destinations:
                        self._start(settings, self._make(settings, self.plan))
                    saving = tasks.create_task(self._saving.run(), name="checkpoint")
                    feeding = tasks.create_task(self._feed(), name="feed")
                    await self._until_stopped(feeding)
                    await self._settle(feeding)
                    saving.cancel()
                    for task in (*self._running.values(), *self._leaving, *self._retiring):
                        task.cancel()
            except asyncio.CancelledError:
                if self.stopping:  # a second signal cuts the waiting short; what is settled is saved all the same
                    await self._save_at_last()
                raise
            await self._save_at_last()

    def stop(self) -> None:
        """Stop in the order of the flow: read no more, settle what is in flight within the grace period, save."""
        self._stopping.set()
        self._tailer.stop()

    def apply(self, plan: Plan) -> None:
        """Swap the plan between two chunks. Offsets, open files and queued events live on.

        Raise ConfigError if it cannot be activated (a certificate vanished since the check); the old plan stays.
        """
        wanted = {settings.name: settings for settings in plan.settings.destinations}
        sieves = self._make_sieves(plan)
        new = {name: self._make(each, plan) for name, each in wanted.items() if name not in self._destinations}
        self._change(wanted)
        # Chunks of a source that was taken out may still come until the tailer has looked: its old sieve takes them.
        self._sieves |= sieves
        self._sifting.renew()
        self._tailer.apply(self._followed(plan))
        for name in self._destinations.keys() - wanted.keys():
            self._retire(name)
        for destination in self._destinations.values():
            destination.max_event_age = plan.settings.max_event_age
        for name, destination in new.items():
            self._start(wanted[name], destination)
        self.plan = plan

    def _change(self, wanted: Mapping[str, DestinationSettings]) -> None:
        """Give destinations their new settings: all of them, or none."""
        old = {settings.name: settings for settings in self.plan.settings.destinations}
        changed: list[str] = []
        try:
            for name in self._destinations.keys() & wanted.keys():
                self._destinations[name].apply(wanted[name])
                changed.append(name)
        except ConfigError:
            for name in changed:
                with contextlib.suppress(ConfigError):
                    self._destinations[name].apply(old[name])
            raise

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stopping.is_set()

    @property
    def following(self) -> bool:
        """Whether every file has been looked for at least once."""
        return self._tailer.ready.is_set()

    @property
    def saved(self) -> bool:
        """Whether the last checkpoint reached the disk."""
        return self._saving.succeeded

    @property
    def ready(self) -> bool:
        """Whether files are followed and every destination can deliver, and no stop is under way."""
        able = all(each.status()["state"] == "ok" for each in self._destinations.values())
        return self.following and able and self.saved and not self.stopping

    def status(self) -> dict[str, Any]:
        """Tell what is going on, as JSON-able values: files, destinations, lines not settled."""
        return {
            "files": self._tailer.status(),
            "destinations": [destination.status() for destination in self._destinations.values()],
            "lines": {source: dict(counts) for source, counts in self._account.lines.items()},
            "reasons": self._account.reasons(),
            "unsettled_lines": self._ledger.unsettled(),
            "oldest_unsettled_seconds": self._oldest_unsettled(),
            "checkpoint_saved": self.saved,
        }

    def _oldest_unsettled(self) -> float:
        """Return for how many seconds the oldest unsettled line has waited since it was read."""
        read_at = self._ledger.oldest()
        return time.monotonic() - read_at if read_at is not None else 0.0

    @property
    def lines_read(self) -> int:
        """How many lines were read so far, of every source."""
        return self._account.lines_read

    def summary(self) -> str:
        """Say in one line how it goes, for the service manager."""
        lines = self._account.total()
        state = "stopping" if self.stopping else "delivering" if self.ready else "not ready"
        return f"{state}: {lines['read']} lines read, {lines['events']} events, {self._ledger.unsettled()} unsettled"

    # -- feeding: the one loop through which every line goes

    async def _feed(self) -> None:
        await self._sifting.feed(self._tailer.chunks(), self._take)

    async def _take(self, chunk: Chunk, sifted: Sifted) -> None:
        self._leave_out_settled(chunk, sifted)
        deliveries = self._open(chunk, sifted)
        self._account.enter(chunk, sifted, events=sum(map(len, deliveries.values())))
        if self.tap.listened:
            self._show(chunk, sifted)
        destinations = self._destinations  # of the plan that routed them: another may be applied while we wait
        for name, batch in deliveries.items():
            self._metrics.events_routed.labels(name).inc(len(batch))
            await (destinations.get(name) or self._retired[name]).add(batch)

    def _leave_out_settled(self, chunk: Chunk, sifted: Sifted) -> None:
        """Leave out what an earlier life has settled: it is read again only for a line before it that was not."""
        reach = self._ledger.known(chunk.file)
        if reach is None:
            return
        ends = [*(start for start, _ in sifted.survivors[1:]), chunk.end]
        left = [each for each, end in zip(sifted.survivors, ends, strict=False) if not reach.settles(each[0], end)]
        sifted.lines -= len(sifted.survivors) - len(left)
        sifted.survivors = left

    def _open(self, chunk: Chunk, sifted: Sifted) -> Mapping[str, Sequence[Delivery]]:
        """Open the spans of a chunk's survivors, before the first of their deliveries is queued."""
        parts = [(start, len(deliveries)) for start, deliveries in sifted.survivors]
        spans = self._ledger.open(chunk.file, chunk.start, chunk.end, parts, time.monotonic())
        by_destination: dict[str, list[Delivery]] = defaultdict(list)
        for span, (_, deliveries) in zip(spans, sifted.survivors, strict=True):
            span.path = chunk.path
            for delivery in deliveries:
                delivery.span = span
                by_destination[delivery.destination].append(delivery)
        return by_destination

    def _ack(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        if outcome is Outcome.DELIVERED:
            self.delivered += len(deliveries)
        self._ledger.settle([delivery.span for delivery in deliveries if delivery.span is not None])

    def _show(self, chunk: Chunk, sifted: Sifted) -> None:
        """Show some of a chunk's lines to those who asked for it."""
        source, parser = self.plan.sources.get(chunk.source), self._sieves[chunk.source].parser(chunk.path)
        if source is not None and parser is not None:
            age, rules = self.plan.settings.max_event_age, self.plan.rules.expanded
            oldest = time.time() - age if age is not None else None
            self.tap.show(chunk, Judge(parser, source.table, oldest, written_names(rules), sifted.doubted))

    # -- stopping

    async def _until_stopped(self, feeding: asyncio.Task[None]) -> None:
        """Wait until reading ends by itself (``once``), or until a stop, and then for the chunk at hand."""
        await _first(feeding, self._stopping.wait())

    async def _settle(self, feeding: asyncio.Task[None]) -> None:
        """Settle what is queued and in flight: within the grace period after a stop, all of it with ``once``."""
        destinations = [*self._destinations.values()]
        if not self._stopping.is_set():
            settling = asyncio.gather(*(each.stop(math.inf) for each in destinations))
            await _first(settling, self._stopping.wait())
            if settling.done():
                return
            settling.cancel()
        deadline = time.monotonic() + self.plan.settings.grace_period
        await asyncio.wait({feeding}, timeout=self.plan.settings.grace_period)
        feeding.cancel()
        left = max(0.0, deadline - time.monotonic())
        await asyncio.gather(_ended({*self._retiring}, left), *(each.stop(left) for each in destinations))
        self.unsettled_at_stop = self._ledger.unsettled()
        if self.unsettled_at_stop:
            log.warning(
                "stop.unsettled",
                lines=self.unsettled_at_stop,
                help="read and sent again at the next start; requests in flight may then be counted twice",
            )

    async def _save_at_last(self) -> None:
        self.leaving = True
        await self._saving.save()

    # -- what a plan needs around it

    def _make(self, settings: DestinationSettings, plan: Plan) -> Destination:
        return Destination(
            settings,
            ack=self._ack,
            dead_letters=self._dead_letters,
            metrics=self._metrics,
            max_event_age=plan.settings.max_event_age,
        )

    def _start(self, settings: DestinationSettings, destination: Destination) -> None:
        name = settings.name
        self._destinations = {**self._destinations, name: destination}
        before = {task for task, url in self._leaving.items() if url == settings.url and not task.done()}
        self._running[name] = self._tasks.create_task(_run_after(before, destination), name=f"destination {name}")

    def _retire(self, name: str) -> None:
        """End a destination that was taken out of the configuration, within the grace period."""
        destination, settings = self._destinations[name], self.plan.settings
        (url,) = (each.url for each in settings.destinations if each.name == name)
        self._leaving = {task: where for task, where in self._leaving.items() if not task.done()}
        self._leaving[self._running.pop(name)] = url
        self._destinations = {other: each for other, each in self._destinations.items() if other != name}
        self._retired[name] = destination
        seen_off = self._see_off(name, destination, settings.grace_period)
        retiring = self._tasks.create_task(seen_off, name=f"retire {name}")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _see_off(self, name: str, destination: Destination, grace: float) -> None:
        await destination.retire(grace, "destination removed from the configuration")
        if name not in self._destinations:  # else the figures are those of its successor
            destination.forget_gauges()

    def _make_sieves(self, plan: Plan) -> dict[str, Sieve]:
        age = plan.settings.max_event_age
        return {
            name: source.sieve(age, self._look_back, self._memories.setdefault(name, Memory()))
            for name, source in plan.sources.items()
        }

    def _look_back(self, file: int, at: int, size: int) -> bytes:
        """Read what stands in a file before the place where reading begins; nothing, if it cannot be read."""
        try:
            return self._tailer.read_back(file, at, size)
        except OSError as error:
            if error.errno == errno.EBADF:  # a second process, which has no files: this one is to do it
                raise
            return b""

    def _followed(self, plan: Plan) -> list[Followed]:
        return [source.followed(once=self._once) for source in plan.sources.values()]


async def _run_after(before: Set[asyncio.Task[None]], destination: Destination) -> None:
    """Run a destination once those have ended that send to the same address: one visitor's events go one at a time."""
    await _ended(before)
    await destination.run()


async def _ended(tasks: Set[asyncio.Task[None]], within: float | None = None) -> None:
    """Wait until tasks have ended, or for so many seconds."""
    if tasks:
        await asyncio.wait(tasks, timeout=within)


def _seen(plan: Plan, checkpoint: Checkpoint) -> frozenset[str]:
    """Return the sources whose files are read from their beginning, as ones that were followed before.

    When the checkpoint was lost, nobody knows where reading stood. Reading all again sends some events twice (those
    within `max_event_age`); starting at the end would lose lines without a trace, and nothing may be lost uncounted.
    """
    return checkpoint.sources | (plan.sources.keys() if checkpoint.recovered == "empty" else frozenset())


async def _first(work: asyncio.Future[Any], signal: Coroutine[Any, Any, object]) -> None:
    """Wait for work to be done, or for a signal that comes before."""
    waiting = asyncio.ensure_future(signal)
    await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
