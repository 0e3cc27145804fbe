"""Bury what one destination will not deliver: make it dead letters, on disk, and say so. Settles nothing.

A disk that refuses them is no end: the caller keeps its deliveries and comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from logship.deadletter import DeadLetters
from logship.dispatcher.news import News
from logship.metrics import Metrics
from logship.records import Delivery, Refused, TryAgain

# Seconds until a disk that refused is asked again: someone has to make room first.
_ASK_AGAIN = 1.0


class Graveyard:
    """Where the deliveries of one destination end that it refused. ``now`` is the wall clock, for what people read."""

    def __init__(self, dead_letters: DeadLetters, metrics: Metrics, news: News, now: Callable[[], float]) -> None:
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._news = news
        self._now = now

    async def bury_one(self, delivery: Delivery, verdict: Refused | TryAgain) -> bool:
        """Bury a delivery for its verdict, see `bury`. That one was refused is told once it is kept."""
        detail = verdict.detail if isinstance(verdict, Refused) else f"sent, but never answered: {verdict.reason}"
        kept = await self.bury([delivery], detail, verdict.status)
        if kept and isinstance(verdict, Refused):
            self._news.refused(delivery, verdict.status)
        return kept

    async def bury(self, deliveries: Sequence[Delivery], detail: str, status: int | None = None) -> bool:
        """Make deliveries dead letters. True: all are on disk. False: it refused them, and has none."""
        time = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        entries = [_letter(delivery, status, detail, time) for delivery in deliveries]
        try:
            await asyncio.to_thread(self._dead_letters.append_many, entries)
        except OSError as error:
            self._metrics.dead_letter_failures.inc()
            self._news.not_kept(error)
            return False
        return True

    async def insist(self, deliveries: Sequence[Delivery], detail: str) -> None:
        """Bury deliveries as soon as the disk takes them."""
        while not await self.bury(deliveries, detail):  # noqa: ASYNC110 - nobody tells when a disk has room
            await asyncio.sleep(_ASK_AGAIN)


def _letter(delivery: Delivery, status: int | None, detail: str, time: str) -> dict[str, object]:
    return {
        "time": time,
        "destination": delivery.destination,
        "status": status,
        "detail": detail,
        "event_time": delivery.time,
        "event": asdict(delivery.event),
        "path": delivery.span.path if delivery.span is not None else None,
        "offset": delivery.span.start if delivery.span is not None else None,
    }
