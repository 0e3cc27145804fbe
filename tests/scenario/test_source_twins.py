"""Generations that are byte for byte alike, and copies: the first are read, each of them, and the second are not."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

SAME = [f"the same visits again {number} {'x' * 60}" for number in range(40)]  # more than the head that is hashed
SHORT = ["one health check"]

contents = pytest.mark.parametrize("lines", [SAME, SHORT], ids=["long", "short"])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.touch()
    return path


def add(path: Path, lines: list[str]) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def shift(log: Path, depth: int = 12) -> Path:
    """Make room for a new `.1`, as logrotate does, compressed ones too."""
    for at in range(depth, 0, -1):
        for suffix in ("", ".gz", ".xz"):
            old = Path(f"{log}.{at}{suffix}")
            if old.exists():
                old.rename(f"{log}.{at + 1}{suffix}")
    return Path(f"{log}.1")


def numbered(log: Path, turn: int) -> Path:
    to = shift(log)
    log.rename(to)
    log.touch()
    return to


def dated(log: Path, turn: int) -> Path:
    to = Path(f"{log}-202511{turn + 10}")
    log.rename(to)
    log.touch()
    return to


def pack(path: Path, suffix: str = ".gz") -> Path:
    """Compress a file as logrotate does: its time stays that of the last write."""
    packed = Path(f"{path}{suffix}")
    packed.write_bytes({".gz": gzip.compress, ".xz": lzma.compress}[suffix](path.read_bytes()))
    shutil.copystat(path, packed)
    path.unlink()
    return packed


def packed_at_once(log: Path, turn: int) -> Path:
    return pack(numbered(log, turn))


def dated_and_packed(log: Path, turn: int) -> Path:
    return pack(dated(log, turn), ".xz")


def packed_later(log: Path, turn: int) -> Path:
    """`delaycompress`: the newest old one stays plain."""
    to = numbered(log, turn)
    before = Path(f"{log}.2")
    if before.exists():
        pack(before)
    return to


def copied(log: Path, turn: int) -> Path:
    """`copytruncate`."""
    to = shift(log)
    shutil.copy(log, to)
    os.truncate(log, 0)
    return to


def copied_and_packed(log: Path, turn: int) -> Path:
    return pack(copied(log, turn))


def kept_once(log: Path, turn: int) -> Path:
    """`rotate 1`: the one before is overwritten."""
    to = Path(f"{log}.1")
    log.rename(to)
    log.touch()
    return to


RENAMING = [numbered, dated, packed_at_once, dated_and_packed, packed_later]
COPYING = [copied, copied_and_packed]
renaming = pytest.mark.parametrize("rotate", RENAMING)
copying = pytest.mark.parametrize("rotate", COPYING)
rotations = pytest.mark.parametrize("rotate", [*RENAMING, *COPYING])


@contents
@renaming
@pytest.mark.parametrize("times", [2, 4])
async def test_rotated_more_than_once_between_two_looks(
    follow: Any, log: Path, rotate: Any, times: int, lines: list[str]
) -> None:
    """Each generation holds the same bytes, and each holds visits."""
    tail = follow(log)
    add(log, lines)
    assert await tail.read() == lines
    for turn in range(times):
        rotate(log, turn)
        add(log, lines)
    assert await tail.read() == lines * times
    for turn in range(times, times + 2):
        rotate(log, turn)
        add(log, lines)
    assert await tail.read() == lines * 2
    await tail.after(61)
    assert await tail.after(10) == []


@contents
@rotations
async def test_rotated_once_between_two_looks(follow: Any, log: Path, rotate: Any, lines: list[str]) -> None:
    """Again and again: what was read before is not read again, whatever became of it."""
    tail = follow(log)
    for turn in range(8):
        add(log, lines)
        assert await tail.read() == lines
        rotate(log, turn)
        assert await tail.after(70 * (turn % 2)) == []
    assert await tail.after(70) == []


@contents
@copying
@pytest.mark.parametrize("stopped", [False, True])
async def test_copied_and_cut_twice_between_two_looks(
    follow: Any, log: Path, rotate: Any, lines: list[str], stopped: bool
) -> None:
    """One copy is the generation that was read, the other is another: nobody has read it."""
    tail = follow(log)
    add(log, lines)
    assert await tail.read() == lines
    rotate(log, 0)
    add(log, lines)
    rotate(log, 1)
    add(log, ["new"])
    tail = tail.restart() if stopped else tail
    assert await tail.read() == [*lines, "new"]
    assert await tail.after(70) == []
    tail.close()


@contents
@renaming
async def test_rotated_while_stopped(follow: Any, log: Path, rotate: Any, lines: list[str]) -> None:
    """Of several that are alike the saved one is found, and the others are unread."""
    tail = follow(log)
    add(log, lines)
    assert await tail.read() == lines
    for turn in range(3):
        rotate(log, turn)
        add(log, lines)
    tail = tail.restart()
    assert await tail.read() == lines * 3
    tail = tail.restart()
    assert await tail.read() == []
    for turn in range(3, 5):
        rotate(log, turn)
        add(log, lines)
    assert await tail.read() == lines * 2
    tail.close()


async def test_the_one_before_is_overwritten_each_time(follow: Any, log: Path) -> None:
    """With `rotate 1` only two can be read, and what is at `.1` is no copy of what was overwritten."""
    tail = follow(log)
    add(log, SAME)
    os.utime(log, (log.stat().st_mtime - 5, log.stat().st_mtime - 5))
    assert await tail.read() == SAME
    for turn in range(2):
        kept_once(log, turn)
        add(log, SAME)
    assert await tail.read() == SAME * 2


async def test_a_longer_one_that_begins_as_one_that_was_compressed(follow: Any, log: Path) -> None:
    """A log of one line that was rotated and read; the next begins with the same line, and holds more."""
    tail = follow(log)
    add(log, SHORT)
    assert await tail.read() == SHORT
    packed_at_once(log, 0)
    add(log, [*SHORT, "more"])
    packed_at_once(log, 1)
    add(log, ["new"])
    assert await tail.read() == [*SHORT, "more", "new"]


async def test_two_hosts_whose_generations_are_alike(follow: Any, tmp_path: Path) -> None:
    """What was read of one log is no reason to skip another's."""
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    add(one, SAME)
    two.touch()
    tail = follow(tmp_path / "*.log")
    assert await tail.read() == SAME
    numbered(one, 0)
    await tail.read()
    await tail.after(70)
    await tail.after(1)
    for turn in range(2):
        add(two, SAME)
        numbered(two, turn)
    assert await tail.read() == SAME * 2


async def test_history_that_is_alike_is_read_when_it_is_asked_for(follow: Any, log: Path) -> None:
    """`access.log*` from the beginning: three files, three times the visits."""
    for at in range(2):
        add(log, SAME)
        numbered(log, at)
    add(log, SAME)
    tail = follow(f"{log}*")
    assert await tail.read() == SAME * 3
    tail = tail.restart()
    assert await tail.read() == []
    tail.close()


async def test_written_copied_and_cut_between_two_looks(follow: Any, log: Path) -> None:
    """The log lies where it lay, and is as empty as it was; but it was touched, and the copy holds visits."""
    tail = follow(log)
    await tail.read()
    for turn in range(3):
        add(log, SHORT)
        copied(log, turn)
        assert await tail.after(10) == SHORT


async def test_the_file_that_was_left_goes_before_one_that_is_like_it(follow: Any, log: Path) -> None:
    """A deleted generation was saved as well; its few lines stand at the head of each of those that are there."""
    tail = follow(log)
    tail.hold = True
    add(log, SHORT)
    await tail.read()
    log.unlink()
    log.touch()
    await tail.read()
    add(log, SHORT * 9)
    assert await tail.read() == SHORT * 9
    numbered(log, 0)
    assert await tail.read() == []
    add(log, SHORT)
    tail.settle()
    tail = tail.restart()
    assert await tail.read() == SHORT
    tail.close()


# Copies.


@contents
@pytest.mark.parametrize("name", ["access.log.bak", "access.log.1", "access.log-20251122"])
@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
async def test_a_copy_of_a_log_that_goes_on(follow: Any, log: Path, name: str, copy: Any, lines: list[str]) -> None:
    """logrotate's `copy`, or somebody before editing: the log lies where it lay, so nothing was rotated."""
    tail = follow(log)
    add(log, lines)
    assert await tail.read() == lines
    copy(log, log.with_name(name))
    add(log, ["more"])
    assert await tail.after(10) == ["more"]
    tail = tail.restart()
    assert await tail.read() == []
    copy(log, log.with_name("access.log.orig"))
    assert await tail.after(10) == []
    tail.close()


async def test_a_copy_that_is_seen_before_the_log_is_cut(follow: Any, log: Path) -> None:
    """copytruncate, caught in the middle."""
    tail = follow(log)
    add(log, SAME)
    await tail.read()
    shutil.copy(log, f"{log}.1")
    assert await tail.after(10) == []
    os.truncate(log, 0)
    add(log, ["more"])
    assert await tail.after(10) == ["more"]
    assert await tail.after(10) == []


async def test_compressed_twice(follow: Any, log: Path) -> None:
    """An old log is compressed, and then again by something better."""
    tail = follow(log)
    add(log, SAME)
    await tail.read()
    old = packed_at_once(log, 0)
    add(log, ["more"])
    assert await tail.after(10) == ["more"]
    await tail.after(70)
    better = Path(f"{log}.1.xz")
    better.write_bytes(lzma.compress(gzip.decompress(old.read_bytes())))
    assert await tail.after(10) == []
    old.unlink()
    numbered(log, 1)
    assert await tail.after(10) == []


async def test_compressed_beside_the_one_it_was_made_of(follow: Any, log: Path) -> None:
    """`gzip -k`, or just before the plain one is removed: nobody has read either, and one is enough."""
    tail = follow(log)
    await tail.read()
    numbered(log, 0)
    add(log, SAME)
    old = numbered(log, 1)
    Path(f"{old}.gz").write_bytes(gzip.compress(old.read_bytes()))
    add(log, ["more"])
    assert await tail.after(10) == [*SAME, "more"]
    old.unlink()
    assert await tail.after(10) == []


async def test_moved_to_another_disk(follow: Any, log: Path) -> None:
    """`mv` copies, keeps the time, and removes: another inode, the same log."""
    tail = follow(log)
    add(log, SAME)
    await tail.read()
    old = numbered(log, 0)
    away = log.parent / "old" / "access.log-20251122"
    away.parent.mkdir()
    shutil.copy2(old, away)
    old.unlink()
    add(log, ["more"])
    assert await tail.after(10) == ["more"]
