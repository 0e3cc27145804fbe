"""One source's parser and rules, joined: a chunk of bytes in, the deliveries of the few surviving lines out.

Most lines of a log are dropped, and most of them for what their request line and status alone say. So each line is
first only outlined (a few slices), and the verdict on what the outline holds is remembered: by its key, and where
the key does not decide, by the class of its User-Agent as well. Only a line that nothing remembered can drop is
parsed in full. The short way is an economy and never an opinion: `Table.prejudge` answers only what `Table.route`
would answer whatever the rest of the line holds, and tests compare both ways on every case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from logship.parser import detect, wrappers
from logship.parser.client import ClientRule
from logship.parser.columns import Outline
from logship.parser.formats import LogFormat
from logship.parser.record import Parser
from logship.records import Chunk, Decision, Delivery, Record, Unparsed
from logship.router import audience
from logship.router.table import COURSE_FIELDS, Course, Table

_SAMPLE_LINES = 50  # what detection looks at; a file that mixes formats shows it within fewer
_REMEMBERED = 4096  # keys a generation, and User-Agents: a busy site needs thousands, and 65,536 cost 40 MB
_ANY_MACHINE = "machine"
_NOT_IN_KEYS = frozenset(("content_type",))  # what no key ever holds is known all the same where the format lacks it
_FIELDS = frozenset(Record.__dataclass_fields__) | {"bot"}


@dataclass(slots=True)
class Sifted:
    """What a chunk came to: the survivors with the offsets of their lines, and how the rest was counted."""

    survivors: list[tuple[int, list[Delivery]]] = field(default_factory=list)
    lines: int = 0
    expired: int = 0
    nul_bytes: int = 0
    unparsed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    first_unparsed: tuple[int, Unparsed] | None = None
    detected: detect.Detection | None = None  # set by the chunk that settled, or changed, its file's format

    def unparsed_at(self, offset: int, unparsed: Unparsed) -> None:
        """Count a line that is no request, and keep the first one for the log."""
        self.unparsed[unparsed.reason] += 1
        if self.first_unparsed is None:
            self.first_unparsed = offset, unparsed


class Sieve:
    """Sift the chunks of one source; with no format given, each of its files in the format found in it."""

    def __init__(
        self,
        table: Table,
        client: ClientRule,
        format_: LogFormat | None = None,
        *,
        log_fields: frozenset[str] = frozenset(),
        max_event_age: float | None = None,
    ) -> None:
        self._table = table
        self._client = client
        self._log_fields = log_fields
        self._max_event_age = max_event_age
        self._fixed = self._strainer(format_) if format_ is not None else None
        self._by_path: dict[str, Strainer] = {}

    def sift(self, chunk: Chunk, now: float) -> Sifted:
        """Turn a chunk into deliveries and counts. ``now`` is wall time (epoch seconds), for ``max_event_age``."""
        oldest = now - self._max_event_age if self._max_event_age is not None else None
        strainer = self._fixed or self._by_path.get(chunk.path)
        sifted = strainer.sift(chunk.data, chunk.start, oldest) if strainer is not None else None
        if self._fixed is not None and sifted is not None:
            return sifted
        if sifted is not None and sum(sifted.unparsed.values()) * 2 <= sifted.lines:
            return sifted
        return self._sift_anew(chunk, oldest, strainer, sifted)

    def forget(self, path: str) -> None:
        """Drop what is remembered of a file that is no longer followed."""
        self._by_path.pop(path, None)

    def _sift_anew(self, chunk: Chunk, oldest: float | None, known: Strainer | None, sifted: Sifted | None) -> Sifted:
        """Find out the format of a file seen for the first time, or that plainly is no longer in the known one."""
        found = detect.detect(chunk.data.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES])
        if found.format is None or (known is not None and found.format == known.parser.format):
            return sifted if sifted is not None else _undetected(chunk)
        better = self._by_path[chunk.path] = self._strainer(found.format)
        sifted = better.sift(chunk.data, chunk.start, oldest)
        sifted.detected = found
        return sifted

    def _strainer(self, format_: LogFormat) -> Strainer:
        return Strainer(Parser(format_, self._client, log_fields=self._log_fields), self._table)


@dataclass(slots=True)
class Alike:
    """Lines with the same key, not dropped by it: what they share, and their fate by the class of the User-Agent.

    A fate is the reason to drop, or the course through the rules; None where each line is to be routed in full.
    """

    record: Record
    fates: dict[str, str | Course | None] = field(default_factory=dict)


class Strainer:
    """One parser and one table, and what is remembered of their verdicts."""

    def __init__(self, parser: Parser, table: Table) -> None:
        self.parser = parser
        self._table = table
        self._unknown = _FIELDS - parser.decided
        self._has_course = parser.decided | (_NOT_IN_KEYS - parser.format.facts) >= COURSE_FIELDS
        self._verdicts: dict[Hashable, str | Alike] = {}
        self._older: dict[Hashable, str | Alike] = {}  # the generation before: what is still asked for is taken over
        self._kinds: dict[bytes, str] = {}

    def sift(self, data: bytes, start: int, oldest: float | None) -> Sifted:
        """Sift whole lines; ``start`` is the offset of the first, ``oldest`` the time before which lines expire."""
        sifted = Sifted(nul_bytes=data.count(b"\0"))
        parser, table, dropped = self.parser, self._table, sifted.dropped
        outline, verdicts, kinds = parser.outline, self._verdicts, self._kinds
        number = 0
        for offset, line in wrappers.lines(parser.format.wrapper, data):
            number += 1
            row = outline(line)
            if row is None:
                self._sift_in_full(start + offset, line, sifted, oldest)
                continue
            verdict = verdicts.get(row[0])
            if verdict is None:
                verdict = self._judge(row)
                verdicts = self._verdicts
            if isinstance(verdict, str):
                dropped[verdict] += 1
                continue
            kind = kinds.get(row[1])
            if kind is None:
                kind = self._classify(row)
            fate = verdict.fates[kind] if kind in verdict.fates else self._judge_kind(row, kind, verdict)
            if isinstance(fate, str):
                dropped[fate] += 1
                continue
            record = parser.record(row, verdict.record)
            decision = table.follow(fate, record) if fate is not None else table.route(record)
            self._keep(start + offset, record, decision, sifted, oldest)
        sifted.lines = number
        return sifted

    def _sift_in_full(self, offset: int, line: bytes, sifted: Sifted, oldest: float | None) -> None:
        record = self.parser.parse(line)
        if isinstance(record, Unparsed):
            sifted.unparsed_at(offset, record)
        else:
            self._keep(offset, record, self._table.route(record), sifted, oldest)

    def _keep(self, offset: int, record: Record, decision: Decision, sifted: Sifted, oldest: float | None) -> None:
        if decision.reason is not None:
            sifted.dropped[decision.reason] += 1
        elif oldest is not None and record.time is not None and record.time < oldest:
            sifted.expired += 1
        else:
            sifted.survivors.append((offset, decision.deliveries))
            if decision.cuts:
                sifted.cuts.update(decision.cuts)

    def _judge(self, row: Outline) -> str | Alike:
        """Find what the key alone decides."""
        if len(self._verdicts) >= _REMEMBERED:
            self._older, self._verdicts = self._verdicts, {}
        key = row[0]
        verdict = self._older.get(key)
        if verdict is None:
            record = self.parser.glimpse(row)
            verdict = self._table.prejudge(record, self._unknown) or Alike(record)
        self._verdicts[key] = verdict
        return verdict

    def _judge_kind(self, row: Outline, kind: str, alike: Alike) -> str | Course | None:
        record = self.parser.glimpse(row)
        fate: str | Course | None = self._table.prejudge(record, self._unknown - {"bot"})
        if fate is None and self._has_course:
            fate = self._table.course(record)
        alike.fates[kind] = fate
        return fate

    def _classify(self, row: Outline) -> str:
        """Return the class of a User-Agent; all machines whose class no rule names are of one."""
        if len(self._kinds) >= _REMEMBERED:
            self._kinds.clear()
        kind = audience.classify(self.parser.glimpse(row).user_agent).kind
        kind = self._kinds[row[1]] = kind if not kind or kind in self._table.classes else _ANY_MACHINE
        return kind


def _undetected(chunk: Chunk) -> Sifted:
    """Count every line of a chunk in which no format could be found."""
    sifted = Sifted(nul_bytes=chunk.data.count(b"\0"))
    for offset, line in wrappers.lines("none", chunk.data):
        sifted.lines += 1
        sifted.unparsed_at(chunk.start + offset, Unparsed("format" if line.strip() else "blank"))
    return sifted
