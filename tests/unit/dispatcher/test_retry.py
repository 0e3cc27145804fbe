"""When another attempt is due: backoff, the gate of a destination, a rate."""

import math

import pytest

from logship.dispatcher.retry import DOWN, MISCONFIGURED, RETRY_AFTER, Gate, Pace, backoff
from logship.settings.destination import RetrySettings

RETRY = RetrySettings(initial=0.5, max=60.0)


def gate(lanes: int = 5, random: float = 1.0) -> Gate:
    return Gate(RETRY, lanes, lambda: random)


def close(shut: Gate) -> None:
    for _ in range(5):
        shut.failed("a", 0.0)


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0), (8, 60.0), (100_000, 60.0)])
def test_backoff_doubles_up_to_its_ceiling_with_full_jitter(failures: int, ceiling: float) -> None:
    """The delay is anywhere between nothing and a ceiling that doubles with each failure, up to retry.max."""
    assert backoff(failures, RETRY, lambda: 1.0) == ceiling
    assert backoff(failures, RETRY, lambda: 0.0) == 0.0
    assert backoff(failures, RETRY, lambda: 0.25) == ceiling / 4


def test_gate_stays_open_while_failures_are_fewer_than_lanes() -> None:
    """A few failures are the business of their lanes alone."""
    shut = gate(lanes=8)
    for _ in range(7):
        shut.failed("a", 0.0)
    assert shut.enter("b", 0.0) == 0.0
    assert not shut.calm


def test_gate_forgets_failures_after_a_success() -> None:
    """Only failures in a row count."""
    shut = gate()
    for _ in range(20):
        shut.failed("a", 0.0)
        shut.passed("b")
    assert shut.cause is None
    assert shut.calm


def test_gate_lets_one_probe_through_when_the_destination_is_down() -> None:
    """While it is down one request at a time tries it, not all connections."""
    shut = gate()
    close(shut)
    assert shut.cause == DOWN
    assert shut.enter("a", 0.0) == 0.5
    assert shut.enter("a", 0.5) == 0.0
    assert shut.enter("b", 0.5) == math.inf
    assert shut.admits("a")
    assert not shut.admits("b")


def test_gate_waits_longer_after_each_failed_probe() -> None:
    """Probes back off like attempts do; the lane that failed lets the others go first."""
    shut = gate()
    close(shut)
    for wait in (1.0, 2.0, 4.0):
        now = shut.not_before
        assert shut.enter("a", now) == 0.0
        shut.failed("a", now)
        assert shut.not_before == now + wait
        assert shut.patience("a", now) > shut.not_before


def test_gate_opens_for_everybody_when_the_probe_gets_through() -> None:
    """One success is enough."""
    shut = gate()
    close(shut)
    shut.enter("a", 1.0)
    shut.passed("a")
    assert [shut.enter(who, 1.0) for who in "abc"] == [0.0] * 3


def test_gate_holds_everybody_until_retry_after() -> None:
    """Retry-After holds the whole destination, and a success that was under way does not cut it short."""
    shut = gate()
    shut.failed("a", 10.0, after=30.0)
    assert shut.cause == RETRY_AFTER
    shut.passed("b")
    assert shut.enter("b", 12.0) == 28.0
    shut.hurry(12.0)
    assert shut.enter("b", 39.9) > 0.0
    assert shut.enter("b", 40.0) == 0.0
    assert shut.enter("c", 40.0) == math.inf


def test_gate_keeps_the_longest_of_several_retry_afters() -> None:
    """Late answers to requests sent before may only add to what is known."""
    shut = gate()
    shut.failed("a", 0.0, after=30.0)
    shut.failed("b", 0.0, after=10.0)
    shut.failed("c", 0.0)
    assert shut.not_before == 30.0


def test_gate_probes_a_misconfigured_destination_every_retry_max() -> None:
    """One probe a retry.max, without jitter, until somebody has acted."""
    shut = gate(random=0.0)
    shut.misconfigured("a", 0.0)
    assert shut.cause == MISCONFIGURED
    assert shut.enter("b", 59.0) == 1.0
    shut.hurry(59.0)
    assert shut.enter("b", 60.0) == 0.0
    shut.misconfigured("b", 60.5)
    assert shut.enter("c", 61.0) == pytest.approx(59.5)


def test_gate_gives_an_unused_probe_to_another() -> None:
    """A lane whose event expired while it waited hands its place on."""
    shut = gate()
    close(shut)
    assert shut.enter("a", 1.0) == 0.0
    assert not shut.leave("b")
    assert shut.leave("a")
    assert shut.enter("b", 1.0) == 0.0


def test_gate_hurries_when_only_backoff_holds_it() -> None:
    """A stop cuts short what we chose to wait ourselves."""
    shut = gate()
    close(shut)
    shut.hurry(0.1)
    assert shut.enter("a", 0.1) == 0.0


def test_pace_spaces_requests_evenly() -> None:
    """Ten a second is one every tenth of a second, in the order they ask."""
    pace = Pace(10.0)
    first = pace.reserve(100.0)
    assert first <= 100.0
    assert [round(pace.reserve(100.0) - first, 6) for _ in range(3)] == [0.1, 0.2, 0.3]


def test_pace_never_saves_up_for_a_burst() -> None:
    """An idle hour does not entitle anybody to an hour's worth of events at once."""
    pace = Pace(10.0)
    pace.reserve(0.0)
    moments = [pace.reserve(3600.0) for _ in range(20)]
    assert sum(moment <= 3600.0 for moment in moments) <= 2
    assert moments[-1] == pytest.approx(3600.0 - 0.1 + 1.9)
