"""Lines of one format in, survivors and counts out, by one parser and one table.

Most lines of a log are dropped, and most of them for what their request line and status alone say. So lines are first
only outlined, all plain ones together, and verdicts on outlines are looked up (`verdicts.py`). Only a line that nothing
remembered can drop becomes a Record, and not even that where it comes to the usual event.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from itertools import compress, repeat
from operator import itemgetter, not_

from logship.parser import wrappers
from logship.parser.columns import Key, Outline
from logship.parser.fastblock import WORTH_IT, Sheet, visits_of
from logship.parser.formats import LogFormat
from logship.parser.record import Parser
from logship.records import Decision, Record, Unparsed
from logship.router import scrutiny
from logship.router.scrutiny import Scrutiny
from logship.router.table import Course, Table
from logship.router.ways import Express
from logship.sieve.budget import ODD, Budget
from logship.sieve.sifted import Sifted, Sifting
from logship.sieve.verdicts import Request, Verdicts

AT_A_TIME = 640  # lines taken apart together
_TAKEN_APART = 128  # what that costs, see `budget.py`
_TOGETHER = 32  # lines that are looked at closely before one asks whether it is enough
_USUAL = 128  # usual events that are made before one asks again
_KEY: Callable[[Outline], Key] = itemgetter(0)
_AGENT: Callable[[Outline], bytes] = itemgetter(1)

Otherwise = Callable[[LogFormat], Generator[None, None, Sifted | None]]
"""Tells what lines come to that are plainly in another format than the given one; None: in none that is known."""


def nothing_else(known: LogFormat) -> Generator[None, None, None]:
    """Leave lines that are in another format as they are."""
    return
    yield


_Usual = tuple[int, Request, Course]
"""A line that comes to a usual event: its number on its sheet, and what is known of it."""


class Strainer:
    """One parser and one table, and what is remembered of their verdicts."""

    def __init__(self, parser: Parser, table: Table | Scrutiny) -> None:
        self.parser = parser
        self._table = table.holding(parser.log_names)
        self._scrutiny = self._table if isinstance(self._table, Scrutiny) else None
        self._in_order = self._scrutiny is not None
        self._budget = Budget()
        self._verdicts = Verdicts(parser, self._table, self._budget)

    def steps(self, data: bytes, start: int, oldest: float | None, otherwise: Otherwise = nothing_else) -> Sifting:
        """Sift whole lines; ``start`` is the offset of the first, ``oldest`` the time before which lines expire.

        ``otherwise`` is asked what lines come to that plainly are in another format, before any of them is remembered.
        """
        sifted = Sifted(nul_bytes=data.count(b"\0") if b"\0" in data else 0)
        batches = wrappers.some_at_a_time(self.parser.format.wrapper, data, start, AT_A_TIME)
        if self._in_order:
            return (yield from self._sift_in_order(batches, sifted, oldest, otherwise))
        for starts, lines in batches:
            sifted.lines += len(lines)
            yield from self._sift_some_at_once(starts, lines, sifted, oldest)
        other = (yield from otherwise(self.parser.format)) if _are_strange(sifted.lines, sifted.unparsed) else None
        return other or sifted

    def _sift_some_at_once(
        self, starts: list[int], lines: list[bytes], sifted: Sifted, oldest: float | None
    ) -> Generator[None, None, None]:
        """Sift the lines that make a block, and the others one by one."""
        first = len(sifted.survivors)
        sheet = self._sheet(lines)
        if self._budget.is_spent(_TAKEN_APART):
            yield
        if sheet is None:
            yield from self._sift_one_by_one(starts, lines, sifted, oldest)
        elif sheet.fits is None:
            return (yield from self._sift_sheet(starts, sheet, sifted, oldest))
        else:
            yield from self._sift_sheet(list(compress(starts, sheet.fits)), sheet, sifted, oldest)
            odd = list(map(not_, sheet.fits))
            yield from self._sift_one_by_one(list(compress(starts, odd)), list(compress(lines, odd)), sifted, oldest)
        sifted.survivors[first:] = sorted(sifted.survivors[first:])
        return None

    def _sheet(self, lines: list[bytes]) -> Sheet | None:
        """Take lines apart at once, those where that is possible; ``block`` has an opinion of where it pays."""
        block = self.parser.block
        return block.some(lines) if block is not None and len(lines) >= WORTH_IT else None

    def _sift_in_order(
        self,
        batches: Iterable[tuple[list[int], list[bytes]]],
        sifted: Sifted,
        oldest: float | None,
        otherwise: Otherwise,
    ) -> Sifting:
        """Sift each line after those before it: what they were decides what becomes of it."""
        read: list[tuple[list[int], Sheet | list[Outline | Record | Unparsed]]] = []
        unparsed: Counter[str] = Counter()
        for starts, lines in batches:
            sifted.lines += len(lines)
            sheet = self.parser.block.sheet(lines) if self.parser.block and len(lines) >= WORTH_IT else None
            if sheet is not None and sheet.fits is None:
                read.append((starts, sheet))
                if self._budget.is_spent(_TAKEN_APART):
                    yield
            else:
                each = yield from self._read(lines)
                read.append((starts, each))
                unparsed.update(one.reason for one in each if isinstance(one, Unparsed))
        other = (yield from otherwise(self.parser.format)) if _are_strange(sifted.lines, unparsed) else None
        if other is not None:
            return other
        for starts, some in read:
            if isinstance(some, Sheet):
                yield from self._sift_sheet(starts, some, sifted, oldest)
            else:
                yield from self._sift_read(starts, some, sifted, oldest)
        return sifted

    def _read(self, lines: list[bytes]) -> Generator[None, None, list[Outline | Record | Unparsed]]:
        """Outline each line, or parse it in full."""
        read: list[Outline | Record | Unparsed] = []
        for line in lines:
            read.append(self.parser.outline(line) or self.parser.parse(line))
            if self._budget.is_spent(ODD):
                yield
        return read

    def _sift_read(
        self,
        starts: Sequence[int],
        read: Sequence[Outline | Record | Unparsed],
        sifted: Sifted,
        oldest: float | None,
    ) -> Generator[None, None, None]:
        for start, each in zip(starts, read, strict=True):
            if isinstance(each, tuple):
                yield from self._sift_sheet([start], _sheet_of([each]), sifted, oldest)
            else:
                self._sift_in_full(start, each, sifted, oldest)
                if self._budget.is_spent(ODD):
                    yield

    def _sift_one_by_one(
        self, starts: list[int], lines: list[bytes], sifted: Sifted, oldest: float | None
    ) -> Generator[None, None, None]:
        """Outline each line, and parse in full what has no outline."""
        outline = self.parser.outline
        rows: list[Outline] = []
        places: list[int] = []
        for start, line in zip(starts, lines, strict=True):
            row = outline(line)
            if row is None:  # at once: in some formats a line says how to read the next
                self._sift_in_full(start, self.parser.parse(line), sifted, oldest)
            else:
                rows.append(row)
                places.append(start)
            if self._budget.is_spent(1 if row is not None else ODD):
                yield
        yield from self._sift_sheet(places, _sheet_of(rows), sifted, oldest)

    def _sift_sheet(
        self, starts: list[int], sheet: Sheet, sifted: Sifted, oldest: float | None
    ) -> Generator[None, None, None]:
        """Look up all verdicts, count those that drop, and look closer at the other lines alone."""
        dropped = sifted.dropped
        verdicts = list(map(self._verdicts.known.get, sheet.keys))
        for verdict, number in Counter(verdicts).items():
            if isinstance(verdict, str):
                dropped[verdict] += number
        left = [at for at, verdict in enumerate(verdicts) if verdict.__class__ is not str]
        first = len(sifted.survivors)
        usual: defaultdict[Express, list[_Usual]] = defaultdict(list)
        for at in range(0, len(left), _TOGETHER):
            self._look_closer(left[at : at + _TOGETHER], verdicts, starts, sheet, sifted, oldest, usual)
            if self._budget.is_spent(_TOGETHER):
                yield
        ways = len(usual) + (len(sifted.survivors) > first)
        for express, lines in usual.items():
            for at in range(0, len(lines), _USUAL):
                self._make_events(express, lines[at : at + _USUAL], starts, sheet, sifted, oldest)
                if self._budget.is_spent(_USUAL):
                    yield
        if ways > 1:
            sifted.survivors[first:] = sorted(sifted.survivors[first:])

    def _look_closer(
        self,
        some: Sequence[int],
        verdicts: Sequence[str | Request | None],
        starts: Sequence[int],
        sheet: Sheet,
        sifted: Sifted,
        oldest: float | None,
        usual: Mapping[Express, list[_Usual]],
    ) -> None:
        """Find out the fates of lines by who asks. Those that come to a usual event are put aside."""
        dropped, agents = sifted.dropped, sheet.agents
        known, kinds = self._verdicts, self._verdicts.kinds
        for at in some:
            request = verdicts[at] or known.judge(sheet.outline(at))
            if isinstance(request, str):
                dropped[request] += 1
                continue
            kind = kinds[agents[at]]
            if request.kind == kind:
                fate = request.fate
            else:
                fate = request.kin.fates.get(kind) or known.fate(request, kind, sheet.outline(at))
            if isinstance(fate, str):
                dropped[fate] += 1
            elif fate is not None and fate.express is not None and self._scrutiny is None:
                usual[fate.express].append((at, request, fate))
            else:
                self._route(starts[at], sheet.outline(at), request, fate, sifted, oldest)

    def _make_events(
        self,
        express: Express,
        lines: Sequence[_Usual],
        starts: Sequence[int],
        sheet: Sheet,
        sifted: Sifted,
        oldest: float | None,
    ) -> None:
        """Make usual events without a record, of those lines that turn out not to need one."""
        some = [at for at, _, _ in lines]
        times, peers, chains, referrers, logged = sheet.visits(some)
        agents, places = [sheet.agents[at] for at in some], [course.place for _, _, course in lines]
        made = express(times, self.parser.clients(peers, chains), agents, referrers, places)
        for (at, request, course), time, deliveries, has_log in zip(
            lines, times, made, logged or repeat(False, len(some)), strict=True
        ):
            if deliveries is None or has_log:
                self._route(starts[at], sheet.outline(at), request, course, sifted, oldest)
            elif oldest is not None and time is not None and time < oldest:
                sifted.expired += 1
            else:
                sifted.survivors.append((starts[at], deliveries))

    def _route(
        self,
        offset: int,
        row: Outline,
        request: Request,
        course: Course | None,
        sifted: Sifted,
        oldest: float | None,
    ) -> None:
        """Decide by the whole record."""
        if request.record is None:
            request.record = self._verdicts.glimpse(row)
        record = self.parser.record(row, request.record)
        self._keep(offset, record, self._decide(record, course, oldest), sifted, oldest)

    def _sift_in_full(self, offset: int, read: Record | Unparsed, sifted: Sifted, oldest: float | None) -> None:
        if isinstance(read, Unparsed):
            sifted.unparsed_at(offset, read)
        else:
            self._keep(offset, read, self._decide(read, None, oldest), sifted, oldest)

    def _decide(self, record: Record, course: Course | None, oldest: float | None) -> Decision:
        if self._scrutiny is not None and _is_before(record, oldest):
            return self._scrutiny.too_old(record)
        return self._table.follow(course, record) if course is not None else self._table.route(record)

    def _keep(self, offset: int, record: Record, decision: Decision, sifted: Sifted, oldest: float | None) -> None:
        if decision.reason is not None:
            sifted.dropped[decision.reason] += 1
            if self._in_order and decision.reason in scrutiny.REASONS:
                sifted.doubted[offset] = decision.reason
        elif oldest is not None and record.time is not None and record.time < oldest:
            sifted.expired += 1
        else:
            sifted.survivors.append((offset, decision.deliveries))
            if decision.cuts:
                sifted.cuts.update(decision.cuts)


def _are_strange(lines: int, unparsed: Counter[str]) -> bool:
    """Tell whether a chunk is plainly in another format than it was read in."""
    return (unparsed.total() - unparsed["directive"]) * 2 > lines


def _is_before(record: Record, oldest: float | None) -> bool:
    return oldest is not None and record.time is not None and record.time < oldest


def _sheet_of(rows: Sequence[Outline]) -> Sheet:
    return Sheet(map(_KEY, rows), list(map(_AGENT, rows)), rows.__getitem__, visits_of(rows.__getitem__))
