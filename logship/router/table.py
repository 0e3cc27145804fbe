"""Record -> Deliveries (perhaps none), by ordered rules, with the reason.

`Rules` compiles the rules once and finds all their faults; a `Table` binds them to one source, with everything folded
away that the source decides. The first rule that takes a record ends the search, unless it says ``continue``.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields

from logship import memo
from logship.errors import ConfigError, Problem
from logship.memo import Memo
from logship.records import Decision, Record
from logship.router import audience, conditions, presets, shown, ways
from logship.router.action import compile_send
from logship.router.conditions import Finding, Judgement, always, never
from logship.router.declared import declare
from logship.router.explanation import Explanation, Step
from logship.router.globs import GlobError
from logship.router.pathclasses import PathClasses
from logship.router.shortlist import Shortlist, Sights
from logship.router.site import Place, Site
from logship.router.ways import Express, Rule, Way
from logship.settings.audience import AudienceSettings
from logship.settings.conditions import AllOf, AnyOf, Not, Test, When
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings


@dataclass(slots=True)
class Course:
    """What records with equal `COURSE_FIELDS` and kind share: the rules that are left to ask, and where they went."""

    way: Way
    place: Place
    express: Express | None = None


COURSE_FIELDS = frozenset(("method", "status", "path", "query", "host", "scheme", "absolute", "content_type"))
_BEYOND_COURSE = frozenset(each.name for each in fields(Record)) - COURSE_FIELDS  # nearly every line has others
_REMEMBERED = 2048  # keys of one source: with the longest, about 2 MB
_ANY_MACHINE = "machine"
_AGENTS = 1024
_KINDS = 64  # answers that conditions on User-Agents give together: strangers choose what these say
_WAYS = 256
_MANY = 6  # rules left to ask: for fewer, asking them is no dearer than finding out whom to ask
_SHORT = 300  # characters of all texts of a request, or of a User-Agent, that are worth remembering


class Rules:
    """All rules, compiled.

    ``log_fields``: the ``log.NAME`` names that conditions or templates read. ``classes``: those that a ``bot``
    condition names; all other classes of machines fare alike. ``once``: the names of events that a visitor has only
    once within some time, which is for who remembers (`scrutiny`) to see to. ``classify`` tells who sent a User-Agent.
    """

    def __init__(
        self,
        rules: Sequence[RuleSettings],
        *,
        destinations: Sequence[str],
        declared: AudienceSettings = AudienceSettings(),  # noqa: B008 - immutable
    ) -> None:
        """Raise ConfigError with all problems. ``declared``: the user's own patterns of people and machines."""
        problems: list[Problem] = []
        self.classify = declare(declared, problems)
        self.expanded = _expanded(rules, problems)
        self.rules = tuple(_compile(rule, at, tuple(destinations), problems) for at, rule in enumerate(self.expanded))
        if problems:
            raise ConfigError(dict.fromkeys(problems))
        self.classes = frozenset(value for rule in self.expanded for value in _classes(rule.when))
        self.once = frozenset(rule.event for rule in self.expanded if rule.event and rule.once_within)
        self.log_fields = frozenset().union(*(rule.log_fields for rule in self.rules))

    def shown(self) -> str:
        """Return the rules with presets expanded, as YAML that can be pasted under ``rules:``."""
        return shown.as_yaml(self.expanded)


class Table:
    """The rules as they apply to one source.

    ``reads`` are the fields that they look at, ``paths`` the classes of paths that they make.
    """

    def __init__(self, rules: Rules, source: SourceSettings, logs: frozenset[str] | None = None) -> None:
        """Raise ConfigError when ``hosts`` of the source cannot be read.

        ``logs``: the ``log.NAME`` fields that a line can hold; None: any.
        """
        self._made_of = rules, source
        self.once = rules.once
        try:
            self._site = Site(source, rules.classify, logs)
        except GlobError as error:
            raise ConfigError([Problem(f"{source.where}.hosts", str(error))]) from None
        self._all = rules.rules
        bound = ((rule.condition.predicate(self._site), rule) for rule in rules.rules)
        self._rules = tuple((takes, rule) for takes, rule in bound if takes is not never)
        conditions = [rule.condition for _, rule in self._rules]
        self._shortlist, self._sights = Shortlist(conditions, self._site), Sights(conditions, self._site)
        self.reads = frozenset().union(*(rule.condition.reads for _, rule in self._rules))
        self.paths = PathClasses(conditions, self._site)
        self._judgements: dict[frozenset[str], tuple[tuple[Judgement, Rule], ...]] = {}
        self._foreign = ways.through((), "host")
        self._ways = Memo(self._through, _WAYS)  # a rule's fate by the key is one of three, so they are few
        self._known: dict[Hashable, Course] = {}
        self.classify = rules.classify
        self._classes = rules.classes
        leaves = (leaf for _, rule in self._rules for leaf in rule.condition.leaves())
        self._asked_of_agents = tuple(leaf.predicate(self._site) for leaf in leaves if "user_agent" in leaf.reads)
        self._answers_of_agents: set[str] = set()
        self._settled_by_kind = frozenset(("bot", "user_agent"))
        self._kinds = memo.texts(self.kind, _AGENTS, longest=_SHORT)

    def holding(self, logs: frozenset[str] | None) -> Table:
        """Return the table for lines that hold only these ``log.NAME`` fields: conditions on others are settled."""
        return self if logs == self._site.logs else Table(*self._made_of, logs)

    def route(self, record: Record) -> Decision:
        """Decide what becomes of a record."""
        key = (
            record.method,
            record.status,
            record.path,
            record.query,
            record.host,
            record.scheme,
            record.absolute,
            record.content_type,
            self._kinds[record.user_agent or ""],
        )
        return self.follow(self._known.get(key) or self._learn(key, record), record)

    def follow(self, course: Course, record: Record) -> Decision:
        """Decide what becomes of a record whose course is known: the rest of `route`."""
        return course.way(record, course.place)

    def kind(self, user_agent: str | None) -> str:
        """Return what User-Agents share that every rule treats alike: their class, and which conditions they meet.

        All machines are of one class but for the classes that a rule names.
        """
        kind = self.classify(user_agent).kind
        kind = kind if not kind or kind in self._classes else _ANY_MACHINE
        return f"{kind} {self._answers(Record(user_agent=user_agent))}" if self._asked_of_agents else kind

    def _answers(self, record: Record) -> str:
        """Return what conditions say of a User-Agent; nothing any more once their answers were too many kinds."""
        answers = "".join("+" if asked(record) else "-" for asked in self._asked_of_agents)
        self._answers_of_agents.add(answers)
        if len(self._answers_of_agents) > _KINDS:
            self._asked_of_agents, self._settled_by_kind = (), frozenset(("bot",))
            return ""
        return answers

    def prejudge(self, record: Record, unknown: frozenset[str]) -> str | None:
        """Return the drop reason if it is certain whatever the unknown fields hold, else None.

        ``unknown`` holds names of Record's fields, and "bot" unless the `kind` of its user agent is known: then it
        speaks for all of that kind.
        """
        unknown = unknown if "bot" in unknown else unknown - self._settled_by_kind
        reasons: set[str] = set()
        ours = self._judge_host(record, unknown)
        if ours is False:
            return "host"
        if ours is None:
            reasons.add("host")
        judged = self._judged(unknown)
        for at in self._shortlist.of(record, unknown):
            judge, rule = judged[at]
            held = judge(record)
            if held is False:
                continue
            if rule.send is not None:
                return None
            reasons.add(rule.drop)
            if held:
                break
        else:
            reasons.add("no_rule")
        return reasons.pop() if len(reasons) == 1 else None

    def sends_nothing(self, lacking: frozenset[str]) -> bool:
        """Tell whether no line can become an event if these fields of the record are missing."""
        nameless = "user_agent" in lacking
        unknown = _BEYOND_COURSE | COURSE_FIELDS | {"bot"}
        for judge, rule in self._judged(frozenset(unknown - lacking - ({"bot"} if nameless else frozenset()))):
            held = judge(Record())
            if held is False:
                continue
            if rule.send is not None and not (nameless and rule.send.user_agent is None):
                return False
            if held and not rule.continues:
                return True
        return True

    def explain(self, record: Record) -> Explanation:
        """Explain every rule in order, each condition's outcome and why; ends in the same Decision as `route`."""
        ours = self._site.is_ours(record)
        host = Finding("the request is for a host that counts", record.host or self._site.host, ours)
        return Explanation(host, tuple(self._steps(record, ours)), self.route(record))

    def _steps(self, record: Record, asked: bool) -> Iterator[Step]:
        place = self._site.place(record)
        for rule in self._all:
            finding = rule.condition.explain(record, self._site)
            taken = asked and finding.held
            yield Step(rule.name, asked, taken, finding, _outcome(rule.decide(record, place)) if taken else "")
            asked = asked and (not taken or rule.continues)

    def _learn(self, key: Hashable, record: Record) -> Course:
        known = self.course(record)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        texts = record.path, record.query, record.host, record.method, record.scheme, record.content_type
        if sum(map(len, filter(None, texts))) <= _SHORT:
            self._known[key] = known
        return known

    def course(self, record: Record, like: Course | None = None) -> Course:
        """Decide by the record's `COURSE_FIELDS` and kind as far as that goes; all records alike in them share it.

        ``like`` is the course of a record that the rules do not tell from this one: it only went elsewhere.
        """
        place = self._site.place(record)
        if like is not None:
            return Course(like.way, place, like.express)
        if not self._site.is_ours(record):
            return Course(self._foreign, place)
        left: list[tuple[int, bool]] = []
        beyond = _BEYOND_COURSE - self._settled_by_kind
        judged = self._judged(beyond)
        for at in self._shortlist.of(record, beyond):
            judge, rule = judged[at]
            held = judge(record)
            if held is not False:
                left.append((at, held is True))
            if held and not rule.continues:
                break
        way, express = self._ways[tuple(left)]
        return Course(way, place, express)

    def _through(self, left: tuple[tuple[int, bool], ...]) -> tuple[Way, Express | None]:
        """Return the ways through rules by their places, and whether it is certain that they take every record."""
        rules = [(1 << at, always if certain else self._rules[at][0], self._rules[at][1]) for at, certain in left]
        if len(rules) > _MANY:
            return ways.among(rules, self._sights.of, "no_rule"), None
        asked = [(takes, rule) for _, takes, rule in rules]
        return ways.through(asked, "no_rule"), ways.express(asked)

    def _judged(self, unknown: frozenset[str]) -> tuple[tuple[Judgement, Rule], ...]:
        judged = self._judgements.get(unknown)
        if judged is None:
            judged = tuple((rule.condition.judgement(self._site, unknown), rule) for _, rule in self._rules)
            self._judgements[unknown] = judged
        return judged

    def _judge_host(self, record: Record, unknown: frozenset[str]) -> bool | None:
        if "absolute" in unknown or ("host" in unknown and (self._site.filters_hosts or record.absolute)):
            return None
        return self._site.is_ours(record)


def _outcome(decision: Decision) -> str:
    if not decision.deliveries:
        return f"dropped as {decision.reason}"
    to = ", ".join(delivery.destination for delivery in decision.deliveries)
    return f"sent as {decision.deliveries[0].event.name} to {to}"


def _classes(when: When) -> Iterator[str]:
    for test in when.tests:
        match test:
            case Test(field="bot", values=values):
                yield from (member for value in values for member in audience.members(value))
            case AnyOf(whens=whens) | AllOf(whens=whens):
                for each in whens:
                    yield from _classes(each)
            case Not(when=inner):
                yield from _classes(inner)


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
