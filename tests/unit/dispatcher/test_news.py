"""What the log says of a destination: each kind once a minute, and a pause's end only if its beginning was told."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from logship.dispatcher.news import News
from logship.dispatcher.retry import RETRY_AFTER, Gate
from logship.records import Misconfigured, Refused, TryAgain
from logship.settings.destination import RetrySettings

LANE = object()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def news(clock: Clock) -> News:
    return News("plausible", clock, lambda: 1_700_000_000.0)


@pytest.fixture
def gate() -> Gate:
    return Gate(RetrySettings(), 1, random.Random(1).random)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as entries:
        yield entries


def events(logs: list[Any]) -> list[str]:
    return [entry["event"] for entry in logs]


def test_what_fails_again_and_again_is_told_once_a_minute(news: News, clock: Clock, logs: list[Any]) -> None:
    """The counters have the rest; another kind of failure is news."""
    for _ in range(10):
        news.failed(TryAgain("timeout"), 60.0)
    news.failed(TryAgain("http", status=503), 60.0)
    assert events(logs) == ["destination.failed"] * 2
    clock.now += 60.0
    news.failed(TryAgain("timeout"), 60.0)
    assert events(logs) == ["destination.failed"] * 3


def test_the_last_error_is_remembered_even_where_the_log_is_silent(news: News, logs: list[Any]) -> None:
    """A refusal is told when it is kept; the status shows it at once, and never in the server's words."""
    news.failed(Refused(422, "what the server said"), 60.0)
    assert not logs
    assert news.last_error == {"time": "2023-11-14T22:13:20+00:00", "status": 422, "reason": "event refused"}


def test_a_misconfigured_destination_is_told_with_what_to_do(news: News, logs: list[Any]) -> None:
    """It is an error that somebody must act upon, and says when it is looked at again."""
    news.failed(Misconfigured(404, "no Plausible there"), 300.0)
    (entry,) = logs
    assert entry == {
        "event": "destination.misconfigured",
        "log_level": "error",
        "destination": "plausible",
        "status": 404,
        "help": "no Plausible there",
        "probed_every_seconds": 300.0,
    }


def test_a_pause_is_told_when_it_begins_and_when_it_ends(news: News, gate: Gate, clock: Clock, logs: list[Any]) -> None:
    """Once each, however often the gate is looked at."""
    news.failed(TryAgain("http", status=429, after=30.0), 60.0)
    gate.failed(LANE, clock.now, 30.0)
    for _ in range(3):
        news.pauses(gate)
    assert gate.enter(LANE, clock.now + 30.0) == 0.0
    gate.passed(LANE)
    for _ in range(3):
        news.pauses(gate)
    assert events(logs) == ["destination.failed", "destination.paused", "destination.resumed"]
    assert {key: logs[1][key] for key in ("cause", "seconds", "reason")} == {
        "cause": RETRY_AFTER,
        "seconds": 30.0,
        "reason": "http",
    }
    assert logs[2]["was"] == RETRY_AFTER


def test_a_pause_that_was_not_told_does_not_end_in_the_log(
    news: News, gate: Gate, clock: Clock, logs: list[Any]
) -> None:
    """A gate that opens and closes many times a minute fills no log with its openings."""
    for _ in range(5):
        gate.failed(LANE, clock.now, 0.0)
        news.pauses(gate)
        assert gate.enter(LANE, clock.now) == 0.0
        gate.passed(LANE)
        news.pauses(gate)
    assert events(logs) == ["destination.paused", "destination.resumed"]


def test_a_reload_neither_begins_nor_ends_a_pause(news: News, gate: Gate, clock: Clock, logs: list[Any]) -> None:
    """The gate is another one, and what the old one was closed for may be cured or not: nobody knows yet."""
    gate.failed(LANE, clock.now, 30.0)
    news.pauses(gate)
    another = Gate(RetrySettings(), 1, random.Random(1).random)
    news.replaced(another)
    news.pauses(another)
    assert events(logs) == ["destination.paused"]


def test_a_full_disk_is_told_once_a_minute(news: News, logs: list[Any]) -> None:
    """Each of a thousand events that wait for room would say the same."""
    for _ in range(1000):
        news.not_kept(OSError(28, "No space left on device"))
    (entry,) = logs
    assert (entry["event"], entry["error"]) == ("dead_letter.failed", "No space left on device")
