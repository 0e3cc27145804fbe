"""Answer `POST /api/event`: a request's headers and body in, Plausible's answer out. Knows nothing of sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from logship import records
from logship.receiver import address, payload
from logship.receiver import store as storage
from logship.receiver.intake import Intake, Sender

CORS = {"access-control-allow-origin": "*", "access-control-allow-credentials": "true"}
"""What Plausible adds to every answer of its API."""

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Posting:
    """What was posted. Header names are lower case; of a header that came twice the first line counts.

    ``body`` is None when it is longer than any body may be. ``peer`` is the address of the connection's other end.
    """

    headers: Mapping[str, str]
    body: bytes | None
    peer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and its type, and headers beside those of `CORS`, which every answer has."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


_OK = Answer(202, b"ok")
_LONGEST_REMEMBERED = 2048
"""Bytes of a body and its content type that may be remembered."""


class EventApi:
    """Plausible's one route. ``answers`` counts what was answered, by status."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.answers: Counter[int] = Counter()

    async def answer(self, posting: Posting) -> Answer:
        """Return the answer; when it is a 202, the event is stored."""
        if posting.headers.get("x-debug-request") == "true":
            return _debug(posting)
        answer = await self._counted(posting)
        self.answers[answer.status] += 1
        return answer

    async def _counted(self, posting: Posting) -> Answer:
        if not _accepts_json(posting.headers.get("accept")):
            return page(406, "Not Acceptable")
        try:
            posted = _posted(posting)
            dropped = await self._intake.take(posted, _sender(posting))
        except payload.Invalid as invalid:
            return Answer(400, orjson.dumps({"errors": invalid.errors}), JSON)
        except payload.Unreadable as unreadable:
            return page(unreadable.status, str(unreadable))
        except storage.NotWrittenError:
            return page(500, "Internal Server Error")
        return Answer(202, b"ok", TEXT, {"x-plausible-dropped": str(dropped)}) if dropped else _OK


def page(status: int, text: str) -> Answer:
    """Return one of the framework's own plain pages."""
    return Answer(status, text.encode(), HTML)


def _debug(posting: Posting) -> Answer:
    found = _sender(posting).address
    return Answer(200, found.encode(), TEXT, {"x-debug-ip": found})


def _posted(posting: Posting) -> payload.Posted:
    kind, body = posting.headers.get("content-type"), posting.body
    if body is None:
        if payload.is_json(kind):
            raise payload.Unreadable(413, "Request Entity Too Large")
        body = b""
    return (_remembered if len(kind or "") + len(body) <= _LONGEST_REMEMBERED else _read)(kind, body)


def _read(kind: str | None, body: bytes) -> payload.Posted:
    return payload.read(payload.decode(kind, body))


# A body names no visitor and no time: that of a popular page comes again and again.
_remembered = lru_cache(maxsize=1024)(_read)


def _sender(posting: Posting) -> Sender:
    headers = posting.headers
    return Sender(
        address=records.readable(address.of(headers, posting.peer)),
        user_agent=records.readable(headers.get("user-agent", "")),
        address_kind=headers.get("x-plausible-ip-type", ""),
    )


def _accepts_json(accept: str | None) -> bool:
    if not accept or "*/*" in accept:
        return True
    ranges = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return any(item in (JSON, "application/*") or item.endswith("+json") for item in ranges)
