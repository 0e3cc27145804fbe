"""Count what became of a destination's events, in plain numbers, and carry them to the metrics now and then.

A counter's ``inc`` costs 0.9 us here and a histogram's ``observe`` 2 us; sending an event costs 25. So the lanes
count in dictionaries, and `flush` adds the sums up: when a lane runs dry, several times a second, and for a status.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict

from logship.metrics import Metrics
from logship.records import Delivered, Outcome, TryAgain, Verdict

_FLUSH_EVERY = 0.25
# Nearly all of the last fifty: a wrong domain, address or plan drops everything, spam and bots never do.
_WINDOW = 50
_NEARLY_ALL = 47
_ALL_OF_WINDOW = (1 << _WINDOW) - 1
# Domains can come from the log's hosts, which strangers choose: a bound, and one name for the rest.
_MOST_DOMAINS = 1000
OTHER = "other"


class Tally:
    """The counts of one destination. Times are monotonic seconds, given by the caller."""

    def __init__(self, metrics: Metrics, destination: str) -> None:
        self.totals: Counter[str] = Counter()  # since the start, for the status
        self._metrics = metrics
        self._destination = destination
        self._seconds = metrics.request_seconds.labels(destination)
        self._bounds: list[float] = [bound for bound in self._seconds._upper_bounds if bound < math.inf]
        self._buckets = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._answers: defaultdict[str | int, int] = defaultdict(int)
        self._settled: defaultdict[Outcome, int] = defaultdict(int)
        self._plausible_dropped: Counter[str] = Counter()
        self._retries = self._ambiguous = 0
        self._windows: dict[str, _Window] = {}
        self._due = 0.0

    def answered(self, verdict: Verdict, seconds: float, attempts: int, now: float) -> None:
        """Count an attempt's verdict, and the seconds from its first byte to its answer (0: nothing was sent)."""
        if attempts > 1:
            self._retries += 1
        self._answers[verdict.status or _name(verdict)] += 1
        if seconds > 0.0:
            self._buckets[bisect_left(self._bounds, seconds)] += 1
            self._sum += seconds
        if type(verdict) is TryAgain and verdict.ambiguous:
            self._ambiguous += 1
        if now >= self._due:
            self.flush()
            self._due = now + _FLUSH_EVERY

    def settled(self, outcome: Outcome) -> None:
        """Count a settled delivery."""
        self._settled[outcome] += 1

    def accepted(self, domain: str, verdict: Delivered) -> bool | None:
        """Note whether Plausible kept an event. True: nearly all of a domain's are dropped now; False: no more."""
        window = self._windows.get(domain)
        if window is None:
            window = self._window(domain)
        if not verdict.dropped and not window.drops and window.seen >= _WINDOW:
            return None
        if verdict.dropped:
            # One request names at most so many sites; a server's fancy number is not believed.
            self._plausible_dropped[window.domain] += min(verdict.dropped, domain.count(",") + 1)
        return window.add(bool(verdict.dropped))

    def dropping(self) -> list[str]:
        """Return the domains whose events Plausible drops nearly all of."""
        return sorted({window.domain for window in self._windows.values() if window.alarm})

    def flush(self) -> None:
        """Add what was counted since the last time to the metrics."""
        metrics, name = self._metrics, self._destination
        for outcome, number in self._settled.items():
            metrics.events_settled.labels(name, outcome.value).inc(number)
            self.totals[outcome.value] += number
        for status, number in self._answers.items():
            metrics.answers.labels(name, str(status)).inc(number)
        for domain, number in self._plausible_dropped.items():
            metrics.plausible_dropped.labels(name, domain).inc(number)
            self.totals["plausible_dropped"] += number
        for counter, key, number in (
            (metrics.retries, "retries", self._retries),
            (metrics.ambiguous, "ambiguous", self._ambiguous),
        ):
            if number:
                counter.labels(name).inc(number)
                self.totals[key] += number
        self._settled.clear()
        self._answers.clear()
        self._plausible_dropped.clear()
        self._retries = self._ambiguous = 0
        self._flush_seconds()

    def _flush_seconds(self) -> None:
        if self._sum:
            # prometheus_client has no public way to add many observations at once.
            for bucket, number in zip(self._seconds._buckets, self._buckets, strict=True):
                if number:
                    bucket.inc(number)
            self._seconds._sum.inc(self._sum)
            self._buckets = [0] * len(self._buckets)
            self._sum = 0.0

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
