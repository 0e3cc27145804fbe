"""The loop has others to serve: answers, health checks, the service manager. Nothing that is read may keep it long."""

import asyncio
import bz2
import os
import threading
import time

import pytest

from logship.source import content


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"first\n")
    return path


def lines(start, end):
    return [f"line {number} {'x' * 200}" for number in range(start, end)]


def add(path, *what):
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in what)


async def read(tail, count):
    """Take chunks as the pipeline does, until so many lines have come."""
    async with asyncio.timeout(60):
        async for chunk in tail.tailer.chunks():
            tail.account(chunk)
            if len(tail.lines()) >= count:
                tail.tailer.stop()


async def test_a_slow_disk_does_not_hold_up_the_loop(follow, log, monkeypatch):
    """G10: once it is known to be slow nothing is read in the loop's own thread, not even to save a position."""
    tail = follow(log, clock=time.monotonic)
    await tail.read()
    assert tail.lines() == ["first"]
    real, readers = os.pread, []

    def slow(*where):
        readers.append(threading.current_thread())
        time.sleep(0.05)
        return real(*where)

    monkeypatch.setattr(os, "pread", slow)
    tail.tailer._slow[log.stat().st_dev] = True  # as the first slow read leaves it
    add(log, *lines(0, 2000))
    await read(tail, 2001)
    positions = tail.tailer.positions()
    assert readers
    assert threading.main_thread() not in readers
    assert tail.lines()[1:] == lines(0, 2000)
    assert positions[0].offset == log.stat().st_size


class Clock:
    """A little later whenever it is asked: what takes long is what the test says, however busy the machine."""

    now = 1000.0

    def __call__(self):
        self.now += 0.0001
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


async def test_the_first_slow_read_is_remembered(follow, log, monkeypatch):
    """And forgotten when the disk is quick again."""
    clock = Clock()
    tail = follow(log, clock=clock)
    await tail.read()
    (device,) = {log.stat().st_dev}
    real = os.pread
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda *where: (clock.pass_by(0.03), real(*where))[1])
        add(log, *lines(0, 10))
        await tail.read()
        assert tail.tailer._slow[device]
    add(log, *lines(10, 3000))
    await read(tail, 3001)
    assert tail.lines()[1:] == lines(0, 3000)
    assert not tail.tailer._slow[device]


async def test_what_is_not_in_memory_is_read_in_a_thread(follow, log, monkeypatch):
    """The system is asked first (RWF_NOWAIT); the first slow read does not hold up the loop either."""
    tail = follow(log, clock=time.monotonic)
    await tail.read()
    real, readers = os.pread, []

    def cold(fd, buffers, at, flags):
        assert flags == os.RWF_NOWAIT
        raise BlockingIOError(11, "not in memory")

    def noted(*where):
        readers.append(threading.current_thread())
        return real(*where)

    add(log, *lines(0, 3000))
    await tail.tailer.look()
    monkeypatch.setattr(os, "preadv", cold)
    monkeypatch.setattr(os, "pread", noted)
    await tail.tailer._fetch()
    chunk = tail.tailer.take()
    assert chunk.data
    assert readers
    assert threading.main_thread() not in readers


async def test_whether_a_file_is_in_memory_is_known(tmp_path):
    """What was just written is at hand; where a file system cannot tell, that is what is said."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100_000)
    body = content.open_plain(str(path))
    assert body.at_hand(0, 99_999) in (True, None)
    body.close()
    assert body.at_hand(0) is None


async def test_a_compressed_rest_is_decompressed_in_a_thread(follow, log, monkeypatch):
    """bzip2 takes a tenth of a second for one block: neither opening nor reading on is for the loop."""
    tail = follow(log)
    await tail.read()
    add(log, *lines(0, 9000))
    log.with_name("access.log.1.bz2").write_bytes(bz2.compress(log.read_bytes()))
    log.unlink()
    real, readers = content.Unpacked._reach, []

    def noted(*what):
        readers.append(threading.current_thread())
        return real(*what)

    tail = tail.restart(clock=time.monotonic, seen={"s0"})
    monkeypatch.setattr(content.Unpacked, "_reach", noted)
    await read(tail, 9000)
    tail.close()
    assert tail.lines() == lines(0, 9000)
    assert len(readers) > 5
    assert threading.main_thread() not in readers


async def test_truncated_on_a_slow_disk(follow, log, monkeypatch):
    """What was fetched ahead was true when it was fetched; what stands there now is read next."""
    tail = follow(log)
    tail.tailer._slow[log.stat().st_dev] = True
    await tail.read()
    add(log, *lines(0, 10))
    assert await tail.read() == lines(0, 10)
    os.truncate(log, 0)
    add(log, *lines(10, 30))
    assert await tail.read() == lines(10, 30)
    os.truncate(log, 0)
    add(log, *lines(30, 33))
    assert await tail.read() == lines(30, 33)


async def test_fetched_bytes_of_a_file_that_is_gone_are_not_used(follow, log, tmp_path):
    """Between fetching and reading the file was cut: its new content is another generation's."""
    tail = follow(log)
    await tail.read()
    add(log, *lines(0, 10))
    await tail.tailer.look()
    (file,) = tail.tailer._trails[str(log)].files
    fetch = file.read_ahead()
    os.truncate(log, 0)
    add(log, *lines(10, 13))
    fetch()
    tail.take()
    got = [*tail.lines(), *(await tail.read())]
    assert got[-3:] == lines(10, 13)
    assert len(got) == len(set(got))


@pytest.fixture
def steps(monkeypatch):
    """CPU seconds of every step of the loop: time that passes while others have the processor is none of ours."""
    taken, run = [], asyncio.Handle._run

    def timed(handle):
        began = time.thread_time()
        run(handle)
        taken.append(time.thread_time() - began)

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    return taken


async def test_a_backlog_does_not_make_the_newest_line_of_another_log_late(make_world, api, steps):
    """G10: 100 MB wait in one log; a line of another is sent in a moment, and no step of the loop is long."""
    world = make_world(api.url)
    world.followed = world.directory / "*.log"
    asset = f"{world.line('/style.css?' + 'x' * 100)}\n" * 1000
    with world.log.open("w") as busy:
        for _ in range(100_000_000 // len(asset)):
            busy.write(asset)
    quiet = world.directory / "quiet.log"
    quiet.touch()
    late = []
    async with world.running() as pipeline:
        await world.until(lambda: pipeline.following)
        steps.clear()
        while sum(each["behind"] for each in pipeline.status()["files"]) > 5_000_000:
            began = time.perf_counter()
            add(quiet, world.line(f"/now/{len(late)}"))
            while len(api.taken) <= len(late):
                await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began)
    print(f"{len(late)} lines, the latest after {max(late):.3f} s; longest step {max(steps) * 1000:.0f} ms")
    assert len(late) > 5
    assert max(late) < 30  # on a busy machine; and had they waited for the backlog, there would be one
    assert sorted(steps)[len(steps) * 99 // 100] < 0.2  # some are longer: imports at the first page view, the fork
