"""One ``when``: a condition that becomes a predicate, judges with only some facts known, and explains itself.

A condition is compiled once, and bound to a source's site when it is used. `predicate` is for the hot path: plain
closures, with everything that the source decides folded away. `judgement` uses Kleene's logic: None means "not known
yet".
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from logship.errors import Problem
from logship.records import Record, raw
from logship.router import matchers
from logship.router.matchers import Matcher, Matches
from logship.router.site import Site
from logship.settings.conditions import AllOf, AnyOf, Not, Test, When

Predicate = Callable[[Record], bool]
Judgement = Callable[[Record], bool | None]


def always(_: Record) -> bool:
    """Hold for every record."""
    return True


def never(_: Record) -> bool:
    """Hold for no record."""
    return False


def identified(record: Record) -> bool:
    """Hold for a record with a visitor's address."""
    return bool(record.client_ip)


def anonymous(record: Record) -> bool:
    """Hold for a record without one."""
    return not record.client_ip


_OPPOSITES = {always: never, never: always, identified: anonymous, anonymous: identified}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one test: what it asked of which value, whether it held, and the findings inside it."""

    asked: str
    value: str | None
    held: bool
    below: tuple[Finding, ...] = ()


class Condition:
    """What all conditions can do."""

    reads: frozenset[str] = frozenset()  # names of Record's fields, "bot" and "log"
    groups: frozenset[str] = frozenset()  # named groups that can catch something when it holds
    log_fields: frozenset[str] = frozenset()

    def judgement(self, site: Site, unknown: frozenset[str]) -> Judgement:
        """Return the test that gives None if the outcome depends on an unknown field, and is certain otherwise."""
        return self._kleene(site, unknown) if self.reads & unknown else self.predicate(site)

    def predicate(self, site: Site) -> Predicate:
        """Return the fast test; `always` or `never` itself if the source decides it."""
        raise NotImplementedError

    def _kleene(self, site: Site, unknown: frozenset[str]) -> Judgement:
        raise NotImplementedError

    def leaves(self) -> Iterator[Condition]:
        """Yield the tests of single fields that it is made of."""
        yield self

    def captured(self, record: Record, site: Site) -> Mapping[str, str]:
        """Return what named groups caught. The condition holds."""
        return {}

    def explain(self, record: Record, site: Site) -> Finding:
        """Return the outcome with its reasons."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a ``when``: which fields it reads, how its values are compiled, and how a record is asked."""

    reads: frozenset[str]
    compile: Callable[[Sequence[str]], Matcher]
    bind: Callable[[Matches, Site], Predicate]
    log_fields: frozenset[str] = frozenset()


def compile_when(when: When, problems: list[Problem]) -> Condition:
    """Compile a ``when``; what is wrong with it is added to the problems."""
    return _all([_node(test, problems) for test in when.tests])


def _node(node: Test | AnyOf | AllOf | Not, problems: list[Problem]) -> Condition:
    if isinstance(node, Test):
        return _leaf(node, problems)
    if isinstance(node, Not):
        return _Not(compile_when(node.when, problems))
    parts = [compile_when(when, problems) for when in node.whens]
    return _Any(tuple(parts)) if isinstance(node, AnyOf) else _all(parts)


def _leaf(test: Test, problems: list[Problem]) -> Condition:
    try:
        field = field_of(test.field)
        return _Leaf(test.field, test.values, field, field.compile(test.values))
    except matchers.MatcherError as error:
        problems.append(Problem(test.where, str(error)))
        return _all([])


def field_of(name: str) -> Field:
    """Return the declaration of a condition's key. Raises MatcherError for an unknown one."""
    if name in FIELDS:
        return FIELDS[name]
    if name.startswith("log.") and len(name) > 4:
        return _log_field(name[4:])
    near = difflib.get_close_matches(name, [*FIELDS, "not", "any", "all"], 1)
    hint = f'did you mean "{near[0]}"?' if near else "known: " + ", ".join([*FIELDS, "log.NAME"])
    raise matchers.MatcherError(f"unknown condition ({hint})")


class _Leaf(Condition):
    def __init__(self, name: str, values: Sequence[str], field: Field, matcher: Matcher) -> None:
        self._name, self._values, self._field, self._matcher = name, tuple(values), field, matcher
        self.reads, self.groups = field.reads, matcher.groups
        self.log_fields = frozenset({name[4:]} if name.startswith("log.") else field.log_fields)

    def predicate(self, site: Site) -> Predicate:
        if self._name == "source":
            return always if self._matcher.matches(site.name) else never
        return self._field.bind(self._matcher.matches, site)

    def _kleene(self, site: Site, unknown: frozenset[str]) -> Judgement:
        return lambda record: None

    def captured(self, record: Record, site: Site) -> Mapping[str, str]:
        caught: dict[str, str] = {}

        def collect(value: str | None) -> bool:
            if self.groups:
                caught.update(self._matcher.captured(value))
            return False

        self._field.bind(collect, site)(record)
        return caught

    def explain(self, record: Record, site: Site) -> Finding:
        seen: list[object] = []

        def see(value: object) -> bool:
            seen.append(value)
            return False

        self._field.bind(see, site)(record)
        value = None if seen[0] is None else _shown(seen[0])
        if self._name == "bot":
            value = value or "a person"
        asked = f"{self._name} {_any_of_words(self._values)}"
        return Finding(asked, value, self._field.bind(self._matcher.matches, site)(record))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _any_of_words(values: Sequence[str]) -> str:
    shown = [value if value else '""' for value in values]
    return f"is {shown[0]}" if len(shown) == 1 else f"is any of {', '.join(shown)}"


class _Many(Condition):
    def __init__(self, parts: tuple[Condition, ...]) -> None:
        self._parts = parts
        self.reads = frozenset().union(*(part.reads for part in parts))
        self.groups = frozenset().union(*(part.groups for part in parts))
        self.log_fields = frozenset().union(*(part.log_fields for part in parts))

    def leaves(self) -> Iterator[Condition]:
        for part in self._parts:
            yield from part.leaves()

    def _predicates(self, site: Site) -> list[Predicate]:
        return [part.predicate(site) for part in self._parts]

    def _findings(self, record: Record, site: Site) -> tuple[Finding, ...]:
        return tuple(part.explain(record, site) for part in self._parts)

    def _judgements(self, site: Site, unknown: frozenset[str]) -> list[Judgement]:
        return [part.judgement(site, unknown) for part in self._parts]


class _All(_Many):
    def predicate(self, site: Site) -> Predicate:
        tests = [test for test in self._predicates(site) if test is not always]
        if never in tests:
            return never
        if not tests:
            return always
        if len(tests) == 1:
            return tests[0]
        if len(tests) == 2:
            one, two = tests
            return lambda record: one(record) and two(record)
        return lambda record: all(test(record) for test in tests)

    def _kleene(self, site: Site, unknown: frozenset[str]) -> Judgement:
        parts = self._judgements(site, unknown)

        def judge(record: Record) -> bool | None:
            outcome: bool | None = True
            for part in parts:
                held = part(record)
                if held is False:
                    return False
                outcome = outcome if held else None
            return outcome

        return judge

    def captured(self, record: Record, site: Site) -> Mapping[str, str]:
        return {name: text for part in self._parts for name, text in part.captured(record, site).items()}

    def explain(self, record: Record, site: Site) -> Finding:
        findings = self._findings(record, site)
        if not findings:
            return Finding("every line", None, True)
        return Finding("all of", None, all(finding.held for finding in findings), findings)


class _Any(_Many):
    def predicate(self, site: Site) -> Predicate:
        tests = [test for test in self._predicates(site) if test is not never]
        if always in tests:
            return always
        if len(tests) < 2:
            return tests[0] if tests else never
        return lambda record: any(test(record) for test in tests)

    def _kleene(self, site: Site, unknown: frozenset[str]) -> Judgement:
        parts = self._judgements(site, unknown)

        def judge(record: Record) -> bool | None:
            outcome: bool | None = False
            for part in parts:
                held = part(record)
                if held:
                    return True
                outcome = None if held is None else outcome
            return outcome

        return judge

    def captured(self, record: Record, site: Site) -> Mapping[str, str]:
        return next((part.captured(record, site) for part in self._parts if part.predicate(site)(record)), {})

    def explain(self, record: Record, site: Site) -> Finding:
        findings = self._findings(record, site)
        return Finding("any of", None, any(finding.held for finding in findings), findings)


class _Not(Condition):
    def __init__(self, part: Condition) -> None:
        self._part = part
        self.reads = part.reads
        self.log_fields = part.log_fields  # its groups caught nothing when it holds

    def leaves(self) -> Iterator[Condition]:
        return self._part.leaves()

    def predicate(self, site: Site) -> Predicate:
        test = self._part.predicate(site)
        return _OPPOSITES.get(test) or (lambda record: not test(record))

    def _kleene(self, site: Site, unknown: frozenset[str]) -> Judgement:
        part = self._part.judgement(site, unknown)

        def judge(record: Record) -> bool | None:
            held = part(record)
            return None if held is None else not held

        return judge

    def explain(self, record: Record, site: Site) -> Finding:
        finding = self._part.explain(record, site)
        return Finding("not", None, not finding.held, (finding,))


def _all(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else _All(tuple(parts))


# How each field is asked. On the hot path a lambda with the attribute in it beats any getter.


def _ask_path(matches: Matches, _: Site) -> Predicate:
    def ask(record: Record) -> bool:
        path = record.path
        if matches(path):
            return True
        return path is not None and "%" in path and matches(_decoded(path))

    return ask


def _ask_url(matches: Matches, site: Site) -> Predicate:
    def ask(record: Record) -> bool:
        url = (site.origin(record) or "") + (record.path or "")
        return matches(url) or (record.query is not None and matches(f"{url}?{record.query}"))

    return ask


def _ask_client_ip(matches: Matches, _: Site) -> Predicate:
    return identified if matches is bool else lambda record: matches(record.client_ip)


def _ask_bot(matches: Matches, site: Site) -> Predicate:
    classify = site.classify
    return lambda record: matches(classify(record.user_agent).kind)


def _ask_same_site(matches: Matches, site: Site) -> Predicate:
    return lambda record: matches(site.holds(record.referrer, record))


# What browsers say of a request that runs ahead of the person. Sec-Purpose is the standard's
# (https://fetch.spec.whatwg.org/#sec-purpose-header); Purpose was WebKit's and Chromium's, X-Purpose that of Safari's
# favourites, X-Moz Firefox's. By their names in the logs of nginx and Apache, Caddy and Traefik.
_AHEAD = frozenset(
    (
        *("http_sec_purpose", "http_purpose", "http_x_purpose", "http_x_moz"),
        *("request.headers.Sec-Purpose", "request_Sec-Purpose"),
    )
)
_AHEAD_SAID = ("prefetch", "prerender", "preview", "instant")


def _ask_prefetch(matches: Matches, site: Site) -> Predicate:
    if site.logs is not None and not site.logs & _AHEAD:
        return always if matches(False) else never
    return lambda record: matches(any(map(_runs_ahead, record.log.items())) if record.log else False)


def _runs_ahead(field: tuple[str, str]) -> bool:
    name, value = field
    return name in _AHEAD and value.strip().lower().startswith(_AHEAD_SAID)


def _log_field(name: str) -> Field:
    return Field(
        frozenset({"log"}), matchers.exact_case, lambda matches, _: lambda record: matches(record.log.get(name))
    )


def _decoded(path: str) -> str:
    return unquote_to_bytes(raw(path)).decode("utf-8", "surrogateescape")


def _reads(*names: str) -> frozenset[str]:
    return frozenset(names)


FIELDS: dict[str, Field] = {
    "source": Field(_reads(), matchers.exact_case, lambda matches, site: lambda record: matches(site.name)),
    "host": Field(_reads("host"), matchers.hosts, lambda matches, site: lambda r: matches(r.host or site.host)),
    "path": Field(_reads("path"), matchers.paths, _ask_path),
    "query": Field(_reads("query"), matchers.exact_case, lambda matches, _: lambda r: matches(r.query)),
    "url": Field(_reads("scheme", "host", "path", "query"), matchers.paths, _ask_url),
    "method": Field(_reads("method"), matchers.methods, lambda matches, _: lambda r: matches(r.method)),
    "status": Field(_reads("status"), matchers.statuses, lambda matches, _: lambda r: matches(r.status)),
    "user_agent": Field(_reads("user_agent"), matchers.texts, lambda matches, _: lambda r: matches(r.user_agent)),
    "bot": Field(_reads("bot"), matchers.audiences, _ask_bot),
    "referrer": Field(_reads("referrer"), matchers.texts, lambda matches, _: lambda r: matches(r.referrer)),
    "client_ip": Field(_reads("client_ip"), matchers.networks, _ask_client_ip),
    "content_type": Field(_reads("content_type"), matchers.texts, lambda matches, _: lambda r: matches(r.content_type)),
    "same_site": Field(_reads("referrer", "host", "scheme"), matchers.truths, _ask_same_site),
    "prefetch": Field(_reads("log"), matchers.truths, _ask_prefetch, _AHEAD),
}
