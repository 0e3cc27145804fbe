"""Long work in short steps, so that who does it can do something else in between.

Work is a generator: it yields where it may be interrupted, and returns what it came to.

    work = Steps(sieve.steps(chunk, now))
    for _ in work:
        await asyncio.sleep(0)
    take(work.result)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Steps(Generic[Result]):
    """Work that is done by iterating once. ``result`` is there when the iteration has ended."""

    def __init__(self, work: Generator[None, None, Result]) -> None:
        self._work = work
        self.result: Result

    def __iter__(self) -> Iterator[None]:
        self.result = yield from self._work

    def at_once(self) -> Result:
        """Do all of it, and return what it came to."""
        for _ in self:
            pass
        return self.result
