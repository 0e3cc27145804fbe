"""The whole of logship on made-up traffic: a site's live log, the daemon that follows it, a receiver to look at.

Everything is the real thing but the visitors. What they truly did is known, so the tally does not have to believe
logship: each event that should have arrived is looked for among those that did, by name, visitor and page. With
somebody's own rules only they know what should arrive; then a dry run of them takes the truth's place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import yaml

from logship import plan
from logship.daemon import Daemon
from logship.explain.lines import Explainer
from logship.receiver import server
from logship.traffic import Hit, LogWriter, Site

SITE = "https://demo.example"
_NAMES = {"pageview": "pageview", "download": "File Download", "not_found": "404"}
_TICK = 0.1  # seconds between two writes to the log
_PATIENCE = 60.0  # seconds at most for the daemon to begin, and for the last events to arrive
_ROTATE_AFTER = 60.0  # seconds between two rotations, where there is no midway

_RULES = [{"preset": "downloads"}, {"preset": "not-found"}, {"preset": "pageviews"}]
_OF_THE_FILE = ("tests",)  # of a configuration: not of its rules
_OF_THE_MACHINE = ("path", "exclude", "format", "wrapper", "client_ip", "start_at")  # of a source: not of its rules

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Key = tuple[str, str, str, str]
"""An event as it is looked for: name, address, User-Agent, page."""


@dataclass(slots=True)
class Tally:
    """What was written, what became of it, and what it should have become; complete once `settled`."""

    lines: int = 0  # written
    due: Counter[str] = field(default_factory=Counter)  # events that should arrive, by name
    arrived: Counter[str] = field(default_factory=Counter)  # events that did, by name
    refused: Counter[str] = field(default_factory=Counter)  # of these, what Plausible would drop, by its reason
    no_event: Counter[str] = field(default_factory=Counter)  # lines that should become none, by reason
    dropped: Counter[str] = field(default_factory=Counter)  # lines that logship dropped, by reason
    read: int = 0  # lines
    sent: int = 0  # events
    rotations: int = 0
    settled: bool = False
    _open: Counter[Key] = field(default_factory=Counter)

    def expect(self, events: Iterable[Key], reasons: Iterable[str]) -> None:
        """Note what the lines just written should become."""
        for key in events:
            self.due[key[0]] += 1
            self._count(key, 1)
        self.no_event.update(reasons)

    def arrive(self, key: Key, refused: str | None) -> None:
        """Note an event at the receiver, and why Plausible would drop it."""
        self.arrived[key[0]] += 1
        self.refused.update([refused] if refused else [])
        self._count(key, -1)

    def _count(self, key: Key, number: int) -> None:
        self._open[key] += number
        if not self._open[key]:
            del self._open[key]

    @property
    def lost(self) -> int:
        """Events that should have arrived and have not; while the demo runs, those on their way."""
        return sum(number for number in self._open.values() if number > 0)

    @property
    def doubled(self) -> int:
        """Events that arrived and should not have, or once too often."""
        return -sum(number for number in self._open.values() if number < 0)

    def __str__(self) -> str:
        return (
            f"{self.lines} lines, {self.sent} events sent, {self.arrived.total()} arrived, "
            f"{self.lost} lost, {self.doubled} doubled"
        )


class Demo:
    """A demo that runs for some seconds, or until it is told to stop. It leaves nothing behind.

    ``began`` and ``rate`` tell which life the made-up site has lived (`traffic.Site`), so that others can live it too.
    """

    def __init__(self, seconds: float | None, *, rate: float = 6.0, port: int = 0, config: Path | None = None) -> None:
        self.rate = rate
        self.tally = Tally()
        self.url = ""
        self.began = 0.0
        self._seconds = seconds
        self._port = port
        self._config = config
        self._own = None if config is None else _read(config)
        self._stopped = asyncio.Event()
        # What nohup has us ignore stays ignored.
        self._endings = [number for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]

    async def run(self) -> AsyncGenerator[Tally, None]:
        """Run receiver, daemon and traffic together. Yield at first, about once a second, and at the end.

        At the end everything has arrived, and the receiver still answers until the next step.

        Raises:
            ConfigError: the own configuration is not valid.
            LogshipError: the port is taken, or nothing can be written.
        """
        self._listen_for_signals()
        with tempfile.TemporaryDirectory(prefix="logship-demo-") as name:
            directory = Path(name)
            (directory / "access.log").touch()
            sites = [] if self._own else [urlsplit(SITE).netloc]
            async with server.serve("127.0.0.1", self._port, sites=sites, keep_addresses=True) as receiver:
                self.url = receiver.url
                yield self.tally
                config = directory / "logship.yaml"
                config.write_text(_configuration(self._own, directory, receiver.url))
                async with self._following(Daemon(config)) as daemon, aiohttp.ClientSession(receiver.url) as api:
                    async for tally in self._live(directory, config, daemon, api):
                        yield tally
                self.tally.settled = True
                yield self.tally

    def stop(self) -> None:
        """End the traffic; what is on its way still arrives."""
        self._stopped.set()

    def _listen_for_signals(self) -> None:
        # The daemon listens as well: it would stop before it has read what we wrote, and go on when a terminal closes.
        for number in self._endings:
            asyncio.get_running_loop().add_signal_handler(number, self.stop)

    @contextlib.asynccontextmanager
    async def _following(self, daemon: Daemon) -> AsyncIterator[Daemon]:
        """Run the daemon; on the way out, stop it cleanly and take its own count of what it sent."""
        running = asyncio.ensure_future(daemon.run())
        try:
            for _ in range(round(_PATIENCE / _TICK)):
                if daemon.following or running.done():
                    break
                await asyncio.sleep(_TICK)
            if running.done() or daemon.pipeline.stopping:  # a signal came before we could take it
                self.stop()
            self._listen_for_signals()
            running.add_done_callback(lambda _: self.stop())
            yield daemon
        finally:
            if not running.done():
                daemon.stop()
            await running
            self._take_count(daemon)

    async def _live(
        self, directory: Path, config: Path, daemon: Daemon, api: aiohttp.ClientSession
    ) -> AsyncIterator[Tally]:
        """Write traffic and watch it arrive; the log is rotated midway."""
        first, *_ = plan.load(config, os.environ).sources.values()
        foresee = _truth if self._own is None else _dry_run(first)
        self.began = time.time()
        site = Site(start=self.began, visits=self.rate, origin=first.settings.site or SITE)
        log = LogWriter(directory / "access.log")
        clock, last_id = _Clock(self._seconds), 0
        with contextlib.closing(log):
            while not (clock.over() or self._stopped.is_set()):
                if clock.rotates():
                    log.rotate()
                    self.tally.rotations += 1
                hits = list(site.lines(time.time()))
                self.tally.lines += log.write(hits)
                self.tally.expect(*foresee(hits))
                last_id = await self._collect(api, last_id)
                if clock.tells():
                    self._take_count(daemon)
                    yield self.tally
                await asyncio.sleep(_TICK)
        deadline = time.monotonic() + _PATIENCE
        while self.tally.lost and time.monotonic() < deadline:
            await asyncio.sleep(_TICK)
            last_id = await self._collect(api, last_id)

    async def _collect(self, api: aiohttp.ClientSession, last_id: int) -> int:
        """Take what arrived since ``last_id`` into account; return the newest id."""
        while True:
            async with api.get("/api/events", params={"after": last_id, "limit": 1000}) as answer:
                events: list[dict[str, Any]] = await answer.json()
            if not events:
                return last_id
            last_id = events[-1]["id"]
            for event in events:
                key = (event["name"], event["ip"], event["user_agent"], event["pathname"])
                self.tally.arrive(key, event["dropped"])

    def _take_count(self, daemon: Daemon) -> None:
        status = daemon.pipeline.status()
        self.tally.read = daemon.pipeline.lines_read
        self.tally.sent = daemon.events_sent
        why = (reasons for source in status["reasons"].values() for reasons in source.values())
        self.tally.dropped = sum((Counter(reasons) for reasons in why), Counter())


class _Clock:
    """When to end, to rotate and to tell, in seconds since the beginning."""

    def __init__(self, seconds: float | None) -> None:
        self._began = self._told = time.monotonic()
        self._seconds = seconds
        self._next_rotation = self._began + (seconds / 2 if seconds is not None else _ROTATE_AFTER)

    def over(self) -> bool:
        return self._seconds is not None and time.monotonic() - self._began >= self._seconds

    def rotates(self) -> bool:
        if time.monotonic() < self._next_rotation:
            return False
        self._next_rotation += _ROTATE_AFTER if self._seconds is None else self._seconds
        return True

    def tells(self) -> bool:
        if time.monotonic() - self._told < 1.0:
            return False
        self._told += 1.0
        return True


# --- what should arrive


def _truth(hits: list[Hit]) -> tuple[Iterator[Key], Iterator[str]]:
    """Return the events that hits truly are, and the reasons for which the others are none."""
    events = ((_NAMES[hit.kind], hit.ip, hit.user_agent, _page(hit)) for hit in hits if hit.kind in _NAMES)
    return events, (hit.kind for hit in hits if hit.kind not in _NAMES)


def _page(hit: Hit) -> str:
    # A download belongs to the page with the link.
    return _path(hit.referrer if hit.kind == "download" and hit.referrer else hit.target)


def _path(url: str) -> str:
    return unquote(urlsplit(url).path, errors="replace").rstrip() or "/"


def _dry_run(source: plan.SourcePlan) -> Callable[[list[Hit]], tuple[list[Key], list[str]]]:
    """Return what says of lines what somebody's rules make of them."""
    explainer = Explainer(source)

    def foresee(hits: list[Hit]) -> tuple[list[Key], list[str]]:
        lines = b"".join(hit.line.encode() + b"\n" for hit in hits)
        explained = list(explainer.explain(lines)) if lines else []
        events = [delivery.event for each in explained if each.decision for delivery in each.decision.deliveries]
        keys = [(event.name, event.client_ip, event.user_agent, _path(event.url)) for event in events]
        return keys, [each.reason or "" for each in explained if each.result != "event"]

    return foresee


# --- somebody's own rules


def _read(path: Path) -> dict[str, Any]:
    """Return a configuration that is known to be valid, as YAML has it. Raise ConfigError when it is not."""
    plan.load(path, os.environ)
    found: dict[str, Any] = yaml.safe_load(path.read_bytes())
    return found


def _configuration(own: dict[str, Any] | None, directory: Path, url: str) -> str:
    """Return the demo's configuration: our paths and receiver, and all else as somebody's own says, if there is one."""
    own = own or {"sources": [{"site": SITE}], "rules": _RULES}
    names = own.get("destinations") or {"receiver": None}
    ours = {
        "state_dir": str(directory / "state"),
        "admin": None,
        "destinations": {name: {"url": url} for name in names},
    }
    sources = [_source(given, directory, number) for number, given in enumerate(own["sources"])]
    kept = {key: value for key, value in own.items() if key not in _OF_THE_FILE}
    return yaml.safe_dump({**kept, **ours, "sources": sources}, sort_keys=False, allow_unicode=True)


def _source(given: dict[str, Any], directory: Path, number: int) -> dict[str, Any]:
    kept = {key: value for key, value in given.items() if key not in _OF_THE_MACHINE}
    name = f"access-{number}.log" if number else "access.log"  # the traffic is the first source's; others are silent
    return {"path": str(directory / name), "format": "combined", "site": SITE, **kept}
