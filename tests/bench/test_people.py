"""People are told from machines as well as the benchmark's table says."""

import pytest

from logship.router import audience
from tests.bench import people

SCORES = people.scores()


def test_the_test_set_is_large_and_holds_every_class() -> None:
    """At least 300 User-Agents, each once, half of them people's."""
    agents = [each.user_agent for each in people.labelled()]
    assert len(agents) == len(set(agents)) >= 300
    assert SCORES["person"].due >= 150
    assert SCORES["machine"].due >= 150
    assert SCORES.keys() >= set(audience.KINDS)


def test_people_are_kept_and_machines_are_not_counted() -> None:
    """Of a hundred people at most one is lost, and of a hundred counted at most one is a machine."""
    assert SCORES["person"].precision >= 0.99
    assert SCORES["person"].recall >= 0.99
    assert SCORES["machine"].precision >= 0.99
    assert SCORES["machine"].recall >= 0.99


@pytest.mark.parametrize("kind", [kind for kind in SCORES if kind not in ("person", "machine")])
def test_machines_are_given_their_class(kind: str) -> None:
    """A class is a finer question than the one that counts, and still mostly right."""
    assert SCORES[kind].precision >= 0.9
    assert SCORES[kind].recall >= 0.9


def test_a_score_counts_what_is_due_and_what_is_given() -> None:
    """Precision is of what was given, recall of what was due; with nothing to judge, nothing is wrong."""
    assert (people.Score(3, 4, 6).precision, people.Score(3, 4, 6).recall) == (0.75, 0.5)
    assert (people.Score(0, 0, 0).precision, people.Score(0, 0, 0).recall) == (1.0, 1.0)
