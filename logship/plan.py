"""Settings as compiled: formats, client rules, rule tables. A plan is built in full, or refused with every problem.

A Plan is immutable and does nothing by itself: `check` and `explain` build one to look at, the pipeline runs one and
swaps it for another between two chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from logship.dispatcher import request
from logship.errors import ConfigError, Problem
from logship.parser import formats, wrappers
from logship.parser.client import ClientRule
from logship.parser.formats import FormatError, LogFormat
from logship.router import spam
from logship.router.scrutiny import Memory, Scrutiny
from logship.router.table import Rules, Table
from logship.settings.format import HOSTLESS
from logship.settings.loader import read_file
from logship.settings.root import Settings
from logship.settings.source import SourceSettings
from logship.sieve.sieve import LookBack, Sieve
from logship.source.paths import Followed

_LONGEST_LIST = 4 << 20  # bytes of a list of spammers: Matomo's has 50 KB


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source, compiled. ``format`` is None where each file's format is to be detected."""

    settings: SourceSettings
    table: Table
    client: ClientRule
    format: LogFormat | None
    log_fields: frozenset[str]
    spam: frozenset[str] = frozenset()

    def judge(self, memory: Memory | None = None) -> Table | Scrutiny:
        """Return what decides: a table, or a scrutiny of it if visitors are remembered or referrers looked up.

        ``memory`` is what the source remembers so far; None: nothing yet. Ask once per line, in the order of the log.
        """
        if not Scrutiny.needed(self.table, self.settings.behaviour, self.spam):
            return self.table
        return Scrutiny(self.table, memory or Memory(), behaviour=self.settings.behaviour, spam=self.spam)

    def sieve(
        self, max_event_age: float | None, look_back: LookBack | None = None, memory: Memory | None = None
    ) -> Sieve:
        """Make a sieve that knows nothing of earlier lines except what is in ``memory``."""
        return Sieve(
            self.judge(memory),
            self.client,
            self.format,
            log_fields=self.log_fields,
            max_event_age=max_event_age,
            look_back=look_back,
        )

    def followed(self, *, once: bool) -> Followed:
        """Return what the tailer is to follow. With ``once``, files are read from their beginning."""
        return Followed(
            name=self.settings.name,
            path=self.settings.path,
            exclude=self.settings.exclude,
            start_at=self.settings.start_at or ("beginning" if once else "end"),
            cut=wrappers.cut(self.settings.wrapper),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings as compiled: nothing can be wrong with them any more."""

    settings: Settings
    rules: Rules
    sources: Mapping[str, SourcePlan]


def load(path: Path, env: Mapping[str, str]) -> Plan:
    """Read and compile a configuration. Raise ConfigError with every problem, in the file and in its meaning."""
    plan, problems = examine(path, env)
    if plan is None:
        raise ConfigError(problem for problem in problems if not problem.warning)
    return plan


def examine(path: Path, env: Mapping[str, str]) -> tuple[Plan | None, list[Problem]]:
    """Return the plan (None if there is an error) and all problems, in the order of the file."""
    settings, problems = read_file(path, env)
    plan = None
    try:
        plan = build(settings)
    except ConfigError as error:
        problems = sorted({*problems, *error.problems}, key=lambda problem: (problem.line, problem.column))
    return plan if all(problem.warning for problem in problems) else None, problems


def build(settings: Settings) -> Plan:
    """Compile settings. Raise ConfigError with every problem that only compiling can find."""
    problems: list[Problem] = []
    _check_destinations(settings, problems)
    rules = _compile_rules(settings, problems)
    spammers = _read_spammers(settings, problems)
    sources = {each.name: _compile_source(each, rules, spammers, problems) for each in settings.sources}
    if problems or rules is None:
        raise ConfigError(problem.at(*settings.place(problem.where)) for problem in problems)
    return Plan(settings, rules, {name: source for name, source in sources.items() if source is not None})


def _check_destinations(settings: Settings, problems: list[Problem]) -> None:
    """Lay out a request for each and load its certificates, which is how their faults are found."""
    for destination in settings.destinations:
        try:
            request.renderer(destination)
            if destination.tls.ca_file is not None:
                from logship.dispatcher import wire  # brings aiohttp, which `explain` can do without

                wire.Wire(destination)
        except ConfigError as error:
            problems.extend(error.problems)


def _compile_rules(settings: Settings, problems: list[Problem]) -> Rules | None:
    try:
        names = [each.name for each in settings.destinations]
        return Rules(settings.rules, destinations=names, declared=settings.audience)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _read_spammers(settings: Settings, problems: list[Problem]) -> frozenset[str]:
    path = settings.referrer_spam
    if path is None:
        return frozenset()
    try:
        with path.open("rb") as file:
            return spam.domains(file.read(_LONGEST_LIST).decode("utf-8-sig", "replace"))
    except OSError as error:
        problems.append(Problem("referrer_spam", f"{path} cannot be read: {error.strerror}"))
    except spam.SpamListError as error:
        problems.append(Problem("referrer_spam", f"{path}: {error}"))
    return frozenset()


def _compile_source(
    source: SourceSettings, rules: Rules | None, spammers: frozenset[str], problems: list[Problem]
) -> SourcePlan | None:
    client = format_ = None
    try:
        format_ = None if source.format == "auto" else formats.compile(source.format, wrapper=source.wrapper)
    except FormatError as error:
        inside = f".{error.below}" if error.below else ""
        problems.append(Problem(f"{source.where}.format{inside}", str(error)))
        return None
    try:
        client = ClientRule(source.client_ip.trusted_proxies, source.client_ip.field, private=source.client_ip.private)
    except FormatError as error:
        problems.append(Problem(f"{source.where}.client_ip.trusted_proxies", str(error)))
    try:
        if format_ is not None:
            formats.require_field(format_, source.client_ip.field)
    except FormatError as error:
        problems.append(Problem(f"{source.where}.client_ip.field", str(error)))
    if format_ is not None and source.site is None and not ("host" in format_.facts or str(source.format) in HOSTLESS):
        message = "the format does not hold the host, and there is no `site`; add site: https://..."
        problems.append(Problem(f"{source.where}.site", message))
    if client is None or rules is None:
        return None
    try:
        return SourcePlan(source, Table(rules, source), client, format_, rules.log_fields, spammers)
    except ConfigError as error:
        problems.extend(error.problems)
        return None
