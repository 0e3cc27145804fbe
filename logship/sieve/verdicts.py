"""What a table's rules say of lines before these are looked at closely, remembered in bounded memory.

A verdict is remembered by what an outline holds: by its key, and where the key does not decide, by the class of its
User-Agent as well. A key that is new shares the verdict of its kin, which are the requests that the rules do not tell
from it. That is an economy and never an opinion: `Table.prejudge` answers only what `Table.route` would answer whatever
the rest of the line holds, and tests compare both ways on every case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from logship.memo import Memo
from logship.parser.columns import Key, Outline
from logship.parser.record import Parser, text_of
from logship.records import Record
from logship.router.scrutiny import Scrutiny
from logship.router.table import COURSE_FIELDS, Course, Table
from logship.sieve.budget import NEW, Budget

_REMEMBERED = 8192  # keys, about 300 bytes each: a busy site has thousands, and each one forgotten is judged anew
_FORGOTTEN = 1024  # so many together, those that were judged first
_AGENTS = 2048
_LONG = 512  # bytes of a key or User-Agent: longer ones are judged anew each time, lest strangers fill the memory
_FEW = 1024  # statuses, methods and hosts together, and with classes of paths
_BESIDE_PATH = frozenset(("query", "protocol"))
_TARGET = _BESIDE_PATH | {"path"}
# What no key ever holds is known all the same where the format lacks it.
_NOT_IN_KEYS = frozenset(("content_type", "query"))
_FIELDS = frozenset(Record.__dataclass_fields__) | {"bot"}
_K = TypeVar("_K")
_V = TypeVar("_V")


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


class Verdicts:
    """What one table says of one parser's outlines.

    ``known`` holds verdicts by key, for who looks up many at once: the reason to drop each line that has it, or the
    request that it is. ``kinds`` gives the class of a User-Agent, which is what those share whose lines fare alike.
    """

    def __init__(self, parser: Parser, table: Table | Scrutiny, budget: Budget) -> None:
        self._parser = parser
        self._table = table
        self._budget = budget
        self._unknown = _FIELDS - parser.decided
        self._has_course = parser.decided | (_NOT_IN_KEYS - parser.format.facts) >= COURSE_FIELDS
        rules = table if isinstance(table, Table) else None  # who remembers visitors looks at every path
        self._paths = rules.paths if rules is not None and rules.paths.suffice(self._unknown | _BESIDE_PATH) else None
        self._asks_beside_path = rules is None or not rules.reads.isdisjoint(_BESIDE_PATH)
        self.known: dict[Key, str | Request] = {}
        self._reasons: dict[Key, str] = {}  # by all of a key but its target
        self._kin: dict[tuple[Key, int], str | Kin] = {}  # by the same and the class of the path
        self.kinds = Memo(self._classify, _AGENTS, worth=lambda agent: len(agent) <= _LONG)

    def judge(self, row: Outline) -> str | Request:
        """Find what the key decides, or which requests are its kin, and remember it."""
        key = row[0]
        verdict = self.known.get(key)  # one line before, perhaps
        if verdict is not None:
            return verdict
        self._budget.spend(NEW)
        if sum(map(len, key)) > _LONG:
            return _request(self._judge_anew(row, self._unknown))
        verdict = _request(self._judge_parted(row) or self._judge_anew(row, self._unknown))
        if len(self.known) >= _REMEMBERED:
            for oldest in list(islice(self.known, _FORGOTTEN)):
                del self.known[oldest]
        self.known[key] = verdict
        return verdict

    def fate(self, request: Request, kind: str, row: Outline) -> str | Course | None:
        """Find what is decided when the class of the User-Agent is known, by the kin and then by the key."""
        kin = request.kin
        reason = kin.fates.get(kind)
        if reason is None:
            self._budget.spend(NEW)
            kin.record.user_agent = text_of(row[1])
            reason = kin.fates[kind] = self._table.prejudge(kin.record, kin.unknown - {"bot"}) or ""
            kin.record.user_agent = None
        if reason:
            return reason
        self._budget.spend(NEW)
        record = self._parser.glimpse(row)
        request.kind, request.fate = kind, self._judge_kind(record, kind, kin)
        return request.fate

    def glimpse(self, row: Outline) -> Record:
        """Return what lines with the same key share: what is remembered holds no User-Agent, at any length."""
        record = self._parser.glimpse(row)
        record.user_agent = None
        return record

    def _judge_parted(self, row: Outline) -> str | Kin | None:
        """Find what decides whatever the path is, often the status; then what its class decides."""
        parted = self._parser.parted(row[0]) if self._paths is not None else None
        if parted is None or self._paths is None:
            return None
        others, path = parted
        reason = self._reasons.get(others)
        if reason is None:
            reason = self._table.prejudge(self._parser.glimpse(row), self._unknown | _TARGET) or ""
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
        record = self.glimpse(row)
        record.user_agent = text_of(row[1])
        reason = self._table.prejudge(record, unknown)
        record.user_agent = None
        return reason or Kin(record, unknown)

    def _judge_kind(self, record: Record, kind: str, kin: Kin) -> str | Course | None:
        reason = self._table.prejudge(record, self._unknown - {"bot"}) if self._asks_beside_path else None
        if reason is not None or not self._has_course:
            return reason
        course = self._table.course(record, kin.courses.get(kind) if not self._asks_beside_path else None)
        kin.courses.setdefault(kind, course)
        return course

    def _classify(self, agent: bytes) -> str:
        """Return what User-Agents share whose lines fare alike."""
        self._budget.spend(NEW)
        return self._table.kind(text_of(agent))


def _request(verdict: str | Kin) -> str | Request:
    return verdict if isinstance(verdict, str) else Request(verdict)


def _keep_few(memo: dict[_K, _V], key: _K, value: _V) -> None:
    if len(memo) >= _FEW:
        memo.clear()
    memo[key] = value
