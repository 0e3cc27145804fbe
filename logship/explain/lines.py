"""Explain line by line: what each parses to, which rule takes it and why, and the very request it would make.

It runs the parser and the rules of a plan in full, sends nothing, writes nothing, and applies no `max_event_age`.
`survey` takes the short way for who wants the sums alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from logship.dispatcher import request
from logship.parser import detect, wrappers
from logship.parser.formats import LogFormat
from logship.parser.record import Parser
from logship.plan import SourcePlan
from logship.records import Decision, Event, Record, Unparsed, readable
from logship.settings.destination import DestinationSettings

Describe = Callable[["Explained"], dict[str, Any]]

_SAMPLE = 50
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
    text: bytes
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

    @property
    def rule(self) -> str | None:
        """The rule that took it, if one did."""
        return self.decision.rule if self.decision is not None else None


class Explainer:
    """Explain the lines of one log in their order. Where the format is to be found out, it is, as `run` does it.

    ``line`` is the number of the last one that was read.
    """

    def __init__(self, source: SourcePlan) -> None:
        self._source = source
        self._table = source.judge()
        self.line = 0
        self.parser: Parser | None = None if source.format is None else _parser(source, source.format)

    def explain(self, block: bytes) -> Iterator[Explained]:
        """Yield what becomes of each line of a block of whole lines."""
        texts = [text for _, text in wrappers.lines(self._source.settings.wrapper, block)]
        for text, record in zip(texts, self._records(texts), strict=True):
            self.line += 1
            decision = None if isinstance(record, Unparsed) else self._table.route(record)
            yield Explained(self.line, text, record, decision)

    def find(self, blocks: Iterable[bytes], number: int) -> Explained | None:
        """Return the line of that number, read from the log's beginning; None where it has fewer."""
        for block in blocks:
            texts = [text for _, text in wrappers.lines(self._source.settings.wrapper, block)]
            if self.line + len(texts) < number and not self._remembers(texts):
                self.line += len(texts)
                continue
            found = next((each for each in self.explain(block) if each.line == number), None)
            if found is not None:
                return found
        return None

    def _remembers(self, texts: list[bytes]) -> bool:
        """Tell whether what a line becomes may depend on those before it: then none can be passed over."""
        if self.parser is None and not self._find(texts):
            return False
        return self._table is not self._source.table or (self.parser is not None and self.parser.format.per_file)

    def _records(self, texts: list[bytes]) -> list[Record | Unparsed]:
        records = self._parsed(texts)
        if self._source.format is not None:
            return records
        if _mostly_unparsed(records) and self._find(texts):
            records = self._parsed(texts)
        at = self._turn(texts)
        return [*records[:at], *self._parsed(texts[at:])] if self._find(texts[at:]) else records

    def _turn(self, texts: list[bytes]) -> int:
        """Return from which line on a log plainly goes on in another format than it was read in."""
        if self.parser is None or self.parser.format.per_file:
            return len(texts)
        return detect.turn(self.parser, texts)

    def _parsed(self, texts: list[bytes]) -> list[Record | Unparsed]:
        if self.parser is None:
            return [Unparsed("format" if text.strip() else "blank") for text in texts]
        return [self.parser.parse(text) for text in texts]

    def _find(self, texts: list[bytes]) -> bool:
        """Find out the format, anew perhaps; say whether it is another than before."""
        found = detect.detect(texts[:_SAMPLE]).format
        if found is None or (self.parser is not None and found == self.parser.format):
            return False
        self.parser = _parser(self._source, found)
        return True


def describer(destinations: Iterable[DestinationSettings]) -> Describe:
    """Return what makes of an explained line the object that ``explain --json`` prints."""
    describers = {each.name: request.describer(each) for each in destinations}

    def describe(explained: Explained) -> dict[str, Any]:
        deliveries = explained.decision.deliveries if explained.decision is not None else ()
        return {
            "line": explained.line,
            "result": explained.result,
            "rule": explained.rule,
            "reason": explained.reason,
            "record": None if isinstance(explained.record, Unparsed) else record_as_json(explained.record),
            "requests": [describers[each.destination](each.event) for each in deliveries],
        }

    return describe


def events(decision: Decision) -> list[Event]:
    """Return the events of a decision, each once, to however many destinations it goes."""
    return list({id(each.event): each.event for each in decision.deliveries}.values())


def record_as_json(record: Record) -> dict[str, Any]:
    """Return the record as the contract shows it; bytes that were not UTF-8 as U+FFFD."""
    time = None if record.time is None else datetime.fromtimestamp(record.time, UTC).isoformat()
    values = {name: getattr(record, name) for name in _RECORD_FIELDS}
    return {"time": time, **{k: readable(v) if isinstance(v, str) else v for k, v in values.items()}}


def _parser(source: SourcePlan, format_: LogFormat) -> Parser:
    return Parser(format_, source.client, log_fields=source.log_fields)


def _mostly_unparsed(records: list[Record | Unparsed]) -> bool:
    return sum(isinstance(record, Unparsed) for record in records) * 2 > len(records)
