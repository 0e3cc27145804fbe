"""Work that is done in steps comes to what it comes to at once."""

from collections.abc import Generator

from logship.steps import Steps


def counted(to: int) -> Generator[None, None, int]:
    for _ in range(to):
        yield
    return to


def test_the_result_is_there_after_the_last_step() -> None:
    """As many turns for others as the work yields, and then its result."""
    work = Steps(counted(3))
    assert sum(1 for _ in work) == 3
    assert work.result == 3


def test_at_once_is_all_steps() -> None:
    """Who has nothing else to do waits for the result."""
    assert Steps(counted(5)).at_once() == 5
