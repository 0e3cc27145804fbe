"""Record -> Deliveries (perhaps none), by ordered rules, with the reason.

`Rules` compiles the rules once and finds all their faults; a `Table` binds them to one source, with everything folded
away that the source decides. The first rule that takes a record ends the search, unless it says ``continue``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from logship.errors import ConfigError, Problem
from logship.records import Decision, Record
from logship.router import conditions, presets
from logship.router.action import Send, compile_send
from logship.router.conditions import Condition, Predicate, never
from logship.router.globs import GlobError
from logship.router.site import Site
from logship.settings import RuleSettings, SourceSettings


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule: takes what its condition holds for, and sends or drops it."""

    name: str
    condition: Condition
    drop: str
    send: Send | None
    continues: bool
    log_fields: frozenset[str]


class Rules:
    """All rules, compiled. ``log_fields``: the ``log.NAME`` names that conditions or templates read."""

    def __init__(
        self, rules: Sequence[RuleSettings], *, destinations: Sequence[str], sources: Sequence[str] | None = None
    ) -> None:
        """Raise ConfigError with all problems. ``sources``, where given: the names that a ``source`` may have."""
        problems: list[Problem] = []
        self.expanded = _expanded(rules, problems)
        self.rules = tuple(_compile(rule, at, tuple(destinations), problems) for at, rule in enumerate(self.expanded))
        if problems:
            raise ConfigError(dict.fromkeys(problems))
        self.log_fields = frozenset().union(*(rule.log_fields for rule in self.rules))


class Table:
    """The rules as they apply to one source."""

    def __init__(self, rules: Rules, source: SourceSettings) -> None:
        """Raise ConfigError when ``hosts`` of the source cannot be read."""
        try:
            self._site = Site(source)
        except GlobError as error:
            raise ConfigError([Problem(f"{source.where}.hosts", str(error))]) from None
        self._rules = rules.rules
        self._bound = _bound(rules.rules, self._site)

    def route(self, record: Record) -> Decision:
        """Decide what becomes of a record."""
        if not self._site.is_ours(record):
            return Decision([], None, "host")
        for takes, rule in self._bound:
            if takes(record):
                if rule.send is None:
                    return Decision([], rule.name, rule.drop)
                decision = rule.send.decide(record, self._site)
                return self._route_on(record, rule, decision) if rule.continues else decision
        return Decision([], None, "no_rule")

    def prejudge(self, record: Record, unknown: frozenset[str]) -> str | None:
        """Return the drop reason if it is certain whatever the unknown fields hold, else None."""
        reasons = set()
        ours = self._judge_host(record, unknown)
        if ours is not True:
            reasons.add("host")
        for rule in self._rules if ours is not False else ():
            held = rule.condition.judge(record, unknown, self._site)
            if held is False:
                continue
            if rule.send is not None:
                return None
            reasons.add(rule.drop)
            if held:
                break
        else:
            if ours is not False:
                reasons.add("no_rule")
        return reasons.pop() if len(reasons) == 1 else None

    def _judge_host(self, record: Record, unknown: frozenset[str]) -> bool | None:
        if not self._site.filters_hosts and "absolute" not in unknown and not record.absolute:
            return True
        return None if unknown & {"host", "absolute"} else self._site.is_ours(record)

    def _route_on(self, record: Record, first: Rule, decision: Decision) -> Decision:
        """Collect what later rules add to a rule that continues, up to the first that does not."""
        taken = False
        for takes, rule in self._bound:
            if taken and takes(record):
                if rule.send is None:
                    return decision if decision.deliveries else Decision([], rule.name, rule.drop)
                decision = _joined(decision, rule.send.decide(record, self._site))
                if not rule.continues:
                    break
            taken = taken or rule is first
        return decision


def _joined(one: Decision, two: Decision) -> Decision:
    if not one.deliveries or not two.deliveries:
        return two if two.deliveries or not one.deliveries else one
    return Decision([*one.deliveries, *two.deliveries], one.rule, None, one.cuts + two.cuts)


def _bound(rules: Sequence[Rule], site: Site) -> tuple[tuple[Predicate, Rule], ...]:
    """Bind to a site; what the source rules out is left out."""
    bound = ((rule.condition.predicate(site), rule) for rule in rules)
    return tuple((takes, rule) for takes, rule in bound if takes is not never)


def _expanded(rules: Sequence[RuleSettings], problems: list[Problem]) -> tuple[RuleSettings, ...]:
    expanded: list[RuleSettings] = []
    for rule in rules:
        if sum(each is not None for each in (rule.preset, rule.event, rule.drop)) != 1:
            problems.append(Problem(rule.where, "a rule has exactly one of drop, event and preset"))
        elif rule.preset is None:
            expanded.append(rule)
        elif (preset := presets.expand(rule)) is not None:
            expanded += preset
        else:
            problems.append(Problem(f"{rule.where}.preset", _unknown_preset(rule.preset)))
    return tuple(expanded)


def _unknown_preset(name: str) -> str:
    near = difflib.get_close_matches(name, presets.PRESETS, 1)
    hint = f'did you mean "{near[0]}"?' if near else "known: " + ", ".join(presets.PRESETS)
    return f"unknown preset {name!r} ({hint})"


def _compile(settings: RuleSettings, at: int, destinations: Sequence[str], problems: list[Problem]) -> Rule:
    name = settings.name or settings.where or f"rules[{at}]"
    condition = conditions.compile_when(settings.when, problems)
    send, log_fields = compile_send(settings, name, destinations, condition.captured, condition.groups, problems)
    return Rule(name, condition, settings.drop or "", send, settings.continue_, log_fields | condition.log_fields)
