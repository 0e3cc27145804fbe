"""What settings mean once compiled: formats, client rules, rule tables. Built in full, or refused with every problem.

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
from logship.parser.record import Parser
from logship.router.table import Rules, Table
from logship.settings import HOSTLESS, Settings, SourceSettings, read_file
from logship.sieve import LookBack, Sieve
from logship.source.paths import Followed


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source, compiled. ``format`` is None where each file's format is to be detected."""

    settings: SourceSettings
    table: Table
    client: ClientRule
    format: LogFormat | None
    log_fields: frozenset[str]

    def sieve(self, max_event_age: float | None, look_back: LookBack | None = None) -> Sieve:
        """Make a sieve that remembers nothing yet."""
        return Sieve(
            self.table,
            self.client,
            self.format,
            log_fields=self.log_fields,
            max_event_age=max_event_age,
            look_back=look_back,
        )

    def followed(self, *, once: bool) -> Followed:
        """Say what the tailer is to follow. ``once`` reads a file that was there before from its beginning."""
        return Followed(
            name=self.settings.name,
            path=self.settings.path,
            exclude=self.settings.exclude,
            start_at=self.settings.start_at or ("beginning" if once else "end"),
            cut=wrappers.cut(self.settings.wrapper),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings as compiled: everything that can be wrong with them has been found."""

    settings: Settings
    rules: Rules
    sources: Mapping[str, SourcePlan]


def load(path: Path, env: Mapping[str, str]) -> Plan:
    """Read and compile a configuration. Raise ConfigError with every problem, of the file and of what it means."""
    plan, problems = examine(path, env)
    if plan is None:
        raise ConfigError(problem for problem in problems if not problem.warning)
    return plan


def examine(path: Path, env: Mapping[str, str]) -> tuple[Plan | None, list[Problem]]:
    """Return the plan, None when there is an error, and everything to say about the file, in its order."""
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
    sources = {each.name: _compile_source(each, rules, problems) for each in settings.sources}
    if problems or rules is None:
        raise ConfigError(problem.at(*settings.place(problem.where)) for problem in problems)
    return Plan(settings, rules, {name: source for name, source in sources.items() if source is not None})


def _check_destinations(settings: Settings, problems: list[Problem]) -> None:
    """Lay out a request for each, and load its certificates: that is where their faults are found."""
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
        return Rules(settings.rules, destinations=[each.name for each in settings.destinations])
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _compile_source(source: SourceSettings, rules: Rules | None, problems: list[Problem]) -> SourcePlan | None:
    client = format_ = None
    try:
        format_ = None if source.format == "auto" else formats.compile(source.format, wrapper=source.wrapper)
    except FormatError as error:
        problems.append(Problem(f"{source.where}.format", str(error)))
        return None
    try:
        client = ClientRule(source.client_ip.trusted_proxies, source.client_ip.field)
        if format_ is not None:
            Parser(format_, client)  # finds a `field` that the format does not have
    except FormatError as error:
        problems.append(Problem(f"{source.where}.client_ip", str(error)))
    if format_ is not None and source.site is None and not ("host" in format_.facts or source.format in HOSTLESS):
        told = "the format does not hold the host, and there is no `site`; add site: https://..."
        problems.append(Problem(f"{source.where}.site", told))
    if client is None or rules is None:
        return None
    return SourcePlan(source, Table(rules, source), client, format_, rules.log_fields)
