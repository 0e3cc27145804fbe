"""Which files are read, from where, and what happens when they cannot be."""

import asyncio
import bz2
import errno
import gzip
import lzma
import os
import resource
import socket
import time
import tracemalloc

import pytest

from logship.source.tailer import Followed, Timing
from logship.source.watch import Wakeup


def add(path, *lines):
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def n(start, end):
    return [f"line {number} {'x' * 50}" for number in range(start, end)]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.touch()
    return path


async def test_start_at_the_end(follow, log):
    """What was there before the source is not read; a line that was being written is, when it ends."""
    add(log, *n(0, 100))
    with log.open("a") as writer:
        writer.write("half")
        writer.flush()
        tail = follow(log, start_at="end")
        assert await tail.read() == []
        writer.write(" a line\n")
    add(log, *n(100, 110))
    assert await tail.read() == ["half a line", *n(100, 110)]


async def test_a_later_file_is_read_from_its_beginning(follow, tmp_path):
    """Whatever start_at says: also after a restart, and also when it came while nobody looked."""
    add(tmp_path / "a.log", *n(0, 5))
    tail = follow(tmp_path / "*.log", start_at="end")
    assert await tail.read() == []
    add(tmp_path / "b.log", *n(5, 10))
    assert await tail.read() == n(5, 10)
    add(tmp_path / "c.log", *n(10, 15))
    tail = tail.restart()
    assert await tail.read() == n(10, 15)
    tail.close()


async def test_appears_and_is_rotated_before_it_is_seen(follow, tmp_path):
    """Two generations came since the last look."""
    log = tmp_path / "access.log"
    tail = follow(log)
    assert await tail.read() == []
    add(log, *n(0, 10))
    log.rename(tmp_path / "access.log.1")
    add(log, *n(10, 20))
    assert await tail.read() == n(0, 20)


async def test_appears_by_a_glob_and_is_rotated_before_it_is_seen(follow, tmp_path):
    """As above, under a name that nobody knew."""
    tail = follow(tmp_path / "*.log")
    await tail.read()
    add(tmp_path / "x.log", *n(0, 10))
    (tmp_path / "x.log").rename(tmp_path / "x.log.1")
    add(tmp_path / "x.log", *n(10, 20))
    assert await tail.read() == n(0, 20)


async def test_exclude_wins(follow, tmp_path):
    """An excluded file is never opened, whether named by its name or by its path."""
    for name in ("access.log", "error.log", "sub/deep/x.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        add(tmp_path / name, name)
    tail = follow(tmp_path / "**" / "*.log", exclude=["error*", f"{tmp_path}/sub/**"])
    assert await tail.read() == ["access.log"]


async def test_double_star_finds_new_directories(follow, tmp_path):
    """A directory made later is searched, too."""
    tail = follow(tmp_path / "**" / "*.log")
    assert await tail.read() == []
    (tmp_path / "a" / "b").mkdir(parents=True)
    add(tmp_path / "a" / "b" / "x.log", "deep")
    assert await tail.read() == ["deep"]


async def test_hard_links_and_overlapping_sources(follow, log):
    """One file is read once, by the first source that means it."""
    os.link(log, log.with_name("second.log"))
    log.with_name("third.log").symlink_to(log)
    add(log, *n(0, 10))
    tail = follow(f"{log.parent}/*.log", log)
    assert await tail.read() == n(0, 10)
    assert {chunk.source for chunk in tail.chunks} == {"s0"}


async def test_glob_characters_in_a_real_name(follow, tmp_path):
    """A path that exists literally is taken literally."""
    add(tmp_path / "access[1].log", "literal")
    add(tmp_path / "access1.log", "pattern")
    assert await follow(tmp_path / "access[1].log").read() == ["literal"]


async def test_permission_denied_and_restored(follow, log, monkeypatch):
    """An unreadable file is reported once, tried again, and read in full once it can be; state is kept."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    tail = tail.restart(Followed("s0", (str(log),), start_at="end"), Followed("s1", (f"{log.parent}/*.txt",)))
    add(log.with_name("new.txt"), *n(50, 60))
    add(log, *n(10, 20))
    denied = refuse(monkeypatch, PermissionError(13, "Permission denied"))
    assert await tail.read() == []
    assert tail.count("files_unreadable") == 2
    assert sorted(str(each["error"]) for each in tail.tailer.status()) == ["Permission denied"] * 2
    assert [each.offset for each in tail.tailer.positions()] == [len("\n".join(n(0, 10))) + 1]
    await tail.after(3600)
    denied.clear()
    assert sorted(await tail.after(1)) == sorted(n(10, 20) + n(50, 60))
    assert tail.count("files_unreadable") == 0
    tail.close()


def refuse(monkeypatch, error, what=os.open):
    """Make os.open (or another) fail until the returned list is cleared; we may be root, whom no mode stops."""
    failing = [error]

    def attempt(path, *args, **more):
        if failing and str(path).endswith((".log", ".txt")):
            raise failing[0]
        return what(path, *args, **more)

    monkeypatch.setattr(os, what.__name__, attempt)
    return failing


@pytest.mark.parametrize("kind", ["directory", "FIFO", "socket", "device"])
async def test_not_a_regular_file(follow, tmp_path, monkeypatch, kind):
    """Refused with a text that says what to do; opening never blocks, and nothing crashes."""
    path = tmp_path / "access.log"
    monkeypatch.chdir(tmp_path)  # a socket's address holds a hundred characters
    with socket.socket(socket.AF_UNIX) as server:
        make = {
            "directory": path.mkdir,
            "FIFO": lambda: os.mkfifo(path),
            "socket": lambda: server.bind(path.name),
            "device": lambda: path.symlink_to("/dev/null"),
        }
        make[kind]()
        tail = follow(path)
        assert await asyncio.wait_for(tail.read(), 60) == []
    [status] = tail.tailer.status()
    assert kind in status["error"]
    assert status["state"] == "unreadable"
    assert tail.count("files_unreadable") == 1


async def test_compressed_file_is_not_followed_as_text(follow, tmp_path):
    """A match that is compressed is refused, never parsed."""
    (tmp_path / "access.log").write_bytes(b"\x1f\x8b" + b"x" * 100)
    tail = follow(tmp_path / "access.log")
    assert await tail.read() == []
    assert "compressed" in tail.tailer.status()[0]["error"]


@pytest.mark.parametrize("broken", ["stat", "scandir"])
async def test_a_failed_scan_proves_nothing(follow, log, monkeypatch, broken):
    """ESTALE, EIO, EACCES while looking: nothing is forgotten, nothing read again."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    with monkeypatch.context() as patch:
        refuse(patch, OSError(116, "Stale file handle"), getattr(os, broken))
        assert await tail.read() == []
        await tail.after(3600)
        assert len(tail.tailer.positions()) == 1
    add(log, *n(10, 20))
    assert await tail.after(1) == n(10, 20)


async def test_read_error_and_recovery(follow, log, monkeypatch):
    """ESTALE on an open file: it is opened again, proved, and read on."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda *_: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
        assert await tail.read() == []
        assert tail.states() == {"access.log": "unreadable"}
    assert await tail.after(1) == n(10, 20)
    assert tail.states() == {"access.log": "following"}


async def test_more_files_than_descriptors(follow, tmp_path):
    """With 200 files and a limit of 64 all are read in turn, again and again."""
    tail = follow(tmp_path / "*.log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        for turn in range(3):
            for number in range(200):
                add(tmp_path / f"{number}.log", f"{number} in turn {turn} {'x' * 300}")
            got = [line for _ in range(30) for line in await tail.after(1)]
            assert sorted(got) == sorted(f"{number} in turn {turn} {'x' * 300}" for number in range(200))
        (tmp_path / "7.log").rename(tmp_path / "7.log.1")
        add(tmp_path / "7.log", "rotated")
        assert [line for _ in range(5) for line in await tail.after(1)] == ["rotated"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_busy_file_does_not_starve_the_others(follow, tmp_path):
    """One chunk a turn."""
    add(tmp_path / "busy.log", *n(0, 20_000))
    add(tmp_path / "quiet.log", "quiet")
    tail = follow(tmp_path / "*.log")
    await tail.tailer.look()
    for _ in range(3):
        tail.account(tail.tailer.take())
    assert "quiet" in tail.lines()


async def test_reload_keeps_offsets(follow, log, tmp_path):
    """A source added, one renamed, one removed and brought back: nothing is read twice or missed."""
    other = tmp_path / "other.log"
    add(log, *n(0, 10))
    add(other, *n(50, 55))
    tail = follow(log)
    await tail.read()
    tail.tailer.apply([Followed("renamed", (str(log),)), Followed("added", (str(other),), start_at="beginning")])
    add(log, *n(10, 20))
    assert sorted(await tail.read()) == sorted(n(10, 20) + n(50, 55))
    assert {chunk.source for chunk in tail.chunks[1:]} == {"renamed", "added"}
    tail.tailer.apply([Followed("added", (str(other),))])
    add(log, *n(20, 30))
    assert await tail.read() == []
    assert {os.path.basename(each.path) for each in tail.tailer.positions()} == {"access.log", "other.log"}
    assert tail.states() == {"other.log": "following"}
    tail.tailer.apply([Followed("renamed", (str(log),)), Followed("added", (str(other),))])
    assert await tail.read() == n(20, 30)


async def test_partial_line_waits_across_a_restart(follow, log):
    """Half a line, a restart, the rest: one line."""
    log.write_bytes(b"one\nha")
    tail = follow(log)
    assert await tail.read() == ["one"]
    assert [each.offset for each in tail.tailer.positions()] == [4]
    tail = tail.restart()
    assert await tail.read() == []
    with log.open("ab") as file:
        file.write(b"lf\n")
    assert await tail.read() == ["half"]
    tail.close()


async def test_partial_line_of_a_finished_file(follow, log):
    """What is left without a line end is passed on once, when the file is over."""
    log.write_bytes(b"one\nhalf")
    tail = follow(log)
    await tail.read()
    log.unlink()
    add(log, "new")
    await tail.read()
    assert "half" not in tail.lines()
    assert await tail.after(61) == ["half"]
    assert tail.chunks[-1].final
    await tail.after(61)
    assert tail.states() == {"access.log": "following"}
    assert tail.lines().count("half") == 1


async def test_once_reads_all_there_is_and_ends(follow, log):
    """Also the rotated rest of what was left; not a line that is still being written."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    log.rename(log.with_name("access.log.1"))
    log.write_text("\n".join(n(20, 25)) + "\nhalf")
    once = tail.restart(once=True)
    async for chunk in once.tailer.chunks():
        once.account(chunk)
    assert once.lines() == n(10, 25)
    once.close()


async def test_stop_ends_chunks(follow, log):
    """Promptly, whether it waits or has much to do."""
    add(log, *n(0, 20_000))
    tail = follow(log)
    async for chunk in tail.tailer.chunks():
        tail.account(chunk)
        tail.tailer.stop()
    assert len(tail.chunks) == 1
    idle = follow(log)
    waiting = asyncio.create_task(collect(idle))
    await idle.tailer.ready.wait()
    idle.tailer.stop()
    await asyncio.wait_for(waiting, 60)


async def collect(tail):
    async for chunk in tail.tailer.chunks():
        tail.account(chunk)


async def test_events_bring_lines_at_once(follow, log, tmp_path):
    """With intervals of an hour only events can: a write, a rotation, a new file."""
    hour = Timing(sweep=3600, scan=3600)
    with Wakeup() as wakeup:
        tail = follow(f"{tmp_path}/*.log", timing=hour, wakeup=wakeup, clock=time.monotonic)
        task = asyncio.create_task(collect(tail))
        await tail.tailer.ready.wait()
        for turn in range(3):
            add(log, f"first {turn}")
            await until(lambda turn=turn: f"first {turn}" in tail.lines())
            add(log, f"second {turn}")
            await until(lambda turn=turn: f"second {turn}" in tail.lines())
            log.rename(tmp_path / "access.log.1")
            add(log, f"new {turn}")
            await until(lambda turn=turn: f"new {turn}" in tail.lines())
        add(tmp_path / "other.log", "other")
        await until(lambda: "other" in tail.lines())
        tail.tailer.stop()
        await task


async def until(condition, limit=30.0):
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_file_parked_for_want_of_descriptors_is_opened_when_there_are_some(follow, log, tmp_path, monkeypatch):
    """Closed it would be lost when deleted: one failed open must not leave another file closed for ever."""
    add(log, *n(0, 3))
    tail = follow(tmp_path / "*.log")
    await tail.read()
    (tmp_path / "new.log").touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing_once(os.open, errno.EMFILE))
        await tail.read()
    await tail.after(1)
    add(log, *n(3, 5))
    log.unlink()
    assert await tail.after(1) == n(3, 5)


async def test_other_parts_of_the_process_keep_descriptors(follow, tmp_path):
    """G6: whatever is followed, and rotated all at once, a save and a connection find a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        tail = follow(tmp_path / "*.log")
        for number in range(100):
            add(tmp_path / f"{number}.log", f"{number}")
        got = [line for _ in range(20) for line in await tail.after(1)]
        for number in range(100):
            (tmp_path / f"{number}.log").rename(tmp_path / f"{number}.log.1")
            add(tmp_path / f"{number}.log", f"{number} again")
        most = 0
        for _ in range(60):
            got += await tail.after(1)
            most = max(most, len(os.listdir("/proc/self/fd")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sorted(got) == sorted([f"{number}{more}" for number in range(100) for more in ("", " again")])
    assert most < 50
    assert tail.count("files_parked") == 84


def failing_once(call, number):
    """Fail the first time."""
    failures = [number]

    def once(*args, **more):
        if failures:
            raise OSError(failures.pop(), "no more")
        return call(*args, **more)

    return once


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
async def test_once_reads_a_compressed_log_that_is_named(follow, tmp_path, pack):
    """`run --once` reads what will not grow, whatever it is compressed with and whatever it is called; once."""
    path = tmp_path / "old.gz"
    path.write_bytes(pack(b"one\ntwo\nthree"))
    tail = follow(path, once=True)
    assert await tail.read() == ["one", "two", "three"]
    again = follow(path, once=True, saved=tail)
    assert await again.read() == []


async def test_once_reads_a_compressed_sibling_that_a_glob_matches_once(follow, tmp_path):
    """It belongs to its log, which a later run finds rotated and compressed itself."""
    log = tmp_path / "access.log"
    log.write_text("new\n")
    log.with_name("access.log.1.gz").write_bytes(gzip.compress(b"old\n"))
    pattern = f"{tmp_path}/access.log*"
    tail = follow(pattern, once=True, exclude=())
    assert sorted(await tail.read()) == ["new", "old"]
    log.with_name("access.log.1.gz").rename(log.with_name("access.log.2.gz"))
    log.with_name("access.log.1.gz").write_bytes(gzip.compress(log.read_bytes() + b"newer\n"))
    log.write_text("newest\n")
    again = follow(pattern, once=True, exclude=(), saved=tail)
    assert sorted(await again.read()) == ["newer", "newest"]


async def test_an_empty_file(follow, log):
    """A14: there is nothing to read, then there is; nothing is read in vain meanwhile."""
    tail = follow(log)
    assert await tail.read() == []
    for _ in range(50):
        assert await tail.after(1) == []
    assert not tail.chunks
    add(log, *n(0, 3))
    assert await tail.read() == n(0, 3)


@pytest.mark.parametrize("shift", range(4))
async def test_characters_at_the_borders_of_blocks(follow, log, shift):
    """B14: a character of several bytes that begins in one block and ends in the next stays whole."""
    whole = ["x" * shift, *(f"{number} {'é€😀' * 60}" for number in range(3000))]
    log.write_text("".join(f"{line}\n" for line in whole))
    assert await follow(log).read() == whole


async def test_a_line_of_fifty_megabytes(follow, log):
    """B8: skipped to its end, counted once, its neighbours intact, and no memory of its size."""
    tail = follow(log)
    await tail.read()
    with log.open("wb") as file:
        file.write(b"before\n")
        for _ in range(50):
            file.write(b"x" * 1_000_000)
        file.write(b"\nafter\n")
    tracemalloc.start()
    try:
        assert await tail.read() == ["before", "after"]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert sum(chunk.oversized for chunk in tail.chunks) == 1


async def test_an_exclude_that_was_written_holds_for_a_path_that_is_named(follow, tmp_path):
    """Never followed is never followed; only the default is about archives that globs find."""
    add(tmp_path / "error.log", "no")
    add(tmp_path / "old.gz", "yes")
    one = follow(tmp_path / "error.log", exclude=["error*"], once=True)
    other = follow(tmp_path / "old.gz", exclude=["*.gz"], once=True)
    assert (await one.read(), one.states()) == ([], {})
    assert await other.read() == ["yes"]
