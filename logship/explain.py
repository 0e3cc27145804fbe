"""A dry run: what each line of a log parses to, which rule takes it and why, and the very request it would make.

It runs the parser and the rules of a plan, sends nothing, writes nothing, and applies no `max_event_age`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from logship.dispatcher import request
from logship.errors import LogshipError
from logship.parser import detect, wrappers
from logship.parser.record import Parser
from logship.plan import SourcePlan
from logship.records import Decision, Record, Unparsed, readable
from logship.settings import DestinationSettings

_MONTH = 30 * 86400.0
_RECORD_FIELDS = (
    "client_ip",
    "host",
    "method",
    "path",
    "query",
    "status",
    "bytes",
    "referrer",
    "user_agent",
    "user",
)


@dataclass(slots=True)
class Explained:
    """One line and what became of it."""

    line: int
    record: Record | Unparsed
    decision: Decision | None

    @property
    def result(self) -> str:
        """``event``, ``dropped`` or ``unparsed``."""
        if self.decision is None:
            return "unparsed"
        return "event" if self.decision.deliveries else "dropped"

    @property
    def reason(self) -> str | None:
        """Why it is no event; None when it is one."""
        if isinstance(self.record, Unparsed):
            return self.record.reason
        return self.decision.reason if self.decision is not None else None

    def as_json(self, destinations: Iterable[DestinationSettings]) -> dict[str, Any]:
        """Return the object that ``explain --json`` prints."""
        settings = {each.name: each for each in destinations}
        decision = self.decision or Decision([])
        return {
            "line": self.line,
            "result": self.result,
            "rule": decision.rule,
            "reason": self.reason,
            "record": None if isinstance(self.record, Unparsed) else record_as_json(self.record),
            "requests": [request.describe(each.event, settings[each.destination]) for each in decision.deliveries],
        }


@dataclass(slots=True)
class Summary:
    """What the lines came to, all together."""

    lines: int = 0
    events: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unparsed: Counter[str] = field(default_factory=Counter)
    first: float | None = None
    last: float | None = None

    def add(self, explained: Explained) -> None:
        """Count one line."""
        self.lines += 1
        if isinstance(explained.record, Unparsed):
            self.unparsed[explained.record.reason] += 1
            return
        self._see(explained.record.time)
        if explained.decision is not None and explained.decision.deliveries:
            self.events.update(delivery.event.name for delivery in explained.decision.deliveries)
        else:
            self.dropped[explained.reason or ""] += 1

    def events_per_month(self) -> int | None:
        """Project the log's own span of time to 30 days; None when it spans less than a minute, or has no times."""
        if self.first is None or self.last is None or self.last - self.first < 60:
            return None
        return round(self.events.total() * _MONTH / (self.last - self.first))

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able figures."""
        return {
            "lines": self.lines,
            "events": dict(self.events.most_common()),
            "dropped": dict(self.dropped.most_common()),
            "unparsed": dict(self.unparsed.most_common()),
            "events_per_month": self.events_per_month(),
        }

    def _see(self, time: float | None) -> None:
        if time is not None:
            self.first = time if self.first is None else min(self.first, time)
            self.last = time if self.last is None else max(self.last, time)


def parser_for(source: SourcePlan, sample: bytes) -> Parser:
    """Return the source's parser; with ``format: auto``, for the format found in ``sample`` (some first lines)."""
    format_ = source.format
    if format_ is None:
        found = detect.detect(sample.split(b"\n")[:50])
        if found.format is None:
            raise LogshipError(_not_detected(found))
        format_ = found.format
    return Parser(format_, source.client, log_fields=source.log_fields)


def explain(source: SourcePlan, parser: Parser, blocks: Iterable[bytes]) -> Iterator[Explained]:
    """Explain line by line, in the order of the log. ``blocks`` hold whole lines."""
    number = 0
    for block in blocks:
        for _, line in wrappers.lines(parser.format.wrapper, block):
            number += 1
            record = parser.parse(line)
            yield Explained(number, record, None if isinstance(record, Unparsed) else source.table.route(record))


def record_as_json(record: Record) -> dict[str, Any]:
    """Return the record as the contract shows it; bytes that were not UTF-8 as U+FFFD."""
    time = None if record.time is None else datetime.fromtimestamp(record.time, UTC).isoformat()
    values = {name: getattr(record, name) for name in _RECORD_FIELDS}
    return {"time": time, **{k: readable(v) if isinstance(v, str) else v for k, v in values.items()}}


def _not_detected(found: detect.Detection) -> str:
    if found.rivals:
        return f"format: auto: {' and '.join(found.rivals)} fit equally well; name one of them as the source's format"
    return "format: auto: no known format fits the first lines; give the log_format or LogFormat string of the server"
