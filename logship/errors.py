"""Errors raised on purpose. Everything shown to a person derives from LogshipError."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration, for the person at 3 a.m.

    ``where`` is the path of keys, as in ``rules[2].when.status``; ``message`` says what we got and what to do.
    ``line`` and ``column`` count from 1; 0 means not known (yet): `settings` fills them in from ``where``.
    """

    where: str
    message: str
    line: int = 0
    column: int = 0
    file: str = ""
    warning: bool = False

    def at(self, file: str, line: int, column: int) -> Problem:
        """Return the same problem with its place in a file."""
        return replace(self, file=file, line=line, column=column)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        prefix = "warning: " if self.warning else ""
        return ": ".join(part for part in (place, self.where, prefix + self.message) if part)


class LogshipError(Exception):
    """Base of every error that logship raises to its caller on purpose."""


class ConfigError(LogshipError):
    """The configuration cannot be used. Carries every problem that was found, not just the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StateError(LogshipError):
    """The state directory cannot be used: held by another logship, not writable, or written by a newer version."""
