"""Truncation in all its forms: noticed, its copy found, what is really lost counted."""

import gzip
import os
import shutil

import pytest


def add(path, *lines):
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def n(start, end):
    return [f"line {number} {'x' * 50}" for number in range(start, end)]


def size(lines):
    return sum(len(line) + 1 for line in lines)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.touch()
    return path


async def test_truncated_to_nothing_and_written_again(follow, log):
    """What was read is not read again, what is new is."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    os.truncate(log, 0)
    assert await tail.read() == []
    add(log, *n(10, 12))
    assert await tail.read() == n(10, 12)
    assert tail.event("truncated") == 1
    assert tail.count("lost_bytes_total", source="s0", cause="truncated") == 0


async def test_copytruncate_at_rest(follow, log):
    """logrotate's copy is known for what it is, and not read again."""
    tail = follow(f"{log}*")
    add(log, *n(0, 10))
    await tail.read()
    shutil.copy(log, log.with_name("access.log.1"))
    assert await tail.read() == []
    os.truncate(log, 0)
    add(log, *n(10, 20))
    assert await tail.read() == n(10, 20)
    tail = tail.restart()
    add(log, *n(20, 21))
    assert await tail.read() == n(20, 21)
    tail.close()


async def test_copytruncate_while_behind(follow, log):
    """The rest is read from the copy, before the new content."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    shutil.copy(log, log.with_name("access.log.1"))
    os.truncate(log, 0)
    add(log, *n(20, 25))
    assert await tail.read() == n(10, 25)
    assert tail.count("lost_bytes_total", source="s0", cause="truncated") == 0


async def test_copytruncate_and_compress_while_behind(follow, log):
    """The copy is compressed already: the rest is read from its content."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 5000))
    log.with_name("access.log-20251010.gz").write_bytes(gzip.compress(log.read_bytes()))
    os.truncate(log, 0)
    add(log, *n(5000, 5005))
    assert await tail.read(looks=4) == n(10, 5005)


async def test_copytruncate_while_reading(follow, log):
    """Seen in the middle of a backlog: the rest comes from the copy."""
    tail = follow(log)
    add(log, *n(0, 9000))
    await tail.tailer.look()
    tail.account(tail.tailer.take())
    shutil.copy(log, log.with_name("access.log.1"))
    os.truncate(log, 0)
    add(log, *n(9000, 9010))
    await tail.read()
    assert tail.lines() == n(0, 9010)


async def test_truncated_while_behind_and_no_copy(follow, log):
    """Bytes that exist nowhere are counted."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    await tail.tailer.look()
    os.truncate(log, 0)
    add(log, *n(20, 21))
    assert await tail.read() == n(20, 21)
    assert tail.count("lost_bytes_total", source="s0", cause="truncated") == size(n(10, 20))


async def test_truncated_and_grown_back_to_exactly_the_old_offset(follow, log):
    """Size tells nothing: the bytes before the offset do."""
    tail = follow(log)
    add(log, *n(10, 20))
    await tail.read()
    os.truncate(log, 0)
    add(log, *n(20, 30))
    assert log.stat().st_size == size(n(10, 20))
    assert await tail.read() == n(20, 30)


async def test_truncated_and_grown_beyond_the_old_offset(follow, log):
    """Growth on top of other bytes is no growth."""
    tail = follow(log)
    add(log, *n(10, 20))
    await tail.read()
    os.truncate(log, 0)
    add(log, *n(20, 50))
    assert await tail.read() == n(20, 50)


async def test_truncated_to_a_shorter_size(follow, log):
    """Only the end was cut off: what is left was read, what is appended is new. Never past the end."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    os.truncate(log, 100)
    assert await tail.read() == []
    add(log, *n(10, 12))
    assert await tail.read() == n(10, 12)
    tail = tail.restart()
    assert await tail.read() == []
    tail.close()


async def test_truncated_twice_in_quick_succession(follow, log):
    """Each generation that could be seen is read."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    for turn in range(1, 3):
        os.truncate(log, 0)
        add(log, *n(turn * 10, turn * 10 + 5))
        assert await tail.read() == n(turn * 10, turn * 10 + 5)


async def test_truncated_while_stopped(follow, log):
    """The reset is saved: nothing is sent again at each restart."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    os.truncate(log, 0)
    add(log, *n(20, 23))
    for expected in (n(20, 23), [], []):
        tail = tail.restart()
        assert await tail.read() == expected
        await tail.after(61)
        await tail.after(11)
    assert len(tail.tailer.positions()) == 1
    tail.close()


async def test_copytruncate_while_stopped(follow, log):
    """The rest of what was left is in the copy."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    shutil.copy(log, log.with_name("access.log.1"))
    os.truncate(log, 0)
    add(log, *n(20, 30))
    tail = tail.restart()
    assert await tail.read() == n(10, 30)
    tail = tail.restart()
    assert await tail.read() == []
    tail.close()


async def test_in_flight_when_truncated(follow, log):
    """Answers that come after the truncation move nothing; killed before them, the copy is read again."""
    tail = follow(log)
    tail.hold = True
    add(log, *n(0, 10))
    await tail.read()
    shutil.copy(log, log.with_name("access.log.1"))
    os.truncate(log, 0)
    add(log, *n(10, 12))
    assert await tail.read() == n(10, 12)
    killed = follow(log, positions=tail.tailer.positions(), seen={"s0"})
    assert await killed.read() == n(0, 12)
    tail.settle()
    assert await tail.restart().read() == []


async def test_hole_of_a_writer_that_does_not_append(follow, log):
    """A writer that goes on at its old offset leaves NULs, which cost neither memory nor the first line."""
    tail = follow(log)
    with log.open("wb", buffering=0) as writer:
        writer.write(b"".join(b"old line %d %s\n" % (number, b"x" * 900) for number in range(3000)))
        await tail.read()
        os.truncate(log, 0)
        writer.write(b"after the hole\n")
        lines = await tail.read()
    assert [line.strip("\0") for line in lines] == ["after the hole"]
    assert max(len(chunk.data) for chunk in tail.chunks[-3:]) < 5000
    assert tail.count("lines_oversized_lost_total", source="s0") == 0
