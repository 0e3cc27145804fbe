"""What a deleted log pins on the disk is shown, and ends when its lines are too old to be sent."""

import asyncio
import socket


def nobody() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def until(condition):
    async with asyncio.timeout(90):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_deleted_log_is_held_no_longer_than_its_events_are_of_use(make_world):
    """The API is down for good and the log is deleted: `max_event_age` is the bound, for what waits in memory, too."""
    world = make_world(nobody())
    world.extra = "max_event_age: 3s"
    async with world.running() as pipeline:
        await until(lambda: pipeline.following)
        count = pipeline._metrics.registry.get_sample_value
        world.write(*[f"/page/{number}" for number in range(9000)])
        size = world.log.stat().st_size
        await until(lambda: any(each["size"] == size for each in pipeline.status()["files"]))
        world.log.unlink()
        world.log.touch()
        await until(lambda: count("logship_deleted_bytes_held") == size)
        await until(lambda: pipeline.lines_read == 9000 and not pipeline.status()["unsettled_lines"])

        def is_let_go():
            for file in (file for trail in pipeline._tailer._trails.values() for file in trail.files):
                file.quiet_since = file.quiet_since and -1000.0  # as after the minute in which nothing was written
            return count("logship_deleted_bytes_held") == 0

        await until(is_let_go)
        late = count("logship_lines_expired_total", {"source": "access"}) or 0
        assert late + count("logship_events_total", {"destination": "here", "outcome": "expired"}) == 9000
