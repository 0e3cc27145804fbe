"""Run the receiver on an address. Whoever enters `serve` has a listening receiver; leaving it stops and stores all."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from logship.errors import LogshipError
from logship.receiver import names
from logship.receiver.app import RECEIVER, Receiver, make_app
from logship.receiver.front import Connection, Door
from logship.receiver.values import Site

_PATIENCE = 2.0  # seconds for requests at hand when it stops


class ListenError(LogshipError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Running:
    """A receiver that listens. ``url`` is its root, without a trailing slash."""

    url: str
    app: web.Application

    @property
    def sites(self) -> tuple[str, ...]:
        """The known sites, as events name them; empty when every domain is known."""
        return self.app[RECEIVER].gate.domains

    async def stats(self, period: str = "all", site: str = "") -> dict[str, Any]:
        """Return the figures of `/api/stats`, counted now; by default of everything that is stored."""
        return await self.app[RECEIVER].stats(period, site)


@asynccontextmanager
async def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    sites: Iterable[str | Site] = (),
    store_path: Path | None = None,
    keep_addresses: bool = False,
    clock: Callable[[], float] = time.time,
    spam_hosts: frozenset[str] | None = None,
) -> AsyncIterator[Running]:
    """Listen on an address while the block runs; port 0 takes a free one.

    Raises:
        ListenError: the address is taken, or is not ours.
        StoreError: the store cannot be used.
    """
    sites = tuple(sites)
    app = make_app(
        sites=sites,
        store_path=store_path,
        keep_addresses=keep_addresses,
        clock=clock,
        spam_hosts=spam_hosts,
        only_local=names.is_local(host),
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_PATIENCE)
    try:
        await runner.setup()
        async with _listening(app[RECEIVER], runner, host, port) as url:
            yield Running(url, app)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(receiver: Receiver, runner: web.AppRunner, host: str, port: int) -> AsyncIterator[str]:
    assert runner.server is not None
    door = Door(receiver.event_api.answer, lambda: receiver.faults.pending() is None, runner.server)
    try:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(door), host, port, backlog=1024)
    except (OSError, OverflowError) as error:
        raise ListenError(f"{_shown(host, port)}: cannot listen: {_told(error)}") from error
    try:
        yield f"http://{_shown(host, server.sockets[0].getsockname()[1])}"
    finally:
        server.close()
        await door.close(_PATIENCE)


def _told(error: OSError | OverflowError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number is None or number not in errno.errorcode:
        return str(error)
    way_out = "; end the program that listens there, or name another port (0: a free one)"
    return os.strerror(number).lower() + (way_out if number == errno.EADDRINUSE else "")


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
