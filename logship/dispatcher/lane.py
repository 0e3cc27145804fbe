"""One connection and its queue: one event in flight, in order, again until it is settled.

A lane is a loop that looks at its head of queue and does the next right thing: settle what expired, wait, bury what
was refused, or make an attempt. A nap is only a hint; after each the lane looks again, so anything may wake it. What
lanes of one destination share stands in `Terms`.

Only a visitor's own events have to wait for one that is tried again. So while it waits they stand aside, and the lane
goes on with other visitors: an event that no API ever takes must not hold up people who have nothing to do with it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

import structlog

from logship.dispatcher.retry import Gate, Pace, backoff
from logship.dispatcher.wire import Wire
from logship.records import Delivered, Delivery, Event, Misconfigured, Outcome, Refused, TryAgain, Verdict
from logship.settings.destination import RetrySettings

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Terms:
    """What the lanes of one destination share, and whom they tell."""

    wire: Wire
    render: Callable[[Event], bytes]
    retry: RetrySettings
    gate: Gate
    pace: Pace | None
    expired: Callable[[Delivery], bool]
    settle: Callable[[Delivery, Outcome], None]
    bury: Callable[[Delivery, Refused | TryAgain], Awaitable[bool]]  # to the dead letters; False: the disk refused
    delivered: Callable[[Delivery, Delivered, float], None]  # and the seconds it took
    accepted: Callable[[Delivery, float], None]  # the same, for a plain acceptance: the way of nearly all
    failed: Callable[[Delivery, Verdict, float], None]
    gate_changed: Callable[[], None]
    clock: Callable[[], float]
    random: Callable[[], float]
    taken: int = 0  # grows while events are accepted


Visitor = tuple[str, str]


@dataclass(slots=True)
class _Aside:
    """A visitor whose first event is tried again at a time: his events, and what is known of that one."""

    deliveries: deque[Delivery]
    not_before: float
    failures: int
    taken: int
    grave: Refused | TryAgain | None
    disliked: bool


class Lane:
    """Delivers its queue. `run` it in a task; `leave` ends it after the attempt that is under way."""

    def __init__(self, terms: Terms) -> None:
        self.queue: deque[Delivery] = deque()
        self.busy = False  # a request is sent and not answered
        self.not_before = 0.0  # the event at the head waits until then
        self._terms = terms
        self._line = terms.wire.line()
        self._turn: float | None = None  # the moment that the pace gave to the event at the head
        self._grave: Refused | TryAgain | None = None  # why the event at the head goes to the dead letters
        self._failures = 0
        self._taken = 0  # what `Terms.taken` was when the event at the head failed last
        self._disliked = False  # the event at the head was answered as if the destination were misconfigured
        self._aside: dict[Visitor, _Aside] = {}
        self._leaving = False
        self.napping: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Deliver until told to leave. What is left stays in ``queue``."""
        try:
            while not self._leaving:
                if (step := self._step()) is not None:
                    await step
        finally:
            for visitor in list(self._aside):
                self._call_back(visitor)
            self._terms.gate.leave(self)
            self._line.close()

    def wake(self) -> None:
        """Make the lane look again."""
        if self.napping is not None and not self.napping.done():
            self.napping.set_result(None)

    def hurry(self) -> None:
        """Cut the events' own backoff short."""
        self.not_before = 0.0
        for aside in self._aside.values():
            aside.not_before = 0.0
        self.wake()

    def leave(self) -> None:
        """End after the attempt that is under way, and after none when the lane is waiting."""
        self._leaving = True
        self.wake()

    def _step(self) -> Coroutine[None, None, None] | None:
        """Choose the next right thing for the head of the queue, to be awaited; None: it is done already."""
        if self._aside:
            self._choose()
        if not self.queue:
            return self._rest()
        delivery = self.queue[0]
        if self._terms.expired(delivery):
            self._settle(delivery, Outcome.EXPIRED)
            return None
        if wait := self._wait():
            return None if self._failures and self._step_aside(delivery) else self._nap(self._until_due(wait))
        if self._grave is not None:
            return self._bury(delivery, self._grave)
        if not self._line.ready:
            return self._open(delivery)
        return self._attempt(delivery)

    def _wait(self) -> float:
        """Return seconds until the head of the queue may be tried; 0.0 is now, ``inf`` until somebody wakes us."""
        terms = self._terms
        if not self._failures and terms.gate.cause is None and terms.pace is None:
            return 0.0
        now = terms.clock()
        if now < self.not_before:
            return self.not_before - now
        if self._grave is not None:
            return 0.0
        if wait := terms.gate.enter(self, now):
            return wait
        if terms.pace is not None and self._turn is None:
            self._turn = terms.pace.reserve(now)
        return max(0.0, self._turn - now) if self._turn is not None else 0.0

    def _choose(self) -> None:
        """Bring those to the head who stand aside and are due, or have nobody before them.

        While the gate is closed they let everybody else probe first: they have had an answer, and it was none.
        """
        queue, aside = self.queue, self._aside
        if self._failures:
            return
        while queue and (visitor := _visitor(queue[0])) in aside:
            aside[visitor].deliveries.append(queue.popleft())
        first = min(aside, key=lambda visitor: aside[visitor].not_before)
        if not queue or (self._terms.gate.cause is None and aside[first].not_before <= self._terms.clock()):
            self._call_back(first)

    def _step_aside(self, delivery: Delivery) -> bool:
        """Let others go first while the head waits for its own next attempt. False: there is nobody who could."""
        visitor, now = _visitor(delivery), self._terms.clock()
        if now >= self.not_before:
            return False
        others = any(_visitor(each) != visitor and _visitor(each) not in self._aside for each in self.queue)
        if not others and all(each.not_before > now for each in self._aside.values()):
            return False
        own = deque(each for each in self.queue if _visitor(each) == visitor)
        self.queue = deque(each for each in self.queue if _visitor(each) != visitor)
        self._aside[visitor] = _Aside(own, self.not_before, self._failures, self._taken, self._grave, self._disliked)
        self._start_afresh()
        return True

    def _call_back(self, visitor: Visitor) -> None:
        back = self._aside.pop(visitor)
        self.queue.extendleft(reversed(back.deliveries))
        self._failures, self._grave, self._disliked = back.failures, back.grave, back.disliked
        self._taken, self.not_before = back.taken, back.not_before

    def _until_due(self, wait: float) -> float:
        """Return seconds to wait for, or less when somebody who stands aside is due before."""
        if not self._aside:
            return wait
        due = min(each.not_before for each in self._aside.values()) - self._terms.clock()
        return min(wait, due) if due > 0.0 else wait

    async def _rest(self) -> None:
        """Wait for an event. A probe's place that was taken for one that expired goes to another lane."""
        if self._terms.gate.leave(self):
            self._terms.gate_changed()
        await self._nap(math.inf)

    async def _nap(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self.napping = loop.create_future()
        timer = loop.call_later(seconds, self.wake) if seconds < math.inf else None
        try:
            await self.napping
        finally:
            self.napping = None
            if timer is not None:
                timer.cancel()
        # One turn of the loop: it shows whether the server has closed our connection while we slept.
        await asyncio.sleep(0)

    async def _open(self, delivery: Delivery) -> None:
        """Connect. `_step` then looks again: the gate may have been closed meanwhile."""
        fault = await self._line.open()
        if fault is not None:
            delivery.attempts += 1
            self._tell(delivery, fault)

    async def _attempt(self, delivery: Delivery) -> None:
        delivery.attempts += 1
        line = self._line
        try:
            request = self._terms.render(delivery.event)
            self.busy = True
            verdict = await line.post(request, self._more)
        except Exception as error:
            verdict = self._stumbled(error)
        finally:
            self.busy = False
        delivery = self.queue[0]  # the one that the verdict is on
        if type(verdict) is Delivered:
            self._delivered(delivery, verdict)
        else:
            self._tell(delivery, verdict)

    def _more(self) -> bytes | None:
        """Settle the head as accepted and return the next request; None where something wants a second look.

        This is `_step` for plain sailing, without a turn of the loop between two events.
        """
        terms, queue = self._terms, self.queue
        if len(queue) < 2 or self._leaving or self._failures or terms.pace is not None or not terms.gate.calm:
            return None
        if self._aside:
            return None  # one of them may be due
        following = queue[1]
        if terms.expired(following):
            return None
        try:
            request = terms.render(following.event)
        except Exception:
            return None  # the long way meets it again, and tells of it
        terms.accepted(queue.popleft(), self._line.answered_at - self._line.sent_at)
        following.attempts += 1
        return request

    def _stumbled(self, error: Exception) -> Verdict:
        """Make a bug of ours an attempt that failed: a lane that dies takes its visitors' events with it."""
        log.exception("lane.failed")
        self._line.close()
        return TryAgain(f"unexpected: {type(error).__name__}", ambiguous=self.busy)

    def _delivered(self, delivery: Delivery, verdict: Delivered) -> None:
        terms, line = self._terms, self._line
        if not terms.gate.calm:
            self._passed()
        self._forget()
        terms.delivered(delivery, verdict, line.answered_at - line.sent_at)

    def _passed(self) -> None:
        gate = self._terms.gate
        gate.passed(self)
        self._terms.gate_changed()

    def _tell(self, delivery: Delivery, verdict: Verdict) -> None:
        line = self._line
        self._turn = None
        self._terms.failed(delivery, verdict, line.answered_at - line.sent_at)
        self._note(verdict)

    def _note(self, verdict: Verdict) -> None:
        """Decide what follows from a verdict that did not deliver; `_step` then does it."""
        terms, now = self._terms, self._terms.clock()
        others_were_taken = self._failures > 0 and terms.taken != self._taken
        self._failures += 1
        self._taken = terms.taken
        match verdict:
            case Refused():
                self._passed()
                self._grave = verdict
            case TryAgain(ambiguous=True) if not terms.retry.ambiguous:
                terms.gate.failed(self, now)
                self._grave = verdict
            case TryAgain(after=None) if others_were_taken and terms.gate.cause is None:
                # The API stumbles over what this one holds: that is no sign of its being down.
                self.not_before = now + backoff(self._failures, terms.retry, terms.random)
            case TryAgain():
                self._failed(now, verdict.after)
            case Misconfigured() if self._disliked and terms.gate.cause is None:
                # Others were taken since: a firewall dislikes what this one holds. Pausing for it would stop them all.
                self.not_before = now + terms.retry.max
            case Misconfigured():
                self._disliked = True
                terms.gate.misconfigured(self, now)
                self.not_before = terms.gate.patience(self, now)
        terms.gate_changed()

    def _failed(self, now: float, after: float | None) -> None:
        terms = self._terms
        terms.gate.failed(self, now, after)
        own = now + (after if after is not None else backoff(self._failures, terms.retry, terms.random))
        self.not_before = max(own, terms.gate.patience(self, now))

    async def _bury(self, delivery: Delivery, verdict: Refused | TryAgain) -> None:
        if await self._terms.bury(delivery, verdict):
            self._settle(delivery, Outcome.DEAD_LETTER)
        else:
            self._failures += 1
            self.not_before = self._terms.clock() + backoff(self._failures, self._terms.retry, self._terms.random)

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        self._forget()
        self._terms.settle(delivery, outcome)

    def _forget(self) -> None:
        """Let the head of the queue go, and all that was known of it."""
        self.queue.popleft()
        self._turn = None
        if self._failures:
            self._start_afresh()

    def _start_afresh(self) -> None:
        """Know nothing of the head of the queue."""
        self._failures = 0
        self._turn = self._grave = None
        self._disliked = False
        self.not_before = 0.0


def _visitor(delivery: Delivery) -> Visitor:
    return delivery.event.client_ip, delivery.event.user_agent
