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
from collections import Counter, defaultdict
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from typing import Any

import structlog

from logship.backlog import Sifting
from logship.deadletter import DeadLetters
from logship.decisions import Judge, written_names
from logship.dispatcher.destination import Destination
from logship.errors import ConfigError
from logship.metrics import Metrics
from logship.plan import Plan
from logship.progress.checkpoint import Checkpoint
from logship.progress.ledger import Ledger
from logship.records import Chunk, Delivery, Outcome
from logship.router import audience
from logship.router.scrutiny import Memory
from logship.settings.destination import DestinationSettings
from logship.sieve import Sieve, Sifted
from logship.source.paths import Followed
from logship.source.tailer import Tailer
from logship.source.watch import Wakeup
from logship.tap import Tap

log = structlog.get_logger(__name__)

_NEWS_EVERY = 60.0  # seconds between two log lines on the same kind of thing; the counters have them all
_SAVE_AT_REST = 10.0  # seconds; where nothing was read or settled, all that is new is when a file was seen last
SAVE_EVERY = 1.0  # seconds; the contract promises that a checkpoint is at most 2 s behind what has settled


class Pipeline:
    """A running plan. `run` returns when it was stopped, or with ``once`` when all there was has been delivered."""

    def __init__(
        self, plan: Plan, *, checkpoint: Checkpoint, dead_letters: DeadLetters, metrics: Metrics, once: bool = False
    ) -> None:
        self.plan = plan
        self._checkpoint = checkpoint
        self._dead_letters = dead_letters
        metrics.dead_letter_bytes.set_function(lambda: float(dead_letters.size))
        self._metrics = metrics
        self._once = once
        self._ledger = Ledger()
        self._stopping = asyncio.Event()
        self._news = News()
        self._memories: dict[str, Memory] = {}  # by source: what they remember of visitors outlives a reload
        self._sieves = self._make_sieves(plan)
        self._sifting = Sifting(lambda: self._sieves, lambda: self._tailer.behind, time.time, audience.prepare)
        self._destinations: dict[str, Destination] = {}
        self._retired: dict[str, Destination] = {}  # taken out by a reload; what still comes to them ends there
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wakeup = Wakeup()
        self._tailer = Tailer(
            self._followed(plan),
            positions=checkpoint.positions,
            seen=_seen(plan, checkpoint),
            metrics=metrics,
            ledger=self._ledger,
            wakeup=self._wakeup,
            once=once,
        )
        self._lines: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.delivered = 0
        self.tap = Tap(time.monotonic)
        self.saved = True  # whether the last checkpoint reached the disk
        self.unsettled_at_stop = 0
        self.leaving = False  # whether all that is left to do is to save

    async def run(self) -> None:
        """Follow, sift, deliver and remember, until stopped. Raise what no stage could deal with."""
        with contextlib.closing(self._wakeup), contextlib.closing(self._tailer):
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._tasks = tasks
                    for settings in self.plan.settings.destinations:
                        self._start(settings.name, self._make(settings, self.plan))
                    saving = tasks.create_task(self._save_regularly(), name="checkpoint")
                    feeding = tasks.create_task(self._feed(), name="feed")
                    await self._until_stopped(feeding)
                    await self._settle(feeding)
                    saving.cancel()
                    for task in self._running.values():
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

        ConfigError: it could not be activated (a certificate went away since it was checked); the old plan runs on.
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
            self._start(name, destination)
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
    def ready(self) -> bool:
        """Whether files are followed and every destination can deliver, and no stop is under way."""
        able = all(each.status()["state"] == "ok" for each in self._destinations.values())
        return self.following and able and self.saved and not self.stopping

    def status(self) -> dict[str, Any]:
        """Tell what is going on, as JSON-able values: files, destinations, lines not settled."""
        return {
            "files": self._tailer.status(),
            "destinations": [destination.status() for destination in self._destinations.values()],
            "lines": {name: dict(counts) for name, counts in self._lines.items()},
            "reasons": self._reasons(),
            "unsettled_lines": self._ledger.unsettled(),
            "oldest_unsettled_seconds": self._oldest_unsettled(),
            "checkpoint_saved": self.saved,
        }

    def _reasons(self) -> dict[str, dict[str, dict[str, int]]]:
        """Tell by source why lines became no event, as the metrics have counted it."""
        told: defaultdict[str, dict[str, dict[str, int]]] = defaultdict(lambda: {"dropped": {}, "unparsed": {}})
        for kind, counter in (("dropped", self._metrics.lines_dropped), ("unparsed", self._metrics.lines_unparsed)):
            for sample in (each for metric in counter.collect() for each in metric.samples):
                if sample.name.endswith("_total"):
                    told[sample.labels["source"]][kind][sample.labels["reason"]] = int(sample.value)
        return dict(told)

    @property
    def lines_read(self) -> int:
        """How many lines were read so far, of every source."""
        return sum(counts["read"] for counts in self._lines.values())

    def summary(self) -> str:
        """Say in one line how it goes, for the service manager."""
        lines = sum((counts for counts in self._lines.values()), Counter[str]())
        state = "stopping" if self.stopping else "delivering" if self.ready else "not ready"
        return f"{state}: {lines['read']} lines read, {lines['events']} events, {self._ledger.unsettled()} unsettled"

    # -- feeding: the one loop through which every line goes

    async def _feed(self) -> None:
        await self._sifting.feed(self._tailer.chunks(), self._take)

    async def _take(self, chunk: Chunk, sifted: Sifted) -> None:
        self._leave_out_settled(chunk, sifted)
        deliveries = self._open(chunk, sifted)
        self._count(chunk, sifted, events=sum(map(len, deliveries.values())))
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

    def _count(self, chunk: Chunk, sifted: Sifted, *, events: int) -> None:
        source, metrics = chunk.source, self._metrics
        self._lines[source].update(
            read=sifted.lines,
            events=events,
            dropped=sifted.dropped.total(),
            unparsed=sifted.unparsed.total(),
            expired=sifted.expired,
        )
        metrics.lines_read.labels(source).inc(sifted.lines)
        for counter, counts in (
            (metrics.lines_unparsed, sifted.unparsed),
            (metrics.lines_dropped, sifted.dropped),
            (metrics.limits_applied, sifted.cuts),
        ):
            for reason, number in counts.items():
                counter.labels(source, reason).inc(number)
        for counter, number in (
            (metrics.lines_expired, sifted.expired),
            (metrics.lines_oversized, chunk.oversized),
            (metrics.nul_bytes, sifted.nul_bytes),
        ):
            if number:
                counter.labels(source).inc(number)
        self._tell(chunk, sifted)

    def _tell(self, chunk: Chunk, sifted: Sifted) -> None:
        """Log what is news about a file. Never the line itself: it holds a visitor's address."""
        if sifted.detected is not None and sifted.detected.rivals:
            if self._news.due((chunk.path, "ambiguous")):
                rivals = " and ".join(sifted.detected.rivals)
                log.warning("format.ambiguous", path=chunk.path, fit=rivals, help="name one as the source's format")
        elif sifted.detected is not None:
            found = sifted.detected
            log.info("format.detected", path=chunk.path, format=found.name, confidence=round(found.confidence, 2))
        if sifted.first_unparsed is not None and self._news.due((chunk.source, "unparsed")):
            offset, unparsed = sifted.first_unparsed
            log.warning(
                "lines.unparsed",
                path=chunk.path,
                offset=offset,
                column=unparsed.position + 1,
                reason=unparsed.reason,
                lines=sum(sifted.unparsed.values()),
                help="logship explain shows why",
            )

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
        await asyncio.gather(*(each.stop(max(0.0, deadline - time.monotonic())) for each in destinations))
        self.unsettled_at_stop = self._ledger.unsettled()
        if self.unsettled_at_stop:
            log.warning(
                "stop.unsettled",
                lines=self.unsettled_at_stop,
                help="read and sent again at the next start; requests in flight may then be counted twice",
            )

    # -- remembering

    async def _save_regularly(self) -> None:
        # At once when all was looked at: after a crash in the first second, and a rotation, what was followed would be
        # taken for the history of a source that nobody knows.
        await self._tailer.ready.wait()
        while True:
            changes, saved_at = self._changes(), time.monotonic()
            await self._save()
            await asyncio.sleep(SAVE_EVERY)
            while self.saved and self._changes() == changes and time.monotonic() < saved_at + _SAVE_AT_REST:
                self._metrics.oldest_unsettled.set(self._oldest_unsettled())
                await asyncio.sleep(SAVE_EVERY)

    def _changes(self) -> tuple[int, frozenset[str]]:
        return self._ledger.changes, self._tailer.sources

    async def _save_at_last(self) -> None:
        self.leaving = True
        await self._save()

    async def _save(self) -> None:
        """Save the watermarks. A disk that is full or read-only is survived: the old checkpoint holds, we try again."""
        positions, sources = self._tailer.positions(), self._tailer.sources
        try:
            await asyncio.to_thread(self._checkpoint.save, positions, sources)
        except OSError as error:
            self._metrics.checkpoints.labels("failed").inc()
            if self.saved or self._news.due("checkpoint"):
                told = str(error)
                log.error("checkpoint.failed", error=told, help="delivery goes on; a crash now would send again")
            self.saved = False
        else:
            self._metrics.checkpoints.labels("saved").inc()
            if not self.saved:
                log.info("checkpoint.recovered")
            self.saved = True
        self._metrics.oldest_unsettled.set(self._oldest_unsettled())

    def _oldest_unsettled(self) -> float:
        read_at = self._ledger.oldest()
        return time.monotonic() - read_at if read_at is not None else 0.0

    # -- what a plan needs around it

    def _make(self, settings: DestinationSettings, plan: Plan) -> Destination:
        return Destination(
            settings,
            ack=self._ack,
            dead_letters=self._dead_letters,
            metrics=self._metrics,
            max_event_age=plan.settings.max_event_age,
        )

    def _start(self, name: str, destination: Destination) -> None:
        self._destinations = {**self._destinations, name: destination}
        self._running[name] = self._tasks.create_task(destination.run(), name=f"destination {name}")

    def _retire(self, name: str) -> None:
        """End a destination that was taken out of the configuration, within the grace period."""
        destination, grace = self._destinations[name], self.plan.settings.grace_period
        del self._running[name]
        self._destinations = {other: each for other, each in self._destinations.items() if other != name}
        self._retired[name] = destination
        retiring = destination.retire(grace, "destination removed from the configuration")
        self._running[f"retired {name}"] = self._tasks.create_task(retiring, name=f"retire {name}")

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


class News:
    """Say of a kind of thing whether it is news: once, and then again only after a while."""

    def __init__(self, every: float = _NEWS_EVERY) -> None:
        self._every = every
        self._told: dict[Hashable, float] = {}

    def due(self, kind: Hashable) -> bool:
        """Return True when this kind was not told within the last ``every`` seconds, and note that it is now."""
        now = time.monotonic()
        if now - self._told.get(kind, -math.inf) < self._every:
            return False
        self._told[kind] = now
        return True
