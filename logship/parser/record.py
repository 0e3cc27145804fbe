"""Turn a line into a Record, or say why it is none. Never raises, whatever the bytes.

A line is first taken apart into an outline (`columns.Outline`), then made a Record. There are two ways to an outline,
`Parser.outline` for lines as servers write them nearly always and the general one behind `Parser.parse`; they agree on
every line that the first accepts. What a request line says is remembered, because a site has few of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from logship.parser import requestline, textline
from logship.parser.client import ClientRule
from logship.parser.columns import Key, Outline, Raw
from logship.parser.formats import LogFormat
from logship.records import Record, Unparsed

_ABSENT = frozenset((None, b"", b"-"))
_QUOTED_EMPTY = b'""'  # how Apache writes a user whose name is empty
_DECIDED = {
    "request": ("method", "path", "query", "protocol", "host", "scheme", "absolute"),
    "target": ("path", "query", "host", "scheme", "absolute"),
    "question": ("query",),
}
_CACHE = 4096
_LONG = 512  # a key with a longer part is read anew each time, lest strangers fill the memory


class Decided(NamedTuple):
    """What an outline's key says."""

    host: str | None
    method: str | None
    path: str | None
    query: str | None
    status: int | None
    scheme: str | None
    protocol: str | None
    absolute: bool


class Parser:
    """Reads the lines of one source."""

    def __init__(
        self,
        format: LogFormat,  # noqa: A002 - what it is called everywhere else
        client: ClientRule,
        *,
        log_fields: frozenset[str] = frozenset(),
    ) -> None:
        self.format = format
        self._client = client
        self._logs = tuple(sorted(log_fields & format.logs))
        self._reader = textline.Reader(format.pieces, format.escape, client.field, self._logs)
        self._key_names = self._reader.columns.key_names
        self.decided = frozenset(name for key in self._key_names for name in _DECIDED.get(key, (key,)))
        self._remembered = lru_cache(_CACHE)(self._decide)

    def parse(self, line: bytes) -> Record | Unparsed:
        """Return what a line says, or why it says nothing. The line is without its newline."""
        bare = line.replace(b"\0", b"").rstrip(b"\r")
        if not bare or bare.isspace():
            return Unparsed("blank")
        found = self._reader.read(bare)
        return found if isinstance(found, Unparsed) else self.record(found)

    def outline(self, line: bytes) -> Outline | None:
        """Return a line taken apart: ``(key, user agent, rest)``; None: not a plain line, `parse` it.

        Equal keys mean equal `decided` fields. An outline is a promise that `parse` gives a Record.
        """
        if b"\\" in line or b"\0" in line or line[-1:] == b"\r":
            return None
        found = self._reader.read(line)
        return None if isinstance(found, Unparsed) else found

    def glimpse(self, outline: Outline) -> Record:
        """Return a Record with the `decided` fields and the user agent alone."""
        host, method, path, query, status, scheme, protocol, absolute = self._decided(outline[0])
        return Record(
            host=host,
            method=method,
            path=path,
            query=query,
            status=status,
            user_agent=_text(outline[1]),
            scheme=scheme,
            protocol=protocol,
            absolute=absolute,
        )

    def record(self, outline: Outline) -> Record:
        """Return the whole Record, as `parse` gives it."""
        key, agent, (time, peer, chain, size, referrer, user, content_type, logs) = outline
        host, method, path, query, status, scheme, protocol, absolute = self._decided(key)
        return Record(
            time,
            self._client.resolve(None if peer is None else _decoded(peer), _text(chain)),
            host,
            method,
            path,
            query,
            status,
            _count(size),
            _text(referrer),
            _text(agent),
            "" if user == _QUOTED_EMPTY else _text(user),
            scheme,
            protocol,
            _text(content_type),
            absolute,
            self._log(logs) if logs else {},
        )

    def _decided(self, key: Key) -> Decided:
        longest = max(len(part or b"") for part in key) if key else 0
        return self._decide(key) if longest > _LONG else self._remembered(key)

    def _decide(self, key: Key) -> Decided:
        return decide({name: text for name, raw in zip(self._key_names, key, strict=True) if (text := _text(raw))})

    def _log(self, raws: tuple[Raw, ...]) -> dict[str, str]:
        found = zip(self._logs, raws, strict=True)
        return {name: text for name, raw in found if (text := _text(raw)) is not None}


def decide(facts: Mapping[str, str]) -> Decided:
    """Return what the deciding facts of a request say together."""
    method, target, protocol = requestline.split(facts.get("request", ""))
    if "request" not in facts:
        method, target = requestline.method_of(facts.get("method")), facts.get("target")
        protocol = facts.get("protocol")
    found = requestline.target_of(method, target) if target else _from_path(facts)
    status = facts.get("status")
    return Decided(
        host=found.host if found.absolute else requestline.host_of(facts.get("host")),
        method=method,
        path=found.path,
        query=found.query,
        status=int(status) if status else None,
        scheme=found.scheme or facts.get("scheme"),
        protocol=protocol,
        absolute=found.absolute,
    )


def _from_path(facts: Mapping[str, str]) -> requestline.Target:
    path = facts.get("path", "")
    query = facts["question"].removeprefix("?") if "question" in facts else facts.get("query")
    return requestline.Target(path, query) if path[:1] == "/" or path == "*" else requestline.Target()


def _text(raw: Raw) -> str | None:
    return None if raw in _ABSENT or raw is None else raw.decode("utf-8", "surrogateescape")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _count(raw: Raw) -> int | None:
    """A size of more than 19 digits is none that a server can send."""
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 20 else None
