"""What sifting comes to: the few surviving lines with their deliveries, and counts of all the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

from logship.parser.detect import Detection
from logship.records import Delivery, Unparsed


@dataclass(slots=True)
class Sifted:
    """What a chunk came to: the survivors with the offsets of their lines, and how the rest was counted."""

    survivors: list[tuple[int, list[Delivery]]] = field(default_factory=list)
    lines: int = 0
    expired: int = 0
    nul_bytes: int = 0
    unparsed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    doubted: dict[int, str] = field(default_factory=dict)  # by offset: why `scrutiny` dropped what the rules would send
    first_unparsed: tuple[int, Unparsed] | None = None
    detected: Detection | None = None  # set by the chunk that settled, or changed, its file's format

    def unparsed_at(self, offset: int, unparsed: Unparsed) -> None:
        """Count a line that is no request, and keep the first one for the log."""
        self.unparsed[unparsed.reason] += 1
        if self.first_unparsed is None and unparsed.reason != "directive":
            self.first_unparsed = offset, unparsed

    def add(self, later: Sifted) -> Sifted:
        """Add what the lines after these came to, and return the sum."""
        self.survivors += later.survivors
        self.lines, self.expired = self.lines + later.lines, self.expired + later.expired
        self.nul_bytes += later.nul_bytes
        for mine, other in (
            (self.unparsed, later.unparsed),
            (self.dropped, later.dropped),
            (self.cuts, later.cuts),
        ):
            mine.update(other)
        self.doubted |= later.doubted
        self.first_unparsed = self.first_unparsed or later.first_unparsed
        self.detected = later.detected or self.detected
        return self


Sifting = Generator[None, None, Sifted]
"""Sifts a chunk a step at a time: it yields where others may have their turn, and returns what the chunk came to."""
