"""Count what strangers choose, in bounded memory: the frequent are counted right, the rarest are let go in bulk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_MOST = 50_000  # about 10 MB of paths
_KEPT = 25_000


class Ranking(Generic[T]):
    """Counts by key. ``total`` is of all that was ever added; ``forgotten`` tells how many keys were let go."""

    def __init__(self) -> None:
        self._counts: Counter[T] = Counter()
        self.total = 0
        self.forgotten = 0

    def add(self, keys: Collection[T]) -> None:
        """Count each of the keys once more."""
        self.total += len(keys)
        self._counts.update(keys)
        if len(self._counts) > _MOST:
            self._forget()

    def __len__(self) -> int:
        return len(self._counts) + self.forgotten

    def top(self, most: int | None = None) -> list[tuple[T, int]]:
        """Return the most frequent keys with their counts, the first seen first where they are equal."""
        return self._counts.most_common(most)

    def _forget(self) -> None:
        kept = Counter(dict(self._counts.most_common(_KEPT)))
        self.forgotten += len(self._counts) - len(kept)
        self._counts = kept
