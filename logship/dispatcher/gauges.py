"""Show how one destination stands. Nothing is counted here: the gauges ask when somebody collects them."""

from __future__ import annotations

from collections.abc import Callable

from logship.dispatcher.retry import CAUSES
from logship.metrics import Metrics


def watch(
    metrics: Metrics,
    destination: str,
    *,
    queued: Callable[[], int],
    in_flight: Callable[[], int],
    cause: Callable[[], str | None],
) -> None:
    """Show what these say from now on. ``cause`` is that of the gate: None while it is open."""
    metrics.queued.labels(destination).set_function(queued)
    metrics.in_flight.labels(destination).set_function(in_flight)
    for each in CAUSES:
        metrics.destination_paused.labels(destination, each).set_function(lambda each=each: float(cause() == each))  # type: ignore[misc]


def forget(metrics: Metrics, destination: str) -> None:
    """Show no state any more: a pause that nobody can end would keep an alert alive."""
    for gauge in (metrics.queued, metrics.in_flight):
        gauge.remove(destination)
    for each in CAUSES:
        metrics.destination_paused.remove(destination, each)
