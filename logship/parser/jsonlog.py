r"""Read JSON lines: nginx's and Apache's with any keys, Caddy's, or by the user's own map.

nginx with its default escaping writes ``\x22`` into JSON, which JSON does not know, and leaves a number out as ``-``:
such a line is mended and read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

import orjson

from logship.parser.fields import FACTS, FormatError, did_you_mean
from logship.parser.labelled import Begins, Keys
from logship.records import Unparsed

# https://caddyserver.com/docs/logging: remote_addr before 2.5, then remote_ip, and since 2.7 client_ip, which Caddy
# has resolved by its own trusted proxies.
CADDY: Keys = {
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


class Loader:
    """Reads a line as one JSON object."""

    def plain(self, line: bytes) -> object:
        """Return the object, None for a line that is no JSON as it stands."""
        try:
            return None if b"\0" in line else orjson.loads(line)
        except ValueError:
            return None

    def plain_all(self, lines: Sequence[bytes]) -> list[object]:
        """Return what `plain` does of each line."""
        try:
            return list(map(orjson.loads, lines))  # a NUL is no JSON
        except ValueError:
            return list(map(self.plain, lines))

    def load(self, line: bytes) -> object | Unparsed:
        """Return what a line holds; escapes and bytes that JSON does not allow are mended."""
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


# An error's entry holds the request as well.
is_caddy_access = Begins("logger", "http.log.access")


def check(keys: Mapping[str, str]) -> None:
    """Raise FormatError for fields of ``{json: ...}`` that a record does not have."""
    known = [fact for fact in FACTS if fact != "question"]
    if unknown := [field for field in keys if field not in known]:
        named = ", ".join(f"{field!r}{did_you_mean(field, known)}" for field in unknown)
        fields = "fields" if len(unknown) > 1 else "field"
        raise FormatError(f"json: unknown {fields} {named}; known are {', '.join(known)}", f"json.{unknown[0]}")
    for field, key in keys.items():
        if not isinstance(key, str) or not key:
            raise FormatError(
                f"json.{field}: expected a key of the log's JSON, dotted for one inside an object", f"json.{field}"
            )


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
