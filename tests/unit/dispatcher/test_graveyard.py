"""What is not delivered is on disk before anybody calls it settled."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from logship.deadletter import DeadLetters
from logship.dispatcher import graveyard
from logship.dispatcher.graveyard import Graveyard
from logship.dispatcher.news import News
from logship.metrics import Metrics
from logship.records import Delivery, Event, Refused, Span, TryAgain

NOW = 1_700_000_000.0
FAILURES = "logship_dead_letter_write_failures_total"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def here(folder: Path, metrics: Metrics) -> Graveyard:
    news = News("plausible", lambda: 1000.0, lambda: NOW)
    return Graveyard(DeadLetters(folder / "dead-letter.jsonl"), metrics, news, lambda: NOW)


def delivery(number: int = 1) -> Delivery:
    event = Event("pageview", "example.com", f"https://example.com/{number}", "Firefox", "192.0.2.1")
    return Delivery("plausible", event, NOW - 5.0, Span(1, 4711, 4800, 1, "/var/log/access.log"))


def kept(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "dead-letter.jsonl").read_text().splitlines()]


async def test_a_refused_event_is_kept_whole_and_told(here: Graveyard, folder: Path) -> None:
    """The letter says what was refused and why, when, and where in the log its line begins."""
    folder.mkdir()
    with capture_logs() as logs:
        assert await here.bury_one(delivery(), Refused(400, "no such site"))
    (letter,) = kept(folder)
    assert letter["time"] == "2023-11-14T22:13:20+00:00"
    assert (letter["status"], letter["detail"], letter["event_time"]) == (400, "no such site", NOW - 5.0)
    assert (letter["path"], letter["offset"]) == ("/var/log/access.log", 4711)
    assert letter["event"]["url"] == "https://example.com/1"
    assert [entry["event"] for entry in logs] == ["event.refused"]


async def test_an_event_without_an_answer_is_no_refusal(here: Graveyard, folder: Path) -> None:
    """Where ambiguous attempts are not repeated; the log has told of the failure itself."""
    folder.mkdir()
    with capture_logs() as logs:
        assert await here.bury_one(delivery(), TryAgain("timeout", ambiguous=True))
    (letter,) = kept(folder)
    assert (letter["status"], letter["detail"]) == (None, "sent, but never answered: timeout")
    assert not logs


async def test_a_disk_that_refuses_is_counted_told_and_not_believed(here: Graveyard, metrics: Metrics) -> None:
    """False is the caller's sign to keep what it has."""
    with capture_logs() as logs:
        assert not await here.bury([delivery(1), delivery(2)], "queue full")
    assert metrics.registry.get_sample_value(FAILURES) == 1.0
    assert [entry["event"] for entry in logs] == ["dead_letter.failed"]


async def test_who_insists_waits_until_the_disk_takes_it(
    here: Graveyard, folder: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in order, once."""
    monkeypatch.setattr(graveyard, "_ASK_AGAIN", 0.001)
    insisting = asyncio.create_task(here.insist([delivery(1), delivery(2)], "destination removed"))
    async with asyncio.timeout(30.0):
        while (metrics.registry.get_sample_value(FAILURES) or 0.0) < 3.0:
            await asyncio.sleep(0.002)
        assert not insisting.done()
        folder.mkdir()
        await insisting
    assert [letter["event"]["url"][-1] for letter in kept(folder)] == ["1", "2"]
