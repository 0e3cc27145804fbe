"""Health, metrics and status over HTTP: read-only views of a running daemon. Changes nothing, shows no visitor.

/healthz  200 while the event loop runs; an API that is down is no reason to restart
/readyz   200 when files are followed and every destination can deliver, else 503
/metrics  Prometheus text     /status  JSON     /  the same for people

Whoever reaches the port may ask, so it must not matter who does: an answer goes only to a name that no stranger can
make point here (a web page could rebind its own), and a client that is slow, or many, loses its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any, Protocol, cast

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from logship import statuspage
from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.settings import AdminSettings

log = structlog.get_logger(__name__)

_CONNECTIONS = 64  # Prometheus, probes and a few people need a dozen; one more takes the place of the oldest
_PATIENCE = 30.0  # seconds in which a request's head has to come and its answer to be taken
_KEEP_ALIVE = 25.0  # seconds; below _PATIENCE, so that idle connections end in good order
_LARGEST = 1024  # bytes of a body: nothing here takes one

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Watched(Protocol):
    """What the views are views of."""

    metrics: Metrics

    def ready(self) -> bool: ...  # noqa: D102
    def status(self) -> dict[str, Any]: ...  # noqa: D102


@contextlib.asynccontextmanager
async def serve(settings: AdminSettings, watched: Watched, *, patience: float = _PATIENCE) -> AsyncIterator[None]:
    """Listen while the context lasts. Raise LogshipError when the address cannot be had."""
    connections = _Connections(patience)
    app = make_app(watched, settings, connections)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE, shutdown_timeout=1)
    await runner.setup()
    make = cast("Callable[[], asyncio.Protocol]", runner.server)
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Bounded(make(), connections), settings.host, settings.port)
    except OSError as error:
        await runner.cleanup()
        place = f"{settings.host}:{settings.port}"
        raise LogshipError(
            f"admin.listen: cannot listen on {place}: {error.strerror}; choose another or null"
        ) from error
    if not _is_loopback(settings.host):
        told = (
            "whoever reaches it sees file names, domains and figures; let a firewall or NetworkPolicy decide who does"
        )
        log.warning("admin.listens_beyond_loopback", host=settings.host, port=settings.port, help=told)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()
        connections.close()


def make_app(watched: Watched, settings: AdminSettings, connections: _Connections | None = None) -> web.Application:
    """Return the application, for a server or a test."""
    views, names = _Views(watched), _Names(settings)
    guards = [connections.patiently] if connections is not None else []
    app = web.Application(middlewares=[*guards, names.only_ours], client_max_size=_LARGEST)
    app.router.add_get("/healthz", views.healthz)
    app.router.add_get("/readyz", views.readyz)
    app.router.add_get("/metrics", views.metrics)
    app.router.add_get("/status", views.status)
    app.router.add_get("/", views.page)
    return app


class _Views:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=_HEADERS)

    async def readyz(self, _request: web.Request) -> web.Response:
        ready = self._watched.ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503, headers=_HEADERS)

    async def metrics(self, _request: web.Request) -> web.Response:
        text = generate_latest(self._watched.metrics.registry)
        return web.Response(body=text, headers=_HEADERS | {"Content-Type": CONTENT_TYPE_LATEST})

    async def status(self, _request: web.Request) -> web.Response:
        body = orjson.dumps(self._watched.status(), option=orjson.OPT_INDENT_2)
        return web.json_response(body=body, headers=_HEADERS)

    async def page(self, _request: web.Request) -> web.Response:
        text = statuspage.render(self._watched.status(), time.time())
        headers = _HEADERS | {"Content-Security-Policy": statuspage.POLICY}
        return web.Response(text=text, content_type="text/html", headers=headers)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


# Names: a web page can make its own name point to this listener, and then read the answers as its own


class _Names:
    """The names that requests may be for.

    An address is no name that could be rebound. Names without a dot are found in the local network only, and the
    endings below have no owner in the public DNS: .local (RFC 6762), .internal (reserved by ICANN in 2024), home.arpa
    (RFC 8375), .localhost and .test (RFC 6761), .svc (Kubernetes services, by a search list).
    """

    _LOCAL = (".local", ".localhost", ".internal", ".home.arpa", ".test", ".svc")

    def __init__(self, settings: AdminSettings) -> None:
        self._loopback = _is_loopback(settings.host)
        self._given = (
            settings.host.lower(),
            *settings.hosts,
            *(() if self._loopback else (socket.gethostname().lower(),)),
        )

    @web.middleware
    async def only_ours(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer 421 to a name that a stranger may own."""
        # Browsers always send it; a plain HTTP/1.0 health check may not, and is no web page.
        name = _without_port(request.headers.get("Host", "localhost"))
        if self._is_ours(name):
            return await handler(request)
        told = (
            f'not answered under the name "{name[:100]}"; if it is yours, add it to admin.hosts in the configuration\n'
        )
        return web.Response(text=told, status=421, headers=_HEADERS)

    def _is_ours(self, name: str) -> bool:
        if _is_loopback(name) or any(fnmatchcase(name, given) for given in self._given):
            return True
        return not self._loopback and (_is_address(name) or "." not in name or name.endswith(self._LOCAL))


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).strip("[]").lower().removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"


# Connections: few, and none for long


class _Connections:
    """Every open connection, the oldest first, each with the moment at which it is closed."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._open: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    def made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, and let it take the place of the oldest when there are too many."""
        if len(self._open) >= _CONNECTIONS:
            self._abort(next(iter(self._open)))
        self._grant(transport)

    @web.middleware
    async def patiently(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A request's head has come: its answer, and the next head, have their time."""
        if (transport := request.transport) is not None and not transport.is_closing():
            self._grant(transport)
        return await handler(request)

    def lost(self, transport: asyncio.BaseTransport) -> None:
        """Forget it."""
        if timer := self._open.pop(transport, None):
            timer.cancel()

    def close(self) -> None:
        """Close them all."""
        for transport in [*self._open]:
            self._abort(transport)

    def _grant(self, transport: asyncio.BaseTransport) -> None:
        self.lost(transport)
        self._open[transport] = asyncio.get_running_loop().call_later(self._patience, self._abort, transport)

    def _abort(self, transport: asyncio.BaseTransport) -> None:
        self.lost(transport)
        cast("asyncio.Transport", transport).abort()


class _Bounded(asyncio.Protocol):
    """aiohttp's own protocol of a connection, and beside it the count of connections."""

    def __init__(self, inner: asyncio.Protocol, connections: _Connections) -> None:
        self._connections = connections
        self._inner = inner
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.made(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.lost(self._transport)
        self._inner.connection_lost(error)
