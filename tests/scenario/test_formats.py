"""Formats over the whole path: state that has to live over chunks and restarts, and what the log says of a choice."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from logship.receiver import server

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
async def world(make_world: Any) -> Any:
    async with server.serve("127.0.0.1", 0, keep_addresses=True) as receiver:
        yield make_world(receiver.url)


def now(form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.now(UTC).strftime(form)


HEADER = "#Software: Microsoft Internet Information Services 10.0\r\n#Fields: date time c-ip cs-method cs-uri-stem"
HEADER += " cs(User-Agent) sc-status\r\n"
OTHER = "#Fields: c-ip sc-status cs-method cs-uri-stem cs(User-Agent) date time\r\n"


def first(path: str) -> str:
    return f"{now()} 203.0.113.7 GET {path} {AGENT.replace(' ', '+')} 200\r\n"


def second(path: str) -> str:
    return f"203.0.113.7 200 GET {path} {AGENT.replace(' ', '+')} {now()}\r\n"


def append(world: Any, *texts: str) -> None:
    with world.log.open("a", newline="") as log:
        log.writelines(texts)


async def test_columns_are_known_after_a_restart_in_the_middle_of_a_file(world: Any) -> None:
    """What was read before the restart holds the `#Fields:`, and the last one counts."""
    append(world, HEADER, first("/1"), OTHER, second("/2"))
    await world.once()
    append(world, second("/3"), HEADER, first("/4"))
    await world.once()
    append(world, first("/5"))
    pipeline = await world.once()
    assert await world.paths() == ["/1", "/2", "/3", "/4", "/5"]
    assert pipeline.status()["lines"]["access"]["unparsed"] == 0


async def test_columns_are_known_in_a_rotated_and_compressed_rest(world: Any) -> None:
    """The rest of an old file has the columns of its own head, not those of its successor."""
    append(world, OTHER, second("/1"))
    await world.once()
    append(world, second("/2"))
    packed = gzip.compress(world.log.read_bytes())
    world.log.unlink()
    world.log.with_name("access.log.1.gz").write_bytes(packed)
    append(world, HEADER, first("/3"))
    await world.once()
    assert sorted(await world.paths()) == ["/1", "/2", "/3"]


async def test_a_line_of_docker_written_in_parts_is_one_request(world: Any) -> None:
    """The first entry is not taken for a line while the second has not been written."""
    line = world.line("/long", agent=AGENT + " " + "x" * 16384) + "\n"

    def entry(text: str) -> str:
        return orjson.dumps({"log": text, "stream": "stdout", "time": now("%Y-%m-%dT%H:%M:%SZ")}).decode() + "\n"

    async with world.running() as pipeline:
        append(world, entry(world.line("/short") + "\n"), entry(line[:16384]))
        await world.until(lambda: _arrived(world, 1))
        append(world, entry(line[16384:]))
        await world.until(lambda: _arrived(world, 2))
    assert await world.paths() == ["/short", "/long"]
    assert pipeline.status()["lines"]["access"]["unparsed"] == 0


async def _arrived(world: Any, number: int) -> bool:
    return len(await world.paths()) >= number


async def test_the_choice_of_a_format_and_its_change_are_in_the_log(world: Any) -> None:
    """A server that is given another log_format is understood from its first line on, and the log says so."""
    with capture_logs() as logs:
        async with world.running():
            world.write("/a", "/b")
            await world.until(lambda: _arrived(world, 2))
            request = {"time": now("%Y-%m-%dT%H:%M:%SZ"), "remote_addr": "203.0.113.7", "request": "GET /c HTTP/1.1"}
            append(world, orjson.dumps({**request, "status": 200, "http_user_agent": AGENT}).decode() + "\n")
            await world.until(lambda: _arrived(world, 3))
    told = [(each["format"], each["confidence"]) for each in logs if each["event"] == "format.detected"]
    assert told == [("combined", 1.0), ("nginx_json", 1.0)]


async def test_two_formats_that_fit_equally_are_named_in_the_log(world: Any) -> None:
    """To choose one of them would lose the lines of the other: somebody has to say it."""
    append(world, world.line("/a") + "\n", world.line("/b").split(' "-"')[0] + "\n")
    with capture_logs() as logs:
        pipeline = await world.once()
    (told,) = [each for each in logs if each["event"] == "format.ambiguous"]
    assert told["fit"] == "combined and common"
    assert "source's format" in told["help"]
    assert pipeline.status()["lines"]["access"]["unparsed"] == 2
