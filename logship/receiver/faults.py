"""Faults on demand, so that a client's patience can be tested: the next requests go wrong in a chosen way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from logship.errors import LogshipError

MODES = {
    "400": "refused in a way that is not the API's own; nothing is recorded",
    "404": "not found; nothing is recorded",
    "429": "too many requests, with Retry-After when given; nothing is recorded",
    "500": "server error; nothing is recorded",
    "503": "unavailable, with Retry-After when given; nothing is recorded",
    "redirect": "307 to https; nothing is recorded",
    "reset": "the connection is cut before anything is recorded",
    "hang": "no answer, and nothing is recorded",
    "slow": "answered as usual after `delay` seconds",
    "lost": "recorded, but the connection is cut instead of answering",
}


class FaultError(LogshipError):
    """A fault was asked for that is not known, or in a form that cannot be used."""


@dataclass(slots=True)
class Fault:
    """One kind of fault, and how many requests it will still hit."""

    mode: str
    count: int
    retry_after: float | None = None
    delay: float = 2.0


class Faults:
    """At most one fault at a time; an order replaces the one before it."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self._fault: Fault | None = None

    def order(self, wish: Mapping[str, Any]) -> None:
        """Arm a fault: ``mode``, ``count`` (1; 0 ends it), ``retry_after`` and ``delay`` in seconds.

        Raises:
            FaultError: the mode is not known or a number is none.
        """
        mode = str(wish.get("mode", ""))
        count, after, delay = wish.get("count", 1), wish.get("retry_after"), wish.get("delay", 2.0)
        if mode not in MODES and count != 0:
            raise FaultError(f"mode: got {mode!r}, want one of {', '.join(MODES)}")
        if (
            not isinstance(count, int)
            or not isinstance(delay, (int, float))
            or not isinstance(after, int | float | None)
        ):
            raise FaultError("count, retry_after and delay must be numbers")
        self._fault = Fault(mode, count, after, delay) if count > 0 else None

    def pending(self) -> Fault | None:
        """Return the fault that waits, if any."""
        return self._fault

    def next(self) -> Fault | None:
        """Return the fault that this request meets, and count it off."""
        fault = self._fault
        if fault is not None:
            fault.count -= 1
            self._fault = fault if fault.count else None
        return fault
