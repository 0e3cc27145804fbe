"""One API: what is queued for it, the lanes that deliver, and the acknowledgements.

    add -> (company, up to batch.max_wait) -> a visitor's lane -> attempt, again, ... -> ack

Memory is bounded: `add` waits while two batches are here. A visitor (client address and User-Agent) keeps its lane,
so its events arrive in order and never two at a time. Only an ack settles an event, and it is given for three things:
accepted, written to the dead letters, expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random as chance
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog

from logship.deadletter import DeadLetters
from logship.dispatcher import gauges, request
from logship.dispatcher.graveyard import Graveyard
from logship.dispatcher.lane import Lane, Terms
from logship.dispatcher.news import News
from logship.dispatcher.retry import MISCONFIGURED, RETRY_AFTER, Gate, Pace
from logship.dispatcher.tally import Tally
from logship.dispatcher.wire import Wire
from logship.metrics import Metrics
from logship.records import Delivered, Delivery, Outcome, Verdict
from logship.settings.destination import DestinationSettings

log = structlog.get_logger(__name__)

# Two batches keep all lanes busy while the next chunk is read: 1,000 events by default, about 1.5 MB.
_BATCHES_HELD = 2
# Reading goes on when a quarter is free: waking it for each event that leaves would cost more than the event.
_ROOM_AGAIN = 0.75
# A quarter may never be free, where events that no attempt gets through take the places: look for a single one, too.
_LOOK_AGAIN = 0.1
# How long a full queue is waited for before `when_full: dead_letter` gives up.
_PATIENCE = 1.0
_FLUSH_AFTER = 0.1


class Destination:
    """Delivers events to one API until each is settled. ``run`` it in a task, ``add`` to it, ``stop`` it.

    ``clock`` is monotonic seconds, ``now`` the wall clock (for expiry and what people read), ``random`` in [0, 1).
    ``max_event_age`` may be set anew at any time.
    """

    def __init__(
        self,
        settings: DestinationSettings,
        *,
        ack: Callable[[Sequence[Delivery], Outcome], None],
        dead_letters: DeadLetters,
        metrics: Metrics,
        max_event_age: float | None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.max_event_age = max_event_age
        self._ack = ack
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._random = random
        self._held = 0
        self._waiting: deque[Delivery] = deque()  # for company, or for lanes that are not there yet
        self._accepted: list[Delivery] = []  # in this turn of the loop, and the seconds that each took
        self._accepted_in: list[float] = []
        self._company: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._full_since: float | None = None
        self._retired: str | None = None  # why, once it was taken out of the configuration
        self._settled = asyncio.Event()
        self._lanes: list[Lane] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._running = self._ended = False
        self._finished = asyncio.Event()
        self._flushing: asyncio.TimerHandle | None = None
        self._tally = Tally(metrics, settings.name)
        self._news = News(settings.name, clock, now)
        self._graveyard = Graveyard(dead_letters, metrics, self._news, now)
        self._use(settings)
        gauges.watch(
            metrics,
            settings.name,
            queued=lambda: self._held - self._in_flight(),
            in_flight=self._in_flight,
            cause=lambda: self._gate.cause,
        )

    async def run(self) -> None:
        """Deliver until stopped. Cancelled: abort at once; what is not settled stays unsettled."""
        self._running = True
        try:
            while not self._ended:
                await self._run_lanes()
        finally:
            self._ended = True
            self._finished.set()
            self._room.set()
            self._settle_accepted()
            self._flush()

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """Queue deliveries; wait while the queue is full. After `stop` they are left unsettled, but see `retire`."""
        rest = deliveries
        while rest:
            if self._held >= self._capacity and not await self._make_room(rest):
                return
            if self._ended:
                await self._bury_for_good(rest)
                return
            fitting = rest[: self._capacity - self._held]
            rest = rest[len(fitting) :]
            self._held += len(fitting)
            if self._settings.batch.max_wait or not self._lanes:
                self._wait_for_company(fitting)
            else:
                self._put(fitting)

    async def stop(self, grace: float) -> int:
        """Settle what is queued and in flight, for up to ``grace`` seconds. Return how many are not settled."""
        self._spread()
        self._gate.hurry(self._clock())
        for lane in self._lanes:
            lane.hurry()
        if not self._hopeless(grace):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace if grace < math.inf else None):
                    await self._until_settled()
        self._end()
        if self._running:
            await self._finished.wait()
        return self._held

    async def retire(self, grace: float, reason: str) -> None:
        """Stop for good: what is not settled within ``grace`` seconds, or is added later, goes to the dead letters.

        Left unsettled it would hold the watermark back, and all that comes after it would be sent again one day.
        """
        self._retired = reason
        await self.stop(grace)
        rest, self._held = list(self._waiting), 0
        self._waiting.clear()
        await self._bury_for_good(rest)

    def apply(self, settings: DestinationSettings) -> None:
        """Go on under new settings, with new connections, after the attempts that are under way."""
        if settings == self._settings and settings.tls.ca_file is None:  # that file's content may be new
            return
        self._spread()  # what waits for company is older than what may not have to wait any more
        keeps_hold = self._gate.cause == RETRY_AFTER and settings.url == self._settings.url
        hold = self._gate.not_before if keeps_hold else None
        self._use(settings)
        if hold is not None:
            self._gate.hold(hold)
        self._news.replaced(self._gate)
        self._room.set()
        for lane in self._lanes:
            lane.leave()

    def status(self) -> dict[str, Any]:
        """Tell how it goes, as JSON-able values."""
        self._settle_accepted()
        self._flush()
        in_flight = self._in_flight()
        return {
            "name": self._settings.name,
            "url": _without_credentials(self._settings.url),
            "state": {None: "ok", MISCONFIGURED: "paused"}.get(self._gate.cause, "backing off"),
            "cause": self._gate.cause,
            "retry_in": max(0.0, round(self._gate.not_before - self._clock(), 1)) if self._gate.cause else None,
            "queued": self._held - in_flight,
            "in_flight": in_flight,
            "connections": len(self._lanes),
            "counts": dict(self._tally.totals),
            "dropping": self._tally.dropping(),
            "last_error": self._news.last_error,
        }

    def forget_gauges(self) -> None:
        """Show no state in the metrics any more, once it is stopped for good."""
        gauges.forget(self._metrics, self._settings.name)

    # -- lanes

    def _use(self, settings: DestinationSettings) -> None:
        """Build everything anew; nothing is touched if that fails."""
        wire = Wire(settings, self._clock, self._now)
        gate = Gate(settings.retry, settings.connections, self._random)
        rate = settings.max_events_per_second
        self._terms = Terms(
            wire=wire,
            render=request.renderer(settings),
            retry=settings.retry,
            gate=gate,
            pace=Pace(rate) if rate is not None else None,
            expired=self._expired,
            settle=self._settle,
            bury=self._graveyard.bury_one,
            delivered=self._delivered,
            accepted=self._take_note,
            failed=self._failed,
            gate_changed=self._gate_changed,
            clock=self._clock,
            random=self._random,
        )
        self._settings = settings
        self._gate = gate
        self._capacity = max(_BATCHES_HELD * settings.batch.max_events, settings.connections)
        self._room_again = int(self._capacity * _ROOM_AGAIN)

    async def _run_lanes(self) -> None:
        """Run one set of lanes until they leave; what they did not settle waits for the next."""
        terms = self._terms
        lanes = self._lanes = [Lane(terms) for _ in range(self._settings.connections)]
        self._spread()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = [tasks.create_task(lane.run()) for lane in lanes]
        finally:
            self._lanes = []
            self._waiting.extendleft(delivery for lane in lanes for delivery in reversed(lane.queue))
            await terms.wire.close()

    def _end(self) -> None:
        self._ended = True
        for lane, task in zip(self._lanes, self._tasks, strict=False):
            lane.leave()
            task.cancel()

    def _in_flight(self) -> int:
        return sum(lane.busy for lane in self._lanes)

    def _hopeless(self, grace: float) -> bool:
        """Say whether nothing can settle in time: the gate stays shut for longer, and no answer is awaited."""
        gate = self._gate
        shut = gate.cause in (RETRY_AFTER, MISCONFIGURED) and gate.not_before - self._clock() > grace
        return shut and not self._in_flight()

    async def _until_settled(self) -> None:
        while self._held:
            self._settled.clear()
            await self._settled.wait()

    # -- the queue

    def _put(self, deliveries: Iterable[Delivery]) -> None:
        lanes = self._lanes
        number = len(lanes)
        for delivery in deliveries:
            event = delivery.event
            lane = lanes[hash((event.client_ip, event.user_agent)) % number]
            lane.queue.append(delivery)
            if lane.napping is not None:
                lane.wake()

    def _wait_for_company(self, deliveries: Iterable[Delivery]) -> None:
        batch = self._settings.batch
        self._waiting.extend(deliveries)
        if len(self._waiting) >= batch.max_events:
            self._spread()
        elif self._company is None and self._lanes:
            self._company = asyncio.get_running_loop().call_later(batch.max_wait, self._spread)

    def _spread(self) -> None:
        """Give what waits to its lanes."""
        if self._company is not None:
            self._company.cancel()
            self._company = None
        if self._lanes:
            self._put(self._waiting)
            self._waiting.clear()

    async def _make_room(self, rest: Sequence[Delivery]) -> bool:
        """Wait until there is room. False: the rest has found its end elsewhere, there is nothing to queue."""
        while self._held >= self._capacity and not self._ended:
            if self._full_since is None:  # at first; or there was room, until a reload made the queue smaller
                self._full_since = self._clock()
            self._room.clear()
            patience = self._patience()
            if patience > 0.0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), min(patience, _LOOK_AGAIN))
            elif await self._graveyard.bury(rest, "queue full (when_full: dead_letter)"):
                self._buried(rest)
                return False
            else:
                self._full_since = self._clock()
        return True

    def _patience(self) -> float:
        if self._settings.when_full == "wait" or self._full_since is None:
            return math.inf
        return self._full_since + _PATIENCE - self._clock()

    async def _bury_for_good(self, rest: Sequence[Delivery]) -> None:
        """Give what a retired destination will not deliver its end, as soon as the disk takes it."""
        if self._retired is None or not rest:
            return
        await self._graveyard.insist(rest, self._retired)
        self._buried(rest)

    def _buried(self, deliveries: Sequence[Delivery]) -> None:
        """Settle what was never queued, or is not any more."""
        self._tally.settled(Outcome.DEAD_LETTER, len(deliveries))
        self._acknowledge(deliveries, Outcome.DEAD_LETTER)

    # -- what lanes tell

    def _expired(self, delivery: Delivery) -> bool:
        oldest = self.max_event_age
        return oldest is not None and delivery.time is not None and self._now() - delivery.time > oldest

    def _delivered(self, delivery: Delivery, verdict: Delivered, seconds: float) -> None:
        domain = delivery.event.domain
        alarm = self._tally.delivered(domain, verdict, seconds, delivery.attempts)
        if alarm is not None:
            self._news.drops(domain, alarm)
        self._let_go([delivery], Outcome.DELIVERED)

    def _take_note(self, delivery: Delivery, seconds: float) -> None:
        """Note a plain acceptance: those of one turn of the loop are settled together, for half of what each costs."""
        if not self._accepted:
            asyncio.get_running_loop().call_soon(self._settle_accepted)
        self._accepted.append(delivery)
        self._accepted_in.append(seconds)

    def _settle_accepted(self) -> None:
        accepted, seconds = self._accepted, self._accepted_in
        if not accepted:
            return
        self._accepted, self._accepted_in = [], []
        for domain, alarm in self._tally.accepted(accepted, seconds):
            self._news.drops(domain, alarm)
        self._let_go(accepted, Outcome.DELIVERED)

    def _failed(self, delivery: Delivery, verdict: Verdict, seconds: float) -> None:
        self._tally.failed(verdict, seconds, delivery.attempts)
        self._flush_soon()
        self._news.failed(verdict, self._settings.retry.max)

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        self._tally.settled(outcome)
        self._let_go([delivery], outcome)

    def _let_go(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        self._held -= len(deliveries)
        if self._full_since is not None and self._held <= self._room_again:
            self._full_since = None
            self._room.set()
        if not self._held:
            self._settled.set()
        if outcome is Outcome.DELIVERED:
            self._terms.taken += 1
        self._acknowledge(deliveries, outcome)

    def _acknowledge(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        self._flush_soon()
        try:
            self._ack(deliveries, outcome)
        except Exception:
            log.exception("ack.failed", destination=self._settings.name)

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._tally.flush()

    def _gate_changed(self) -> None:
        for lane in self._lanes:
            lane.wake()
        self._news.pauses(self._gate)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
