"""Count what became of a destination's events, in plain numbers, and carry them to the metrics now and then.

A counter's ``inc`` costs 0.9 us here and a histogram's ``observe`` 2 us; sending an event costs 25. So the lanes
count in dictionaries, and `flush` adds the sums up: when a lane runs dry, several times a second, and for a status.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence

from logship.metrics import Metrics
from logship.records import Delivered, Delivery, Outcome, TryAgain, Verdict

# Nearly all of the last fifty: a wrong domain, address or plan drops everything, spam and bots never do.
_WINDOW = 50
_NEARLY_ALL = 47
_ALL_OF_WINDOW = (1 << _WINDOW) - 1
# Domains can come from the log's hosts, which strangers choose: a bound, and one name for the rest.
_MOST_DOMAINS = 1000
OTHER = "other"


class Tally:
    """The counts of one destination."""

    def __init__(self, metrics: Metrics, destination: str) -> None:
        self.totals: Counter[str] = Counter()  # since the start, for the status
        self._metrics = metrics
        self._destination = destination
        self._seconds = metrics.request_seconds.labels(destination)
        self._bounds: list[float] = [bound for bound in self._seconds._upper_bounds if bound < math.inf]
        self._times: list[float] = []  # seconds, since the last flush: a tenth of a second's worth
        self._accepted: defaultdict[int, int] = defaultdict(int)  # by status: the hot one
        self._answers: Counter[str] = Counter()
        self._settled: Counter[str] = Counter()
        self._plausible_dropped: Counter[str] = Counter()
        self._retries = self._ambiguous = 0
        self._windows: dict[str, _Window] = {}

    def delivered(self, domain: str, verdict: Delivered, seconds: float, attempts: int) -> bool | None:
        """Count an accepted event. True: Plausible drops nearly all of this domain's now; False: no more."""
        self._accepted[verdict.status] += 1
        self._times.append(seconds)
        if attempts > 1:
            self._retries += 1
        window = self._windows.get(domain)
        if window is None:
            window = self._window(domain)
        elif not verdict.dropped and window.spotless:
            return None
        if verdict.dropped:
            # One request names at most so many sites; a server's fancy number is not believed.
            self._plausible_dropped[window.domain] += min(verdict.dropped, domain.count(",") + 1)
        return window.add(bool(verdict.dropped))

    def accepted(self, deliveries: Sequence[Delivery], seconds: Sequence[float]) -> list[tuple[str, bool]]:
        """Count many plain acceptances, as `delivered` does each. Return the domains of which there is news."""
        self._accepted[202] += len(deliveries)
        self._times += seconds
        self._retries += sum([each.attempts > 1 for each in deliveries])
        news = []
        for domain in {each.event.domain for each in deliveries}:
            window = self._windows.get(domain) or self._window(domain)
            if not window.spotless:
                kept = sum([each.event.domain == domain for each in deliveries])
                news += [(domain, alarm) for _ in range(kept) if (alarm := window.add(False)) is not None]
        return news

    def failed(self, verdict: Verdict, seconds: float, attempts: int) -> None:
        """Count an attempt that delivered nothing; ``seconds`` is 0 when nothing was sent."""
        self._answers[str(verdict.status or _name(verdict))] += 1
        if seconds > 0.0:
            self._times.append(seconds)
        if attempts > 1:
            self._retries += 1
        if isinstance(verdict, TryAgain) and verdict.ambiguous:
            self._ambiguous += 1

    def settled(self, outcome: Outcome, number: int = 1) -> None:
        """Count deliveries that were settled without being accepted."""
        self._settled[outcome.value] += number

    def dropping(self) -> list[str]:
        """Return the domains whose events Plausible drops nearly all of."""
        return sorted({window.domain for window in self._windows.values() if window.alarm})

    def flush(self) -> None:
        """Add what was counted since the last time to the metrics."""
        for status, number in self._accepted.items():
            self._answers[str(status)] += number
            self._settled[Outcome.DELIVERED.value] += number
        metrics, name = self._metrics, self._destination
        for counter, counts in (
            (metrics.events_settled, self._settled),
            (metrics.answers, self._answers),
            (metrics.plausible_dropped, self._plausible_dropped),
        ):
            for label, number in counts.items():
                counter.labels(name, label).inc(number)
        if self._retries:
            metrics.retries.labels(name).inc(self._retries)
        if self._ambiguous:
            metrics.ambiguous.labels(name).inc(self._ambiguous)
        self._flush_seconds()
        self._start_over()

    def _start_over(self) -> None:
        self.totals.update(self._settled)
        self.totals.update(
            retries=self._retries, ambiguous=self._ambiguous, plausible_dropped=self._plausible_dropped.total()
        )
        for counts in (self._accepted, self._settled, self._answers, self._plausible_dropped):
            counts.clear()
        self._retries = self._ambiguous = 0

    def _flush_seconds(self) -> None:
        # prometheus_client has no public way to add many observations at once.
        buckets = self._seconds._buckets
        for bucket, number in Counter(bisect_left(self._bounds, seconds) for seconds in self._times).items():
            buckets[bucket].inc(number)
        self._seconds._sum.inc(math.fsum(self._times))
        self._times.clear()

    def _window(self, domain: str) -> _Window:
        name = domain if len(self._windows) < _MOST_DOMAINS else OTHER
        return self._windows.setdefault(name, _Window(name))


class _Window:
    """The last fifty accepted events of a domain, a bit each: 1 was dropped."""

    __slots__ = ("alarm", "domain", "drops", "seen")

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.drops = 0
        self.seen = 0
        self.alarm = False

    @property
    def spotless(self) -> bool:
        """Whether one more kept event would change nothing."""
        return self.seen == _WINDOW and not self.drops

    def add(self, dropped: bool) -> bool | None:
        self.drops = (self.drops << 1 | dropped) & _ALL_OF_WINDOW
        self.seen += self.seen < _WINDOW
        count = self.drops.bit_count()
        if not self.alarm and self.seen == _WINDOW and count >= _NEARLY_ALL:
            self.alarm = True
            return True
        if self.alarm and count <= _WINDOW // 2:
            self.alarm = False
            return False
        return None


def _name(verdict: Verdict) -> str:
    """Return the error's name: the first word of a TryAgain's reason, a closed set that `wire` chooses."""
    return verdict.reason.partition(":")[0] if isinstance(verdict, TryAgain) else "misconfigured"
