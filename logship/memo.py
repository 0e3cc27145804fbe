"""Remember a function's results for values that come again and again, in bounded memory.

A site sees few distinct User-Agents, referrers and paths, but millions of requests. A hit costs one dict look-up and no
call. A memo that is full forgets everything: common values are back at once, and strangers who write a new value into
each request cost no more than having no memo.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memo(dict[Key, Value]):
    """What ``make`` gave, by what it was given: ask with ``memo[key]``. ``make`` is a pure function.

    At most ``most`` answers are kept, and only to keys that ``worth`` holds for: a megabyte is asked about once.
    """

    __slots__ = ("_make", "_most", "_worth")

    def __init__(self, make: Callable[[Key], Value], most: int, *, worth: Callable[[Key], bool] | None = None) -> None:
        self._make, self._most, self._worth = make, most, worth

    def __missing__(self, key: Key) -> Value:
        value = self._make(key)
        if self._worth is None or self._worth(key):
            if len(self) >= self._most:
                self.clear()
            self[key] = value
        return value


def texts(make: Callable[[str], Value], most: int, *, longest: int) -> Memo[str, Value]:
    """Return a memo by texts; longer ones are not kept."""
    return Memo(make, most, worth=lambda text: len(text) <= longest)
