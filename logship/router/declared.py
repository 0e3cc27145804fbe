"""Who the user declares to be a person, or a machine of some class: own patterns, compiled."""

from __future__ import annotations

from collections.abc import Sequence

from logship.errors import Problem
from logship.router import audience, matchers
from logship.router.audience import Own
from logship.settings.audience import AudienceSettings


def declare(declared: AudienceSettings, problems: list[Problem]) -> audience.Classify:
    """Return what classes User-Agents: by the user's patterns first. Their faults are added to the problems.

    Without any, all share one memory of what was classed.
    """
    own = [Own(matches, "") for matches in _tests(declared.people, "audience.people", problems)]
    for kind, patterns in declared.machines.items():
        where = f"audience.machines.{kind}"
        tests = _tests(patterns, where, problems)
        own += [Own(matches, kind, _name(pattern)) for matches, pattern in zip(tests, patterns, strict=False)]
    return audience.Classifier(own).classify if own else audience.classify


def _tests(patterns: Sequence[str], where: str, problems: list[Problem]) -> list[matchers.Matches]:
    tests = []
    for number, pattern in enumerate(patterns):
        try:
            tests.append(matchers.texts([pattern]).matches)
        except matchers.MatcherError as error:
            problems.append(Problem(f"{where}[{number}]" if len(patterns) > 1 else where, str(error)))
    return tests


def _name(pattern: str) -> str:
    """Return what a glob such as ``*FooMonitor/*`` calls a machine; empty where it says too little."""
    name = pattern.strip("*").strip(" /")
    return "" if pattern.startswith("re:") or any(character in name for character in "*?[{\\") else name
