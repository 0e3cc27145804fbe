"""A follower that tests drive by hand: no task, no sleep, a clock that stands still until it is told to go on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from logship.metrics import Metrics
from logship.progress.checkpoint import Position
from logship.progress.ledger import Ledger
from logship.records import Chunk, Span
from logship.source.tailer import Followed, Tailer, Timing
from logship.source.watch import Wakeup


class Follower:
    """A tailer with a ledger and a pipeline that accepts everything, at once or when `settle` is called."""

    def __init__(self, *sources: Followed, saved: Follower | None = None, once: bool = False, **more: Any) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.ledger = Ledger()
        self.wakeup = more.pop("wakeup", None) or Wakeup(events=False)
        self.chunks: list[Chunk] = []
        self.spans: list[Span] = []
        self.hold = False
        positions: Sequence[Position] = more.pop("positions", saved.tailer.positions() if saved else [])
        self.sources = sources or (saved.sources if saved else ())
        self.tailer = Tailer(
            self.sources,
            positions=positions,
            seen=more.pop("seen", saved.tailer.sources if saved else ()),
            metrics=self.metrics,
            ledger=self.ledger,
            wakeup=self.wakeup,
            once=once,
            timing=more.pop("timing", Timing()),
            clock=more.pop("clock", lambda: self.now),
            wall=lambda: time.time() + self.now - 1000.0,
            **more,
        )

    async def read(self, *, looks: int = 2) -> list[str]:
        """Look, read all there is, and return its lines."""
        before = len(self.chunks)
        for _ in range(looks):
            await self.tailer.look()
            self.take()
        return [line.decode() for chunk in self.chunks[before:] for line in chunk.data.splitlines()]

    def take(self, limit: int = 10_000) -> None:
        """Read what was seen to be there, as the pipeline does: one chunk at a time, accounted for."""
        for _ in range(limit):
            if chunk := self.tailer.take():
                self.account(chunk)
            elif not self.tailer._queue:
                return
        raise AssertionError("there is no end to what it reads")

    def account(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        assert chunk.end - chunk.start == len(chunk.data) or not chunk.data
        starts = [chunk.start + at for at in line_starts(chunk.data)]
        spans = self.ledger.open(chunk.file, chunk.start, chunk.end, [(start, 1) for start in starts])
        self.spans += spans
        if not self.hold:
            self.settle()

    def settle(self, count: int | None = None) -> None:
        for span in self.spans[:count]:
            self.ledger.settle(span)
        del self.spans[:count]

    async def after(self, seconds: float) -> list[str]:
        self.now += seconds
        return await self.read()

    def lines(self) -> list[str]:
        return [line.decode() for chunk in self.chunks for line in chunk.data.splitlines()]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"logship_{name}", labels) or 0.0

    def event(self, event: str) -> float:
        return self.count("file_events_total", event=event)

    def states(self) -> dict[str, str]:
        return {os.path.basename(str(each["path"])): str(each["state"]) for each in self.tailer.status()}

    def restart(self, *sources: Followed, **more: Any) -> Follower:
        """Stop, and start another from what a checkpoint would hold."""
        other = Follower(*(sources or self.sources), saved=self, **more)
        self.close()
        return other

    def close(self) -> None:
        self.tailer.close()
        self.wakeup.close()


def line_starts(data: bytes) -> list[int]:
    starts = [0] if data else []
    at = data.find(b"\n")
    while 0 <= at < len(data) - 1:
        starts.append(at + 1)
        at = data.find(b"\n", at + 1)
    return starts


@pytest.fixture
def follow() -> Iterator[Any]:
    """Make a Follower of paths or sources; all are closed afterwards, and no descriptor is left."""
    made: list[Follower] = []

    def make(*what: Path | str | Followed, **more: Any) -> Follower:
        start_at = more.pop("start_at", "beginning")
        exclude = tuple(more.pop("exclude", ("*.gz",)))
        sources = [
            each if isinstance(each, Followed) else Followed(f"s{n}", (str(each),), exclude, start_at)
            for n, each in enumerate(what)
        ]
        made.append(Follower(*sources, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()
