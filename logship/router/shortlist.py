"""Which rules can take a record at all: only those are asked, so a hundred rules cost next to nothing.

Most rules are about paths, hosts, methods or statuses, of which a site has few. What each rule says of a path alone is
found out once for each path, and what it says of the rest of a request's facts once for each combination of them. Both
are remembered as sets of rules (one bit each), and a record's shortlist is what they have in common.

What differs from line to line (an address, a referrer, a field of the log) comes last, and is remembered the same way:
a site sees many visitors and referrers, but not a new one in each line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Sights:
    """The same rules, by what differs from line to line: an address, a referrer, single fields of the log."""

    def __init__(self, conditions: Sequence[Condition], site: Site) -> None:
        self._everyone = (1 << len(conditions)) - 1
        self._asked = [
            *(_asking(field, conditions, site) for field in _OWN if any(field in each.reads for each in conditions)),
            *(_asking_log(name, conditions, site) for name in sorted(_names(conditions))),
        ]

    def of(self, record: Record) -> int:
        """Return the rules that may take a record, one bit each by their places."""
        left = self._everyone
        for value_of, rules in self._asked:
            left &= rules[value_of(record)]
        return left


_Sight = tuple[Callable[[Record], str | None], Memo[str | None, int]]
_OWN: dict[str, Callable[[Record], str | None]] = {
    "client_ip": lambda record: record.client_ip,
    "referrer": lambda record: record.referrer,
}
_VALUES = 4096  # with the longest, about 1 MB; a value of a log's field is short


def _asking(field: str, conditions: Sequence[Condition], site: Site) -> _Sight:
    among = _Excluding(conditions, site, frozenset({field}))
    return _OWN[field], Memo(lambda value: among.left(Record(**{field: value})), _VALUES, worth=_is_short)  # type: ignore[arg-type]


def _asking_log(name: str, conditions: Sequence[Condition], site: Site) -> _Sight:
    """Ask those that see the log through this one field."""
    among = _Excluding(conditions, site, frozenset({"log"}), only=lambda condition: condition.log_fields == {name})

    def left(value: str | None) -> int:
        return among.left(Record(log={} if value is None else {name: value}))

    return lambda record: record.log.get(name), Memo(left, _VALUES, worth=_is_short)


def _names(conditions: Sequence[Condition]) -> set[str]:
    return {next(iter(each.log_fields)) for each in conditions if len(each.log_fields) == 1}


class _Excluding:
    """Finds the rules that some known facts do not exclude, ``only`` those that it holds for."""

    def __init__(
        self,
        conditions: Sequence[Condition],
        site: Site,
        known: frozenset[str],
        only: Callable[[Condition], bool] = lambda condition: True,
    ) -> None:
        unknown = _ALL - known
        numbered = [(1 << at, each) for at, each in enumerate(conditions)]
        asked = [(bit, each) for bit, each in numbered if each.reads & known and only(each)]
        self._judges = [(bit, each.judgement(site, unknown)) for bit, each in asked]
        # What does not ask is never excluded.
        self._others = sum(bit for bit, _ in numbered) - sum(bit for bit, _ in asked)

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
