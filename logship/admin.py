"""Health, metrics and status over HTTP: read-only views of a running daemon. Changes nothing, shows no visitor.

/healthz  200 while the event loop runs; an API that is down is no reason to restart
/readyz   200 when files are followed and every destination can deliver, else 503
/metrics  Prometheus text     /status  JSON     /  the same for people
"""

from __future__ import annotations

import contextlib
import html
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.settings import AdminSettings

log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What the views are views of."""

    metrics: Metrics

    def ready(self) -> bool: ...  # noqa: D102
    def status(self) -> dict[str, Any]: ...  # noqa: D102


@contextlib.asynccontextmanager
async def serve(settings: AdminSettings, watched: Watched) -> AsyncIterator[None]:
    """Listen while the context lasts. Raise LogshipError when the address cannot be had."""
    runner = web.AppRunner(make_app(watched, settings.host), access_log=None, keepalive_timeout=30, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        place = f"{settings.host}:{settings.port}"
        raise LogshipError(
            f"admin.listen: cannot listen on {place}: {error.strerror}; choose another or null"
        ) from error
    if not _is_loopback(settings.host):
        log.warning("admin.listens_beyond_loopback", host=settings.host, port=settings.port)
    try:
        yield
    finally:
        await runner.cleanup()


def make_app(watched: Watched, host: str = "127.0.0.1") -> web.Application:
    """Return the application, for a server or a test."""
    views = _Views(watched)
    guard = _only_by_address if _is_loopback(host) else _any_host
    app = web.Application(middlewares=[guard], client_max_size=1024)
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
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._watched.ready() else web.Response(text="not ready\n", status=503)

    async def metrics(self, _request: web.Request) -> web.Response:
        text = generate_latest(self._watched.metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(body=orjson.dumps(self._watched.status(), option=orjson.OPT_INDENT_2))

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(text=_page(self._watched.status()), content_type="text/html", headers=_PAGE_HEADERS)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _only_by_address(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer only to an address or localhost: a name that was rebound to loopback belongs to a stranger's page."""
    name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if name != "localhost" and not _is_loopback(name.strip("[]")):
        return web.Response(text="this address answers to 127.0.0.1, [::1] and localhost only\n", status=421)
    return await handler(request)


@web.middleware
async def _any_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Refresh": "2",
    "Cache-Control": "no-store",
}

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.bad { color: #c33 } .good { color: #283 }
"""


def _page(status: dict[str, Any]) -> str:
    state = "stopping" if status["stopping"] else "ready" if status["ready"] else "not ready"
    problems = "".join(f'<p class="bad">{html.escape(text)}</p>' for text in status["reload"]["problems"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>logship: {state}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f'<h1>logship <span class="{"good" if state == "ready" else "bad"}">{state}</span></h1>{problems}'
        f"<h2>Files</h2>{_table(status['files'])}<h2>Destinations</h2>{_table(status['destinations'])}"
        f"<h2>Lines</h2>{_table([{'source': name, **counts} for name, counts in status['lines'].items()])}</html>"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    """Render dicts that share their keys as a table; everything in it was written by strangers and is escaped."""
    if not rows:
        return "<p>none</p>"
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th scope="col">{html.escape(key.replace("_", " "))}</th>' for key in keys)
    body = "".join(f"<tr>{''.join(_cell(row.get(key)) for key in keys)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{value:,}</td>'
    if isinstance(value, dict):
        value = ", ".join(f"{key} {number}" for key, number in value.items() if number)
    return f"<td>{html.escape('' if value is None else str(value))}</td>"
