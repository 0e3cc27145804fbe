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
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any, Protocol, cast

import orjson
import structlog
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

from logship.errors import LogshipError
from logship.metrics import CONTENT_TYPE, Metrics
from logship.settings.admin import AdminSettings

log = structlog.get_logger(__name__)

_CONNECTIONS = 64  # Prometheus, probes and a few people need a dozen; one more takes the place of the oldest
_PATIENCE = 30.0  # seconds in which a request's head has to come and its answer to be taken
_KEEP_ALIVE = 25.0  # seconds; below _PATIENCE, so that idle connections end in good order

# What aiohttp says of requests that are none: whoever reaches the port could fill our log with it.
_UNHEARD = logging.Logger("logship.admin.requests", logging.CRITICAL + 1)

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


Answer = Callable[[BaseRequest], Awaitable[StreamResponse]]


class Watched(Protocol):
    """What the views are views of."""

    metrics: Metrics

    def ready(self) -> bool: ...  # noqa: D102
    def status(self) -> dict[str, Any]: ...  # noqa: D102


@contextlib.asynccontextmanager
async def serve(settings: AdminSettings, watched: Watched, *, patience: float = _PATIENCE) -> AsyncIterator[None]:
    """Listen while the context lasts. Raise LogshipError when the address cannot be had."""
    connections = _Connections(patience)
    answer = connections.patiently(answers(watched, settings))
    server = Server(answer, access_log=None, logger=_UNHEARD, keepalive_timeout=_KEEP_ALIVE)
    try:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: _Bounded(server(), connections), settings.host, settings.port)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise LogshipError(
            f"admin.listen: cannot listen on {place}: {error.strerror}; choose another or null"
        ) from error
    if not _is_loopback(settings.host):
        help_ = (
            "whoever reaches it sees file names, domains and figures; let a firewall or NetworkPolicy decide who does"
        )
        log.warning("admin.listens_beyond_loopback", host=settings.host, port=settings.port, help=help_)
    try:
        yield
    finally:
        listening.close()
        server.pre_shutdown()
        await server.shutdown(timeout=1)
        connections.close()


def answers(watched: Watched, settings: AdminSettings) -> Answer:
    """Return what answers a request, for a server or a test."""
    views, names = _Views(watched), _Names(settings)
    paths: dict[str, Callable[[], Response]] = {
        "/healthz": views.healthz,
        "/readyz": views.readyz,
        "/metrics": views.metrics,
        "/status": views.status,
        "/": views.page,
    }

    async def answer(request: BaseRequest) -> StreamResponse:
        # Browsers always send Host; a plain HTTP/1.0 health check may not, and is no web page.
        refused = names.refuse(request.headers.get("Host", "localhost"))
        if refused is not None:
            return refused
        view = paths.get(request.path)
        if view is None:
            return Response(text=f"not here; try {', '.join(paths)}\n", status=404, headers=_HEADERS)
        if request.method not in ("GET", "HEAD"):
            return Response(text="only to be read\n", status=405, headers=_HEADERS | {"Allow": "GET, HEAD"})
        try:
            return view()
        except Exception:
            log.exception("admin.failed", path=request.path)
            return Response(text="failed, and logship's log says why\n", status=500, headers=_HEADERS)

    return answer


class _Views:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def healthz(self) -> Response:
        return Response(text="ok\n", headers=_HEADERS)

    def readyz(self) -> Response:
        ready = self._watched.ready()
        return Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503, headers=_HEADERS)

    def metrics(self) -> Response:
        return Response(body=self._watched.metrics.text(), headers=_HEADERS | {"Content-Type": CONTENT_TYPE})

    def status(self) -> Response:
        body = orjson.dumps(self._watched.status(), option=orjson.OPT_INDENT_2)
        return Response(body=body, content_type="application/json", headers=_HEADERS)

    def page(self) -> Response:
        from logship.admin import page  # with its template: few ever ask for it

        text = page.render(self._watched.status(), time.time())
        headers = _HEADERS | {"Content-Security-Policy": page.POLICY}
        return Response(text=text, content_type="text/html", headers=headers)


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

    def refuse(self, host: str) -> Response | None:
        """Return 421 for a name that a stranger may own."""
        name = _without_port(host)
        if self._is_ours(name):
            return None
        message = (
            f'not answered under the name "{name[:100]}"; if it is yours, add it to admin.hosts in the configuration\n'
        )
        return Response(text=message, status=421, headers=_HEADERS)

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

    def patiently(self, answer: Answer) -> Answer:
        """Return the same answers. When a request's head has come, its answer, and the next head, have their time."""

        async def patient(request: BaseRequest) -> StreamResponse:
            if (transport := request.transport) is not None and not transport.is_closing():
                self._grant(transport)
            return await answer(request)

        return patient

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
