"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass, field

from logship.errors import Problem


@dataclass(slots=True)
class Findings:
    """What is wrong or looks wrong, and what is worth knowing."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
