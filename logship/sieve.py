"""One source's parser and rules, joined: a chunk of bytes in, the deliveries of the few surviving lines out.

Most lines of a log are dropped, and most of them for what their request line and status alone say. So each line is
first only outlined (a few slices), and the verdict on what the outline holds is remembered: by its key, and where
the key does not decide, by the class of its User-Agent as well. Only a line that nothing remembered can drop is
parsed in full. The short way is an economy and never an opinion: `Table.prejudge` answers only what `Table.route`
would answer whatever the rest of the line holds, and tests compare both ways on every case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter, not_

from logship.memo import Memo
from logship.parser import detect, wrappers
from logship.parser.client import ClientRule
from logship.parser.columns import Key, Outline
from logship.parser.fastblock import Sheet
from logship.parser.formats import LogFormat
from logship.parser.record import Parser, text_of
from logship.records import Chunk, Decision, Delivery, Record, Unparsed
from logship.router import audience
from logship.router.table import COURSE_FIELDS, Course, Table

_SAMPLE_LINES = 50  # what detection looks at; a file that mixes formats shows it within fewer
_REMEMBERED = 4096  # keys a generation, and User-Agents: a busy site needs thousands, and 65,536 cost 40 MB
_LONG = 1024  # bytes of a key or User-Agent: longer ones are judged anew each time, lest strangers fill the memory
_WORTH_A_BLOCK = 12  # lines: for fewer, the way line by line is shorter
_ANY_MACHINE = "machine"
_NOT_IN_KEYS = frozenset(("content_type",))  # what no key ever holds is known all the same where the format lacks it
_KEY: Callable[[Outline], Key] = itemgetter(0)
_AGENT: Callable[[Outline], bytes] = itemgetter(1)
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

    def parser(self, path: str) -> Parser | None:
        """Return what reads the lines of a file; None while no format was found in it."""
        strainer = self._fixed or self._by_path.get(path)
        return strainer.parser if strainer is not None else None

    @property
    def remembers(self) -> bool:
        """Whether what a chunk comes to depends on the chunks before it: then one process has to see them all."""
        return False

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


@dataclass(slots=True, eq=False)
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
        self._kinds = Memo(self._classify, _REMEMBERED, worth=lambda agent: len(agent) <= _LONG)

    def sift(self, data: bytes, start: int, oldest: float | None) -> Sifted:
        """Sift whole lines; ``start`` is the offset of the first, ``oldest`` the time before which lines expire."""
        starts, lines = wrappers.split(self.parser.format.wrapper, data, start)
        sifted = Sifted(lines=len(lines), nul_bytes=data.count(b"\0"))
        if not self._sift_at_once(starts, lines, sifted, oldest):
            self._sift_some_at_once(starts, lines, sifted, oldest)
            sifted.survivors.sort()
        return sifted

    def _sift_at_once(self, starts: list[int], lines: list[bytes], sifted: Sifted, oldest: float | None) -> bool:
        """Sift lines as a block if they make one."""
        block = self.parser.block
        sheet = block.sheet(lines) if block is not None and len(lines) >= _WORTH_A_BLOCK else None
        if sheet is not None:
            self._sift_sheet(starts, sheet, sifted, oldest)
        return sheet is not None

    def _sift_some_at_once(self, starts: list[int], lines: list[bytes], sifted: Sifted, oldest: float | None) -> None:
        """Sift the lines that look plain as a block if they make one, and the others one by one."""
        block = self.parser.block
        if block is not None and len(lines) >= _WORTH_A_BLOCK:
            plain = list(map(block.fits, lines))
            some_starts, some_lines = list(compress(starts, plain)), list(compress(lines, plain))
            if len(some_lines) < len(lines) and self._sift_at_once(some_starts, some_lines, sifted, oldest):
                odd = list(map(not_, plain))
                starts, lines = list(compress(starts, odd)), list(compress(lines, odd))
        self._sift_one_by_one(starts, lines, sifted, oldest)

    def _sift_one_by_one(self, starts: list[int], lines: list[bytes], sifted: Sifted, oldest: float | None) -> None:
        """Outline each line, and parse in full what has no outline."""
        outlines = list(map(self.parser.outline, lines))
        rows = [row for row in outlines if row is not None]
        if len(rows) < len(lines):
            for start, line, row in zip(starts, lines, outlines, strict=True):
                if row is None:
                    self._sift_in_full(start, line, sifted, oldest)
            starts = list(compress(starts, outlines))
        sheet = Sheet(map(_KEY, rows), list(map(_AGENT, rows)), rows.__getitem__)
        self._sift_sheet(starts, sheet, sifted, oldest)

    def _sift_sheet(self, starts: list[int], sheet: Sheet, sifted: Sifted, oldest: float | None) -> None:
        """Look up all verdicts, count those that drop, and look closer at the other lines alone."""
        dropped = sifted.dropped
        verdicts = list(map(self._verdicts.get, sheet.keys))
        for verdict, number in Counter(verdicts).items():
            if isinstance(verdict, str):
                dropped[verdict] += number
        for at in [at for at, verdict in enumerate(verdicts) if verdict.__class__ is not str]:
            alike = verdicts[at] or self._judge(sheet.outline(at))
            if isinstance(alike, str):
                dropped[alike] += 1
                continue
            fate = self._fate(alike, sheet, at)
            if isinstance(fate, str):
                dropped[fate] += 1
                continue
            record = self.parser.record(sheet.outline(at), alike.record)
            decision = self._table.follow(fate, record) if fate is not None else self._table.route(record)
            self._keep(starts[at], record, decision, sifted, oldest)

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
        key = row[0]
        verdict = self._verdicts.get(key) or self._older.get(key)
        if verdict is None:
            record = self.parser.glimpse(row)
            verdict = self._table.prejudge(record, self._unknown) or Alike(record)
        if sum(map(len, key)) <= _LONG:
            self._remember(key, verdict)
        return verdict

    def _remember(self, key: Key, verdict: str | Alike) -> None:
        if len(self._verdicts) >= _REMEMBERED:
            self._older, self._verdicts = self._verdicts, {}
        self._verdicts[key] = verdict

    def _fate(self, alike: Alike, sheet: Sheet, at: int) -> str | Course | None:
        """Find what key and class of the User-Agent decide."""
        kind = self._kinds[sheet.agents[at]]
        if kind not in alike.fates:
            alike.fates[kind] = self._judge_kind(sheet.outline(at))
        return alike.fates[kind]

    def _judge_kind(self, row: Outline) -> str | Course | None:
        record = self.parser.glimpse(row)
        fate: str | Course | None = self._table.prejudge(record, self._unknown - {"bot"})
        return self._table.course(record) if fate is None and self._has_course else fate

    def _classify(self, agent: bytes) -> str:
        """Return the class of a User-Agent; all machines whose class no rule names are of one."""
        kind = audience.classify(text_of(agent)).kind
        return kind if not kind or kind in self._table.classes else _ANY_MACHINE


def _undetected(chunk: Chunk) -> Sifted:
    """Count every line of a chunk in which no format could be found."""
    sifted = Sifted(nul_bytes=chunk.data.count(b"\0"))
    for offset, line in wrappers.lines("none", chunk.data):
        sifted.lines += 1
        sifted.unparsed_at(chunk.start + offset, Unparsed("format" if line.strip() else "blank"))
    return sifted
