"""Tell of one destination in the log: what failed, pauses, drops, refusals. Decides nothing, and counts nothing.

What happens again and again is told once a minute for each kind; the counters have it all. Never an address, a URL or
the server's own words, which could hold what a visitor sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from logship.dispatcher.retry import Gate
from logship.logs import Throttle
from logship.records import Delivery, Misconfigured, Refused, TryAgain, Verdict

log = structlog.get_logger(__name__)


class News:
    """What is new about one destination. ``last_error`` is what failed last, as JSON-able values; None: nothing yet.

    ``clock`` is monotonic seconds, ``now`` the wall clock, for what people read.
    """

    def __init__(self, destination: str, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self.last_error: dict[str, object] | None = None
        self._destination = destination
        self._clock = clock
        self._now = now
        self._throttle = Throttle(clock=clock)
        self._cause: str | None = None  # why the gate was closed when we last looked
        self._told_of_pause = False

    def pauses(self, gate: Gate) -> None:
        """Tell that a pause began or ended, if one did since the last look."""
        if gate.cause != self._cause:
            self._changed(self._cause, gate)
            self._cause = gate.cause

    def replaced(self, gate: Gate) -> None:
        """Take another gate as it is: that a reload opens one is no end of a pause."""
        self._cause, self._told_of_pause = gate.cause, False

    def failed(self, verdict: Verdict, probed_every: float) -> None:
        """Tell of an attempt that delivered nothing; ``probed_every`` is in seconds, for one that is misconfigured."""
        reason = _reason(verdict)
        time = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        self.last_error = {"time": time, "status": verdict.status, "reason": reason}
        if isinstance(verdict, Refused):
            return  # told once it is kept: the disk may be full
        if not self._throttle.allows((type(verdict), verdict.status, reason)):
            return
        about = log.bind(destination=self._destination, status=verdict.status)
        match verdict:
            case Misconfigured():
                about.error("destination.misconfigured", help=reason, probed_every_seconds=probed_every)
            case TryAgain():
                about.warning(
                    "destination.failed", reason=reason, retry_after=verdict.after, ambiguous=verdict.ambiguous
                )

    def refused(self, delivery: Delivery, status: int | None) -> None:
        """Tell that an event was refused, and is kept."""
        if self._throttle.allows((Refused, status)):
            log.error(
                "event.refused",
                destination=self._destination,
                status=status,
                domain=delivery.event.domain,
                help="kept in dead-letter.jsonl",
            )

    def not_kept(self, error: OSError) -> None:
        """Tell that the disk refused dead letters."""
        if self._throttle.allows("dead letters"):
            log.error(
                "dead_letter.failed",
                destination=self._destination,
                error=error.strerror,
                help="make room or repair the state directory; the events wait, nothing is lost",
            )

    def drops(self, domain: str, alarm: bool) -> None:
        """Tell that Plausible drops nearly all events of a domain, or no longer does."""
        if not alarm:
            log.info("destination.accepted_again", destination=self._destination, domain=domain)
            return
        log.error(
            "destination.dropping",
            destination=self._destination,
            domain=domain,
            help="Plausible drops nearly everything it accepts for this domain. Likely causes: the domain is not a "
            "site of this Plausible; the address sent is the proxy's, not the visitor's (client_ip, ip_headers); "
            "an unpaid plan; a hostname or address blocked in the site's Shields",
        )

    def _changed(self, before: str | None, gate: Gate) -> None:
        if gate.cause is None:
            if self._told_of_pause:
                log.info("destination.resumed", destination=self._destination, was=before)
            self._told_of_pause = False
        elif self._throttle.allows(gate.cause):
            self._told_of_pause = True
            log.warning(
                "destination.paused",
                destination=self._destination,
                cause=gate.cause,
                seconds=round(gate.not_before - self._clock(), 1),
                reason=self.last_error and self.last_error["reason"],
            )


def _reason(verdict: Verdict) -> str:
    """Return what a verdict says, in our own words."""
    match verdict:
        case Misconfigured():
            return verdict.detail
        case TryAgain():
            return verdict.reason
    return "event refused"
