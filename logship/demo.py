"""The whole of logship on made-up traffic: a site's live log, the daemon that follows it, a receiver to look at.

Everything is the real thing but the visitors. What they truly did is known, so the summary does not have to believe
logship: each event that should have arrived is looked for among those that did, by name, visitor and page.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from logship.daemon import Daemon
from logship.receiver import server
from logship.traffic import Hit, LogWriter, Site

_SITE = "https://demo.example"
_EVENTS = {"pageview": "pageview", "download": "File Download", "not_found": "404"}
_TICK = 0.1  # seconds between two writes to the log
_PATIENCE = 15.0  # seconds for the last events to arrive

_CONFIG = """\
state_dir: {directory}/state
admin: null
destinations:
  receiver: {{url: "{url}"}}
sources:
  - path: {directory}/access.log
    site: {site}
rules:
  - preset: downloads
  - preset: not-found
  - preset: pageviews
"""

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Summary:
    """What happened, by the traffic's own truth and by the receiver's account; complete once the demo has ended."""

    lines: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # what the lines truly were
    expected: Counter[Key] = field(default_factory=Counter)
    arrived: Counter[Key] = field(default_factory=Counter)
    sent: int = 0
    rotations: int = 0

    @property
    def lost(self) -> int:
        """Events that should have arrived and did not."""
        return (self.expected - self.arrived).total()

    @property
    def doubled(self) -> int:
        """Events that arrived and should not have, or once too often."""
        return (self.arrived - self.expected).total()

    def __str__(self) -> str:
        return (
            f"{self.lines} lines, {self.sent} events sent, {self.arrived.total()} arrived, "
            f"{self.lost} lost, {self.doubled} doubled"
        )


class Demo:
    """A demo that runs for some seconds. Iterate over `run` to watch its summary grow; it leaves nothing behind."""

    def __init__(self, seconds: float, *, visits: float = 6.0, port: int = 0) -> None:
        self._seconds = seconds
        self._visits = visits
        self._port = port
        self.summary = Summary()
        self.url = ""

    async def run(self) -> AsyncIterator[Summary]:
        """Run receiver, daemon and traffic together; yield about once a second, and at the end."""
        with tempfile.TemporaryDirectory(prefix="logship-demo-") as name:
            directory = Path(name)
            (directory / "access.log").touch()
            async with server.serve("127.0.0.1", self._port, sites=["demo.example"], keep_addresses=True) as receiver:
                self.url = receiver.url
                config = directory / "logship.yaml"
                config.write_text(_CONFIG.format(directory=directory, url=receiver.url, site=_SITE))
                async with self._following(Daemon(config)), aiohttp.ClientSession(receiver.url) as api:
                    async for summary in self._live(directory, api):
                        yield summary
        yield self.summary

    @contextlib.asynccontextmanager
    async def _following(self, daemon: Daemon) -> AsyncIterator[None]:
        """Run the daemon; on the way out, stop it cleanly and take its own count of what it sent."""
        running = asyncio.ensure_future(daemon.run())
        try:
            for _ in range(round(_PATIENCE / _TICK)):
                if daemon.following or running.done():
                    break
                await asyncio.sleep(_TICK)
            yield
        finally:
            if not running.done():
                daemon.stop()
            await running
            self.summary.sent = daemon.events_sent

    async def _live(self, directory: Path, api: aiohttp.ClientSession) -> AsyncIterator[Summary]:
        """Write traffic and watch it arrive; the log is rotated midway."""
        site, writer = Site(start=time.time(), visits=self._visits, origin=_SITE), LogWriter(directory / "access.log")
        began, last_id, told = time.monotonic(), 0, 0.0
        with contextlib.closing(writer):
            while (elapsed := time.monotonic() - began) < self._seconds:
                if elapsed > self._seconds / 2 and not self.summary.rotations:
                    writer.rotate()
                    self.summary.rotations += 1
                self._write(writer, list(site.lines(time.time())))
                last_id = await self._collect(api, last_id)
                if elapsed - told >= 1.0:
                    told = elapsed
                    yield self.summary
                await asyncio.sleep(_TICK)
        deadline = time.monotonic() + _PATIENCE
        while self.summary.lost and time.monotonic() < deadline:
            await asyncio.sleep(_TICK)
            last_id = await self._collect(api, last_id)

    def _write(self, writer: LogWriter, hits: list[Hit]) -> None:
        self.summary.lines += writer.write(hits)
        self.summary.kinds.update(hit.kind for hit in hits)
        self.summary.expected.update(_key(hit) for hit in hits if hit.kind in _EVENTS)

    async def _collect(self, api: aiohttp.ClientSession, last_id: int) -> int:
        """Take what arrived since ``last_id`` into account; return the newest id."""
        while True:
            async with api.get("/api/events", params={"after": last_id, "limit": 1000}) as answer:
                events: list[dict[str, Any]] = await answer.json()
            if not events:
                return last_id
            last_id = events[-1]["id"]
            self.summary.arrived.update(
                (event["name"], event["ip"], event["user_agent"], event["pathname"]) for event in events
            )


def _key(hit: Hit) -> Key:
    return _EVENTS[hit.kind], hit.ip, hit.user_agent, hit.target.partition("?")[0]
