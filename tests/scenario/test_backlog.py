"""A backlog that two processes work off: nothing is lost or doubled, however the second one ends."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from logship import backlog, plan
from logship.backlog import SecondProcess, Sifting
from logship.records import Chunk
from logship.sieve.sieve import Sieve
from logship.sieve.sifted import Sifted

LINES = [
    f'203.0.113.{n % 250} - - [10/Oct/2025:13:55:{n % 60:02} +0000] "GET {path} HTTP/1.1" {status} 512 "-" '
    f'"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/{n % 9 + 100}.0"\n'
    for n in range(4000)
    for path, status in ((f"/page/{n}", 200), (f"/style/{n}.css", 200), (f"/gone/{n}", 404))
]


@pytest.fixture
def sieve(tmp_path: Path) -> Sieve:
    config = tmp_path / "logship.yaml"
    config.write_text("sources: [{name: log, path: /var/log/a.log, site: https://example.com, format: combined}]\n")
    return plan.load(config, {}).sources["log"].sieve(None)


def chunks(lines_each: int = 500) -> list[Chunk]:
    made, at = [], 0
    for first in range(0, len(LINES), lines_each):
        data = "".join(LINES[first : first + lines_each]).encode()
        made.append(Chunk(1, "log", "/var/log/a.log", data, at, at + len(data)))
        at += len(data)
    return made


async def streamed(made: list[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in made:
        yield chunk
        await asyncio.sleep(0)


class Taker:
    """Takes what was sifted, and remembers it in order."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.urls: list[str] = []
        self.dropped = Counter[str]()

    async def __call__(self, chunk: Chunk, sifted: Sifted) -> None:
        await asyncio.sleep(0)
        self.chunks.append(chunk)
        self.urls += [each.event.url for _, deliveries in sifted.survivors for each in deliveries]
        self.dropped += sifted.dropped


def sifting(sieve: Sieve, behind: int = 1 << 40) -> Sifting:
    made = Sifting(lambda: {"log": sieve}, lambda: behind, lambda: 0.0)
    made._alone = False  # a machine with one core is no reason to leave this untested
    made._load = lambda: 1.0  # type: ignore[method-assign]
    return made


async def gone(pid: int) -> None:
    """Wait until a process was there and has been waited for."""
    async with asyncio.timeout(30):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.005)


async def test_two_processes_come_to_the_same_in_the_same_order(sieve: Sieve) -> None:
    """What is sifted over there arrives as if it had been sifted here."""
    alone, together = Taker(), Taker()
    await sifting(sieve, behind=0).feed(streamed(chunks()), alone)
    feeding = sifting(sieve)
    made: list[int] = []
    begin = feeding._begin

    def note() -> None:
        begin()
        made.append(feeding._second.pid if feeding._second else 0)

    feeding._begin = note  # type: ignore[method-assign]
    await feeding.feed(streamed(chunks()), together)
    assert together.chunks == alone.chunks == chunks()
    assert together.urls == alone.urls
    assert len(together.urls) == 4000
    assert together.dropped == alone.dropped
    assert len(made) == 1
    await gone(made[0])


async def test_others_have_their_turn_while_a_chunk_is_sifted(sieve: Sieve) -> None:
    """Of a chunk that is new from beginning to end each step is short, and the loop goes round between two of them."""
    turns, taken = 0, False

    async def other() -> None:
        nonlocal turns
        while not taken:
            turns += 1
            await asyncio.sleep(0)

    async def take(chunk: Chunk, sifted: Sifted) -> None:
        nonlocal taken
        taken = True
        assert turns > 50
        assert sifted.lines == len(LINES)

    data = "".join(LINES).encode()
    turning = asyncio.create_task(other())
    await sifting(sieve, behind=0).feed(streamed([Chunk(1, "log", "/var/log/a.log", data, 0, len(data))]), take)
    await turning


async def test_what_a_killed_process_had_not_answered_is_sifted_here(sieve: Sieve) -> None:
    """The operating system may take it at any instant; a line is neither lost nor taken twice."""
    taker, feeding = Taker(), sifting(sieve)

    async def killing() -> AsyncIterator[Chunk]:
        for number, chunk in enumerate(chunks()):
            yield chunk
            if number in (3, 11) and feeding._second is not None:
                os.kill(feeding._second.pid, signal.SIGKILL)
            if number == 12:
                feeding._chunks_until_look = 0
            await asyncio.sleep(0)

    await feeding.feed(killing(), taker)
    assert taker.chunks == chunks()
    assert len(taker.urls) == len(set(taker.urls)) == 4000


async def test_a_process_that_hangs_is_killed(sieve: Sieve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped, not dead: after some time without an answer it is; its chunks are sifted here, by us alone."""
    taker, feeding = Taker(), sifting(sieve)
    stopped: list[int] = []

    async def stopping() -> AsyncIterator[Chunk]:
        for number, chunk in enumerate(chunks()):
            yield chunk
            if number == 5 and feeding._second is not None:
                stopped.append(feeding._second.pid)
                os.kill(feeding._second.pid, signal.SIGSTOP)
                monkeypatch.setattr(backlog, "_PATIENCE", 0.5)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await feeding.feed(stopping(), taker)
    assert taker.chunks == chunks()
    assert len(taker.urls) == len(set(taker.urls)) == 4000
    assert feeding._second is None
    assert feeding._alone
    await gone(stopped[0])


async def test_a_process_that_hangs_when_nothing_is_asked_of_it_ends_all_the_same(
    sieve: Sieve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new plan, or the end of the backlog, waits for nobody."""
    second = SecondProcess({"log": sieve})
    assert (await second.sift(chunks()[0], 0.0)).lines == 500
    os.kill(second.pid, signal.SIGSTOP)
    monkeypatch.setattr(backlog, "_PATIENCE", 0.5)
    second.close()
    await gone(second.pid)


async def test_a_new_plan_has_a_new_process(sieve: Sieve) -> None:
    """The old one answers what it was asked, under the plan of its time."""
    taker, feeding = Taker(), sifting(sieve)
    pids: set[int] = set()

    async def reloading() -> AsyncIterator[Chunk]:
        for number, chunk in enumerate(chunks()):
            yield chunk
            if feeding._second is not None:
                pids.add(feeding._second.pid)
            if number in (5, 6, 15):
                feeding.renew()
                feeding._chunks_until_look = 0
            await asyncio.sleep(0)

    await feeding.feed(reloading(), taker)
    assert taker.chunks == chunks()
    assert len(taker.urls) == len(set(taker.urls)) == 4000
    assert len(pids) >= 2
    for pid in pids:
        await gone(pid)


async def test_it_holds_nothing_of_ours_and_leaves_signals_to_us(sieve: Sieve, tmp_path: Path) -> None:
    """A copy of the state directory's lock would outlive us; a SIGTERM to the group must not end what we wait for."""
    with (tmp_path / "lock").open("w"):
        second = SecondProcess({"log": sieve})
        first = await second.sift(chunks()[0], 0.0)
        held = [os.readlink(f"/proc/{second.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{second.pid}/fd")]
    assert first.lines == 500
    assert not any(str(tmp_path / "lock") in each for each in held)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(second.pid, number)
    assert (await second.sift(chunks()[1], 0.0)).lines == 500
    second.close()
    await gone(second.pid)
    with pytest.raises(ConnectionError):
        await second.sift(chunks()[2], 0.0)


async def test_it_ends_when_there_is_nothing_for_it_to_do(sieve: Sieve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Following live logs takes one process; so does a backlog that an API holds back."""
    monkeypatch.setattr(backlog, "_LOOK_AGAIN", 0.01)
    taker, feeding = Taker(), sifting(sieve)

    async def trickling() -> AsyncIterator[Chunk]:
        for chunk in chunks():
            yield chunk
        assert feeding._second is not None
        pid = feeding._second.pid
        feeding._load = lambda: 0.1  # type: ignore[method-assign]
        await gone(pid)
        for chunk in chunks():
            yield chunk

    await feeding.feed(trickling(), taker)
    assert len(taker.urls) == 8000
    assert feeding._second is None


async def test_where_one_process_has_to_see_it_all_no_second_one_is_looked_after(tmp_path: Path) -> None:
    """A source that remembers its visitors works its backlog off alone, and no timer is left behind by each attempt."""
    config = tmp_path / "logship.yaml"
    config.write_text(
        "sources: [{name: log, path: /var/log/a.log, site: https://example.com, format: combined, "
        "behaviour: {probes: true}}]\n"
    )
    taker, feeding = Taker(), sifting(plan.load(config, {}).sources["log"].sieve(None))
    looked: list[object] = []
    feeding._look_later = looked.append  # type: ignore[method-assign]
    await feeding.feed(streamed(chunks()), taker)
    assert taker.chunks == chunks()
    assert feeding._second is None
    assert looked == []


async def test_the_load_is_this_process_share_of_a_core(sieve: Sieve) -> None:
    """Waiting is no load, computing is."""
    feeding = Sifting(lambda: {"log": sieve}, lambda: 0, lambda: 0.0)
    await asyncio.sleep(0.5)
    assert feeding._load() < 0.5
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert feeding._load() > 0.0
