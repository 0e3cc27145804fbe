"""How well people are told from machines: precision and recall over `people.txt`, and what an answer costs.

    python -m tests.bench.people [--wrong] [--write]

The User-Agents were written and labelled by hand, some before and some after the tables of names that are measured
here, so the figures say how the classifier does on what is known, not on what nobody has seen yet.
"""

from __future__ import annotations

import argparse
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from logship.router import audience
from tests.bench import report as figures

PERSON = "person"
_LISTED = Path(__file__).with_name("people.txt")
_PAGE = Path(__file__).resolve().parents[2] / "docs" / "people.md"
_COST_ROUNDS = 5
_COST_REPEATS = 200


@dataclass(frozen=True, slots=True)
class Labelled:
    """One User-Agent and what it is: ``person``, or a class of machines."""

    kind: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Score:
    """How often a class was given where it was due.

    ``right``: given and due; ``given``: given at all; ``due``: should have been given.
    """

    right: int
    given: int
    due: int

    @property
    def precision(self) -> float:
        """Of those given the class, the share that deserved it."""
        return self.right / self.given if self.given else 1.0

    @property
    def recall(self) -> float:
        """Of those that deserved the class, the share that was given it."""
        return self.right / self.due if self.due else 1.0


def labelled() -> Iterator[Labelled]:
    """Yield the test set."""
    kind = ""
    for line in _LISTED.read_text().splitlines():
        if line.startswith("[") and line.endswith("]"):
            kind = line[1:-1]
        elif line and not line.startswith("#"):
            yield Labelled(kind, "" if line == "-" else line)


def kind_of(user_agent: str) -> str:
    """Return the class that logship gives, ``person`` for none."""
    return audience.classify(user_agent).kind or PERSON


def scores() -> dict[str, Score]:
    """Return the scores: of people, of machines as a whole, and of each class of machines."""
    pairs = [(each.kind, kind_of(each.user_agent)) for each in labelled()]
    table = {PERSON: _score(pairs, lambda kind: kind == PERSON), "machine": _score(pairs, lambda kind: kind != PERSON)}
    table["ai"] = _score(pairs, lambda kind: kind in audience.members("ai"))
    for name in dict.fromkeys(kind for kind, _ in pairs if kind != PERSON):
        table[name] = _score(pairs, lambda kind, name=name: kind == name)  # type: ignore[misc]
    return table


def _score(pairs: list[tuple[str, str]], holds: Callable[[str], bool]) -> Score:
    return Score(
        sum(holds(due) and holds(given) for due, given in pairs),
        sum(holds(given) for _, given in pairs),
        sum(holds(due) for due, _ in pairs),
    )


def wrong() -> list[tuple[Labelled, str]]:
    """Return what was not given its class, and what it was given instead."""
    return [(each, given) for each in labelled() if (given := kind_of(each.user_agent)) != each.kind]


def cost() -> tuple[float, float]:
    """Return µs of CPU for a User-Agent seen for the first time, and for one that is remembered."""
    agents = [each.user_agent for each in labelled()]
    for agent in agents:
        audience.classify(agent)  # loads the catalogues
    first = min(_took(audience.Classifier().classify, agents) for _ in range(_COST_ROUNDS))
    again = min(_took(audience.classify, agents * _COST_REPEATS) for _ in range(_COST_ROUNDS))
    return first, again


def _took(classify: Callable[[str], object], agents: list[str]) -> float:
    before = _cpu()
    for agent in agents:
        classify(agent)
    return (_cpu() - before) / len(agents) * 1e6


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def report() -> str:
    """Return the table in Markdown, and the cost."""
    rows = [
        f"| {name} | {score.due} | {score.precision:.3f} | {score.recall:.3f} |" for name, score in scores().items()
    ]
    first, again = cost()
    total = Counter(each.kind == PERSON for each in labelled())
    return "\n".join(
        [
            f"People and machines: {total.total()} User-Agents, {total[True]} of people.",
            "",
            "| class | User-Agents | precision | recall |",
            "|---|---|---|---|",
            *rows,
            "",
            f"A User-Agent costs {first:.0f} µs when it is new, {again:.2f} µs when it is remembered.",
        ]
    )


def main() -> None:
    """Print the table; with ``--wrong``, also what was not given its class."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.people", description=__doc__)
    parser.add_argument("--wrong", action="store_true", help="list what was not given its class")
    parser.add_argument("--write", action="store_true", help="put the table into docs/people.md")
    options = parser.parse_args()
    text = report()
    print(text)
    if options.write:
        figures.write_figures(_PAGE, text, "people")
    for each, given in wrong() if options.wrong else ():
        print(f"\n{each.kind}, but taken for {given}:\n  {each.user_agent}")


if __name__ == "__main__":
    main()
