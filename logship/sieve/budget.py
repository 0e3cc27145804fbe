"""What a step of sifting may cost, so that others soon have their turn, however new all is that a chunk holds.

Costs are in units of a known line that is looked at closely, which takes 5 to 20 µs.
"""

from __future__ import annotations

NEW = 4  # a request, or a User-Agent, that is not remembered
ODD = 4  # a line that is parsed in full
_STEP = 256


class Budget:
    """Counts the work of a step, and begins the next one when it is over."""

    __slots__ = ("_spent",)

    def __init__(self) -> None:
        self._spent = 0

    def spend(self, work: int) -> None:
        """Add to the work of this step, where it cannot end."""
        self._spent += work

    def is_spent(self, work: int) -> bool:
        """Add to the work of this step, and tell whether it is over."""
        self._spent += work
        if self._spent < _STEP:
            return False
        self._spent = 0
        return True
