"""What became of one line, as JSON-able values that show no visitor: addresses cut, queries left out. Sends nothing.

It decides by the long way, as `explain` does: for the few lines that somebody looks at, never for all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from logship.parser.record import Parser
from logship.records import Decision, Delivery, Record, Unparsed, readable
from logship.router.audience import Classify
from logship.router.table import Table
from logship.settings.rule import RuleSettings

_LONGEST = 200  # characters of a path, a host or a name: enough to know it by


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what becomes of the lines of one source.

    ``names``: the events' names that were written, not made of a line; ``doubted``: why lines that the rules send were
    dropped all the same (`router.scrutiny`), by offset. That depends on the lines before, so it cannot be asked twice.
    """

    parser: Parser
    table: Table
    oldest: float | None = None
    names: frozenset[str] = frozenset()
    doubted: Mapping[int, str] = field(default_factory=dict)

    def tell(self, line: bytes, offset: int = 0) -> dict[str, Any]:
        """Return ``result``, ``reason``, ``rule``, ``request`` and ``events`` of a line that starts at ``offset``."""
        # Reading a directive again would make the parser take the lines that follow for older ones.
        explains = self.parser.format.per_file and line.startswith(b"#")
        record = Unparsed("directive") if explains else self.parser.parse(line)
        if isinstance(record, Unparsed):
            return {"result": "unparsed", "reason": record.reason, "rule": None, "request": None, "events": []}
        decision = self.table.route(record)
        if decision.deliveries and offset in self.doubted:
            decision = Decision([], decision.rule, self.doubted[offset])
        return {
            "result": self._result(record, decision),
            "reason": decision.reason,
            "rule": decision.rule,
            "request": _request(record, self.table.classify),
            "events": [self._event(each) for each in decision.deliveries],
        }

    def _result(self, record: Record, decision: Decision) -> str:
        if not decision.deliveries:
            return "dropped"
        late = self.oldest is not None and record.time is not None and record.time < self.oldest
        return "expired" if late else "event"

    def _event(self, delivery: Delivery) -> dict[str, str]:
        """Return an event's name, unless a template made it from what a visitor sent."""
        name, event = delivery.event.name, delivery.event
        return {
            "name": name if name in self.names else "(made of the line)",
            "domain": _short(event.domain) or "",
            "destination": delivery.destination,
        }


def written_names(rules: Iterable[RuleSettings]) -> frozenset[str]:
    """Return the names of events that hold no template."""
    return frozenset(rule.event for rule in rules if rule.event and "{" not in rule.event)


def masked(address: str | None) -> str | None:
    """Return an address without its host part: it distinguishes networks, but not people."""
    if address is None:
        return None
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "x"
    if parsed.version == 4:
        return ".".join([*str(parsed).split(".")[:2], "x", "x"])
    return ":".join([*parsed.exploded.split(":")[:2], "x"])


def _request(record: Record, classify: Classify) -> dict[str, Any]:
    who = classify(record.user_agent)
    return {
        "time": None if record.time is None else datetime.fromtimestamp(record.time, UTC).isoformat(),
        "client": masked(record.client_ip),
        "agent": f"{who.kind}: {_short(who.name)}" if who.kind and who.name else who.kind or "person",
        "method": record.method,
        "host": _short(record.host),
        "path": _short(record.path),
        "has_query": record.query is not None,
        "status": record.status,
        "referrer": _host(record.referrer),
    }


def _host(url: str | None) -> str | None:
    try:
        return _short(urlsplit(url).hostname) if url else None
    except ValueError:
        return None


def _short(text: str | None) -> str | None:
    return None if text is None else readable(text)[:_LONGEST]
