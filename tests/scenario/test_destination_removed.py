"""A reload takes a destination out: what it holds has an end, nobody is sent to twice at once, and a stop is a stop."""

import asyncio
from collections import Counter

import pytest

from logship import deadletter

NOTHING = "rules: [{name: nothing, when: {path: /never}, drop: true}]"
ALL_TO_TWO = "rules: [{preset: pageviews, to: [two]}]"


@pytest.fixture
def world(make_world, api):
    """One whose events go to `two`, which asks one thing at a time and waits long for an answer."""
    world = make_world(api.url)
    world.two = f', two: {{url: "{api.url}", connections: 1, timeout: {{total: 600s}}}}'
    world.others, world.extra = world.two, ALL_TO_TWO
    return world


def take_out(world, pipeline):
    world.others, world.extra = "", NOTHING
    pipeline.apply(world.plan())


def add(world, pipeline, *, name="two"):
    world.others, world.extra = world.two.replace("two", name), ALL_TO_TWO.replace("two", name)
    pipeline.apply(world.plan())


async def asked(world, api, *paths):
    await world.until(lambda: api.asked == list(paths))


async def read(world, pipeline, number):
    await world.until(lambda: pipeline.lines_read == number)
    await asyncio.sleep(0.3)  # room for what should not happen


@pytest.mark.parametrize("name", ["two", "renamed"])
async def test_taken_out_and_added_again_it_sends_one_thing_at_a_time(world, api, name):
    """Under its name or another, the new one waits until the old one has ended: a visitor's events stay in order."""
    api.open.clear()
    async with world.running() as pipeline:
        world.write("/1", "/2")
        await asked(world, api, "/1")
        take_out(world, pipeline)
        add(world, pipeline, name=name)
        world.write("/3")
        await read(world, pipeline, 3)
        api.open.set()
        await world.until(lambda: len(api.taken) == 3)
    assert api.taken == ["/1", "/2", "/3"]
    assert api.most_together == 1
    assert pipeline.unsettled_at_stop == 0


async def test_another_address_need_not_wait(world, api, make_world):
    """What is taken out for being down must not hold up what takes its place."""
    api.open.clear()
    async with world.running() as pipeline:
        world.write("/1")
        await asked(world, api, "/1")
        world.two = world.two.replace("127.0.0.1", "127.0.0.2")  # nobody listens there
        add(world, pipeline)
        take_out(world, pipeline)
        world.two = world.two.replace("127.0.0.2", "localhost")
        add(world, pipeline)
        world.write("/2")
        await asked(world, api, "/1", "/2")
        api.open.set()


async def test_stopped_while_one_that_was_taken_out_settles(world, api):
    """The stop waits for its answers as for those of the others, and then it ends."""
    api.open.clear()
    async with world.running() as pipeline:
        world.write("/1", "/2")
        await asked(world, api, "/1")
        take_out(world, pipeline)
        await asyncio.sleep(0)  # it has begun to settle
        pipeline.stop()
        await asyncio.sleep(0.1)  # room for an end that comes too soon
        api.open.set()
        await world.until(lambda: len(api.taken) == 2)
    assert pipeline.unsettled_at_stop == 0
    later = await world.once()
    assert later.lines_read == 0
    assert api.taken == ["/1", "/2"]


async def test_stopped_while_two_of_one_name_settle(world, api):
    """Taken out, added and taken out again: each has its end, and the stop comes to one."""
    api.open.clear()
    world.grace = "300ms"
    async with world.running() as pipeline:
        world.write("/1")
        await asked(world, api, "/1")
        take_out(world, pipeline)
        add(world, pipeline)
        world.write("/2")
        await world.until(lambda: pipeline.lines_read == 2)
        take_out(world, pipeline)
    api.open.set()
    kept = Counter(letter["event"]["url"] for letter in deadletter.read(world.state / deadletter.LETTERS))
    assert set(kept.values()) <= {1}
    assert pipeline.unsettled_at_stop + len(kept) >= 2


async def test_no_figure_of_it_is_left_standing(world, api):
    """Taken out while it is paused, it is paused no more: an alert on that would never end."""
    api.say = lambda *_: api.answer(401)
    world.grace = "100ms"
    async with world.running() as pipeline:
        world.write("/1")
        await asked(world, api, "/1")
        await world.until(lambda: paused(pipeline, "two") == 1.0)
        take_out(world, pipeline)
        await world.until(lambda: paused(pipeline, "two") is None)
        assert paused(pipeline, "here") == 0.0
        add(world, pipeline)
        assert paused(pipeline, "two") == 0.0


def paused(pipeline, name):
    labels = {"destination": name, "cause": "misconfigured"}
    return pipeline._metrics.registry.get_sample_value("logship_destination_paused", labels)
