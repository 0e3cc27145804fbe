"""Put together, once, what becomes of records that are alike: a *way*, one function from a record to its decision.

What the key of a record decides has been decided: rules that cannot take it are gone, and those that must are not
asked any more. What is left is folded into one function. The usual end of it, an event whose values are the record's
own, is laid out here by hand: no template is rendered, and texts that come again and again (User-Agents, referrers,
queries) are cleaned once and remembered. Whatever is not ordinary (too long, no address, nothing to send) goes the
long way, `Send.decide`, which says the same of every record; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from logship import memo
from logship.records import Decision, Delivery, Event, Record
from logship.router import event
from logship.router.action import Send
from logship.router.conditions import Condition, Predicate, always, anonymous
from logship.router.site import Place

Way = Callable[[Record, Place], Decision]


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
    asked = [takes for takes, _ in rules]
    last = rules[-1][1].send if rules else None
    if last is not None and last.plain and asked[-1] is always and set(asked[:-1]) <= {anonymous}:
        return _express(last, way)
    return way


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
    return _express(rule.send, rule.send.decide) if rule.send.plain else rule.send.decide


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


def _express(send: Send, long_way: Way) -> Way:
    """Return the short way to the event of a plain action: fixed name, all else as the record has it.

    It takes an ordinary record that has an address; any other goes the ``long_way``.
    """
    agents, referrers, new = _agents, _referrers, object.__new__
    rule, name, destinations = send.rule, send.name.constant or "", send.destinations

    def way(record: Record, place: Place) -> Decision:
        client_ip, agent, referrer = record.client_ip, agents[record.user_agent or ""], record.referrer
        if not (client_ip and agent and place.sure):
            return long_way(record, place)
        if referrer:
            if len(referrer) > _SURE:
                return long_way(record, place)
            referrer = referrers[referrer]
        # Values are filled in here, because calling a class that has an `__init__` costs as much as all the rest.
        sent = new(Event)
        sent.name, sent.domain, sent.url = name, place.domain, place.url
        sent.user_agent, sent.client_ip, sent.referrer = agent, client_ip, referrer or None
        sent.props, sent.revenue, sent.interactive = None, None, None
        deliveries: list[Delivery] = []
        decision = new(Decision)
        decision.deliveries, decision.rule, decision.reason, decision.cuts = deliveries, rule, None, ()
        for destination in destinations:
            delivery = new(Delivery)
            delivery.destination, delivery.event, delivery.time = destination, sent, record.time
            delivery.span, delivery.attempts = None, 0
            deliveries.append(delivery)
        return decision

    return way
