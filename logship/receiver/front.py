r"""The front door: plain posts of events are read and answered here, all else goes through to aiohttp.

Taking an event in costs less than aiohttp's general way of reading a request and writing an answer, so the one shape
in which events are really sent has a way of its own: ``POST /api/event HTTP/1.1``, headers, a body of a stated length.
The first request of another shape takes its connection out of here for good, with every byte that is not answered
yet: what is strange about HTTP is decided in one place only, and that is aiohttp.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from logship.receiver.event_api import CORS, Answer, Posting
from logship.receiver.request_id import request_id

_LONGEST_HEAD = 16 * 1024
_LONGEST_BODY = 64 * 1024
_MOST_WAITING = 256 * 1024
"""Bytes that may wait while a request is being answered; then we stop reading."""

_LONGEST_REMEMBERED = 512
"""Characters of a header line that is worth remembering."""

_IDLE = 75.0
"""Seconds without a request after which a connection is closed, as aiohttp does it."""

_REQUEST = b"POST /api/event HTTP/1.1\r\n"
_HEADER = re.compile(r"([-!#$%&'*+.^_`|~0-9A-Za-z]{1,200}):([^\r\n\0]*)")
_LENGTH = re.compile(r"[0-9]{1,6}")
_MALFORMED = ":"
_STRANGE = frozenset((_MALFORMED, "transfer-encoding", "content-encoding", "expect", "upgrade", "trailer", "te"))
_ONCE = frozenset(("host", "content-length"))
_SPACE = " \t"

Take = Callable[[Posting], Coroutine[Any, Any, Answer]]


class Door:
    """What all connections share: who answers events, who takes the rest, and which connections are open."""

    def __init__(self, take: Take, is_open: Callable[[], bool], others: Callable[[], asyncio.Protocol]) -> None:
        self.take = take
        self.is_open = is_open  # said no while a fault is ordered: aiohttp's side suffers it
        self.others = others
        self.connections: set[Connection] = set()
        self.working: set[asyncio.Task[None]] = set()  # also for whom nobody waits any more

    async def close(self, patience: float) -> None:
        """Let the requests at hand be answered for so many seconds, then end every connection."""
        for connection in tuple(self.connections):
            connection.finish()
        if self.working:
            await asyncio.wait(self.working, timeout=patience)
        for connection in tuple(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection, one request at a time: what comes meanwhile waits."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._waiting = b""
        self._ending = False
        self._unread = False  # our answers pile up: no request is begun until they are read
        self._last = self._loop.time()
        self._working: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a fresh connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._door.connections.add(self)
        self._clock = self._loop.call_later(_IDLE, self._look)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection; an event that is being stored is stored."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take a request as soon as it is whole."""
        self._waiting = self._waiting + data if self._waiting else data
        if self._working is None and not self._unread:
            self._next()
        elif len(self._waiting) > _MOST_WAITING:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Read and begin no more of who does not read our answers."""
        self._unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._unread = False
        self._transport.resume_reading()
        if self._working is None and self._waiting:
            self._next()

    def finish(self) -> None:
        """Close as soon as no request is being answered."""
        self._ending = True
        if self._working is None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def _next(self) -> None:
        end = self._waiting.find(b"\r\n\r\n") + 4
        if end < 4 and self._may_become_ours():
            return
        read = _read(self._waiting[:end]) if self._door.is_open() else None
        if read is None:
            self._hand_over()
            return
        headers, length = read
        if len(self._waiting) >= end + length:
            self._begin(Posting(headers, self._waiting[end : end + length], self._peer))
            self._waiting = self._waiting[end + length :]

    def _may_become_ours(self) -> bool:
        return len(self._waiting) <= _LONGEST_HEAD and _REQUEST.startswith(self._waiting[: len(_REQUEST)])

    def _begin(self, posting: Posting) -> None:
        self._working = self._loop.create_task(self._answer(posting))
        self._door.working.add(self._working)
        self._working.add_done_callback(self._answered)

    async def _answer(self, posting: Posting) -> None:
        answer = await self._door.take(posting)
        if not self._transport.is_closing():
            self._transport.write(_written(answer, posting.headers.get("x-request-id")))

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._working = None
        self._door.working.discard(task)
        self._last = self._loop.time()
        if task.cancelled() or task.exception() is not None:
            self._transport.abort()  # a fault of ours: no answer is better than a wrong one
        elif self._ending:
            self._transport.close()
        elif self._waiting and not self._unread:
            self._transport.resume_reading()
            self._next()

    def _hand_over(self) -> None:
        self._leave()
        other = self._door.others()
        self._transport.set_protocol(other)
        other.connection_made(self._transport)
        other.data_received(self._waiting)

    def _leave(self) -> None:
        self._clock.cancel()
        self._door.connections.discard(self)

    def _look(self) -> None:
        left = self._last + _IDLE - self._loop.time()
        if left <= 0 and self._working is None:
            self._transport.abort() if self._unread else self._transport.close()
        else:
            self._clock = self._loop.call_later(max(left, 1.0), self._look)


def _read(head: bytes) -> tuple[dict[str, str], int] | None:
    """Return the headers and the body's length of a request of our one shape, None for any other."""
    if not head.startswith(_REQUEST):
        return None
    headers: dict[str, str] = {}
    for line in head[len(_REQUEST) : -4].decode("utf-8", "surrogateescape").split("\r\n"):
        name, value = _header(line)
        if name not in headers:
            headers[name] = value
        elif name in _ONCE:
            return None
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length) or int(length) > _LONGEST_BODY or "host" not in headers:
        return None
    if not _STRANGE.isdisjoint(headers) or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    return headers, int(length)


def _header(line: str) -> tuple[str, str]:
    return (_remembered if len(line) <= _LONGEST_REMEMBERED else _parted)(line)


def _parted(line: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(line)
    return (found[1].lower(), found[2].strip(_SPACE)) if found else (_MALFORMED, "")


_remembered = lru_cache(maxsize=4096)(_parted)


def _written(answer: Answer, wanted_id: str | None) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()) if answer.headers else ""
    start = _start(answer.status, answer.content_type, int(time.time()))
    end = f"{extra}x-request-id: {request_id(wanted_id)}\r\ncontent-length: {len(answer.body)}\r\n\r\n"
    return b"".join((start, end.encode("utf-8", "surrogateescape"), answer.body))


@lru_cache(maxsize=16)
def _start(status: int, content_type: str, second: int) -> bytes:
    always = {"server": "logship", "date": formatdate(second, usegmt=True), "content-type": content_type, **CORS}
    lines = (f"{name}: {value}\r\n" for name, value in always.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}".encode()
