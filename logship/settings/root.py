"""A whole configuration: `Settings`, and the section at the top of the file."""

# ruff: noqa: RUF009 - `key` returns a dataclasses.field, as RUF009 wants it

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from logship.errors import Problem
from logship.language import notations
from logship.language.kinds import Optional, Table
from logship.language.scalars import FILE, TIMEOUT, duration
from logship.language.sections import Section, key
from logship.settings.admin import ADMIN, AdminSettings
from logship.settings.audience import AudienceSettings
from logship.settings.cases import CASES, CaseSettings
from logship.settings.destination import DestinationSettings
from logship.settings.rule import RULES, RuleSettings
from logship.settings.source import SOURCES, SourceSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration, as written. Two are equal if they mean the same, wherever their keys stand."""

    state_dir: Path = key(
        FILE, "The directory for progress and dead letters.", shown="`$STATE_DIRECTORY`, else `/var/lib/logship`"
    )
    admin: AdminSettings | None = key(
        Optional(ADMIN), "Health, metrics and the status page; null turns them off.", AdminSettings()
    )
    max_event_age: float | None = key(
        Optional(TIMEOUT),
        "Older lines are counted as expired and not sent, as Plausible stamps events when they arrive; null: no limit.",
        86400.0,
    )
    grace_period: float = key(duration(), "How long a stop may take to settle what is in flight.", 10.0)
    audience: AudienceSettings = key(
        Section.of(AudienceSettings), "Your own patterns for people and machines.", AudienceSettings()
    )
    referrer_spam: Path | None = key(
        Optional(FILE),
        "A file of spam domains, one per line: a line whose referrer is on one of them, or on a host below it, is "
        "dropped as `referrer_spam`. Edits of the file are noticed. null: no list.",
        None,
    )
    destinations: tuple[DestinationSettings, ...] = key(
        Table(
            Section.of(DestinationSettings),
            "a mapping of names to destinations",
            name=notations.word,
            label="NAME",
        ),
        "Where events go: any number of destinations, by name.",
        (DestinationSettings(),),
        shown="one named `plausible`",
    )
    sources: tuple[SourceSettings, ...] = key(
        SOURCES, "The log files to follow, and how to read them.", (), shown="required"
    )
    rules: tuple[RuleSettings, ...] = key(
        RULES,
        "Tried in order; the first match wins. A line that no rule takes is dropped as `no_rule`.",
        (RuleSettings(preset="pageviews"),),
        shown="`[{preset: pageviews}]`",
    )
    tests: tuple[CaseSettings, ...] = key(
        CASES,
        "Log lines and what should become of them; `logship check` fails if something else does.",
        (),
        shown="none",
    )
    file: str = field(default="", compare=False)
    content_hash: str = field(default="", compare=False)  # SHA-256 of the file's text
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def locate(self, where: str) -> tuple[int, int]:
        """Return line and column of a path of keys, or of its nearest ancestor; (0, 0) if there is no file."""
        while where and where not in self.places:
            where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return self.places.get(where, (0, 0))

    def element(self, where: str, index: int) -> str:
        """Return the path of a list's element, or of the value itself where it was written without brackets."""
        return f"{where}[{index}]" if f"{where}[{index}]" in self.places else where

    def place(self, where: str) -> tuple[str, int, int]:
        """Return file, line and column of a path of keys: what `Problem.at` takes."""
        return (self.file, *self.locate(where))


ROOT = Section.of(Settings, lambda _, values: values, partial=True)
