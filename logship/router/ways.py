"""Put together, once, what becomes of records that are alike: a *way*, one function from a record to its decision.

What the key of a record decides has been decided: rules that cannot take it are gone, and those that must are not
asked any more. What is left is folded into one function. The usual end of it, an event whose values are the record's
own, is laid out here by hand: no template is rendered, and texts that come again and again (User-Agents, referrers,
queries) are cleaned once and remembered. Whatever is not ordinary (too long, no address, nothing to send) goes the
long way, `Send.decide`, which says the same of every record; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from logship import memo
from logship.records import Decision, Delivery, Event, Record
from logship.router import event
from logship.router.action import Send
from logship.router.conditions import Condition, Predicate, always, anonymous
from logship.router.site import Place

Way = Callable[[Record, Place], Decision]
# The same for usual events, from what differs between visits alone: times, addresses, and User-Agents and referrers as
# they stand in the log, and where they went. It is for lines without log.NAME values. None: one that needs a record.
Express = Callable[
    [
        Iterable[float | None],
        Iterable[str | None],
        Iterable[bytes | None],
        Iterable[bytes | None],
        Iterable[Place],
    ],
    list[list[Delivery] | None],
]


_LOG = frozenset(("log",))


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule: takes what its condition holds for, and sends or drops it."""

    name: str
    condition: Condition
    drop: str
    send: Send | None
    continues: bool
    log_fields: frozenset[str]

    def decide(self, record: Record, place: Place) -> Decision:
        """Return what becomes of a record that it takes."""
        return Decision([], self.name, self.drop) if self.send is None else self.send.decide(record, place)


def through(rules: Sequence[tuple[Predicate, Rule]], otherwise: str) -> Way:
    """Return the way through the rules that are left; ``otherwise`` is the reason when none of them takes a record."""
    if any(rule.continues for _, rule in rules):
        return _collecting([(takes, _end(rule), rule.continues) for takes, rule in rules], otherwise)
    way = _dropping(None, otherwise)
    for takes, rule in reversed(rules):
        way = _end(rule) if takes is always else _either(takes, _end(rule), way)
    usual = _usual(rules)
    return _short(usual, way) if usual is not None else way


def express(rules: Sequence[tuple[Predicate, Rule]]) -> Express | None:
    """Return the shortest way through the rules that are left, without a record; None: there is none."""
    usual = _usual([(takes, rule) for takes, rule in rules if not _asks_of_log(takes, rule)])
    return _without_record(usual) if usual is not None else None


def _usual(rules: Sequence[tuple[Predicate, Rule]]) -> Send | None:
    """Return the plain action to which all comes that has an address and a User-Agent."""
    asked = [takes for takes, _ in rules]
    last = rules[-1][1].send if rules else None
    if last is None or not last.plain or any(rule.continues for _, rule in rules):
        return None
    return last if asked[-1] is always and set(asked[:-1]) <= {anonymous} else None


def _asks_of_log(takes: Predicate, rule: Rule) -> bool:
    """Tell whether a rule takes nothing that has no log.NAME values."""
    return rule.condition.reads == _LOG and not takes(Record())


def among(rules: Sequence[tuple[int, Predicate, Rule]], sights: Callable[[Record], int], otherwise: str) -> Way:
    """Return the way through many rules, each with its bit in what ``sights`` tells of a record: who may take it."""
    everyone = sum(bit for bit, _, _ in rules)
    ends = {bit: (takes, _end(rule), rule.continues) for bit, takes, rule in rules}

    def way(record: Record, place: Place) -> Decision:
        left, decision = everyone & sights(record), Decision([], None, otherwise)
        while left:
            bit = left & -left
            left -= bit
            takes, end, continues = ends[bit]
            if takes(record):
                decision = _joined(decision, end(record, place))
                if not continues:
                    break
        return decision

    return way


def _end(rule: Rule) -> Way:
    if rule.send is None:
        return _dropping(rule.name, rule.drop)
    return _short(rule.send, rule.send.decide) if rule.send.plain else rule.send.decide


def _dropping(rule: str | None, reason: str) -> Way:
    return lambda record, place: Decision([], rule, reason)


def _either(takes: Predicate, one: Way, other: Way) -> Way:
    return lambda record, place: one(record, place) if takes(record) else other(record, place)


def _collecting(ends: Sequence[tuple[Predicate, Way, bool]], otherwise: str) -> Way:
    """Collect what the rules send, up to the first that takes the record and does not continue."""

    def way(record: Record, place: Place) -> Decision:
        decision = Decision([], None, otherwise)
        for takes, end, continues in ends:
            if takes(record):
                decision = _joined(decision, end(record, place))
                if not continues:
                    break
        return decision

    return way


def _joined(one: Decision, two: Decision) -> Decision:
    """Join what two rules made of a record: all deliveries; with none at all, the later reason."""
    if not one.deliveries or not two.deliveries:
        return one if one.deliveries else two
    return Decision([*one.deliveries, *two.deliveries], one.rule, None, one.cuts + two.cuts)


_SURE = min(event.VALUE_BYTES, event.USER_AGENT_BYTES) // 4  # characters that fit, whatever they are
_REMEMBERED = 1024  # each: with ordinary ones 300 KB, with the longest 1 MB
_agents = memo.texts(lambda text: event.clean_header(text) if len(text) <= _SURE else "", _REMEMBERED, longest=_SURE)
_referrers = memo.texts(lambda text: event.clean(text) or None, _REMEMBERED, longest=_SURE)


def _agent_of(raw: bytes) -> str:
    return "" if raw == b"-" or len(raw) > _SURE else event.clean_header(raw.decode("utf-8", "surrogateescape"))


def _referrer_of(raw: bytes) -> str | None:
    return None if raw == b"-" else event.clean(raw.decode("utf-8", "surrogateescape")) or None


_raw_agents = memo.Memo(_agent_of, _REMEMBERED, worth=lambda raw: len(raw) <= _SURE)
_raw_referrers = memo.Memo(_referrer_of, _REMEMBERED, worth=lambda raw: len(raw) <= _SURE)


def _short(send: Send, long_way: Way) -> Way:
    """Return the short way to the event of a plain action: fixed name, all else as the record has it.

    It takes an ordinary record that has an address; any other goes the ``long_way``.
    """
    agents, referrers, new, rule, make = _agents, _referrers, object.__new__, send.rule, _maker(send)

    def way(record: Record, place: Place) -> Decision:
        client_ip, agent, referrer = record.client_ip, agents[record.user_agent or ""], record.referrer
        if not (client_ip and agent and place.sure):
            return long_way(record, place)
        if referrer:
            if len(referrer) > _SURE:
                return long_way(record, place)
            referrer = referrers[referrer]
        decision = new(Decision)
        decision.deliveries = make(record.time, client_ip, agent, referrer or None, place)
        decision.rule, decision.reason, decision.cuts = rule, None, ()
        return decision

    return way


def _without_record(send: Send) -> Express:
    """Return the same way for those who have no record yet; None where `_short` would go the long way."""
    agents, referrers, make = _raw_agents, _raw_referrers, _maker(send)

    def way(
        times: Iterable[float | None],
        clients: Iterable[str | None],
        agents_given: Iterable[bytes | None],
        referrers_given: Iterable[bytes | None],
        places: Iterable[Place],
    ) -> list[list[Delivery] | None]:
        made: list[list[Delivery] | None] = []
        for time, client_ip, agent, referrer, place in zip(
            times, clients, agents_given, referrers_given, places, strict=True
        ):
            known = agents[agent] if agent else ""
            if not (client_ip and known and place.sure) or (referrer and len(referrer) > _SURE):
                made.append(None)
            else:
                made.append(make(time, client_ip, known, referrers[referrer] if referrer else None, place))
        return made

    return way


def _maker(send: Send) -> Callable[[float | None, str, str, str | None, Place], list[Delivery]]:
    """Return what makes the event of a plain action, and its deliveries."""
    new, name, destinations = object.__new__, send.name.constant or "", send.destinations

    def make(time: float | None, client_ip: str, agent: str, referrer: str | None, place: Place) -> list[Delivery]:
        # Values are filled in here, because calling a class that has an `__init__` costs as much as all the rest.
        sent = new(Event)
        sent.name, sent.domain, sent.url = name, place.domain, place.url
        sent.user_agent, sent.client_ip, sent.referrer = agent, client_ip, referrer
        sent.props, sent.revenue, sent.interactive = None, None, None
        deliveries: list[Delivery] = []
        for destination in destinations:
            delivery = new(Delivery)
            delivery.destination, delivery.event, delivery.time = destination, sent, time
            delivery.span, delivery.attempts = None, 0
            deliveries.append(delivery)
        return deliveries

    return make
