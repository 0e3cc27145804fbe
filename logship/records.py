"""The values that travel: from a chunk of bytes to the acknowledgement of an event. They know nothing of I/O.

    bytes -> Chunk -> Record | Unparsed -> Decision(Delivery...) -> Verdict -> Ack

Text that comes from a log is decoded as UTF-8 with ``surrogateescape``: a byte that is not UTF-8 travels as a lone
surrogate and can be turned back into the very byte (`raw`), or into U+FFFD for people and JSON (`readable`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

_SURROGATES = re.compile("[\ud800-\udfff]+")


def raw(text: str) -> bytes:
    """Return the bytes that stood in the log."""
    return text.encode("utf-8", "surrogateescape")


def readable(text: str) -> str:
    """Return text that every encoder accepts: bytes that were not UTF-8 become U+FFFD, as a browser shows them."""
    return raw(text).decode("utf-8", "replace") if _SURROGATES.search(text) else text


@dataclass(slots=True)
class Chunk:
    r"""Whole lines of one followed file, and the span of bytes they fill.

    ``data`` is exactly the file's bytes ``start`` to ``end``; every line ends with ``\n``, except perhaps the last
    one of a file that is finished for good (``final``). A line beyond the limit does not travel: its bytes are
    counted in ``oversized`` and its place in the span is empty (``data`` is then ``b""``).
    """

    file: int  # FileKey: serial number of one generation of one file, never used twice in a process
    source: str
    path: str
    data: bytes
    start: int
    end: int
    final: bool = False
    oversized: int = 0


@dataclass(slots=True, eq=False)
class Span:
    """A stretch of a file, and how many of its deliveries are not settled. Opened and settled by the ledger alone.

    ``path`` is where the file was when it was read: for people, since it may have been renamed.
    """

    file: int
    start: int
    end: int
    parts: int
    path: str = ""


@dataclass(slots=True)
class Record:
    """One parsed request. A field that the log does not hold is None; the log's own escaping is undone.

    ``time`` is seconds since the epoch, UTC. ``client_ip`` is the real client (trusted proxies walked), canonical.
    ``host`` is lower case without port and brackets; ``absolute`` says that it came from an absolute-form target.
    ``path`` is as it was on the wire (percent escapes stay); ``query`` has no ``?``. ``log`` holds the other fields
    of the format by their ``log.NAME`` names, only those that the plan asked for.
    """

    time: float | None = None
    client_ip: str | None = None
    host: str | None = None
    method: str | None = None
    path: str | None = None
    query: str | None = None
    status: int | None = None
    bytes: int | None = None
    referrer: str | None = None
    user_agent: str | None = None
    user: str | None = None
    scheme: str | None = None
    protocol: str | None = None
    content_type: str | None = None
    absolute: bool = False
    log: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A line that is no request: why, and where in the line (0-based byte) the match broke."""

    reason: str
    position: int = 0


@dataclass(slots=True)
class Event:
    """What Plausible calls an event, within the API's limits: https://plausible.io/docs/events-api."""

    name: str
    domain: str
    url: str
    user_agent: str
    client_ip: str
    referrer: str | None = None
    props: Mapping[str, str] | None = None
    revenue: Mapping[str, str] | None = None
    interactive: bool | None = None


@dataclass(slots=True, eq=False)
class Delivery:
    """One event for one destination. ``time`` is the request's (epoch seconds), by which an event expires."""

    destination: str
    event: Event
    time: float | None = None
    span: Span | None = None
    attempts: int = 0


@dataclass(slots=True, eq=False)
class OnceWithin(Delivery):
    """One that is not for a visitor who had its like ``within`` so many seconds; who remembers that decides."""

    within: float = 0.0


@dataclass(slots=True)
class Decision:
    """What becomes of a record: deliveries and the rule that took it, or none and the reason.

    ``cuts`` names the API limits that were applied to its events (``query``, ``referrer``, ``name``, ``prop``).
    """

    deliveries: list[Delivery]
    rule: str | None = None
    reason: str | None = None
    cuts: tuple[str, ...] = ()


class Outcome(Enum):
    """How a delivery was settled."""

    DELIVERED = "delivered"
    DEAD_LETTER = "dead_letter"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Delivered:
    """2xx. ``dropped`` is for how many sites Plausible said it dropped the event (``x-plausible-dropped``)."""

    status: int = 202
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The event's own fault: it goes to the dead letters. ``detail`` is the API's ``errors`` body, bounded."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It may pass. ``after`` is Retry-After in seconds, None when the server did not say.

    ``ambiguous``: the request was sent and its answer never came, so the event may have been counted.
    """

    reason: str
    after: float | None = None
    ambiguous: bool = False
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The destination is misconfigured: pause, probe, say so. ``detail`` names what to look at."""

    status: int | None
    detail: str


Verdict = Delivered | Refused | TryAgain | Misconfigured
