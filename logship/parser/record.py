"""Turn a line into a Record, or say why it is none. Never raises, whatever the bytes.

A line is first taken apart into an outline (`columns.Outline`), then made a Record. There are two ways to an outline,
`Parser.outline` for lines as servers write them nearly always and the general one behind `Parser.parse`; they agree on
every line that the first accepts. What a request line says is remembered, because a site has few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import and_
from typing import Protocol, cast

from logship.parser import labelled, pattern, requestline, textline, wrappers
from logship.parser.client import ClientRule
from logship.parser.columns import Key, Outline, Raw
from logship.parser.fastblock import Block, Sheet
from logship.parser.formats import LogFormat
from logship.records import Record, Unparsed

_QUOTED_EMPTY = b'""'  # how Apache writes a user whose name is empty
_DECIDED = {
    "request": ("method", "path", "query", "protocol", "host", "scheme", "absolute"),
    "target": ("path", "query", "host", "scheme", "absolute"),
    "question": ("query",),
}
_TARGETS = ("request", "target", "path")  # the first that is there is believed
_BUT_PATH = frozenset((*_TARGETS, "query", "question", "protocol"))
_CACHE = 1024  # the sieve remembers what it is told; this helps lines that take the long way
_NEW = object.__new__  # calling a class with sixteen fields costs as much as all the rest of reading a line
_LONG = 512  # a longer key is read anew each time, lest strangers fill the memory


class Reader(Protocol):
    """One family's way to take lines apart: the general one, and the fast one for plain lines."""

    @property
    def key_names(self) -> tuple[str, ...]:
        """The facts that an outline's key holds, in order."""

    @property
    def outline(self) -> Callable[[bytes], Outline | None]:
        """Returns the parts of a plain line, None for all others."""

    @property
    def block(self) -> Block | None:
        """Does the same for many lines at once, None where there is no faster way."""

    def read(self, line: bytes) -> Outline | Unparsed:
        """Return the parts of a line, or why it is none of the format."""


class Parser:
    """Reads the lines of one source.

    ``outline(line)`` gives a line taken apart, ``(key, user agent, rest)``, or None: not a plain line, `parse` it.
    Equal keys mean equal `decided` fields; an outline is a promise that `parse` gives a Record. ``block`` does the
    same for many lines at once, where there is a faster way.
    """

    outline: Callable[[bytes], Outline | None]
    block: Block | None

    def __init__(
        self,
        format: LogFormat,  # noqa: A002 - what it is called everywhere else
        client: ClientRule,
        *,
        log_fields: frozenset[str] = frozenset(),
    ) -> None:
        self.format = format
        self._client = client
        self._logs = tuple(sorted(log_fields if format.any_log else log_fields & format.logs))
        self._reader = _READERS[format.family](format, client.field, self._logs)
        self._unwrap = wrappers.unwrap(format.wrapper)
        self._key_names = self._reader.key_names
        self._targets = [self._key_names.index(name) for name in _TARGETS if name in self._key_names]
        self._others = tuple(at for at, name in enumerate(self._key_names) if name not in _BUT_PATH)
        self.decided = frozenset(name for key in self._key_names for name in _DECIDED.get(key, (key,)))
        self._remembered = lru_cache(_CACHE)(self._decide)
        self.outline = _OUTLINES[format.wrapper](self._reader.outline, self._unwrap)
        block = None if format.per_file else self._reader.block
        self.block = _inside(block, format.wrapper) if block is not None else None

    @property
    def log_names(self) -> frozenset[str] | None:
        """The ``log.NAME`` fields that a record can hold; None: whatever a line has."""
        return None if self.format.any_log or self.format.per_file else self.format.logs

    def parse(self, line: bytes) -> Record | Unparsed:
        """Return what a line says, or why it says nothing. The line is without its newline."""
        bare = strip(line)
        inner = self._unwrap(bare) if bare.strip() else bare
        if isinstance(inner, Unparsed):
            return inner
        if not inner.strip():
            return Unparsed("blank")
        found = self._reader.read(strip(inner))
        if not isinstance(found, Unparsed):
            return self.record(found)
        return Unparsed(found.reason, found.position + len(bare) - len(inner)) if bare.endswith(inner) else found

    def glimpse(self, outline: Outline) -> Record:
        """Return a Record with the `decided` fields and the user agent alone, a new one each time."""
        found = self._decide(outline[0])
        found.user_agent = text_of(outline[1])
        return found

    def parted(self, key: Key) -> tuple[Key, str] | None:
        """Return what a key says besides path, query and protocol, and its path; None unless the target is a path.

        Keys with both in common differ in query and protocol alone.
        """
        at = next((at for at in self._targets if key[at]), None)
        if at is None:
            return None
        method, target = _parted(key[at]) if self._key_names[at] == "request" else (b"", key[at])
        if target[:1] != b"/":
            return None
        path = target if self._key_names[at] == "path" else target.partition(b"?")[0]
        return (method, *[key[at] for at in self._others]), path.decode("utf-8", "surrogateescape")

    def record(self, outline: Outline, like: Record | None = None) -> Record:
        """Return the whole Record, as `parse` gives it. ``like`` is a `glimpse` of an outline with the same key."""
        key, agent, (time, peer, chain, size, referrer, user, logs) = outline
        facts = self._decided(key) if like is None else like
        found = _NEW(Record)
        found.time, found.client_ip = time, self._client_of(peer, chain)
        found.host, found.method, found.path, found.query = facts.host, facts.method, facts.path, facts.query
        found.status, found.scheme, found.protocol = facts.status, facts.scheme, facts.protocol
        found.absolute, found.content_type = facts.absolute, facts.content_type
        found.bytes = _count(size)
        found.referrer = text_of(referrer)
        found.user_agent = text_of(agent)
        found.user = None if user == b"-" else "" if user == _QUOTED_EMPTY else text_of(user)
        found.log = self._log(logs) if logs else {}
        return found

    def clients(self, peers: Sequence[Raw], chains: Sequence[Raw]) -> Sequence[str | None]:
        """Return what `record` says of the clients of many lines."""
        return self._client.resolve_all(_texts_of(peers), list(map(text_of, chains)))

    def _client_of(self, peer: Raw, chain: Raw) -> str | None:
        return self._client.resolve(
            None if peer is None else peer.decode("utf-8", "surrogateescape"),
            None if chain is None else text_of(chain),
        )

    def _decided(self, key: Key) -> Record:
        return self._decide(key) if sum(map(len, key)) > _LONG else self._remembered(key)

    def _decide(self, key: Key) -> Record:
        found = decide(dict(zip(self._key_names, map(text_of, key), strict=True)))
        found.absolute = found.absolute and not self.format.absolute
        return found

    def _log(self, raws: tuple[Raw, ...]) -> dict[str, str]:
        found = zip(self._logs, raws, strict=True)
        return {name: text for name, raw in found if (text := text_of(raw)) is not None}


def strip(line: bytes) -> bytes:
    """Return a line without NULs (holes that a truncation left) and without the carriage return at its end."""
    return line.replace(b"\0", b"").rstrip(b"\r")


def decide(facts: Mapping[str, str | None]) -> Record:
    """Return what the deciding facts of a request say together, as a Record in which all else is None."""
    request = facts.get("request")
    if request is None:
        method, target = requestline.method_of(facts.get("method")), facts.get("target")
        protocol = facts.get("protocol")
    else:
        method, target, protocol = requestline.split(request)
    path, query, host, scheme, absolute = requestline.target_of(method, target) if target else _from_path(facts)
    status = facts.get("status")
    found = _NEW(Record)
    found.time = found.client_ip = found.bytes = None
    found.referrer = found.user_agent = found.user = None
    found.content_type = facts.get("content_type")
    found.host = host if absolute else requestline.host_of(facts.get("host"))
    found.method, found.path, found.query, found.protocol = method, path, query, protocol
    found.status = int(status) if status else None
    found.scheme = scheme or facts.get("scheme")
    found.absolute = absolute
    found.log = {}
    return found


def _parted(request: bytes) -> tuple[bytes, bytes]:
    """Return method and target as `requestline.split` does, but for a method that is none."""
    method, _, rest = request.partition(b" ")
    target, _, protocol = rest.rpartition(b" ")
    return method, target if protocol.startswith(b"HTTP/") else rest


def _from_path(facts: Mapping[str, str | None]) -> requestline.Target:
    path, question = facts.get("path") or "", facts.get("question")
    query = facts.get("query") if question is None else question.removeprefix("?")
    return requestline.Target(path, query) if path[:1] == "/" or path == "*" else requestline.Target()


def text_of(raw: Raw) -> str | None:
    """Return a value as text, None where the log has ``-`` or nothing."""
    return None if not raw or raw == b"-" else raw.decode("utf-8", "surrogateescape")


def _texts_of(peers: Sequence[Raw]) -> Sequence[str | None]:
    if None not in peers:
        texts = b"\n".join(cast(Sequence[bytes], peers)).decode("utf-8", "surrogateescape").split("\n")
        if len(texts) == len(peers):
            return texts
    return [None if peer is None else peer.decode("utf-8", "surrogateescape") for peer in peers]


def _count(raw: Raw) -> int | None:
    """A size of more than 19 digits is none that a server can send."""
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 20 else None


def _text_reader(format: LogFormat, chain: str, logs: Sequence[str]) -> Reader:  # noqa: A002
    return textline.Reader(format.pieces, format.escape, chain, logs)


def _labelled_reader(format: LogFormat, chain: str, logs: Sequence[str]) -> Reader:  # noqa: A002
    return labelled.Reader(format.loader(), format.keys, chain, logs, format.is_access)


def _pattern_reader(format: LogFormat, chain: str, logs: Sequence[str]) -> Reader:  # noqa: A002
    return pattern.Reader(format.pattern, chain, logs)


_READERS: Mapping[str, Callable[[LogFormat, str, Sequence[str]], Reader]] = {
    "nginx": _text_reader,
    "apache": _text_reader,
    "labelled": _labelled_reader,
    "regex": _pattern_reader,
}
_Outliner = Callable[[bytes], Outline | None]
_MARKS = frozenset(byte for byte in wrappers.FIRST_BYTES if not byte.isdigit())


def _outline_bare(outline: _Outliner, unwrap: wrappers.Unwrap) -> _Outliner:
    return outline


def _outline_wrapped(outline: _Outliner, unwrap: wrappers.Unwrap) -> _Outliner:
    def outline_inside(line: bytes) -> Outline | None:
        inner = unwrap(line)
        return None if isinstance(inner, Unparsed) or b"\0" in line else outline(inner)

    return outline_inside


def _outline_perhaps_wrapped(outline: _Outliner, unwrap: wrappers.Unwrap) -> _Outliner:
    inside = _outline_wrapped(outline, unwrap)

    def outline_either(line: bytes) -> Outline | None:
        if line[:1] == b"{" and not line.startswith(wrappers.DOCKER):
            return outline(line)
        # An address begins with a digit, as a date does; the dash after the year tells them apart.
        return inside(line) if line[4:5] == b"-" or line[:1] in _MARKS else outline(line)

    return outline_either


def _inside(block: Block, wrapper: str) -> Block:
    """Return what takes the lines inside of others apart."""
    if wrapper == "none":
        return block
    unwrap_all, unwrap = wrappers.unwrap_all(wrapper), wrappers.unwrap(wrapper)

    def sheet(lines: Sequence[bytes]) -> Sheet | None:
        inner = unwrap_all(lines)
        return None if inner is None else block.sheet(inner)

    def fits(lines: Sequence[bytes]) -> bytearray:
        inner = [unwrap(line) if b"\0" not in line else b"" for line in lines]
        found = block.fits([line if isinstance(line, bytes) else b"" for line in inner])
        return bytearray(map(and_, found, [isinstance(line, bytes) and line != b"" for line in inner]))

    return Block(sheet, fits)


_OUTLINES: Mapping[str, Callable[[_Outliner, wrappers.Unwrap], _Outliner]] = {
    "auto": _outline_perhaps_wrapped,
    "none": _outline_bare,
    "docker": _outline_wrapped,
    "cri": _outline_wrapped,
    "syslog": _outline_wrapped,
}
