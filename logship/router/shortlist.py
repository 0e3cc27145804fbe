"""Say which rules can take a record at all, so that only those are asked: a hundred rules then cost next to nothing.

Most rules are about paths, hosts, methods or statuses, of which a site has few. What each rule says of a path alone is
found out once for each path, and what it says of the rest of a request's facts once for each combination of them. Both
are remembered as sets of rules (one bit each), and a record's shortlist is what they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from logship.memo import Memo
from logship.records import Record
from logship.router.conditions import Condition
from logship.router.site import Site

_Facts = tuple[str | None, int | None, str | None, str | None, bool]
_ALL = frozenset(each.name for each in fields(Record)) | {"bot"}
_FACTS = frozenset(("method", "status", "host", "scheme", "absolute"))
_PATHS = 1024  # with the longest, 500 KB
_LONGEST = 300  # characters of a path, a host and the like that are worth remembering
_COMBINATIONS = 256  # of the other facts, and of rules


class Shortlist:
    """The rules of one table by their places in it."""

    def __init__(self, conditions: Sequence[Condition], site: Site) -> None:
        self._everyone = (1 << len(conditions)) - 1
        by_path = _Excluding(conditions, site, frozenset({"path"}))
        by_facts = _Excluding(conditions, site, _FACTS)
        self._by_path = Memo(lambda path: by_path.left(Record(path=path)), _PATHS, worth=_is_short)
        self._by_facts: Memo[_Facts, int] = Memo(
            lambda facts: by_facts.left(_record(facts)), _COMBINATIONS, worth=_are_short
        )
        self._places = Memo(_places, _COMBINATIONS)

    def of(self, record: Record, unknown: frozenset[str]) -> tuple[int, ...]:
        """Return the places of the rules that may take a record whose ``unknown`` fields may hold anything."""
        left = self._everyone if "path" in unknown else self._by_path[record.path]
        if _FACTS.isdisjoint(unknown):
            left &= self._by_facts[record.method, record.status, record.host, record.scheme, record.absolute]
        return self._places[left]


class _Excluding:
    """Finds the rules that some known facts do not exclude."""

    def __init__(self, conditions: Sequence[Condition], site: Site, known: frozenset[str]) -> None:
        unknown = _ALL - known
        numbered = [(1 << at, each) for at, each in enumerate(conditions)]
        self._judges = [(bit, each.judgement(site, unknown)) for bit, each in numbered if each.reads & known]
        self._others = sum(
            bit for bit, each in numbered if not each.reads & known
        )  # never excluded by what they ask not

    def left(self, record: Record) -> int:
        return self._others | sum(bit for bit, judge in self._judges if judge(record) is not False)


def _record(facts: _Facts) -> Record:
    method, status, host, scheme, absolute = facts
    return Record(method=method, status=status, host=host, scheme=scheme, absolute=absolute)


def _is_short(text: str | None) -> bool:
    return text is None or len(text) <= _LONGEST


def _are_short(facts: _Facts) -> bool:
    method, _, host, scheme, _ = facts  # a client names all three
    return _is_short(method) and _is_short(host) and _is_short(scheme)


def _places(rules: int) -> tuple[int, ...]:
    return tuple(at for at in range(rules.bit_length()) if rules >> at & 1)
