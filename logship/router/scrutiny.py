"""Look once more at what the rules would send, for what one line alone cannot tell.

A `Scrutiny` wraps a table and has the same interface. The table decides first, and equally for equal records. Only if
it would send something come the questions that need a list or a memory: is the referrer spam, has this visitor behaved
like a machine, has it had this very event already? So a line that the rules drop keeps its reason, on the short way and
on the long one. Where there is nothing to ask there is no scrutiny, and no cost.

Only hashes and times are remembered, of a bounded number of visitors. Time is that of the log, so the same lines give
the same result whenever they are read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cache

from logship import memo
from logship.records import Decision, Delivery, OnceWithin, Record
from logship.router import globs, probes
from logship.router.explanation import Explanation
from logship.router.query import decoded
from logship.router.table import Course, Table
from logship.settings.source import BehaviourSettings

REASONS = ("referrer_spam", "scanner", "crawler", "too_fast", "repeated")

_MOST = 16_384  # visitors, or events of visitors: about 2 MB of each kind when full
_A_SIGN_HOLDS = 86_400.0  # seconds: by then the address may be somebody else's
_MINUTE = 60.0
_ABSENT = (404, 410)  # "there is no such software here"


class Recent:
    """Keys and the time when each was last noted; the oldest is forgotten when there are too many."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._noted: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, key: Hashable, time: float) -> None:
        """Remember that a key was seen now."""
        number = hash(key)
        self._noted.pop(number, None)
        if len(self._noted) >= self._most:
            del self._noted[next(iter(self._noted))]
        self._noted[number] = time

    def holds(self, key: Hashable, time: float, within: float) -> bool:
        """Tell whether a key was seen at most so many seconds ago."""
        last = self._noted.get(hash(key))
        return last is not None and time - last <= within


class Pace:
    """How many pages each visitor has asked for since its minute began."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._minutes: dict[int, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._minutes)

    def step(self, visitor: Hashable, time: float) -> int:
        """Count a page, and return how many it makes in this minute, which begins with the first."""
        number = hash(visitor)
        began, pages = self._minutes.pop(number, (time, 0))
        if not 0 <= time - began < _MINUTE:
            began, pages = time, 0
        if len(self._minutes) >= self._most:
            del self._minutes[next(iter(self._minutes))]
        self._minutes[number] = began, pages + 1
        return pages + 1


@dataclass(slots=True)
class Memory:
    """What one source remembers of its visitors. It outlives a reload, and is lost with the process."""

    scanners: Recent = field(default_factory=Recent)
    crawlers: Recent = field(default_factory=Recent)
    fast: Recent = field(default_factory=Recent)
    pace: Pace = field(default_factory=Pace)
    events: Recent = field(default_factory=Recent)


class Scrutiny:
    """A table whose decisions to send are looked at once more."""

    def __init__(
        self,
        table: Table,
        memory: Memory,
        *,
        behaviour: BehaviourSettings = BehaviourSettings(),  # noqa: B008 - immutable
        spam: frozenset[str] = frozenset(),
    ) -> None:
        """``spam``: domains whose referrers are spam, lower case."""
        self._table, self._memory, self._behaviour, self._spam = table, memory, behaviour, spam
        self._watches = behaviour != BehaviourSettings()
        self._once = table.once
        self.classify, self.kind = table.classify, table.kind

    @staticmethod
    def needed(table: Table, behaviour: BehaviourSettings, spam: frozenset[str]) -> bool:
        """Tell whether there is anything to ask."""
        return bool(table.once or spam) or behaviour != BehaviourSettings()

    def holding(self, logs: frozenset[str] | None) -> Scrutiny:
        """Return the same for lines whose format holds these ``log.NAME`` fields; see `Table.holding`."""
        return Scrutiny(self._table.holding(logs), self._memory, behaviour=self._behaviour, spam=self._spam)

    def route(self, record: Record) -> Decision:
        """Decide what becomes of a record. Remembers: ask once a line, in the order of the log."""
        return self._look(record, self._table.route(record))

    def follow(self, course: Course, record: Record) -> Decision:
        """Decide what becomes of a record whose course is known, as `route` would."""
        return self._look(record, self._table.follow(course, record))

    def too_old(self, record: Record) -> Decision:
        """Decide what would become of a record that is too old to be sent: it is a sign, and no first event."""
        return self._look(record, self._table.route(record), sends=False)

    def prejudge(self, record: Record, unknown: frozenset[str]) -> str | None:
        """Return what `Table.prejudge` does, except where the whole line is wanted as a sign."""
        return None if self._watches and self._may_be_sign(record, unknown) else self._table.prejudge(record, unknown)

    def course(self, record: Record, like: Course | None = None) -> Course:
        """Return what `Table.course` does: it is the same for all records that are alike."""
        return self._table.course(record, like)

    def explain(self, record: Record) -> Explanation:
        """Tell how the rules decide. Remembers nothing."""
        return self._table.explain(record)

    def _look(self, record: Record, decision: Decision, *, sends: bool = True) -> Decision:
        if self._watches:
            self._note_signs(record)
        if not decision.deliveries:
            return decision
        reason = self._doubt(record, decision)
        if reason is not None:
            return Decision([], decision.rule, reason)
        return self._without_repeated(record, decision) if self._once and sends else decision

    def _doubt(self, record: Record, decision: Decision) -> str | None:
        if self._spam and record.referrer and is_below(host_of(record.referrer), self._spam):
            return "referrer_spam"
        if self._watches and not self.classify(record.user_agent).kind:
            return self._given_away(record, decision)
        return None

    # -- behaviour

    def _may_be_sign(self, record: Record, unknown: frozenset[str]) -> bool:
        if "path" in unknown or "status" in unknown:
            return True
        probes_, robots = self._behaviour.probes, self._behaviour.robots_txt
        return (robots and record.path == _ROBOTS) or (probes_ and is_scan(record))

    def _note_signs(self, record: Record) -> None:
        if self._behaviour.probes and is_scan(record):
            self._memory.scanners.note(_visitor(record), record.time or 0.0)
        if self._behaviour.robots_txt and record.path == _ROBOTS:
            self._memory.crawlers.note(record.client_ip, record.time or 0.0)

    def _given_away(self, record: Record, decision: Decision) -> str | None:
        """Return which behaviour showed that the visitor is no person; None if there was none."""
        memory, time, visitor = self._memory, record.time or 0.0, _visitor(record)
        if self._behaviour.probes and memory.scanners.holds(visitor, time, _A_SIGN_HOLDS):
            return "scanner"
        if self._behaviour.robots_txt and memory.crawlers.holds(record.client_ip, time, _A_SIGN_HOLDS):
            return "crawler"
        if self._behaviour.pages_per_minute and self._is_fast(visitor, time, decision):
            return "too_fast"
        return None

    def _is_fast(self, visitor: Hashable, time: float, decision: Decision) -> bool:
        fast, most = self._memory.fast, self._behaviour.pages_per_minute or 0
        is_page = any(delivery.event.name == "pageview" for delivery in decision.deliveries)
        if is_page and time and self._memory.pace.step(visitor, time) > most:
            fast.note(visitor, time)
        return fast.holds(visitor, time, _A_SIGN_HOLDS)

    # -- once

    def _without_repeated(self, record: Record, decision: Decision) -> Decision:
        kept = [delivery for delivery in decision.deliveries if not self._is_repeated(record, delivery)]
        if len(kept) == len(decision.deliveries):
            return decision
        return Decision(kept, decision.rule, None if kept else "repeated", decision.cuts)

    def _is_repeated(self, record: Record, delivery: Delivery) -> bool:
        once = isinstance(delivery, OnceWithin)
        if not once and delivery.event.name not in self._once:
            return False
        key = (_visitor(record), record.host, record.path, delivery.event.name, delivery.destination)
        time, events = record.time or 0.0, self._memory.events
        repeated = isinstance(delivery, OnceWithin) and events.holds(key, time, delivery.within)
        events.note(key, time)
        return repeated


_ROBOTS = "/robots.txt"


def is_scan(record: Record) -> bool:
    """Tell whether only a scanner sends such a request."""
    listed = _listed[record.path or ""]
    return listed == "exploit" or (listed == "probe" and record.status in _ABSENT)


@cache
def _lists() -> tuple[globs.TextTest, globs.TextTest]:
    """Compile both lists at first use: most sources need neither."""
    return globs.compile_globs(probes.EXPLOITS, "path"), globs.compile_globs(probes.PROBES, "path")


def _list_of(path: str) -> str:
    is_exploit, is_probe = _lists()
    tried = (path, decoded(path))
    return "exploit" if any(map(is_exploit, tried)) else "probe" if any(map(is_probe, tried)) else ""


_listed = memo.texts(_list_of, 2048, longest=300)


def _visitor(record: Record) -> Hashable:
    return record.client_ip, record.user_agent


def host_of(url: str) -> str:
    """Return the host of a referrer, lower case and without port; of one without a scheme, what stands first."""
    authority = (url.partition("://")[2] or url).partition("/")[0].partition("?")[0].rpartition("@")[2]
    return authority.partition(":")[0].lower().rstrip(".")


def is_below(host: str, domains: frozenset[str]) -> bool:
    """Tell whether a host is one of the domains, or below one."""
    while host:
        if host in domains:
            return True
        host = host.partition(".")[2]
    return False
