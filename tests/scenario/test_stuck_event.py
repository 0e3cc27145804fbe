"""One event that is not taken for hours, while all others are: a restart must not send those others again.

The position on disk stands before the stuck line. What was settled beyond it is remembered beside it, and believed only
where the bytes prove that they are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections import Counter

import pytest

from logship.progress.checkpoint import Checkpoint

PAGES = [f"/p/{number}" for number in range(60)]
STUCK = "/stuck"
READER = "203.0.113.7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
def world(make_world, api):
    world = make_world(api.url)
    world.grace = "300ms"
    api.say = lambda path, _: api.answer(500) if path == STUCK else api.answer(202)
    return world


def write(world, *paths):
    """Write page views: the stuck one by a visitor who has a lane of his own."""
    for path in paths:
        world.write(path, address=another_lane() if path == STUCK else READER)


def another_lane(lanes=16):
    """Return an address that has another lane than the reader's: text hashes differ from process to process."""
    of = {address: hash((address, FIREFOX)) % lanes for address in (f"198.51.100.{number}" for number in range(250))}
    return next(address for address, lane in of.items() if lane != hash((READER, FIREFOX)) % lanes)


async def taken(world, api, number):
    await world.until(lambda: len(api.taken) >= number)


async def test_stopped_while_one_event_is_stuck(world, api):
    """The others, before and behind it, are not sent again; it is, and so is what came while we were away."""
    write(world, *PAGES[:20], STUCK, *PAGES[20:40])
    async with world.running():
        await taken(world, api, 40)
        assert STUCK in api.asked
    write(world, *PAGES[40:])
    async with world.running():
        await taken(world, api, 60)
    assert Counter(api.taken) == Counter(PAGES)
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES, STUCK])


async def test_killed_while_one_event_is_stuck(world, api):
    """What the last save knew of is not sent again: a crash costs two seconds' events, not those of hours."""
    write(world, STUCK, *PAGES)
    with contextlib.suppress(asyncio.CancelledError):
        async with world.running() as pipeline:
            await taken(world, api, 60)
            await pipeline._saving.save()
            raise asyncio.CancelledError
    await world.until(lambda: all(task.done() for task in pipeline._running.values()))
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES, STUCK])


async def test_stopped_again_before_all_was_read_again(world, api):
    """What the first life knew is not forgotten by a second one that came to nothing."""
    write(world, STUCK, *PAGES)
    async with world.running():
        await taken(world, api, 60)
    for _ in range(3):
        async with world.running() as pipeline:
            pipeline.stop()
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES, STUCK])


@pytest.mark.parametrize("packed", [False, True])
async def test_rotated_while_stopped_with_an_event_stuck(world, api, packed):
    """The reach goes with the file, to its new name, and into its compressed copy."""
    write(world, *PAGES[:10], STUCK, *PAGES[10:50])
    async with world.running():
        await taken(world, api, 50)
    rotated = world.log.rename(world.log.with_name("access.log.1"))
    if packed:
        rotated.with_name("access.log.1.gz").write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()
    write(world, *PAGES[50:])
    for _ in range(2):  # the second time it is left in the middle of what was rotated
        async with world.running():
            await taken(world, api, 60)
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES, STUCK])


async def test_a_second_signal_saves_what_is_settled(world, api, monkeypatch):
    """It cuts the waiting short, and no more: what was accepted since the last save is not sent again."""
    monkeypatch.setattr("logship.saving.SAVE_EVERY", 1000.0)
    world.grace = "1000s"
    write(world, STUCK, *PAGES)
    with contextlib.suppress(asyncio.CancelledError):
        async with world.running() as pipeline:
            await taken(world, api, 60)
            pipeline.stop()
            (running,) = [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Pipeline.run"]
            await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running})
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES, STUCK])


async def test_other_lines_behind_the_stuck_one_are_read(world, api):
    """Cut behind the stuck line while stopped, and written anew: other bytes, which nobody has sent."""
    write(world, STUCK, *PAGES[:30])
    async with world.running():
        await taken(world, api, 30)
    first = world.log.read_bytes().partition(b"\n")[0] + b"\n"
    world.log.write_bytes(first)
    write(world, *[f"/q/{number}" for number in range(30)])
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES[:30], STUCK, *[f"/q/{number}" for number in range(30)]])


async def test_cut_behind_the_stuck_line_while_stopped(world, api):
    """Shorter than it was read: what is left is there to be sent, and nothing else is known."""
    write(world, STUCK, *PAGES[:30])
    async with world.running():
        await taken(world, api, 30)
    world.log.write_bytes(b"".join(world.log.read_bytes().splitlines(keepends=True)[:5]))
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert set(api.taken) == {*PAGES[:30], STUCK}


async def test_other_rules_find_what_is_open(world, api):
    """Rules may change while we are stopped: what is settled stays settled, what is open is judged by the new ones."""
    write(world, STUCK, *PAGES[:20])
    async with world.running():
        await taken(world, api, 20)
    world.extra = "rules: [{when: {path: '/p/**'}, event: Again}, {when: {path: '/stuck'}, event: Stuck}]"
    api.say = lambda *_: api.answer(202)
    await world.once()
    assert Counter(api.taken) == Counter([*PAGES[:20], STUCK])


async def test_counts_are_not_inflated(world, api):
    """Lines that are passed over were counted in an earlier life, and are not read a second time in the figures."""
    write(world, STUCK, *PAGES[:20])
    async with world.running():
        await taken(world, api, 20)
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.lines_read)
        assert (pipeline.lines_read, pipeline.status()["unsettled_lines"]) == (1, 1)


async def test_what_is_saved_of_it_is_small(world, api):
    """The open lines alone are named, whatever has been settled since; nothing at all where none is stuck."""
    write(world, STUCK, *PAGES)
    async with world.running():
        await taken(world, api, 60)
    (saved,) = json.loads((world.state / "checkpoint.json").read_text())["positions"]
    assert saved["offset"] == 0
    assert saved["reach"]["open"] == [0]
    assert saved["reach"]["end"] == world.log.stat().st_size
    api.say = lambda *_: api.answer(202)
    await world.once()
    with contextlib.closing(Checkpoint.open(world.state, read_only=True)) as checkpoint:
        assert [position.reach for position in checkpoint.positions] == [None]
