"""Say when another attempt is due. Pure: told of verdicts and of the time, it answers with seconds to wait.

Three small things: `backoff` spreads the attempts of one event, `Gate` holds back a whole destination, and `Pace`
keeps to a rate. None of them knows what is sent, or how.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from logship.settings.destination import RetrySettings

DOWN = "down"
RETRY_AFTER = "retry_after"
MISCONFIGURED = "misconfigured"
CAUSES = (DOWN, RETRY_AFTER, MISCONFIGURED)

# Fewer failures in a row than this may be one unlucky event and its neighbours.
_FEWEST_FAILURES = 5
# After a failed probe the same event waits this much longer than others: one poisonous event cannot keep a gate shut.
_AFTER_YOU = 0.01
_MOST_DOUBLINGS = 60
# A timer that fires late may catch up on this much: a rate is kept on average, not by losing turns.
_CATCH_UP = 0.1


def backoff(failures: int, retry: RetrySettings, random: Callable[[], float]) -> float:
    """Return seconds before the next attempt: full jitter, ``retry.max`` as its ceiling.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    return random() * min(retry.max, retry.initial * 2.0**doublings)


class Gate:
    """Decides whether a destination may be tried: freely, by one lane at a time, or not before a moment.

    It closes for a cause: as many failures in a row as there are lanes (`DOWN`), a Retry-After, or a destination that
    is misconfigured. While it is closed, one lane at a time is let through once ``not_before`` has passed: the probe.
    A probe that gets through opens it. ``who`` is any object that stands for a lane.
    """

    __slots__ = ("_failures", "_most_failures", "_probe", "_probes", "_random", "_retry", "cause", "not_before")

    def __init__(self, retry: RetrySettings, lanes: int, random: Callable[[], float]) -> None:
        self.cause: str | None = None
        self.not_before = 0.0
        self._retry = retry
        self._most_failures = max(lanes, _FEWEST_FAILURES)
        self._random = random
        self._failures = 0
        self._probes = 0
        self._probe: object | None = None

    @property
    def calm(self) -> bool:
        """Whether all is well and was: the last answer was a good one, and the gate is open."""
        return self.cause is None and not self._failures

    def enter(self, who: object, now: float) -> float:
        """Return 0.0 to go ahead, else seconds to wait before asking again; ``inf``: another lane is probing."""
        if self.admits(who):
            return 0.0
        if self._probe is not None:
            return math.inf
        if now < self.not_before:
            return self.not_before - now
        self._probe = who
        return 0.0

    def admits(self, who: object) -> bool:
        """Say whether ``who`` may send at this instant: the gate is open, or this is the probe."""
        return self.cause is None or self._probe is who

    def leave(self, who: object) -> bool:
        """Give the probe's place back, and say whether ``who`` had it."""
        if self._probe is not who:
            return False
        self._probe = None
        return True

    def passed(self, who: object) -> None:
        """Note an answer that shows a working destination. A late one from before a pause does not end the pause."""
        self._failures = 0
        if self._probe is who or self.cause == DOWN:
            self._open()

    def failed(self, who: object, now: float, after: float | None = None) -> None:
        """Note a failure that may pass; ``after`` is the server's Retry-After in seconds."""
        probed = self.leave(who)
        self._failures += 1
        if after is not None:
            self._close(RETRY_AFTER, now + after, probed)
        elif probed or (self.cause is None and self._failures >= self._most_failures):
            self._probes += 1
            self._close(DOWN, now + backoff(self._probes, self._retry, self._random), probed)

    def misconfigured(self, who: object, now: float) -> None:
        """Note that the destination is misconfigured: the next probe is ``retry.max`` away."""
        probed = self.leave(who)
        self._close(MISCONFIGURED, now + self._retry.max, probed)

    def hold(self, not_before: float) -> None:
        """Close for a Retry-After that was given earlier, to the gate before this one."""
        self._close(RETRY_AFTER, not_before, probed=True)

    def hurry(self, now: float) -> None:
        """Let the next probe go at once, unless the server named a time or someone must act first."""
        if self.cause == DOWN:
            self.not_before = min(self.not_before, now)

    def patience(self, who: object, now: float) -> float:
        """Return when ``who``, whose probe has just failed, may ask again: after everybody else."""
        return self.not_before + _AFTER_YOU if self.cause is not None else now

    def _open(self) -> None:
        self.cause = self._probe = None
        self._probes = 0

    def _close(self, cause: str, not_before: float, probed: bool) -> None:
        # A probe's answer is news. A late answer to what was sent before may only add to what is known.
        late = self.cause is not None and not probed
        if not late or CAUSES.index(cause) > CAUSES.index(str(self.cause)):
            self.cause = cause
        self.not_before = max(self.not_before, not_before) if late else not_before


class Pace:
    """Keeps to a number of requests a second by giving each its moment, in the order they ask."""

    __slots__ = ("_gap", "_next")

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._next = -math.inf

    def reserve(self, now: float) -> float:
        """Take the next free moment and return it; it may lie in the past: go at once."""
        moment = max(self._next, now - _CATCH_UP)
        self._next = moment + self._gap
        return moment
