"""What scenario tests share.

`follow` makes a follower that tests drive by hand: no task, no sleep, a clock that stands still until it is told to go
on. `make_world` makes what the whole path needs, and `api` is a server that answers as a test says.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from logship import plan
from logship.deadletter import DeadLetters
from logship.metrics import Metrics
from logship.pipeline import Pipeline
from logship.progress.checkpoint import Checkpoint, Position
from logship.progress.ledger import Ledger
from logship.records import Chunk, Span
from logship.settings import loader
from logship.source.tailer import Followed, Tailer, Timing
from logship.source.watch import Wakeup

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


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
            self.ledger.settle([span])
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


# --- the whole path


class World:
    """A directory with a log, a configuration and a state directory, and pipelines run over them one after another."""

    def __init__(self, directory, url):
        self.log = directory / "access.log"
        self.log.touch()
        self.directory, self.url = directory, url
        self.state = directory / "state"
        self.followed = self.log
        self.extra = self.others = self.destination = self.source = ""
        self.grace = "60s"

    def write(self, *paths, **more):
        with self.log.open("a") as log:
            log.writelines(f"{self.line(path, **more)}\n" for path in paths)

    def line(self, path, *, agent=FIREFOX, status=200, when=None, address="203.0.113.7"):
        when = (when or datetime.now(UTC)).strftime("%d/%b/%Y:%H:%M:%S +0000")
        return f'{address} - - [{when}] "GET {path} HTTP/1.1" {status} 5 "-" "{agent}"'

    def plan(self):
        text = f"""
state_dir: {self.directory}/state
admin: null
grace_period: {self.grace}
destinations: {{here: {{url: "{self.url}", retry: {{initial: 10ms, max: 50ms}}{self.destination}}}{self.others}}}
sources: [{{path: "{self.followed}", site: "https://example.com", start_at: beginning{self.source}}}]
{self.extra}
"""
        path = self.directory / "logship.yaml"
        path.write_text(text)
        return plan.build(loader.load(path, os.environ))

    @contextlib.asynccontextmanager
    async def running(self, *, once=False):
        with contextlib.closing(Checkpoint.open(self.directory / "state")) as checkpoint:
            letters = DeadLetters(self.directory / "state" / "dead-letter.jsonl")
            pipeline = Pipeline(self.plan(), checkpoint=checkpoint, dead_letters=letters, metrics=Metrics(), once=once)
            task = asyncio.ensure_future(pipeline.run())
            try:
                yield pipeline
                if not once:
                    pipeline.stop()
                await task
            finally:
                task.cancel()

    async def once(self):
        async with self.running(once=True) as pipeline:
            pass
        return pipeline

    async def paths(self):
        async with aiohttp.ClientSession() as api, api.get(f"{self.url}/api/events", params={"limit": 1000}) as answer:
            return [event["pathname"] for event in await answer.json()]

    async def until(self, condition):
        """Wait for what a function or a coroutine function says."""
        async with asyncio.timeout(30):
            while not (await found if inspect.isawaitable(found := condition()) else found):
                await asyncio.sleep(0.01)


@pytest.fixture
def make_world(tmp_path):
    """Make a World whose events go to this address."""
    return lambda url: World(tmp_path, url)


Say = Callable[[str, int], bytes | None]
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


class Api:
    """An event API of few words: remembers each path it was asked to take, and each it took.

    ``say`` is asked, with the path and how often it came before, what to answer: bytes, or None to hang up. What says
    202 is taken. While ``closed`` it says nothing at all.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.taken: list[str] = []
        self.heads: list[bytes] = []
        self._times = Counter[str]()
        self.say: Say = lambda path, before: ACCEPTED
        self.open = asyncio.Event()
        self.open.set()
        self.together = self.most_together = 0

    @staticmethod
    def answer(status: int, *headers: str, body: str = "") -> bytes:
        """Return an answer as it goes over the wire."""
        lines = [f"HTTP/1.1 {status} Whatever", *headers, f"Content-Length: {len(body)}", "", body]
        return "\r\n".join(lines).encode()

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while answer := await self._hear(reader):
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader) -> bytes | None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        path = urlsplit(json.loads(body)["url"]).path
        self.heads.append(head)
        self.asked.append(path)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            await self.open.wait()
        finally:
            self.together -= 1
        answer = self.say(path, self._times[path])
        self._times[path] += 1
        self.taken += [path] if answer and b" 202 " in answer[:20] else []
        return answer


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    server = await api.serve()
    yield api
    server.close()
    api.open.set()
