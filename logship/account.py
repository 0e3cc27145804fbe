"""Account for every line: count what became of it, by source and reason, and log what is new about a file.

The line itself is never logged: it holds a visitor's address.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import structlog

from logship.logs import Throttle
from logship.metrics import Metrics
from logship.parser.detect import Detection
from logship.records import Chunk
from logship.sieve.sifted import Sifted

log = structlog.get_logger(__name__)


class Account:
    """What became of the lines of every source, in the metrics and for the status."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._throttle = Throttle()
        self.lines: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by source: read, events, dropped, ...
        self._reasons: defaultdict[str, tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))

    @property
    def lines_read(self) -> int:
        """How many lines were read so far, of every source."""
        return sum(counts["read"] for counts in self.lines.values())

    def total(self) -> Counter[str]:
        """Return the counts of all sources together."""
        return sum(self.lines.values(), Counter[str]())

    def reasons(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return by source why lines became no event."""
        return {
            source: {"dropped": dict(dropped), "unparsed": dict(unparsed)}
            for source, (dropped, unparsed) in self._reasons.items()
            if dropped or unparsed
        }

    def enter(self, chunk: Chunk, sifted: Sifted, *, events: int) -> None:
        """Count the lines of a chunk, which gave so many events."""
        self._count(chunk.source, sifted, events)
        self._count_in_metrics(chunk, sifted)
        if sifted.detected is not None:
            self._log_format(chunk.path, sifted.detected)
        self._log_unparsed(chunk, sifted)

    def _count(self, source: str, sifted: Sifted, events: int) -> None:
        dropped, unparsed = self._reasons[source]
        dropped.update(sifted.dropped)
        unparsed.update(sifted.unparsed)
        self.lines[source].update(
            read=sifted.lines,
            events=events,
            dropped=sifted.dropped.total(),
            unparsed=sifted.unparsed.total(),
            expired=sifted.expired,
        )

    def _count_in_metrics(self, chunk: Chunk, sifted: Sifted) -> None:
        source, metrics = chunk.source, self._metrics
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

    def _log_format(self, path: str, detected: Detection) -> None:
        if not detected.rivals:
            log.info("format.detected", path=path, format=detected.name, confidence=round(detected.confidence, 2))
        elif self._throttle.allows((path, "ambiguous")):
            fit = " and ".join(detected.rivals)
            log.warning("format.ambiguous", path=path, fit=fit, help="name one as the source's format")

    def _log_unparsed(self, chunk: Chunk, sifted: Sifted) -> None:
        if sifted.first_unparsed is None or not self._throttle.allows((chunk.source, "unparsed")):
            return
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
