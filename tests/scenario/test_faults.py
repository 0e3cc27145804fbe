"""The whole path through faults: real files, a server that answers as told, and set algebra on what was written."""

import asyncio
import os
import shutil
import socket
import ssl
import time
from collections import Counter
from dataclasses import replace

import pytest

from logship import deadletter, plan
from logship.errors import ConfigError
from logship.progress.checkpoint import Checkpoint

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def world(make_world, api):
    return make_world(api.url)


def paths(start, end):
    return [f"/s/{number}" for number in range(start, end)]


def offsets(world):
    with_positions = Checkpoint.open(world.state, read_only=True)
    return {os.path.basename(each.path): each.offset for each in with_positions.positions}


def settled(pipeline):
    return lambda: pipeline.status()["unsettled_lines"] == 0


# --- lines and bytes


async def test_line_ends_of_windows(world, api):
    """B6: the CR is no part of the line, and the offset stands behind it."""
    world.log.write_bytes("".join(f"{world.line(path)}\r\n" for path in paths(0, 5)).encode())
    await world.once()
    assert api.taken == paths(0, 5)
    assert offsets(world) == {"access.log": world.log.stat().st_size}


async def test_bytes_that_are_no_utf_8(world, api):
    """B12: a Latin-1 User-Agent goes out as it came; a path that cannot be text is escaped; nothing crashes."""
    lines = [world.line("/caf\udce9", agent="Mozilla/5.0 (X11; Caf\udce9) Firefox/127.0"), world.line("/after")]
    world.log.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    await world.once()
    assert len(api.taken) == 2
    assert b"Caf\xe9)" in api.heads[0]


async def test_half_a_line_at_a_stop(world, api):
    """B18: the position on disk stands before a line that has not ended; the rest makes one event of it."""
    world.write("/whole")
    ended = world.log.stat().st_size
    line = world.line("/half")
    with world.log.open("a") as writer:
        writer.write(line[:50])
    async with world.running() as pipeline:
        await world.until(lambda: api.taken == ["/whole"])
        await world.until(settled(pipeline))
    assert offsets(world) == {"access.log": ended}
    with world.log.open("a") as writer:
        writer.write(line[50:] + "\n")
    await world.once()
    assert api.taken == ["/whole", "/half"]


async def test_a_refused_line_is_found_again_by_its_letter(world, api):
    """One poisoned event costs one dead letter, which says where its line is; the others arrive."""
    refusal = api.answer(400, "Content-Type: application/json", body='{"errors": {"domain": ["no"]}}')
    api.say = lambda path, _: refusal if path == "/s/3" else ACCEPTED
    world.write(*paths(0, 6))
    await world.once()
    assert Counter(api.taken) == Counter(set(paths(0, 6)) - {"/s/3"})
    (letter,) = deadletter.read(world.state / deadletter.LETTERS)
    with open(letter["path"], "rb") as log:
        log.seek(letter["offset"])
        assert b"GET /s/3 " in log.readline()


# --- rotation


async def test_rotated_twice_while_the_api_is_down(world, api):
    """C6: the reader stands still; all generations are read when it goes on, in order."""
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.following)
        api.open.clear()
        world.write(*paths(0, 20))
        await world.until(lambda: api.asked)
        for turn in (1, 2):
            for at in (2, 1):
                if (old := world.log.with_name(f"access.log.{at}")).exists():
                    old.rename(world.log.with_name(f"access.log.{at + 1}"))
            world.log.rename(world.log.with_name("access.log.1"))
            world.write(*paths(turn * 20, turn * 20 + 20))
        api.open.set()
        await world.until(lambda: len(api.taken) >= 60)
    assert api.taken == paths(0, 60)


async def test_rotated_while_a_reload_is_under_way(world, api):
    """I18: a new plan, a new name and a new file, all at once."""
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.following)
        for turn in range(10):
            world.write(*paths(turn * 10, turn * 10 + 5))
            pipeline.apply(world.plan())
            world.log.rename(world.log.with_name(f"access.log.{10 - turn}"))
            world.write(*paths(turn * 10 + 5, turn * 10 + 10))
            pipeline.apply(world.plan())
        await world.until(lambda: len(api.taken) >= 100)
        await world.until(settled(pipeline))
    assert Counter(api.taken) == Counter(paths(0, 100))


# --- stop and start


async def test_stopped_at_rest(world, api):
    """E1: at once, and the next start sends nothing."""
    world.write(*paths(0, 10))
    async with world.running() as pipeline:
        await world.until(lambda: len(api.taken) == 10)
        await world.until(settled(pipeline))
        began = time.monotonic()
    assert time.monotonic() - began < 30
    await world.once()
    assert api.taken == paths(0, 10)


async def test_stopped_under_a_backlog(world, api):
    """I2: reading stops, what is queued is settled, the rest is left to the next start; nothing lost, nothing twice."""
    world.destination = ", batch: {max_events: 50}"
    world.write(*paths(0, 3000))
    async with world.running() as pipeline:
        await world.until(lambda: len(api.taken) > 100)
        pipeline.stop()
    assert pipeline.unsettled_at_stop == 0
    assert len(api.taken) < 3000, "it did not wait for the whole backlog"
    await world.once()
    assert Counter(api.taken) == Counter(paths(0, 3000))


async def test_stopped_while_the_api_never_answers(world, api):
    """E10: the grace period ends the wait; after the restart only what was in flight comes a second time."""
    world.grace = "200ms"
    world.write(*paths(0, 50), address="203.0.113.1")
    api.open.clear()
    async with world.running() as pipeline:
        await world.until(lambda: api.asked and pipeline.status()["unsettled_lines"] == 50)
        began = time.monotonic()
        pipeline.stop()
    assert time.monotonic() - began < 30
    assert pipeline.unsettled_at_stop == 50
    in_flight = len(api.asked)
    api.open.set()
    await asyncio.sleep(0.05)  # what the server takes though nobody listens any more
    await world.once()
    counts = Counter(api.taken)
    assert set(counts) == set(paths(0, 50))
    assert counts.total() - 50 <= in_flight == 1


async def test_stopped_while_everything_backs_off(world, api):
    """What we chose to wait ourselves is not waited for; nothing is lost."""
    api.say = lambda path, before: api.answer(503, "Retry-After: 3000")
    world.write(*paths(0, 30))
    async with world.running() as pipeline:
        await world.until(lambda: [each["cause"] for each in pipeline.status()["destinations"]] == ["retry_after"])
        began = time.monotonic()
        pipeline.stop()
    assert time.monotonic() - began < 30
    api.say = lambda path, before: ACCEPTED
    await world.once()
    assert api.taken == paths(0, 30)


async def test_stopped_before_it_has_looked(world, api):
    """A stop during the start leaves everything as it was."""
    world.write(*paths(0, 10))
    async with world.running() as pipeline:
        pipeline.stop()
    await world.once()
    assert api.taken == paths(0, 10)


# --- the state directory


async def test_the_state_directory_goes_away_while_running(world, api):
    """E16: delivery goes on, readiness says so, saving is tried again and catches up."""
    async with world.running() as pipeline:
        world.write("/a")
        await world.until(lambda: pipeline.ready and offsets(world))
        shutil.rmtree(world.state)
        world.state.write_text("in the way")
        world.write("/b")
        await world.until(lambda: not pipeline.saved)
        assert api.taken == ["/a", "/b"]
        assert not pipeline.ready
        world.state.unlink()
        await world.until(lambda: pipeline.saved and pipeline.ready)
    assert offsets(world) == {"access.log": world.log.stat().st_size}


async def test_the_clock_jumps(world, api, monkeypatch):
    """Back by a day and forth by an hour: intervals go by another clock, and no line is held up or lost."""
    real = time.time
    async with world.running():
        for jump, path in ((0, "/now"), (-86_400, "/yesterday"), (3600, "/later"), (0, "/again")):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            world.write(path)
            await world.until(lambda path=path: path in api.taken)
    assert api.taken == ["/now", "/yesterday", "/later", "/again"]


# --- load


async def test_no_more_requests_than_connections(world, api):
    """F22: a slow API is not asked by more at a time."""
    world.destination = ", connections: 4"
    api.open.clear()
    async with world.running() as pipeline:
        for number in range(200):
            world.write(f"/s/{number}", address=f"203.0.113.{number}")
        await world.until(lambda: api.together == 4)
        await world.until(lambda: pipeline.status()["unsettled_lines"] == 200)
        assert api.most_together == 4
        api.open.set()
        await world.until(lambda: len(api.taken) == 200)
    assert api.most_together == 4


async def test_an_api_that_is_slower_than_the_log(world, api):
    """F26: reading stops at two batches, what is behind is shown, and nothing is lost."""
    world.destination = ", batch: {max_events: 50}"
    api.open.clear()
    world.write(*paths(0, 5000))
    async with world.running() as pipeline:
        await world.until(lambda: api.asked)
        for _ in range(20):
            await asyncio.sleep(0.01)
        (file,) = pipeline.status()["files"]
        assert file["settled"] == 0
        assert file["behind"] > 100_000
        api.open.set()
        await world.until(lambda: len(api.taken) == 5000)
    assert api.taken == paths(0, 5000)


# --- reload


async def test_reload_while_reading_waits(world, api):
    """I12: the API is down and the queue full: a reload is done at once, and holds for what is read later."""
    world.destination = ", batch: {max_events: 20}"
    api.open.clear()
    world.write(*paths(0, 2000))
    async with world.running() as pipeline:
        await world.until(lambda: api.asked)
        world.extra = "rules: [{name: odd, when: {path: '/late/*'}, drop: late}, {preset: pageviews}]"
        began = time.monotonic()
        pipeline.apply(world.plan())
        pipeline.apply(world.plan())  # twice at once
        assert time.monotonic() - began < 20
        world.write("/late/1", "/after")
        api.open.set()
        await world.until(lambda: "/after" in api.taken)
        await world.until(settled(pipeline))
    counts = Counter(api.taken)
    assert set(counts) == {*paths(0, 2000), "/after"}
    assert counts.total() - len(counts) == 0


async def test_a_source_taken_out_settles_what_was_read_and_is_remembered(world, api):
    """I16: its position is kept, so that bringing it back loses and doubles nothing."""
    async with world.running() as pipeline:
        world.write(*paths(0, 10))
        await world.until(lambda: len(api.taken) == 10)
        with_it = world.plan()
        other = replace(with_it.settings.sources[0], name="other", path=(str(world.directory / "other.log"),))
        pipeline.apply(plan.build(replace(with_it.settings, sources=(other,))))
        await world.until(lambda: not [each for each in pipeline.status()["files"] if each["state"] == "following"])
        world.write(*paths(10, 20))
        pipeline.apply(with_it)
        await world.until(lambda: len(api.taken) == 20)
    assert api.taken == paths(0, 20)


async def test_the_answers_table_over_the_whole_path(world, api):
    """F3: whatever the API says in between, each event is taken once, and nothing is sent again at the next start."""
    script = [api.answer(status) for status in (500, 502, 503, 429, 408, 425)]
    api.say = lambda path, before: script[before] if before < len(script) else ACCEPTED
    world.write(*(f"/s/{number}" for number in range(10)))
    await world.once()
    await world.once()
    assert api.taken == paths(0, 10)


async def test_a_plan_that_cannot_be_activated_changes_nothing(world, api):
    """Its certificates went away after they were checked: old sources, old rules and old destinations run on."""
    authority = world.directory / "ca.pem"
    shutil.copy(certifi(), authority)
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.following)
        old = pipeline.plan
        world.others = f", another: {{url: '{api.url}', tls: {{ca_file: {authority}}}}}"
        world.extra = "rules: [{name: none, when: {path: '/**'}, drop: true}]"
        world.destination = ", connections: 3"
        new = world.plan()
        authority.unlink()
        with pytest.raises(ConfigError, match="cannot be used"):
            pipeline.apply(new)
        assert pipeline.plan is old
        assert [each["name"] for each in pipeline.status()["destinations"]] == ["here"]
        world.write("/as/before")
        await world.until(lambda: api.taken == ["/as/before"])


async def test_certificates_that_go_away_in_the_middle_of_a_reload(world, api):
    """The first destination has its new settings already: it gets the old ones back."""
    authority = world.directory / "ca.pem"
    shutil.copy(certifi(), authority)
    world.others = f", another: {{url: '{api.url}/other', tls: {{ca_file: {authority}}}}}"
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.following)
        world.destination = ", connections: 3"
        new = world.plan()
        authority.unlink()
        with pytest.raises(ConfigError):
            pipeline.apply(new)
        assert {each["connections"] for each in pipeline.status()["destinations"]} == {16}
        world.write("/as/before")
        await world.until(lambda: api.taken == ["/as/before"] * 2)


async def test_one_destination_down_does_not_stop_another(world, api):
    """Where it says so: what it cannot take goes to the dead letters, and the other one gets everything."""
    world.grace = "200ms"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        world.others = f", gone: {{url: '{gone}', when_full: dead_letter, batch: {{max_events: 10}}}}"
        world.write(*paths(0, 300))
        async with world.running():
            await world.until(lambda: len(api.taken) == 300 and (world.state / deadletter.LETTERS).exists())
    assert api.taken == paths(0, 300)
    letters = list(deadletter.read(world.state / deadletter.LETTERS))
    assert {each["destination"] for each in letters} == {"gone"}


def certifi():
    """Return a file of certificates that every machine has."""
    return ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"


async def test_killed_in_its_first_second_and_rotated(world, api):
    """The checkpoint knows what is followed as soon as it was looked at: else the rotated rest would be history."""
    world.write(*paths(0, 5))
    api.open.clear()
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.following and (world.state / "checkpoint.json").exists())
        as_killed = shutil.copytree(world.state, world.directory / "as-killed")
        api.open.set()
    shutil.rmtree(world.state)
    as_killed.rename(world.state)
    (world.state / "lock").unlink()
    taken = len(api.taken)
    world.log.rename(world.log.with_name("access.log.1"))
    world.write(*paths(5, 8))
    await world.once()
    assert api.taken[taken:] == paths(0, 8)
