"""One source's parser and rules, joined: a chunk of bytes in, the deliveries of the few surviving lines out.

Most lines of a log are dropped, and most of them for what their request line and status alone say. So lines are
first only outlined, all plain ones of a chunk at once, and the verdict on what an outline holds is remembered: by its
key, and where the key does not decide, by the class of its User-Agent as well. A key that is new shares the verdict of
its kin, which are the requests that the rules do not tell from it. Only a line that nothing remembered can drop becomes
a Record. The short way is an economy and never an opinion: `Table.prejudge` answers only what `Table.route`
would answer whatever the rest of the line holds, and tests compare both ways on every case.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress, islice, repeat
from operator import itemgetter, not_
from typing import TypeVar

from logship.memo import Memo
from logship.parser import detect, w3c, wrappers
from logship.parser.client import ClientRule
from logship.parser.columns import Key, Outline
from logship.parser.fastblock import WORTH_IT, Sheet, visits_of
from logship.parser.formats import LogFormat
from logship.parser.record import Parser, text_of
from logship.records import Chunk, Decision, Delivery, Record, Unparsed
from logship.router import scrutiny
from logship.router.scrutiny import Scrutiny
from logship.router.table import COURSE_FIELDS, Course, Table
from logship.router.ways import Express
from logship.steps import Steps

_SAMPLE_LINES = 50  # what detection looks at; a file that mixes formats shows it within fewer
_FILES = 1024  # whose formats are remembered; one that is forgotten is looked at once more
_REMEMBERED = 8192  # keys, about 300 bytes each: a busy site has thousands, and each one forgotten is judged anew
_FORGOTTEN = 1024  # so many together, those that were judged first
_AGENTS = 2048
_LONG = 512  # bytes of a key or User-Agent: longer ones are judged anew each time, lest strangers fill the memory
_FEW = 1024  # statuses, methods and hosts together, and with classes of paths
# What a step is made of, in units of a known line that is looked at closely, which takes 5 to 20 µs.
_STEP = 256
_AT_A_TIME = 640  # lines taken apart together
_TAKEN_APART = 128  # so many lines
_TOGETHER = 32  # lines that are looked at closely before one asks whether it is enough
_USUAL = 128  # usual events that are made before one asks again
_NEW = 4  # a request, or a User-Agent, that is not remembered
_ODD = 4  # a line that is parsed in full
_BESIDE_PATH = frozenset(("query", "protocol"))
_TARGET = _BESIDE_PATH | {"path"}
_NOT_IN_KEYS = frozenset(
    ("content_type", "query")
)  # what no key ever holds is known all the same where the format lacks it
_K = TypeVar("_K")
_V = TypeVar("_V")
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
    doubted: dict[int, str] = field(default_factory=dict)  # by offset: why `scrutiny` dropped what the rules would send
    first_unparsed: tuple[int, Unparsed] | None = None
    detected: detect.Detection | None = None  # set by the chunk that settled, or changed, its file's format

    def unparsed_at(self, offset: int, unparsed: Unparsed) -> None:
        """Count a line that is no request, and keep the first one for the log."""
        self.unparsed[unparsed.reason] += 1
        if self.first_unparsed is None and unparsed.reason != "directive":
            self.first_unparsed = offset, unparsed

    def add(self, later: Sifted) -> Sifted:
        """Add what the lines after these came to, and return the sum."""
        self.survivors += later.survivors
        self.lines, self.expired = self.lines + later.lines, self.expired + later.expired
        self.nul_bytes += later.nul_bytes
        for mine, other in (
            (self.unparsed, later.unparsed),
            (self.dropped, later.dropped),
            (self.cuts, later.cuts),
        ):
            mine.update(other)
        self.doubted |= later.doubted
        self.first_unparsed = self.first_unparsed or later.first_unparsed
        self.detected = later.detected or self.detected
        return self


Sifting = Generator[None, None, Sifted]
"""Sifts a chunk a step at a time: it yields where others may have their turn, and returns what the chunk came to."""

LookBack = Callable[[int, int, int], bytes]
"""Reads bytes of a followed file: its FileKey, an offset, how many. OSError when it cannot."""


@dataclass(slots=True)
class _Known:
    """What reads a file's lines, and up to where it has read them."""

    strainer: Strainer
    file: int
    end: int


class Sieve:
    """Sift the chunks of one source; with no format given, each of its files in the format found in it.

    A format whose lines say how the next are to be read (W3C) has to see a file whole: ``look_back`` reads what was
    before the place where reading begins.
    """

    def __init__(
        self,
        table: Table | Scrutiny,
        client: ClientRule,
        format_: LogFormat | None = None,
        *,
        log_fields: frozenset[str] = frozenset(),
        max_event_age: float | None = None,
        look_back: LookBack | None = None,
    ) -> None:
        self._table = table
        self._client = client
        self._log_fields = log_fields
        self._max_event_age = max_event_age
        self._look_back = look_back
        self._format = format_
        self._fixed = self._strainer(format_) if format_ is not None and not format_.per_file else None
        self._found: dict[tuple[str, str], Strainer] = {}  # by format and wrapper: files in the same one share it
        self._by_path: dict[str, _Known] = {}

    def sift(self, chunk: Chunk, now: float) -> Sifted:
        """Turn a chunk into deliveries and counts. ``now`` is wall time (epoch seconds), for ``max_event_age``."""
        return Steps(self.steps(chunk, now)).at_once()

    def steps(self, chunk: Chunk, now: float) -> Sifting:
        """Do what `sift` does in steps of some milliseconds, however new all is that the chunk holds.

        The next chunk's first step comes after this one's last.
        """
        oldest = now - self._max_event_age if self._max_event_age is not None else None
        strainer = self._fixed or self._known(chunk)
        if strainer is None:
            return (yield from self._sift_anew(chunk, oldest, None)) or (yield from _undetected(chunk))
        if self._format is not None:
            return (yield from strainer.steps(chunk.data, chunk.start, oldest))
        return (yield from self._sift_in(strainer, chunk, oldest, partial(self._sift_anew, chunk, oldest)))

    def parser(self, path: str) -> Parser | None:
        """Return what reads the lines of a file; None while no format was found in it."""
        if self._fixed is not None:
            return self._fixed.parser
        return self._by_path[path].strainer.parser if path in self._by_path else None

    @property
    def remembers(self) -> bool:
        """Whether what a chunk comes to depends on the chunks before it: then one process has to see them all."""
        if isinstance(self._table, Scrutiny):
            return True
        formats = (
            [self._format]
            if self._format is not None
            else [known.strainer.parser.format for known in self._by_path.values()]
        )
        return any(each.per_file for each in formats)

    def _known(self, chunk: Chunk) -> Strainer | None:
        """Return what reads a file; one that has not seen all of a file that explains itself is of no use."""
        known = self._by_path.get(chunk.path)
        format_ = self._format if known is None else known.strainer.parser.format
        if format_ is None:
            return None
        if known is None or (format_.per_file and (known.file, known.end) != (chunk.file, chunk.start)):
            known = self._enter(chunk, format_)
        known.end = chunk.end
        return known.strainer

    def _enter(self, chunk: Chunk, format_: LogFormat) -> _Known:
        """Know a file's format from now on."""
        if len(self._by_path) >= _FILES:
            self._by_path.pop(next(iter(self._by_path)))
        strainer = self._strainer_of(format_)
        for line in self._directives(chunk) if format_.per_file else ():
            strainer.parser.parse(line)
        known = self._by_path[chunk.path] = _Known(strainer, chunk.file, chunk.end)
        return known

    def _sift_in(self, strainer: Strainer, chunk: Chunk, oldest: float | None, otherwise: Otherwise) -> Sifting:
        """Sift a chunk in its file's format, up to where it plainly goes on in another one."""
        at = _turn(strainer.parser, chunk.data)
        if at is None:
            return (yield from strainer.steps(chunk.data, chunk.start, oldest, otherwise))
        before = yield from strainer.steps(chunk.data[:at], chunk.start, oldest)
        rest = replace(chunk, data=chunk.data[at:], start=chunk.start + at)
        after = yield from self._sift_anew(rest, oldest, strainer.parser.format)
        return before.add(after or (yield from strainer.steps(rest.data, rest.start, oldest)))

    def _sift_anew(
        self, chunk: Chunk, oldest: float | None, known: LogFormat | None
    ) -> Generator[None, None, Sifted | None]:
        """Find out the format of a file seen for the first time, or that plainly is no longer in the known one."""
        lines = chunk.data.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
        found = yield from detect.steps([*self._directives(chunk), *lines])
        if found.rivals and known is None:
            sifted = yield from _undetected(chunk)
        elif found.format is None or found.format == known:
            return None
        else:
            strainer = self._enter(chunk, found.format).strainer
            yield
            sifted = yield from (
                self._sift_in(strainer, chunk, oldest, _nothing_else)
                if known is None
                else strainer.steps(chunk.data, chunk.start, oldest)
            )
        sifted.detected = sifted.detected or found
        return sifted

    def _directives(self, chunk: Chunk) -> list[bytes]:
        """Return the lines before a chunk that say how its lines are to be read."""
        if not chunk.start or self._look_back is None:
            return []
        return w3c.directives(partial(self._look_back, chunk.file), chunk.start)

    def _strainer_of(self, format_: LogFormat) -> Strainer:
        if format_.per_file:
            return self._strainer(format_)
        key = format_.name, format_.wrapper
        if key not in self._found:
            self._found[key] = self._strainer(format_)
        return self._found[key]

    def _strainer(self, format_: LogFormat) -> Strainer:
        return Strainer(Parser(format_, self._client, log_fields=self._log_fields), self._table)


def _turn(parser: Parser, data: bytes) -> int | None:
    """Return where the lines begin of which none is in a parser's format; None where the last is, or all are not.

    A line that says how the next are to be read (W3C) is not read twice.
    """
    end = len(data) - data.endswith(b"\n")
    last = data[data.rfind(b"\n", 0, end) + 1 : end]
    if parser.format.per_file or not last or parser.outline(last) is not None:
        return None
    lines = data[:end].split(b"\n")
    at = detect.turn(parser, lines)
    return sum(map(len, lines[:at])) + at if 0 < at < len(lines) else None


def _are_strange(lines: int, unparsed: Counter[str]) -> bool:
    """Tell whether a chunk is plainly in another format than it was read in."""
    return (unparsed.total() - unparsed["directive"]) * 2 > lines


Otherwise = Callable[[LogFormat], Generator[None, None, Sifted | None]]


def _nothing_else(known: LogFormat) -> Generator[None, None, None]:
    return
    yield


def _is_before(record: Record, oldest: float | None) -> bool:
    return oldest is not None and record.time is not None and record.time < oldest


@dataclass(slots=True, eq=False)
class Kin:
    """Requests that the rules do not tell apart until they see who asks; ``record`` is one of them.

    ``fates``: the reason to drop by the class of the User-Agent, empty where these facts decide nothing; ``courses``:
    the first one's through the rules, by the same.
    """

    record: Record
    unknown: frozenset[str]
    fates: dict[str, str] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Request:
    """Lines with the same key that it does not decide, and the fate of the last class of User-Agents that asked for it.

    A fate is the reason to drop, or the course through the rules; None where each line is to be routed in full.
    ``record`` is one of them, made when a line needs more than its course.
    """

    kin: Kin
    kind: str | None = None
    fate: str | Course | None = None
    record: Record | None = None


_Usual = tuple[int, Request, Course]
"""A line that comes to a usual event: its number on its sheet, and what is known of it."""


class Strainer:
    """One parser and one table, and what is remembered of their verdicts."""

    def __init__(self, parser: Parser, table: Table | Scrutiny) -> None:
        self.parser = parser
        self._table = table.holding(parser.log_names)
        self._scrutiny = self._table if isinstance(self._table, Scrutiny) else None
        self._in_order = self._scrutiny is not None
        self._unknown = _FIELDS - parser.decided
        self._has_course = parser.decided | (_NOT_IN_KEYS - parser.format.facts) >= COURSE_FIELDS
        self._verdicts: dict[Key, str | Request] = {}
        known = self._table if isinstance(self._table, Table) else None  # who remembers visitors looks at every path
        self._paths = known.paths if known is not None and known.paths.suffice(self._unknown | _BESIDE_PATH) else None
        self._asks_beside_path = known is None or not known.reads.isdisjoint(_BESIDE_PATH)
        self._reasons: dict[Key, str] = {}  # by all of a key but its target
        self._kin: dict[tuple[Key, int], str | Kin] = {}  # by the same and the class of the path
        self._work = 0  # done since the step began
        self._kinds = Memo(self._classify, _AGENTS, worth=lambda agent: len(agent) <= _LONG)

    def steps(self, data: bytes, start: int, oldest: float | None, otherwise: Otherwise = _nothing_else) -> Sifting:
        """Sift whole lines; ``start`` is the offset of the first, ``oldest`` the time before which lines expire.

        ``otherwise`` is asked what lines come to that plainly are in another format, before any of them is remembered.
        """
        sifted = Sifted(nul_bytes=data.count(b"\0") if b"\0" in data else 0)
        batches = wrappers.some_at_a_time(self.parser.format.wrapper, data, start, _AT_A_TIME)
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
        if self._is_enough(_TAKEN_APART):
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

    def _is_enough(self, work: int) -> bool:
        """Add to the work of this step, and tell whether it is over."""
        self._work += work
        if self._work < _STEP:
            return False
        self._work = 0
        return True

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
                if self._is_enough(_TAKEN_APART):
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
            if self._is_enough(_ODD):
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
                if self._is_enough(_ODD):
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
            if self._is_enough(1 if row is not None else _ODD):
                yield
        yield from self._sift_sheet(places, _sheet_of(rows), sifted, oldest)

    def _sift_sheet(
        self, starts: list[int], sheet: Sheet, sifted: Sifted, oldest: float | None
    ) -> Generator[None, None, None]:
        """Look up all verdicts, count those that drop, and look closer at the other lines alone."""
        dropped = sifted.dropped
        verdicts = list(map(self._verdicts.get, sheet.keys))
        for verdict, number in Counter(verdicts).items():
            if isinstance(verdict, str):
                dropped[verdict] += number
        left = [at for at, verdict in enumerate(verdicts) if verdict.__class__ is not str]
        first = len(sifted.survivors)
        usual: defaultdict[Express, list[_Usual]] = defaultdict(list)
        for at in range(0, len(left), _TOGETHER):
            self._look_closer(left[at : at + _TOGETHER], verdicts, starts, sheet, sifted, oldest, usual)
            if self._is_enough(_TOGETHER):
                yield
        ways = len(usual) + (len(sifted.survivors) > first)
        for express, lines in usual.items():
            for at in range(0, len(lines), _USUAL):
                self._make_events(express, lines[at : at + _USUAL], starts, sheet, sifted, oldest)
                if self._is_enough(_USUAL):
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
        dropped, kinds, agents = sifted.dropped, self._kinds, sheet.agents
        for at in some:
            request = verdicts[at] or self._judge(sheet.outline(at))
            if isinstance(request, str):
                dropped[request] += 1
                continue
            kind = kinds[agents[at]]
            if request.kind == kind:
                fate = request.fate
            else:
                fate = request.kin.fates.get(kind) or self._fate(request, kind, sheet.outline(at))
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
            request.record = self._glimpse(row)
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

    def _judge(self, row: Outline) -> str | Request:
        """Find what the key decides, or which requests are its kin, and remember it."""
        key = row[0]
        verdict = self._verdicts.get(key)  # one line before, perhaps
        if verdict is not None:
            return verdict
        self._work += _NEW
        if sum(map(len, key)) > _LONG:
            return _request(self._judge_anew(row, self._unknown))
        verdict = _request(self._judge_parted(row) or self._judge_anew(row, self._unknown))
        if len(self._verdicts) >= _REMEMBERED:
            for oldest in list(islice(self._verdicts, _FORGOTTEN)):
                del self._verdicts[oldest]
        self._verdicts[key] = verdict
        return verdict

    def _judge_parted(self, row: Outline) -> str | Kin | None:
        """Find what decides whatever the path is, often the status; then what its class decides."""
        parted = self.parser.parted(row[0]) if self._paths is not None else None
        if parted is None or self._paths is None:
            return None
        others, path = parted
        reason = self._reasons.get(others)
        if reason is None:
            reason = self._table.prejudge(self.parser.glimpse(row), self._unknown | _TARGET) or ""
            _keep_few(self._reasons, others, reason)
        if reason:
            return reason
        kin = others, self._paths.of(path)
        verdict = self._kin.get(kin)
        if verdict is None:
            verdict = self._judge_anew(row, self._unknown | _BESIDE_PATH)
            _keep_few(self._kin, kin, verdict)
        return verdict

    def _judge_anew(self, row: Outline, unknown: frozenset[str]) -> str | Kin:
        record = self._glimpse(row)
        record.user_agent = text_of(row[1])
        reason = self._table.prejudge(record, unknown)
        record.user_agent = None
        return reason or Kin(record, unknown)

    def _glimpse(self, row: Outline) -> Record:
        """Return what lines with the same key share: what is remembered holds no User-Agent, at any length."""
        record = self.parser.glimpse(row)
        record.user_agent = None
        return record

    def _fate(self, request: Request, kind: str, row: Outline) -> str | Course | None:
        """Find what is decided when the class of the User-Agent is known, by the kin and then by the key."""
        kin = request.kin
        reason = kin.fates.get(kind)
        if reason is None:
            self._work += _NEW
            kin.record.user_agent = text_of(row[1])
            reason = kin.fates[kind] = self._table.prejudge(kin.record, kin.unknown - {"bot"}) or ""
            kin.record.user_agent = None
        if reason:
            return reason
        self._work += _NEW
        record = self.parser.glimpse(row)
        request.kind, request.fate = kind, self._judge_kind(record, kind, kin)
        return request.fate

    def _judge_kind(self, record: Record, kind: str, kin: Kin) -> str | Course | None:
        reason = self._table.prejudge(record, self._unknown - {"bot"}) if self._asks_beside_path else None
        if reason is not None or not self._has_course:
            return reason
        course = self._table.course(record, kin.courses.get(kind) if not self._asks_beside_path else None)
        kin.courses.setdefault(kind, course)
        return course

    def _classify(self, agent: bytes) -> str:
        """Return what User-Agents share whose lines fare alike."""
        self._work += _NEW
        return self._table.kind(text_of(agent))


def _request(verdict: str | Kin) -> str | Request:
    return verdict if isinstance(verdict, str) else Request(verdict)


def _keep_few(memo: dict[_K, _V], key: _K, value: _V, most: int = _FEW) -> None:
    if len(memo) >= most:
        memo.clear()
    memo[key] = value


def _sheet_of(rows: Sequence[Outline]) -> Sheet:
    return Sheet(map(_KEY, rows), list(map(_AGENT, rows)), rows.__getitem__, visits_of(rows.__getitem__))


def _undetected(chunk: Chunk) -> Sifting:
    """Count every line of a chunk in which no format could be found."""
    sifted = Sifted(nul_bytes=chunk.data.count(b"\0"))
    for starts, lines in wrappers.some_at_a_time("none", chunk.data, chunk.start, _AT_A_TIME):
        sifted.lines += len(lines)
        for start, line in zip(starts, lines, strict=True):
            sifted.unparsed_at(start, Unparsed("format" if line.strip() else "blank"))
        yield
    return sifted
