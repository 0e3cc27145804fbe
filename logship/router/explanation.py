"""Why a record became what it became, in words: every rule in order, its conditions, and what they saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logship.records import Decision, readable
from logship.router.conditions import Finding

_SHOWN = 120  # characters of a value; a log can hold a megabyte


@dataclass(frozen=True, slots=True)
class Step:
    """One rule: whether it was asked, whether it took the record, and what its conditions found.

    ``outcome`` says what that meant: ``dropped as bot``, ``sent as pageview``; empty when it did not take it.
    """

    rule: str
    asked: bool
    taken: bool
    finding: Finding
    outcome: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened to a record. ``source`` was settled before the rules; ``decision`` is that of `Table.route`."""

    source: Finding
    steps: tuple[Step, ...]
    decision: Decision

    def lines(self) -> list[str]:
        """Return it as text, one finding per line."""
        return [*_finding_lines(self.source, 0), *(line for step in self.steps for line in _step_lines(step))]


def _step_lines(step: Step) -> Iterator[str]:
    if not step.asked:
        yield f"- {step.rule}: not asked any more"
        return
    yield f"- {step.rule}: {step.outcome if step.taken else 'does not apply'}"
    yield from _finding_lines(step.finding, 2)


def _finding_lines(finding: Finding, indent: int) -> Iterator[str]:
    mark = "yes" if finding.held else "no"
    yield f"{' ' * indent}{mark}: {finding.asked}{_seen(finding)}"
    for below in finding.below:
        yield from _finding_lines(below, indent + 2)


def _seen(finding: Finding) -> str:
    if finding.below or not finding.asked or finding.asked == "every line":
        return ""
    if finding.value is None:
        return " (the log has none)"
    text = readable(finding.value)
    return f" (it is {text[:_SHOWN] + '…' if len(text) > _SHOWN else text})".replace("\n", "\\n")
