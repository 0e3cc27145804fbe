"""Logs that rest: looked at seldom where events tell of everything, and as often as ever where they may not."""

import asyncio
import os
import time

import pytest

from logship.source.survey import Survey
from logship.source.tailer import Timing
from logship.source.watch import EVERYTHING, Wakeup


class Deaf(Wakeup):
    """Events that are trusted, and never come: what is found then, time alone has found."""

    works = True

    def __init__(self):
        super().__init__(events=False)
        self.unarmed = set()

    def is_armed(self, token):
        return token not in self.unarmed

    def watch_file(self, token, fd):
        return self.is_armed(token)

    def watch_directories(self, paths):
        pass


def add(path, *lines):
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.touch()
    return path


@pytest.fixture
def trusted(monkeypatch):
    """Trust the file system of the tests, whatever it is."""
    monkeypatch.setattr("logship.source.tailer.Survey", lambda: Survey(trust=set))


@pytest.fixture
def tail(follow, log, trusted):
    return follow(f"{log.parent}/*.log", wakeup=Deaf())


async def settle(tail):
    """Look until all that may rest does: found, opened, looked at in full, and at a glance."""
    for _ in range(4):
        await notice(tail, EVERYTHING)


async def notice(tail, *tokens, after=0.0):
    """Let time pass, do what is due then, and return the lines that this has brought."""
    tail.now += after
    before = len(tail.lines())
    await tail.tailer._notice(set(tokens))
    tail.take()
    return tail.lines()[before:]


async def test_what_no_event_told_of_is_found_within_five_seconds(tail, log):
    """A write to a log that rests, by a kernel that keeps it for itself."""
    await settle(tail)
    add(log, "silent")
    assert await notice(tail, after=1.0) == []
    assert await notice(tail, after=4.0) == ["silent"]


async def test_a_silent_rotation_is_found_within_five_seconds(tail, log):
    """Renamed, and another one in its place: the rest of the first comes before the second."""
    await settle(tail)
    add(log, "first")
    log.rename(f"{log}.1")
    add(log, "second")
    assert await notice(tail, after=5.0) == ["first", "second"]


async def test_an_event_ends_the_rest(tail, log, tmp_path):
    """That of the file itself, and that of its directory."""
    await settle(tail)
    (file,) = (trail.live for trail in tail.tailer._trails.values())
    add(log, "written")
    assert await notice(tail, file.token) == ["written"]
    await settle(tail)
    log.rename(f"{log}.1")
    add(log, "rotated")
    assert await notice(tail, str(tmp_path)) == ["rotated"]


async def test_a_log_that_has_just_been_read_does_not_rest(tail, log):
    """What follows at once is found by the second, whatever events say."""
    await settle(tail)
    add(log, "first")
    assert await notice(tail, after=5.0) == ["first"]
    add(log, "second")
    assert await notice(tail, after=1.0) == ["second"]


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_without_its_watch_a_log_is_looked_at_each_second(tail, log, tmp_path, what):
    """It has fired and is not set yet, or there was none to be had."""
    await settle(tail)
    (file,) = (trail.live for trail in tail.tailer._trails.values())
    tail.wakeup.unarmed = {file.token if what == "file" else str(tmp_path)}
    await notice(tail, after=5.0)
    add(log, "a line")
    assert await notice(tail, after=1.0) == ["a line"]


async def test_where_events_do_not_work_each_second_counts(follow, log, trusted):
    """No inotify, or its thread has died."""
    tail = follow(log)
    await settle(tail)
    add(log, "a line")
    assert await notice(tail, after=1.0) == ["a line"]
    log.rename(f"{log}.1")
    add(log, "rotated")
    assert await notice(tail, after=1.0) == ["rotated"]


async def test_a_thread_that_died_is_noticed_by_the_second(tail, log):
    """Those that rest are looked at again as well."""
    await settle(tail)
    tail.wakeup.works = False
    add(log, "a line")
    assert await notice(tail, after=1.0) == ["a line"]


async def test_a_file_system_that_is_not_trusted_is_looked_at_each_second(tail, log):
    """NFS, FUSE, or one that nobody knows: others write to it, and no event comes."""
    tail.tailer._survey = Survey(trust=lambda directories: set())
    await settle(tail)
    add(log, "a line")
    assert await notice(tail, after=1.0) == ["a line"]


async def test_a_file_from_another_device_is_looked_at_each_second(tail, log):
    """It was mounted on its own, as containers do: who writes to it may be on the other side."""
    await settle(tail)
    tail.tailer._survey.trusted = {str(log.parent): log.stat().st_dev + 1}
    await notice(tail, after=5.0)
    add(log, "a line")
    assert await notice(tail, after=1.0) == ["a line"]


async def test_a_link_is_looked_at_each_second(follow, log, tmp_path, trusted):
    """Its target may be swapped in a directory that tells nobody."""
    (tmp_path / "links").mkdir()
    os.symlink(log, tmp_path / "links" / "a.log")
    tail = follow(f"{tmp_path}/links/*.log", wakeup=Deaf())
    await settle(tail)
    add(log, "a line")
    assert await notice(tail, after=1.0) == ["a line"]


async def test_a_file_that_is_read_to_its_end_is_looked_at_each_second(tail, log):
    """A rotated one is closed when it is time, and not five seconds later."""
    await settle(tail)
    log.rename(f"{log}.1")
    log.touch()
    await notice(tail, EVERYTHING)
    (trail,) = tail.tailer._trails.values()
    assert len(trail.files) == 2
    for _ in range(62):
        await notice(tail, after=1.0)
    assert tail.event("closed") == 1


async def test_what_is_parked_is_looked_at_each_second(tail, log):
    """Closed it would be lost when deleted, so it is opened again as soon as may be."""
    await settle(tail)
    assert tail.tailer._open._park()
    (trail,) = tail.tailer._trails.values()
    assert trail.live.content is None
    await notice(tail, after=1.0)
    assert trail.live.content is not None


async def test_a_log_at_rest_costs_one_look_in_five_seconds(tail, log, monkeypatch):
    """And nothing else is asked of the kernel about it."""
    await settle(tail)
    asked = []
    for name in ("stat", "lstat", "fstat", "open"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *what, real=real, name=name: (asked.append(name), real(*what))[1])
    await notice(tail, after=5.0)
    for _ in range(4):
        await notice(tail, after=1.0)
    assert asked == ["lstat"]


async def test_a_directory_that_was_put_in_the_place_of_another_is_watched(follow, tmp_path):
    """Who moves a directory above it leaves no event: the next scan sets the watch anew."""
    (tmp_path / "above" / "logs").mkdir(parents=True)
    log = tmp_path / "above" / "logs" / "access.log"
    log.touch()
    hour = Timing(sweep=3600, scan=3600, rest=3600)
    with Wakeup() as wakeup:
        tail = follow(log, wakeup=wakeup, timing=hour, clock=time.monotonic)
        await tail.tailer.look()
        await tail.tailer.look()
        (tmp_path / "above").rename(tmp_path / "before")
        log.parent.mkdir(parents=True)
        await tail.tailer.look()
        while await wakeup.wait(0.5):  # the watch on what was deleted or moved may say so
            await tail.tailer.look()
        log.touch()
        assert await wakeup.wait(30) == {str(log.parent)}


async def test_the_next_write_is_waited_for_where_one_seldom_follows_another(follow, log, trusted):
    """And looked for in a moment where it often does: an event of each would cost more."""
    with Wakeup() as wakeup:
        tail = follow(log, wakeup=wakeup)
        await settle(tail)
        (file,) = (trail.live for trail in tail.tailer._trails.values())
        for polled in (False, True):
            assert wakeup.is_armed(file.token)
            add(log, f"polled: {polled}")
            assert await wakeup.wait(30) == {file.token}
            assert not wakeup.is_armed(file.token)
            assert await notice(tail, file.token) == [f"polled: {polled}"]
            assert (file in tail.tailer._open._active) is polled
            assert wakeup.is_armed(file.token) is not polled


async def test_real_events_end_a_rest(follow, log, tmp_path, trusted):
    """With intervals of an hour only they can: a write, a rotation by copying, one by renaming, and a deletion."""
    hour = Timing(sweep=3600, scan=3600, rest=3600)
    with Wakeup() as wakeup:
        tail = follow(f"{tmp_path}/*.log", wakeup=wakeup, timing=hour, clock=time.monotonic)
        await settle(tail)
        (trail,) = tail.tailer._trails.values()
        assert trail.rests_until > time.monotonic() + 3000

        async def find(*lines):
            async with asyncio.timeout(60):
                while tail.lines()[-len(lines) :] != list(lines):
                    await notice(tail, *(await wakeup.wait(30) or ()))
            await settle(tail)

        add(log, "written")
        await find("written")
        os.truncate(log, 0)
        add(log, "cut")
        await find("cut")
        log.rename(f"{log}.1")
        add(log, "renamed")
        await find("renamed")
        log.unlink()
        add(log, "made anew")
        await find("made anew")
