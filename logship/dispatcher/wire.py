"""Send bytes to one server and bring back a verdict. The only module that knows aiohttp's client.

`ClientSession.post` costs several times what the request itself does. So a `Line` takes one connection from aiohttp's
own connector (which does DNS, proxies and TLS), keeps it, writes a request that was laid out elsewhere, and awaits
the answer that aiohttp's C parser makes of the connection's bytes. Three names are used that aiohttp does not
document: ``connector.connect``, ``protocol.set_response_params`` and ``protocol.read``. They were tested with the
minor version that `_TESTED` names; another one is refused rather than tried on somebody's visitors.

What decides between "again" and "perhaps counted twice" is whether a byte was written: before, every fault is
harmless; after, a missing answer is ambiguous.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

import orjson
from aiohttp import __version__ as aiohttp_version
from aiohttp import client_exceptions as broken
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection, TCPConnector
from aiohttp.resolver import ThreadedResolver
from aiohttp.streams import StreamReader
from yarl import URL

from logship.dispatcher.ear import Ear
from logship.errors import ConfigError, LogshipError, Problem
from logship.records import Delivered, Misconfigured, Refused, TryAgain, Verdict
from logship.settings.destination import DestinationSettings

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout  # with it comes all that `lean` leaves closed

_TESTED = "3.14"
# Apache and Node close after 5 s of silence, others later. We close first, so that no request meets a closing server.
_LONGEST_IDLE = 4.0
# A server that says `Keep-Alive: timeout=5` may have started its count a network trip earlier.
_IDLE_SHARE = 0.8
_KEEP_ALIVE = re.compile(r"\btimeout\s*=\s*(\d{1,6})\b", re.IGNORECASE)
# Lanes that connect together share a lookup; a server that has moved is still found with the next connection.
_NAME_LIVES = 2
_MOST_BODY = 64 * 1024
# Far above what one read from a socket brings, so that aiohttp never pauses a connection whose body nobody wants.
_READ_BUFFER = 1024 * 1024
_MOST_DETAIL = 2000
# Once the head said "accepted", its body is of no interest: it only must be out of the way.
_DAWDLING_BODY = 1.0
_LONGEST_RETRY_AFTER = 3600.0
# uvloop counts in whole milliseconds, and a timer may fire that much early.
_TICK = 0.001
_ACCEPTED = Delivered(202)
_AGAIN = frozenset((408, 425, 429))
_TOO_LARGE = frozenset((413, 414))
_NAMES_ITS_ERRORS = frozenset((400, 422))


class Wire:
    """The way to one server: its address, TLS, proxy and limits. Opens `Line`s; close it when they are closed.

    Raises ConfigError when the certificates cannot be used, LogshipError for an aiohttp that was not tested.
    """

    def __init__(
        self,
        settings: DestinationSettings,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        _check_version(aiohttp_version)
        self.clock = clock
        self.now = now
        self.host = urlsplit(settings.url).hostname or ""
        self.total = settings.timeout.total
        self._url = URL(settings.url)
        self._proxy = URL(settings.proxy) if settings.proxy else None
        self._tls = trust(settings)
        connect = min(settings.timeout.connect, settings.timeout.total)
        self._timeout = cast("ClientTimeout", _Timeout(connect, connect, connect))
        self._connector: TCPConnector | None = None

    def line(self) -> Line:
        """Return a line that will connect when it is opened."""
        return Line(self)

    async def connect(self) -> Connection:
        """Connect, through the proxy if there is one. Raises what aiohttp raises; `Line.open` translates it."""
        loop = asyncio.get_running_loop()
        if self._connector is None:
            self._connector = TCPConnector(
                limit=0, ttl_dns_cache=_NAME_LIVES, resolver=ThreadedResolver(loop), force_close=True
            )
        if self._tls is True and "https" in (self._url.scheme, self._proxy and self._proxy.scheme):
            self._tls = await asyncio.to_thread(_authorities)
        request = ClientRequest("POST", self._url, loop=loop, proxy=self._proxy, ssl=self._tls)
        return await self._connector.connect(request, [], self._timeout)

    async def close(self) -> None:
        """Close what is left open."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = None


class _Timeout(NamedTuple):
    """What a connector asks of aiohttp's ClientTimeout, in seconds; none is rounded up to a whole one."""

    total: float
    connect: float
    sock_connect: float
    ceil_threshold: float = math.inf


class Line:
    """One connection, kept for as long as it serves: one request at a time, each with its verdict.

    ``sent_at`` and ``answered_at`` are monotonic times of the last request. One lazy timer a connection does for
    deadlines and idleness: armed anew when it fires, never touched by a request.
    """

    __slots__ = (
        *("_clock", "_connection", "_deadline", "_ear", "_idle", "_idle_since", "_protocol", "_timed_out", "_timer"),
        "_wire",
        *("answered_at", "sent_at"),
    )

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._clock = wire.clock
        self._connection: Connection | None = None
        self._protocol: ResponseHandler | None = None
        self._ear: Ear | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = math.inf
        self._idle: float | None = None  # not known before the first answer
        self._idle_since = 0.0
        self._timed_out = False
        self.sent_at = self.answered_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether the next request can be written at once: connected, and nothing arrived that was not asked for."""
        protocol = self._protocol
        return protocol is not None and not protocol.should_close and protocol.is_connected()

    @property
    def certificate_ends(self) -> float | None:
        """When the server's certificate expires (epoch seconds); None without TLS, or where none was verified."""
        transport = self._connection.transport if self._connection is not None else None
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        ends = certificate.get("notAfter") if certificate else None
        return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None

    async def open(self) -> Verdict | None:
        """Connect anew. Return None when that worked, else the verdict; nothing was sent, so it is never ambiguous."""
        self.close()
        try:
            connection = await self._wire.connect()
        except Exception as error:
            self.sent_at = self.answered_at = self._clock()
            return _not_connected(error, self._wire.host)
        self._take(connection)
        return None

    async def post(self, request: bytes, more: Callable[[], bytes | None] | None = None) -> Verdict:
        """Send one request and return the verdict on its answer. The line must be `ready`.

        After a plain acceptance ``more`` is asked for the next request, with the times of this one set. What it
        returns is sent at once, and the verdict is then the one on that; None: the verdict is the acceptance.
        """
        protocol, ear = self._protocol, self._ear
        assert protocol is not None
        assert ear is not None
        transport = protocol.transport
        assert transport is not None
        clock, total = self._clock, self._wire.total

        def go_on() -> bool:
            self.answered_at = now = clock()
            if transport.is_closing() or more is None or (following := more()) is None:
                self._idle_since, self._deadline = now, math.inf
                return False
            self.sent_at, self._deadline = now, now + total
            transport.write(following)
            return True

        answer = ear.listen(go_on)
        self.sent_at = now = clock()
        self._deadline = now + total
        transport.write(request)
        try:
            if await answer:
                if self._idle is None:
                    self._idle = _LONGEST_IDLE  # a plain answer has no Keep-Alive
                return _ACCEPTED
            return await self._understand(protocol)
        except asyncio.CancelledError:
            self.close()
            raise
        except Exception as error:  # bytes were written: whatever broke, the answer never came
            self.answered_at = self._clock()
            verdict = _unanswered(error, self._timed_out, self._wire.total)
            self.close()
            return verdict

    async def _understand(self, protocol: ResponseHandler) -> Verdict:
        """Return the verdict on an answer that is more than a plain acceptance, as aiohttp's parser reads it."""
        message, payload = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await protocol.read()
        self.answered_at = self._idle_since = self._clock()
        if self._idle is None:
            self._idle = _patience_of(message.headers)
            self._arm(min(self._idle, self._wire.total))
        body: bytes | None = b""
        if not payload.is_eof():
            body = await self._body(payload, message.code)
        elif message.code >= 300:
            body = payload.read_nowait(_MOST_BODY)
        self._deadline = math.inf
        if message.code == 202:
            return _delivered(202, message.headers.get("x-plausible-dropped"))
        return judge(message.code, message.headers, body, self._wire.now())

    def close(self) -> None:
        """Close the connection, if there is one. An answer that was still to come is given up."""
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._protocol = self._ear = self._timer = None
        self._deadline = math.inf
        self._timed_out = False

    def _take(self, connection: Connection) -> None:
        protocol = connection.protocol
        assert protocol is not None
        # No Accept-Encoding is sent, and nothing is unpacked: no small answer can become a large one.
        protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=_READ_BUFFER)
        assert protocol.transport is not None
        self._connection, self._protocol, self._ear = connection, protocol, Ear(protocol, protocol.transport.close)
        protocol.transport.set_protocol(self._ear)
        self._idle_since = self._clock()
        self._idle = None
        self._arm(min(_LONGEST_IDLE, self._wire.total))

    async def _body(self, payload: StreamReader, status: int) -> bytes | None:
        """Read the rest of an answer, up to a bound; None: it broke off. The head stands, so nothing is ambiguous."""
        if status < 300:
            self._hasten(_DAWDLING_BODY)
        body = b""
        try:
            while not payload.at_eof() and len(body) <= _MOST_BODY:
                body += await payload.readany()
            broken = self._timed_out
        except Exception:
            broken = True
        if broken or not payload.is_eof():
            self.close()
        return None if broken else body[:_MOST_BODY]

    def _hasten(self, seconds: float) -> None:
        self._deadline = min(self._deadline, self._clock() + seconds)
        self._arm(self._deadline - self._clock())

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, _TICK), self._look)

    def _look(self) -> None:
        """Give up an answer that is overdue, close a line that was idle too long, or look again later."""
        now = self._clock() + _TICK
        idle_until = self._idle_since + (_LONGEST_IDLE if self._idle is None else self._idle)
        if self._deadline < math.inf:
            if now < self._deadline:
                self._arm(self._deadline - now + _TICK)
                return
            self._timed_out = True
            if self._protocol is not None and self._protocol.transport is not None:
                self._protocol.transport.abort()
        elif now < idle_until:
            # A request that starts meanwhile has a deadline after this: the timer is never late for one.
            self._arm(min(idle_until - now + _TICK, self._wire.total))
        else:
            self.close()


def judge(status: int, headers: Mapping[str, str], body: bytes | None, now: float) -> Verdict:
    """Return what an answer means, by section 3 of the contract.

    ``body`` is None when it broke off; ``now`` is the wall clock, for a Retry-After that is a date.
    """
    if 200 <= status < 300:
        return _delivered(status, headers.get("x-plausible-dropped"))
    if status in _AGAIN or 500 <= status < 600:
        return TryAgain(f"answered {status}", after=_retry_after(headers, now), status=status)
    if status in _TOO_LARGE:
        return Refused(status, (body or b"").decode("utf-8", "replace")[:_MOST_DETAIL])
    if status in _NAMES_ITS_ERRORS and body is None:
        return TryAgain(f"reset: a {status} broke off before it said whose fault it is", status=status)
    if status in _NAMES_ITS_ERRORS and (errors := _errors(body or b"")):
        return Refused(status, errors)
    return Misconfigured(status, _advice(status, headers))


@lru_cache(maxsize=64)
def _delivered(status: int, dropped: str | None) -> Delivered:
    known = dropped and dropped.isascii() and dropped.isdigit() and len(dropped) <= 4
    return Delivered(status, int(dropped) if dropped and known else 0)


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return Retry-After in seconds, capped; None when it is absent, past or not understood."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        seconds = _epoch(text) - _epoch(headers.get("Date", ""), default=now)  # its clock, not ours
    return min(seconds, _LONGEST_RETRY_AFTER) if seconds > 0 else None


def _epoch(text: str, default: float = 0.0) -> float:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return default


def _patience_of(headers: Mapping[str, str]) -> float:
    """Return how long a connection may be idle: a little less than the server says, or than servers commonly allow."""
    said = _KEEP_ALIVE.search(headers.get("Keep-Alive", ""))
    return min(_LONGEST_IDLE, int(said[1]) * _IDLE_SHARE) if said else _LONGEST_IDLE


def _errors(body: bytes) -> str | None:
    """Return the body, bounded, when it is the API's own: a JSON object that names ``errors`` or ``error``."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or not value.keys() & {"errors", "error"}:
        return None
    return body.decode("utf-8", "replace").strip()[:_MOST_DETAIL]


_ADVICE = {
    400: "not Plausible's own 400: does `url` lead to Plausible, or to something in front of it?",
    401: "access denied: put the credentials that the server asks for into `headers`",
    402: "payment required: look at the Plausible account",
    403: "access denied: a firewall, bot protection or missing credentials in `headers`",
    404: "there is no event API at this address: check `url`",
    405: "POST is not allowed there: check `url`",
    406: "not Plausible's answer: check `url`, and `Accept` in `headers`",
    407: "the proxy wants credentials: write them into `proxy` as http://user:password@host:port",
    421: "this server does not serve that host: check `url`",
    451: "refused for legal reasons: ask whoever runs the server",
}


def _advice(status: int, headers: Mapping[str, str]) -> str:
    if 300 <= status < 400:
        target = _redirect(headers.get("Location", ""))
        return f"redirects to {target}; that is never followed: set `url` to where Plausible answers"
    return _ADVICE.get(status, "not an answer that Plausible gives: check `url` and what stands in front of it")


def _redirect(location: str) -> str:
    """Return the host that a Location names, without anything that could be private."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    if not host:
        return "another path of the same host"
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{host}:{port}" if port else f"{scheme}{host}"


def _not_connected(error: Exception, host: str) -> Verdict:
    """Return the verdict on a connection that could not be made. The most special exception comes first."""
    match error:
        case broken.ClientConnectorCertificateError():
            return Misconfigured(
                None, f"the certificate of {host} is not trusted ({_certificate(error)}): {_CERTIFICATE_HELP}"
            )
        case broken.ClientHttpProxyError() if error.status in _AGAIN or error.status >= 500:
            return TryAgain(f"proxy: answered {error.status}")
        case broken.ClientHttpProxyError():
            return Misconfigured(error.status, f"the proxy refuses to connect to {host}: check `proxy`")
        case broken.InvalidURL() | ValueError():
            return Misconfigured(None, "the address cannot be used: check `url` and `proxy`")
        case broken.ClientConnectorDNSError():
            return TryAgain(f"dns: {_text(error.os_error)}")
        case broken.ClientConnectorSSLError():
            return TryAgain(f"tls: {_text(error.os_error)}")
        case broken.ClientProxyConnectionError():
            return TryAgain(f"proxy: {_text(error.os_error)}")
        case TimeoutError():
            return TryAgain("connect: timed out")
        case broken.ClientConnectorError():
            return TryAgain(f"connect: {_text(error.os_error)}")
    return TryAgain(f"connect: {_text(error)}")


_CERTIFICATE_HELP = "renew it, or name its authority in `tls.ca_file`"


def _certificate(error: broken.ClientConnectorCertificateError) -> str:
    reason = error.certificate_error
    return reason.verify_message if isinstance(reason, ssl.SSLCertVerificationError) else type(reason).__name__


def _unanswered(error: Exception, timed_out: bool, limit: float) -> Verdict:
    """Return the verdict on a request whose answer never came: the server may have counted it."""
    if timed_out:
        return TryAgain(f"timeout: no answer within {limit:g} s", ambiguous=True)
    if isinstance(error, (broken.ClientConnectionError, OSError, EOFError)):
        return TryAgain(f"reset: {_text(error)}", ambiguous=True)
    return TryAgain(f"malformed: {type(error).__name__}", ambiguous=True)


def _text(error: BaseException) -> str:
    """Return what the system says of an error, never an address that stands in it."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)  # asyncio puts the address into its own text
    if isinstance(error, socket.gaierror) and error.strerror:
        return error.strerror
    return type(error).__name__


def trust(settings: DestinationSettings) -> ssl.SSLContext | bool:
    """Return how certificates are verified: True by the system's authorities, to be read when needed; False: not."""
    if not settings.tls.verify:
        return False
    if settings.tls.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(settings.tls.ca_file))
    except (OSError, ssl.SSLError) as error:
        where = f"destinations.{settings.name}.tls.ca_file"
        message = f"{settings.tls.ca_file} cannot be used ({_text(error)}): name a readable file of PEM certificates"
        raise ConfigError([Problem(where, message)]) from error


_READING = threading.Lock()
_READ: list[ssl.SSLContext] = []


def _authorities() -> ssl.SSLContext:
    """Return what trusts the system's authorities, read once and for all destinations: 50 ms and more, and 1.5 MB."""
    with _READING:
        if not _READ:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            _READ.append(context)
        return _READ[0]


def _check_version(version: str) -> None:
    if not version.startswith(f"{_TESTED}."):
        raise LogshipError(
            f"aiohttp {version} is installed, but logship was tested with {_TESTED}: pip install 'aiohttp=={_TESTED}.*'"
        )
