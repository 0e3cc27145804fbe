"""A receiver on a free port, its clock in the test's hand, and a client that speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from logship.receiver import server

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"


@dataclass
class Clock:
    """A wall clock that moves when it is told to."""

    now: float = 1_760_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Api:
    """A running receiver, seen by a client."""

    running: server.Running
    session: ClientSession
    clock: Clock
    defaults: dict[str, str] = field(default_factory=lambda: {"User-Agent": FIREFOX, "X-Forwarded-For": "203.0.113.7"})

    async def post(self, body: Any = None, *, data: Any = None, **headers: str) -> ClientResponse:
        """Post to /api/event; header names are given with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(
            self.running.url + "/api/event",
            json=body if data is None else None,
            data=data,
            headers=self.defaults | given,
        ) as answer:
            await answer.read()
            return answer

    async def event(self, name: str = "pageview", url: str = "https://example.com/", **more: Any) -> dict[str, Any]:
        """Post an event of example.com and return it as it was recorded."""
        headers = more.pop("headers", {})
        answer = await self.post({"name": name, "domain": "example.com", "url": url} | more, **headers)
        assert answer.status == 202, await answer.text()
        return (await self.events())[-1]

    async def events(self, query: str = "") -> list[dict[str, Any]]:
        """Return what /api/events answers."""
        return await self.get("/api/events" + query)

    async def get(self, path: str) -> Any:
        """Return the JSON behind a path."""
        async with self.session.get(self.running.url + path) as answer:
            return await answer.json()


Start = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start receivers; all are stopped when the test ends."""
    async with AsyncExitStack() as stack:

        async def _start(**settings: Any) -> Api:
            clock = settings.setdefault("clock", Clock())
            running = await stack.enter_async_context(server.serve("127.0.0.1", 0, **settings))
            session = await stack.enter_async_context(ClientSession())
            return Api(running, session, clock)

        yield _start


@pytest.fixture
async def api(start: Start) -> Api:
    """A receiver that knows example.com and one more, and keeps addresses."""
    return await start(sites=["example.com", "other.org"], keep_addresses=True)
