"""What a source remembers of its visitors, over the whole path: it outlives a reload, and what it drops is counted."""

import pytest

from logship.receiver import server


@pytest.fixture
async def world(make_world):
    async with server.serve("127.0.0.1", 0) as receiver:
        yield make_world(receiver.url)


def dropped(pipeline):
    return pipeline.status()["lines"].get("access", {}).get("dropped", 0)


async def test_a_download_under_way_counts_once_through_a_reload(world):
    """The new plan is given what the old one remembered; the next download is one of its own."""
    world.extra = "rules: [{preset: downloads}]"
    async with world.running() as pipeline:
        world.write("/a.pdf", status=206)
        await world.until(lambda: arrived(world, 1))
        world.extra = "rules: [{preset: downloads}, {preset: pageviews}]"
        pipeline.apply(world.plan())
        world.write("/a.pdf", "/a.pdf", status=206)
        world.write("/b.pdf")
        await world.until(lambda: arrived(world, 2))
    assert await world.paths() == ["/a.pdf", "/b.pdf"]
    assert dropped(pipeline) == 2


async def test_who_asked_for_an_exploit_is_no_visitor_any_more(world):
    """From the next line on, and for that visitor alone."""
    world.source = ", behaviour: {probes: true}"
    async with world.running() as pipeline:
        world.write("/before")
        world.write("/.env", status=404)
        world.write("/after")
        world.write("/another", address="203.0.113.8")
        await world.until(lambda: arrived(world, 2))
    assert await world.paths() == ["/before", "/another"]
    assert dropped(pipeline) == 2


async def arrived(world, number):
    return len(await world.paths()) >= number
