"""The settings that overrule the lists of crawlers: User-Agents which are people, and which are machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logship.language.kinds import Several, Table
from logship.language.notations import MisfitError, listed, meant, quoted
from logship.language.scalars import PATTERN
from logship.language.sections import key
from logship.settings.conditions import BOT_CLASSES

_OWN_PATTERNS = Several(PATTERN, "a pattern or a list")


def _machine(text: str) -> str:
    if text not in BOT_CLASSES or text == "none":
        known = [name for name in BOT_CLASSES if name != "none"]
        raise MisfitError(f"{quoted(text)} is no class of machines{meant(text, known) or f'; {listed(known)}'}")
    return str(text)


@dataclass(frozen=True, slots=True)
class AudienceSettings:
    """User-Agents that you know better than the lists do. These come before everything else; people come first."""

    people: tuple[str, ...] = key(_OWN_PATTERNS, "User-Agents of people, whatever the lists say.", ())
    machines: Mapping[str, tuple[str, ...]] = key(
        Table(_OWN_PATTERNS, "a mapping of classes to patterns", name=_machine, label="CLASS"),
        "User-Agents of machines, by class: `{monitor: ['*FooMonitor*']}`.",
        {},
    )
