"""How fast it goes: totals noted every second in, rates out. Knows no clock; feed it times and totals."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any

_WINDOW = 10  # seconds over which "now" is meant: long enough not to flicker, short enough to follow
_STEP = 5  # seconds of one figure of the history
_STEPS = 60  # five minutes: what one wants to see after an edit, or while a destination recovers


class Rates:
    """Totals of lines read and events delivered, and the rates that follow from them."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int, int]] = deque(maxlen=_STEP * _STEPS + 1)
        self._forgotten = 0

    def note(self, now: float, lines: int, events: int) -> None:
        """Note the totals of this second."""
        self._forgotten += len(self._noted) == self._noted.maxlen
        self._noted.append((now, lines, events))

    def as_json(self) -> dict[str, Any]:
        """Return rates per second: over the last seconds, and the history that led there, oldest first."""
        noted = list(self._noted)
        lines, events = _rate(noted[-_WINDOW - 1 :])
        history = [_rate(list(pair)) for pair in pairwise(self._steps(noted))]
        return {
            "window": _WINDOW,
            "lines_per_second": lines,
            "events_per_second": events,
            "history": {
                "step": _STEP,
                "steps": _STEPS,
                "lines": [each[0] for each in history],
                "events": [each[1] for each in history],
            },
        }

    def _steps(self, noted: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
        """Return what was noted at the beginning of each step and last; a step stays where it is as time goes on."""
        begun = noted[-self._forgotten % _STEP :: _STEP]
        return begun if not noted or begun[-1] is noted[-1] else [*begun, noted[-1]]


def _rate(noted: list[tuple[float, int, int]]) -> tuple[float, float]:
    if len(noted) < 2 or (seconds := noted[-1][0] - noted[0][0]) <= 0:
        return 0.0, 0.0
    return tuple(round((noted[-1][n] - noted[0][n]) / seconds, 2) for n in (1, 2))  # type: ignore[return-value]
