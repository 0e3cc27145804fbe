"""Strangers choose how many different pages there are; the memory they cost is bounded."""

from logship.explain.ranking import Ranking


def test_the_frequent_survive_a_flood_of_the_rare():
    """A hundred thousand addresses made up by a scanner do not push out the front page."""
    ranking = Ranking()
    for start in range(0, 100_000, 1000):
        ranking.add(["/"] * 10 + [f"/{number}" for number in range(start, start + 1000)])
    assert ranking.top(1) == [("/", 1000)]
    assert ranking.total == 101_000
    assert len(ranking.top()) <= 50_000
    assert len(ranking) >= 50_000
