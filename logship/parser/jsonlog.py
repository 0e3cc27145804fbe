r"""Take a line of a JSON log apart: nginx's and Apache's with any keys, Caddy's, Traefik's, or by the user's own map.

A key names a value at the top, or one inside of objects with dots between (``request.headers.User-Agent``). nginx with
its default escaping writes ``\x22`` into JSON, which JSON does not know, and leaves a number out as ``-``: such a line
is mended and read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

import orjson

from logship.parser import times
from logship.parser.columns import Outline
from logship.parser.escapes import undo
from logship.parser.fields import FACTS, KEY_FACTS, FormatError, did_you_mean
from logship.parser.parts import STATUSES
from logship.records import Unparsed

Path = str | tuple[str, ...]  # a key at the top, or the keys on the way inside
Paths = tuple[Path, ...]
Plan = tuple[tuple[int, Paths], ...]  # where to look, by number: FACTS, after them the chain and the log.NAME values

_ABSENT = frozenset((b"", b"-"))
_LAYOUTS = 64  # a log has few sets of keys
_KEYS: Callable[[Sequence[bytes]], tuple[bytes, ...]] = itemgetter(*(FACTS.index(name) for name in KEY_FACTS))
_STATUS = FACTS.index("status")
_REQUEST = itemgetter(*(FACTS.index(name) for name in ("request", "target", "path", "method")))
_REST = itemgetter(*(FACTS.index(name) for name in ("client_ip", "bytes", "referrer", "user", "content_type")))
_TIME, _AGENT, _CHAIN = FACTS.index("time"), FACTS.index("user_agent"), len(FACTS)

# Spellings seen in the wild, without case, "_", "-", "@" and "."; the first that a line has is believed.
_SPELLINGS = {
    "time": "timeiso8601 timestamp time timelocal datetime date ts msec timemsec timeunix starttime eventtime",
    "client_ip": "remoteaddr clientip remoteip client ip clientaddr clientaddress remoteaddress remotehost sourceip "
    "srcip remote xrealip httpxrealip realip addr",
    "x_forwarded_for": "httpxforwardedfor xforwardedfor xff forwardedfor proxyaddxforwardedfor",
    "host": "host httphost vhost virtualhost servername requesthost domain authority site",
    "request": "request requestline",
    "target": "requesturi target requesturl requestpath url",
    "method": "requestmethod method httpmethod verb",
    "path": "uri path documenturi urlpath",
    "query": "args query querystring requestquery",
    "status": "status statuscode responsestatus responsecode httpstatus response code",
    "bytes": "bodybytessent bytessent bytes size responsesize responselength bodybytes bytesout sent",
    "referrer": "httpreferer httpreferrer referer referrer",
    "user_agent": "httpuseragent useragent agent ua browser",
    "user": "remoteuser user authuser username",
    "scheme": "scheme requestscheme",
    "protocol": "serverprotocol protocol proto requestprotocol httpversion httpprotocol",
    # nginx's own $content_type is the request's; a GET has none, so it says nothing wrong.
    "content_type": "senthttpcontenttype responsecontenttype mimetype contenttype",
}
_RANKS = {fact: {word: rank for rank, word in enumerate(words.split())} for fact, words in _SPELLINGS.items()}
_SIGNS = re.compile("[_@.-]")

# https://caddyserver.com/docs/logging: remote_addr before 2.5, then remote_ip, and since 2.7 client_ip, which Caddy
# has resolved by its own trusted proxies.
CADDY: Mapping[str, tuple[str, ...]] = {
    "time": ("ts", "time"),
    "client_ip": ("request.client_ip", "request.remote_ip", "request.remote_addr"),
    "x_forwarded_for": ("request.headers.X-Forwarded-For",),
    "host": ("request.host",),
    "target": ("request.uri",),
    "method": ("request.method",),
    "protocol": ("request.proto",),
    "status": ("status",),
    "bytes": ("size",),
    "referrer": ("request.headers.Referer",),
    "user_agent": ("request.headers.User-Agent",),
    "user": ("user_id",),
    "content_type": ("resp_headers.Content-Type",),
}
# https://doc.traefik.io/traefik/reference/install-configuration/observability/logs-and-accesslogs/: ClientHost is the
# text of X-Forwarded-For where there is one, ClientAddr the peer.
TRAEFIK: Mapping[str, tuple[str, ...]] = {
    "time": ("StartUTC", "StartLocal", "time"),
    "client_ip": ("ClientAddr", "ClientHost"),
    "x_forwarded_for": ("request_X-Forwarded-For", "ClientHost"),
    "host": ("RequestHost", "RequestAddr"),
    "target": ("RequestPath",),
    "method": ("RequestMethod",),
    "protocol": ("RequestProtocol",),
    "scheme": ("RequestScheme",),
    "status": ("DownstreamStatus",),
    "bytes": ("DownstreamContentSize",),
    "referrer": ("request_Referer",),
    "user_agent": ("request_User-Agent",),
    "user": ("ClientUsername",),
    "content_type": ("downstream_Content-Type",),
}


# http://ltsv.org: labels and values, with tabs between; its `host` is the client.
LTSV: Mapping[str, tuple[str, ...]] = {
    "time": ("time",),
    "client_ip": ("host", "remote_addr", "client_ip"),
    "x_forwarded_for": ("forwardedfor", "x_forwarded_for"),
    "host": ("vhost", "server"),
    "request": ("req", "request"),
    "method": ("method",),
    "target": ("uri",),
    "protocol": ("protocol",),
    "scheme": ("scheme",),
    "status": ("status",),
    "bytes": ("size", "body_bytes_sent"),
    "referrer": ("referer", "referrer"),
    "user_agent": ("ua", "user_agent"),
    "user": ("user",),
}


class Reader:
    """Reads lines of one JSON format. ``keys`` maps facts to dotted keys; None: they are guessed from spellings."""

    key_names = KEY_FACTS

    def __init__(
        self,
        keys: Mapping[str, Sequence[str]] | None,
        chain: str,
        logs: Sequence[str],
        is_access: Callable[[Mapping[str, Any]], bool],
        *,
        is_ltsv: bool = False,
    ) -> None:
        self._plain, self._any = (_ltsv_plain, _ltsv) if is_ltsv else (_json_plain, loads)
        self._is_access = is_access
        self._logs = tuple(path_of(name) for name in logs)
        self._chain = None if chain in ("x_forwarded_for", "http_x_forwarded_for") else _named(chain)
        self._count = len(FACTS) + 1 + len(logs)
        self._plan = None if keys is None else self._complete([_all(keys.get(fact, ())) for fact in FACTS])
        self._plans: dict[tuple[str, ...], Plan] = {}

    def outline(self, line: bytes) -> Outline | None:
        """Return the parts of a plain line, which is one that needs no mending."""
        result = self._take(self._plain(line))
        return result if isinstance(result, tuple) else None

    def read(self, line: bytes) -> Outline | Unparsed:
        """Return the parts of a line, or why it is none of this format."""
        found = self._any(line)
        if isinstance(found, Unparsed):
            return found
        result = self._take(found)
        return result if isinstance(result, tuple) else Unparsed(result)

    def _take(self, found: object) -> Outline | str:
        if not isinstance(found, dict):
            return "json"
        if not self._is_access(found):
            return "not_access"
        raws = [b""] * self._count
        for at, paths in self._plan or self._guessed(found):
            raws[at] = _first(found, paths)
        if not any(_REQUEST(raws)):
            return "not_access"
        time, status = raws[_TIME], raws[_STATUS]
        seconds = times.any_of(time) if time else None
        if seconds is None and time:
            return "time"
        if status and status not in STATUSES:
            return "status"
        peer, size, referrer, user, content_type = _REST(raws)
        rest = (seconds, peer or None, raws[_CHAIN], size, referrer, user, content_type, tuple(raws[_CHAIN + 1 :]))
        return _KEYS(raws), raws[_AGENT], rest

    def _guessed(self, found: Mapping[str, Any]) -> Plan:
        names = tuple(found)
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _LAYOUTS:
                self._plans.clear()
            plan = self._plans[names] = self._complete([_spelled(names, fact) for fact in FACTS])
        return plan

    def _complete(self, facts: Sequence[Paths]) -> Plan:
        """Add what the chain and the log.NAME values need, and leave out what is nowhere."""
        chain = self._chain or facts[FACTS.index("x_forwarded_for")]
        return tuple((at, paths) for at, paths in enumerate((*facts, chain, *self._logs)) if paths)


def loads(line: bytes) -> object | Unparsed:
    """Return what a line of JSON holds; escapes and bytes that JSON does not allow are mended."""
    try:
        return cast(object, orjson.loads(line))
    except orjson.JSONDecodeError as error:
        position = error.pos
    if line[:1] != b"{":
        return Unparsed("json", 0)
    try:
        return cast(object, json.loads(_mended(line).decode("utf-8", "surrogateescape"), strict=False))
    except (ValueError, RecursionError):
        return Unparsed("json", position)


def _json_plain(line: bytes) -> object:
    try:
        return None if b"\0" in line else orjson.loads(line)
    except ValueError:
        return None


def _ltsv_plain(line: bytes) -> object:
    return None if b"\0" in line or line[-1:] == b"\r" else _ltsv(line)


def _ltsv(line: bytes) -> object | Unparsed:
    pairs = [item.partition(b":") for item in line.split(b"\t")]
    if not all(colon for _, colon, _ in pairs):
        return Unparsed("format")
    return {
        label.decode("utf-8", "surrogateescape"): undo(value).decode("utf-8", "surrogateescape")
        for label, _, value in pairs
    }


def always(found: Mapping[str, Any]) -> bool:
    """Every object may be an access entry."""
    return True


def is_caddy_access(found: Mapping[str, Any]) -> bool:
    """Tell Caddy's access entries from its others: an error's entry holds the request as well."""
    logger = found.get("logger", "http.log.access")
    return isinstance(logger, str) and logger.startswith("http.log.access")


def check(keys: Mapping[str, str]) -> None:
    """Raise FormatError for a field of ``{json: ...}`` that a record does not have."""
    for field, key in keys.items():
        if field not in FACTS or field == "question":
            known = ", ".join(fact for fact in FACTS if fact != "question")
            raise FormatError(f"json: unknown field {field!r}{did_you_mean(field, FACTS)}; known are {known}")
        if not isinstance(key, str) or not key:
            raise FormatError(f"json.{field}: expected a key of the log's JSON, dotted for one inside an object")


def path_of(key: str) -> Paths:
    """Return where a dotted key may be: under that very name, or inside of objects."""
    return (key, tuple(key.split("."))) if "." in key else (key,)


def _all(keys: Sequence[str]) -> Paths:
    return tuple(path for key in keys for path in path_of(key))


def _named(chain: str) -> Paths:
    return _all((chain, "http_" + chain))


def _spelled(names: Sequence[str], fact: str) -> Paths:
    ranks = _RANKS.get(fact, {})
    found = [(ranks[word], name) for name in names if (word := _SIGNS.sub("", name).lower()) in ranks]
    return tuple(name for _, name in sorted(found))


def _first(found: Mapping[str, Any], paths: Paths) -> bytes:
    """Return the first value that is there, b"" when none is."""
    for path in paths:
        value = found.get(path) if path.__class__ is str else _inside(found, path)
        if value is not None:
            raw = _raw(value)
            if raw not in _ABSENT:
                return raw
    return b""


def _inside(found: Any, path: Path) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            return _bytes_that_were(value)
    if isinstance(value, float) and value.is_integer():
        return b"%d" % value
    if isinstance(value, list):  # a header that came several times
        return b", ".join(_raw(item) for item in value)
    return b"" if isinstance(value, dict) or value is None else str(value).encode()


def _bytes_that_were(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, written as \ud800
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


# A string that is never closed is one token too, lest each of its quotes be tried as the beginning of one.
_TOKENS = re.compile(rb'"((?:[^"\\]++|\\.)*+)"?|:\s*+-?\s*+(?=[,}])', re.DOTALL)
_ESCAPES = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|u[0-9A-Fa-f]{4}|["\\/bfnrt]|)')


def _mended(line: bytes) -> bytes:
    return _TOKENS.sub(
        lambda token: b":null" if token[1] is None else b'"' + _ESCAPES.sub(_escape, token[1]) + b'"', line
    )


def _escape(match: re.Match[bytes]) -> bytes:
    if match[1] is None:
        return b"\\\\" if match[0] == b"\\" else match[0]
    byte = bytes.fromhex(match[1].decode())
    if byte in b'"\\':
        return b"\\" + byte
    return b"\\u00" + match[1] if byte < b" " else byte
