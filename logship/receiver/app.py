"""The receiver's web application: `/api/event` answers as Plausible does, the rest shows what arrived.

It trusts the headers of whoever calls, as Plausible does, so it belongs on loopback or behind something that sets
them. Only Plausible's own paths may be read across origins; what was recorded may not.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from logship import __version__, records
from logship.receiver import faults, figures, names, page, payload, spam
from logship.receiver import store as storage
from logship.receiver.event_api import CORS, EventApi, Posting
from logship.receiver.gate import Gate
from logship.receiver.intake import Intake
from logship.receiver.request_id import request_id
from logship.receiver.turns import Turns
from logship.receiver.values import Site
from logship.receiver.visitors import Salts

_PREFLIGHT_HEADERS = CORS | {
    "access-control-max-age": "1728000",
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,OPTIONS",
    "access-control-allow-headers": "Authorization,Content-Type,Accept,Origin,User-Agent,DNT,Cache-Control,"
    "X-Mx-ReqToken,Keep-Alive,X-Requested-With,If-Modified-Since,X-CSRF-Token",
}
_ANY_HOST = frozenset(("/api/event", "/api/event/", "/api/health", "/api/system", "/api/error"))
_NOT_US = """asked for as {!r}: this receiver can be reached from its own machine only, and shows what it recorded under
local names only, lest a web page of that name reads it. Ask for 127.0.0.1 or localhost; or listen on another address.
"""
_MOST_EVENTS = 100_000
_MOST_COUNTED = 64
_MOST_ROWS = 1000
_TRUTHS = {"": None, "true": True, "false": False}
_TAGS = ("source", "medium", "campaign", "content", "term")


class _Counted(NamedTuple):
    stats: dict[str, Any]
    stale_at: float


class Receiver:
    """Everything one running receiver holds; the handlers are its methods."""

    def __init__(
        self,
        *,
        sites: Iterable[str | Site],
        store_path: Path | None,
        keep_addresses: bool,
        clock: Callable[[], float],
        spam_hosts: frozenset[str],
        patience: float,
    ) -> None:
        self.gate = Gate(sites)
        self.faults = faults.Faults()
        self._store_path = store_path
        self._keep_addresses = keep_addresses
        self._clock = clock
        self._spam_hosts = spam_hosts
        self._turns = Turns(patience)
        self._counting = asyncio.Lock()
        self._counted: dict[tuple[str, str, int], _Counted] = {}
        self._store: storage.Store
        self.event_api: EventApi

    async def open(self, app: web.Application) -> AsyncIterator[None]:
        """Hold the store open while the application runs."""
        async with storage.Store(self._store_path) as self._store:
            salts = Salts(self._store_path and self._store_path.with_name(self._store_path.name + ".salts"))
            intake = Intake(
                self._store,
                self.gate,
                salts,
                spam_hosts=self._spam_hosts,
                keep_addresses=self._keep_addresses,
                clock=self._clock,
                turns=self._turns,
            )
            self.event_api = EventApi(intake)
            yield

    async def stats(self, period: str = "24h", site: str = "", rows: int = figures.ROWS) -> dict[str, Any]:
        """Return the figures of `/api/stats`, counted now; lists of so many rows."""
        now = int(self._clock())
        counted = await self._store.read(
            lambda connection: figures.of(connection, now, period=period, site=site, rows=rows), at_length=True
        )
        return counted | {"answers": {str(status): count for status, count in sorted(self.event_api.answers.items())}}

    async def post_event(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /api/event`, where `front` did not do it: faults are suffered here."""
        fault = None if request.headers.get("X-Debug-Request") == "true" else self.faults.next()
        if fault is not None and (failed := await self._suffer(fault, request)):
            return failed
        answer = await self.event_api.answer(Posting(request.headers, await _read(request), request.remote or ""))
        if fault is not None and fault.mode == "lost":
            return _cut(request)
        headers = {"Content-Type": answer.content_type, **CORS, **answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def get_events(self, request: web.Request) -> web.Response:
        """Answer `GET /api/events?after=ID&limit=N`, or `?last=N`; `site=S` and `dropped=true|false` narrow it."""
        wanted = storage.Wanted(request.query.get("site", ""), _truth(request, "dropped"))
        after, limit = _number(request, "after", 0), min(_number(request, "limit", 1000), _MOST_EVENTS)
        last = min(_number(request, "last", 0), _MOST_EVENTS)

        def found(store: sqlite3.Connection) -> bytes:
            # Made into JSON in the reading thread as well: a hundred thousand events would hold the others up.
            rows = (
                storage.last_events(store, last, wanted) if last else storage.events_after(store, after, limit, wanted)
            )
            return orjson.dumps(self._shown(rows))

        return web.Response(body=await self._store.read(found), content_type="application/json")

    async def get_stats(self, request: web.Request) -> web.Response:
        """Answer `GET /api/stats?period=P&site=S&limit=N`."""
        period, site = request.query.get("period", "24h"), request.query.get("site", "")
        if period not in figures.PERIODS:
            return _json({"error": f"period: want one of {', '.join(figures.PERIODS)}"}, 400)
        rows = _number(request, "limit", figures.ROWS)
        if rows > _MOST_ROWS:
            return _json({"error": f"limit: want at most {_MOST_ROWS}"}, 400)
        return _json(await self._recent_stats(period, site, rows))

    async def get_page(self, _request: web.Request) -> web.Response:
        """Answer `GET /`: the live page."""
        stats = await self._recent_stats("24h", "")
        latest = await self._store.read(lambda store: self._shown(storage.last_events(store, 50)))
        return web.Response(text=page.render(stats, latest[::-1]), content_type="text/html", headers=page.headers())

    def _shown(self, rows: list[sqlite3.Row]) -> list[dict[str, Any]]:
        return [_event_with_addresses(row) if self._keep_addresses else _event(row) for row in rows]

    async def _recent_stats(self, period: str, site: str, rows: int = figures.ROWS) -> dict[str, Any]:
        # Counting a large store takes seconds: at most a tenth of the time goes there, however many pages are open,
        # and while one of them waits for new figures the others have the old.
        found = self._counted.get((period, site, rows))
        if found and (self._counting.locked() or time.monotonic() < found.stale_at):
            return found.stats
        async with self._counting:
            started = time.monotonic()
            stats = await self.stats(period, site, rows)
            ended = time.monotonic()
            if len(self._counted) >= _MOST_COUNTED:
                self._counted.clear()
            self._counted[period, site, rows] = _Counted(stats, ended + 10 * (ended - started))
            return stats

    async def order_fault(self, request: web.Request) -> web.Response:
        """Answer `POST /faults`, from this machine only and never from a web page of another origin."""
        if not _is_loopback(request.remote) or request.content_type != "application/json":
            return _json({"error": "faults are ordered from this machine, as application/json"}, 403)
        try:
            self.faults.order(orjson.loads(await request.read()))
        except (orjson.JSONDecodeError, AttributeError):
            return _json({"error": "want a JSON object"}, 400)
        except faults.FaultError as error:
            return _json({"error": str(error)}, 400)
        return await self.get_faults(request)

    async def get_faults(self, _request: web.Request) -> web.Response:
        """Answer `GET /faults`."""
        fault = self.faults.pending()
        return _json({"fault": fault and {"mode": fault.mode, "count": fault.count}, "modes": faults.MODES})

    async def _suffer(self, fault: faults.Fault, request: web.Request) -> web.StreamResponse | None:
        if fault.mode == "lost":
            return None
        if fault.mode in ("slow", "hang"):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.faults.over.wait(), fault.delay if fault.mode == "slow" else None)
            return None if fault.mode == "slow" else _cut(request)
        if fault.mode == "reset":
            return _cut(request)
        if fault.mode == "redirect":
            return web.Response(
                status=307, headers={"Location": f"https://{records.readable(request.host)}{request.path}"}
            )
        after = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return web.Response(status=int(fault.mode), text="fault on demand", headers=after)


def make_app(
    *,
    sites: Iterable[str | Site] = (),
    store_path: Path | None = None,
    keep_addresses: bool = False,
    clock: Callable[[], float] = time.time,
    spam_hosts: frozenset[str] | None = None,
    patience: float = 1.0,
    only_local: bool = False,
) -> web.Application:
    """Return the application. Its store is opened when it starts, which may raise `store.StoreError`.

    Args:
        sites: the sites that are known; with none every domain is.
        store_path: the SQLite file; None keeps everything in memory and forgets it.
        keep_addresses: store visitors' addresses and User-Agents too.
        clock: the wall clock, in seconds.
        spam_hosts: hosts of spam referrers, instead of the small list that ships.
        patience: how many seconds an event waits while another of its visitor is being stored.
        only_local: only this machine can reach us, so that what was recorded is shown under local names alone.
    """
    receiver = Receiver(
        sites=sites,
        store_path=store_path,
        keep_addresses=keep_addresses,
        clock=clock,
        spam_hosts=spam.load() if spam_hosts is None else spam_hosts,
        patience=patience,
    )
    # One byte more than JSON may have: what is longer is read no further.
    app = web.Application(
        client_max_size=payload.JSON_LIMIT, middlewares=[_answer, _local_names_only] if only_local else [_answer]
    )
    app[RECEIVER] = receiver
    app.cleanup_ctx.append(receiver.open)
    app.on_shutdown.append(_end_faults)
    app.add_routes(
        [
            web.get("/", receiver.get_page),
            web.post("/api/event", receiver.post_event),
            web.post("/api/event/", receiver.post_event),
            web.options("/api/{path:.*}", _preflight),
            web.get("/api/health", _health),
            web.get("/api/system", _system),
            web.get("/api/error", _error),
            web.get("/api/events", receiver.get_events),
            web.get("/api/stats", receiver.get_stats),
            web.get("/faults", receiver.get_faults),
            web.post("/faults", receiver.order_fault),
        ]
    )
    return app


RECEIVER = web.AppKey("receiver", Receiver)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        answer = await handler(request)
    except web.HTTPMethodNotAllowed:
        answer = _page(404, "Not Found")
    except web.HTTPException as error:
        answer = _page(error.status, error.reason)
    answer.headers["Server"] = "logship"
    answer.headers["x-request-id"] = request_id(request.headers.get("X-Request-Id"))
    return answer


@web.middleware
async def _local_names_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path in _ANY_HOST or names.may_name_us(request.headers.get("Host", "")):
        return await handler(request)
    asked = records.readable(request.host)
    return web.Response(status=403, text=_NOT_US.format(asked), headers={"X-Content-Type-Options": "nosniff"})


async def _end_faults(app: web.Application) -> None:
    app[RECEIVER].faults.over.set()


async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=204, headers=_PREFLIGHT_HEADERS)


async def _health(_request: web.Request) -> web.Response:
    return _json({"postgres": "ok", "clickhouse": "ok", "sites_cache": "ok"}, headers=CORS)


async def _system(_request: web.Request) -> web.Response:
    return _json({"build": {"name": "logship receive", "version": __version__}}, headers=CORS)


async def _error(_request: web.Request) -> web.Response:
    return web.Response(headers=CORS)


async def _read(request: web.Request) -> bytes | None:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise web.HTTPBadRequest(reason=f"{name}: want a whole number")
    return int(text) if text else default


def _truth(request: web.Request, name: str) -> bool | None:
    text = request.query.get(name, "")
    if text not in _TRUTHS:
        raise web.HTTPBadRequest(reason=f"{name}: want true or false")
    return _TRUTHS[text]


def _page(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", headers=CORS)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


def _event(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "time": datetime.fromtimestamp(row["time"], UTC).isoformat(),
        "site": row["site"],
        "name": row["name"],
        "url": row["url"],
        "hostname": row["hostname"],
        "pathname": row["pathname"],
        "referrer": row["referrer"],
        "source": row["source"] or None,
        "utm": {tag: row[f"utm_{tag}"] or None for tag in _TAGS},
        "props": orjson.Fragment(row["props"] or "{}"),
        "revenue": orjson.Fragment(row["revenue"] or "null"),
        "interactive": bool(row["interactive"]),
        "visitor": row["visitor"] or None,
        "session": row["session"] or None,
        "dropped": row["dropped"] or None,
    }


def _event_with_addresses(row: sqlite3.Row) -> dict[str, Any]:
    return _event(row) | {"ip": row["ip"], "user_agent": row["user_agent"]}
