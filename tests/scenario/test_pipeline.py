"""The whole path in one process: a real file, the real stages, the embedded receiver on loopback."""

import asyncio
import socket
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from logship import deadletter, plan
from logship.progress.checkpoint import Checkpoint
from logship.receiver import server


@pytest.fixture
def unused_tcp_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
async def receiver():
    async with server.serve("127.0.0.1", 0, keep_addresses=True) as running:
        yield running


@pytest.fixture
def world(make_world, receiver):
    return make_world(receiver.url)


async def test_a_page_view_written_while_running_arrives(world):
    """A line appended to a followed log is an event at the receiver."""
    async with world.running():
        world.write("/a", "/style.css", "/b")
        await world.until(lambda: arrived(world, 2))
    assert await world.paths() == ["/a", "/b"]


async def test_what_lies_still_is_not_saved_again(world, monkeypatch):
    """A thousand quiet files cost no disk and next to no processor; what settles then is saved as soon as ever."""
    monkeypatch.setattr("logship.saving.SAVE_EVERY", 0.01)
    monkeypatch.setattr("logship.saving._SAVE_AT_REST", 1000.0)
    saved = []
    async with world.running():
        save = Checkpoint.save

        def note(checkpoint, positions, sources):
            save(checkpoint, positions, sources)
            saved.append(sum(each.offset for each in positions))

        monkeypatch.setattr(Checkpoint, "save", note)
        for page in ("/a", "/b"):
            world.write(page)
            await world.until(lambda: saved and saved[-1] == world.log.stat().st_size)
            number = len(saved)
            await asyncio.sleep(0.3)  # room for thirty more
            assert len(saved) <= number + 1
    assert await world.paths() == ["/a", "/b"]


async def test_once_delivers_what_is_there_and_ends(world):
    """`run --once` reads everything, waits for every answer and saves where it stands."""
    world.write(*(f"/{n}" for n in range(500)))
    await world.once()
    assert Counter(await world.paths()) == Counter(f"/{n}" for n in range(500))


async def test_nothing_is_sent_twice_after_a_clean_stop(world):
    """A second run begins where the first one stopped."""
    world.write("/first")
    await world.once()
    world.write("/second")
    await world.once()
    assert await world.paths() == ["/first", "/second"]


async def test_one_visitors_events_arrive_in_the_order_of_the_log(world):
    """One visitor, one lane: order is kept."""
    world.write(*(f"/{n}" for n in range(300)))
    await world.once()
    assert await world.paths() == [f"/{n}" for n in range(300)]


async def test_an_old_line_expires_and_is_counted(world):
    """Plausible stamps events on arrival: yesterday's line is not today's visit."""
    world.write("/old", when=datetime(2020, 1, 1, tzinfo=UTC))
    world.write("/new")
    pipeline = await world.once()
    assert await world.paths() == ["/new"]
    assert pipeline.status()["lines"]["access"]["expired"] == 1


async def test_a_rotation_under_way_loses_nothing(world):
    """Lines written to the renamed file, and to its successor, all arrive, once."""
    async with world.running() as pipeline:
        await world.until(following(pipeline))
        for n in range(5):
            world.write(f"/{n}/before")
            world.log.rename(f"{world.log}.{5 - n}")
            world.log.touch()
            world.write(f"/{n}/after")
        await world.until(lambda: arrived(world, 10))
    assert Counter(await world.paths()) == Counter(f"/{n}/{side}" for n in range(5) for side in ("before", "after"))


async def test_a_new_plan_is_applied_between_two_chunks(world):
    """Rules change while it runs; offsets stay, nothing is read again."""
    async with world.running() as pipeline:
        world.write("/a")
        await world.until(lambda: arrived(world, 1))
        world.extra = "rules: [{name: none of b, when: {path: /b}, drop: true}, {preset: pageviews}]"
        pipeline.apply(world.plan())
        world.write("/b", "/c")
        await world.until(lambda: arrived(world, 2))
    assert await world.paths() == ["/a", "/c"]


async def test_a_destination_taken_out_while_it_is_down_holds_nothing_back(world, unused_tcp_port):
    """What it had not taken ends as dead letters, and the position on disk moves on: nothing is sent again later."""
    world.grace = "200ms"
    world.others = f', dead: {{url: "http://127.0.0.1:{unused_tcp_port}"}}'
    async with world.running() as pipeline:
        world.write(*(f"/{n}" for n in range(50)))
        await world.until(lambda: arrived(world, 50))
        world.others = ""
        pipeline.apply(world.plan())
        world.write("/after")
        await world.until(lambda: arrived(world, 51))
        await world.until(settled(pipeline))
        letters = list(deadletter.read(world.directory / "state" / "dead-letter.jsonl"))
    assert {letter["detail"] for letter in letters} == {"destination removed from the configuration"}
    assert {letter["destination"] for letter in letters} == {"dead"}
    await world.once()
    assert len(await world.paths()) == 51


async def test_a_source_taken_out_with_its_destination_ends_without_a_crash(world, unused_tcp_port):
    """A reload may take out both at once, while a chunk of that source is under way."""
    world.grace = "200ms"
    world.others = f', dead: {{url: "http://127.0.0.1:{unused_tcp_port}"}}'
    world.extra = "rules: [{preset: pageviews, to: [dead]}]"
    async with world.running() as pipeline:
        world.write(*(f"/{n}" for n in range(5)))
        await world.until(following(pipeline))
        without = replace(
            world.plan().settings, sources=(), destinations=world.plan().settings.destinations[:1], rules=()
        )
        pipeline.apply(plan.build(without))
        world.write("/late")
        await world.until(settled(pipeline))


def settled(pipeline):
    async def condition():
        return pipeline.status()["unsettled_lines"] == 0

    return condition


def following(pipeline):
    async def condition():
        return pipeline.following

    return condition


async def arrived(world, number):
    return len(await world.paths()) >= number
