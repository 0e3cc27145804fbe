"""Turn an Event into the very bytes of its request, and into what `explain` shows of it. Pure.

Everything that does not change from event to event is laid out once, by `renderer`, and what comes again and again is
remembered as the bytes it becomes: the head of a User-Agent, the JSON of a URL or a referrer, the headers behind a body
of some length. An ordinary event then costs two joins. Header values are cleaned of control characters here, at the
last moment, whatever came in: a log line written by a stranger can never become a second request.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import orjson

from logship.errors import ConfigError, Problem
from logship.language.notations import Secret
from logship.memo import Memo, texts
from logship.records import Event, raw
from logship.settings.destination import DestinationSettings

# Servers give all headers together 8 KiB or so (nginx, aiohttp, HAProxy); real User-Agents stay under 1 KiB.
_LONGEST_VALUE = 4096
_REMEMBERED = 1024  # of each kind, up to 300 KB with ordinary ones
_LONGEST_TEXT = 500  # characters of a text that is worth remembering
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CREDENTIAL = re.compile(r"auth|cookie|token|secret|key|password|session", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
# These are the request's own, made anew for each event, or would change how it is framed.
_OURS = frozenset(
    (
        *("user-agent", "content-type", "content-length", "transfer-encoding", "connection", "keep-alive", "te"),
        *("trailer", "upgrade", "expect", "proxy-authorization", "x-plausible-ip-type"),
    )
)


def describe(event: Event, settings: DestinationSettings) -> dict[str, object]:
    """Return the request as ``explain --json`` shows it. For more than one event make a `describer` once."""
    return describer(settings)(event)


def describer(settings: DestinationSettings) -> Callable[[Event], dict[str, object]]:
    """Return what shows the requests of one destination: destination, url, the headers that tell something, body."""
    address = _Address.of(settings)
    extras = {name: _masked(name, value) for name, value in _extras(settings, address)}

    def describe_one(event: Event) -> dict[str, object]:
        headers = {"User-Agent": _shown(event.user_agent)}
        headers |= {name: _shown(event.client_ip) for name in settings.ip_headers}
        headers |= {"Content-Type": "application/json"} | extras
        body = orjson.loads(_json(_body(event)))
        return {"destination": settings.name, "url": address.shown, "headers": headers, "body": body}

    return describe_one


def render(event: Event, settings: DestinationSettings) -> bytes:
    """Return the bytes on the wire. For more than one event make a `renderer` once."""
    return renderer(settings)(event)


def renderer(settings: DestinationSettings) -> Callable[[Event], bytes]:
    """Lay out a destination's requests and return what turns one of its events into bytes.

    Raises ConfigError for a header that cannot be sent as a static extra.
    """
    address = _Address.of(settings)
    extras = _checked(settings, _extras(settings, address))
    host = extras.pop("host", ("Host", address.host))[1]
    accept = extras.pop("accept", ("Accept", "*/*"))[1]
    lead = b"POST %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: " % (address.target.encode(), _clean(host))
    ip_names = [b"\r\n%b: " % name.encode() for name in settings.ip_headers]
    usual = ip_names[0] if len(ip_names) == 1 else b""  # one header with the address is part of the head
    middle = b"\r\nContent-Type: application/json\r\nAccept: %b\r\nContent-Length: " % _clean(accept)
    tail = b"".join(b"\r\n%b: %b" % (name.encode(), _clean(value)) for name, value in extras.values()) + b"\r\n\r\n"
    # The parts of a request: head with User-Agent, address, headers with the length, body.
    heads = texts(lambda agent: lead + _clean(agent) + usual, _REMEMBERED, longest=_LONGEST_TEXT)
    frames: Memo[int, bytes] = Memo(lambda length: middle + b"%d" % length + tail, _REMEMBERED)

    def render_one(event: Event) -> bytes:
        ip = event.client_ip
        address = ip.encode() if ip.isascii() and ip.isprintable() else _clean(ip)
        body = _written(event)
        if not usual:
            address = b"".join([name + address for name in ip_names])
        return b"".join((heads[event.user_agent], address, frames[len(body)], body))

    return render_one


def _written(event: Event) -> bytes:
    """Return the body; an ordinary one is put together from two halves that were written before."""
    if event.props or event.revenue or event.interactive is not None:
        return _json(_body(event))
    return _fronts[event.name, event.domain, event.url] + _ends[event.referrer]


def _body(event: Event) -> dict[str, object]:
    body: dict[str, object] = {"name": event.name, "domain": event.domain, "url": event.url}
    if event.referrer is not None:
        body["referrer"] = event.referrer
    if event.props:
        body["props"] = dict(event.props)
    if event.revenue:
        body["revenue"] = dict(event.revenue)
    if event.interactive is not None:
        body["interactive"] = event.interactive
    return body


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # bytes that were not UTF-8 travel as surrogates, which JSON cannot hold
        return orjson.dumps(_readable(value))


def _front(values: tuple[str, str, str]) -> bytes:
    return b'{"name":%b,"domain":%b,"url":%b' % tuple(map(_json, values))


def _end(referrer: str | None) -> bytes:
    return b"}" if referrer is None else b',"referrer":%b}' % _json(referrer)


# The two halves of an ordinary body, for all destinations: their events are the same.
_fronts = Memo(_front, _REMEMBERED, worth=lambda values: sum(map(len, values)) <= _LONGEST_TEXT)
_ends = Memo(_end, _REMEMBERED, worth=lambda referrer: len(referrer or "") <= _LONGEST_TEXT)


def _readable(value: object) -> object:
    if isinstance(value, Mapping):
        return {_readable(str(key)): _readable(item) for key, item in value.items()}
    return _bytes(value).decode("utf-8", "replace") if isinstance(value, str) else value


def _bytes(text: str) -> bytes:
    try:
        return raw(text)
    except UnicodeEncodeError:  # half of a surrogate pair, from the \\u escapes of a JSON log
        return text.encode("utf-8", "replace")


def _clean(text: str) -> bytes:
    """Return a header's value: no control characters, no blanks around it, of bounded length."""
    return _bytes(_CONTROL.sub("", text)).strip()[:_LONGEST_VALUE].rstrip()


def _shown(text: str) -> str:
    return _clean(text).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Address:
    """What a destination's URL means for its requests; credentials in it become headers."""

    host: str
    target: str
    shown: str
    credentials: Mapping[str, str]

    @classmethod
    def of(cls, settings: DestinationSettings) -> _Address:
        parts = urlsplit(settings.url)
        host = _host(parts.hostname or "", parts.port, parts.scheme)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = f"?{quote(parts.query, safe='/?%:@!$&()*+,;=~-._')}" if parts.query else ""
        credentials = _credentials("Authorization", settings.url)
        absolute = f"{parts.scheme}://{host}"
        proxied = settings.proxy is not None and parts.scheme == "http"
        if proxied and settings.proxy:
            credentials |= _credentials("Proxy-Authorization", settings.proxy)
        shown = "?***" if query and isinstance(settings.url, Secret) else query
        return cls(host, f"{absolute if proxied else ''}{path}{query}", f"{absolute}{path}{shown}", credentials)


def _host(name: str, port: int | None, scheme: str) -> str:
    name = f"[{name}]" if ":" in name else name.encode("idna").decode() if not name.isascii() else name
    return name if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{name}:{port}"


def _credentials(header: str, url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: "Basic " + base64.b64encode(pair.encode()).decode()}


def _extras(settings: DestinationSettings, address: _Address) -> list[tuple[str, str]]:
    given = {name.lower() for name in settings.headers}
    ours = [(name, value) for name, value in address.credentials.items() if name.lower() not in given]
    return [*ours, *settings.headers.items()]


def _masked(name: str, value: str) -> str:
    return "***" if isinstance(value, Secret) or _CREDENTIAL.search(name) else _shown(value)


def _checked(settings: DestinationSettings, extras: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the extras by lower-case name. Raises ConfigError for one that is not ours to send."""
    taken = (_OURS | {name.lower() for name in settings.ip_headers}) - {"proxy-authorization"}
    problems = [
        Problem(f"destinations.{settings.name}.headers.{name}", text)
        for name, text in ((name, _objection(name, taken)) for name in settings.headers)
        if text
    ]
    problems += [
        Problem(f"destinations.{settings.name}.ip_headers", text)
        for text in (_objection(name, _OURS) for name in settings.ip_headers)
        if text
    ]
    if problems:
        raise ConfigError(problems)
    return {name.lower(): (name, value) for name, value in extras}


def _objection(name: str, taken: frozenset[str]) -> str | None:
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is not a header's name"
    if name.lower() in taken:
        return f"{name} is set by logship for each request, remove it here"
    return None
