"""Rotation in all its forms, while running and while stopped: nothing lost, nothing doubled."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def numbered(*numbers: int) -> list[str]:
    return [f"line {number} {'x' * 50}" for number in numbers]


def n(start: int, end: int) -> list[str]:
    return numbered(*range(start, end))


def cycle(log: Path, depth: int = 9) -> None:
    """Move a log to .1, .1 to .2 and so on, and make a new one."""
    for at in range(depth, 0, -1):
        old = log.with_name(f"{log.name}.{at}")
        if old.exists():
            old.rename(log.with_name(f"{log.name}.{at + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))
    log.touch()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.touch()
    return path


async def test_rename_and_create(follow: Any, log: Path) -> None:
    """Lines before and after a rotation arrive once, in order."""
    tail = follow(log)
    add(log, *n(0, 100))
    assert await tail.read() == n(0, 100)
    cycle(log)
    add(log, *n(100, 200))
    assert await tail.read() == n(100, 200)
    assert tail.event("rotated") == 1


async def test_unread_rest_of_the_old_file_comes_before_the_new_one(follow: Any, log: Path) -> None:
    """What was written between the last look and the rotation is not lost, and comes first."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    cycle(log)
    add(log, *n(20, 30))
    assert await tail.read() == n(10, 30)


async def test_writer_that_keeps_the_old_file(follow: Any, log: Path) -> None:
    """A server that has not reopened yet writes on into the renamed file, for up to a minute."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    with log.open("a") as writer:
        cycle(log)
        await tail.read()
        for second in range(30):
            tail.now += 1
            writer.write("\n".join(n(10 + second, 11 + second)) + "\n")
            writer.flush()
            assert await tail.read() == n(10 + second, 11 + second)
    add(log, *n(40, 50))
    assert await tail.read() == n(40, 50)
    await tail.after(61)
    assert tail.states() == {"access.log": "following"}


async def test_nobody_makes_a_new_file_for_a_while(follow: Any, log: Path) -> None:
    """Without a successor the renamed file is still the log, however long the server keeps it."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    old = log.with_name("access.log.1")
    log.rename(old)
    await tail.read()
    await tail.after(300)
    add(old, *n(10, 20))
    assert await tail.after(1) == n(10, 20)
    add(log, *n(20, 30))
    assert await tail.read() == n(20, 30)


async def test_five_rotations_with_a_look_at_each(follow: Any, log: Path) -> None:
    """A chain .1, .2, .3 moves every old file at each rotation."""
    tail = follow(log)
    for turn in range(5):
        add(log, *n(turn * 10, turn * 10 + 10))
        await tail.read()
        cycle(log)
    await tail.read()
    assert tail.lines() == n(0, 50)


async def test_several_rotations_between_two_looks(follow: Any, log: Path) -> None:
    """Files that came and went unseen are found among the siblings, and read oldest first."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    for turn in range(1, 5):
        add(log, *n(turn * 10, turn * 10 + 5))
        cycle(log)
        add(log, *n(turn * 10 + 5, turn * 10 + 10))
    assert await tail.read() == n(10, 50)


@pytest.mark.parametrize(
    "name", ["access.log-20251010", "access-20251010.log", "access.log.20251010-1", "access.1.log"]
)
async def test_dated_names(follow: Any, log: Path, name: str) -> None:
    """dateext, and logrotate's `extension`: an unseen generation is found under any usual name."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    cycle(log)
    add(log, *n(10, 20))
    log.rename(log.with_name(name))
    add(log, *n(20, 30))
    assert await tail.read() == n(10, 30)


async def test_ancient_siblings_are_not_read(follow: Any, log: Path) -> None:
    """What was rotated before we came is history, also at the next rotation."""
    for at in (1, 2, 3):
        add(log.with_name(f"access.log.{at}"), f"ancient {at}")
        os.utime(log.with_name(f"access.log.{at}"), (1_700_000_000 - at, 1_700_000_000 - at))
    add(log, *n(0, 10))
    tail = follow(log)
    assert await tail.read() == n(0, 10)
    cycle(log)
    add(log, *n(10, 20))
    assert await tail.read() == n(10, 20)
    tail = tail.restart()
    cycle(log)
    add(log, *n(20, 30))
    assert await tail.read() == n(20, 30)
    tail.close()


async def test_moved_into_another_directory(follow: Any, log: Path) -> None:
    """olddir: the open file is followed to wherever it was moved, and so is an unseen one."""
    old = log.parent / "old"
    old.mkdir()
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    log.rename(old / "access.log-20251010")
    add(log, *n(20, 30))
    log.rename(old / "access.log-20251011")
    add(log, *n(30, 40))
    assert await tail.read() == n(10, 40)


async def test_deleted_and_made_again(follow: Any, log: Path) -> None:
    """The tail of a deleted file is drained from the open descriptor."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    log.unlink()
    add(log, *n(20, 30))
    assert await tail.read() == n(10, 30)
    assert tail.event("replaced") == 1


async def test_deleted_file_is_held_until_settled(follow: Any, log: Path) -> None:
    """While the API is down a deleted file stays open, and its size is shown; then it is let go."""
    tail = follow(log)
    tail.hold = True
    add(log, *n(0, 10))
    await tail.read()
    log.unlink()
    log.touch()
    await tail.read()
    await tail.after(3600)
    assert tail.count("deleted_bytes_held") == len("\n".join(n(0, 10))) + 1
    assert [each["state"] for each in tail.tailer.status()] == ["deleted", "following"]
    tail.settle()
    await tail.after(1)
    assert tail.states() == {"access.log": "following"}
    assert tail.count("deleted_bytes_held") == 0


async def test_symlink_swapped(follow: Any, tmp_path: Path) -> None:
    """Identity is the target's: both targets are read, the old one until its writer has gone."""
    first, second, link = tmp_path / "one.txt", tmp_path / "two.txt", tmp_path / "access.log"
    add(first, *n(0, 10))
    link.symlink_to(first)
    tail = follow(link)
    assert await tail.read() == n(0, 10)
    add(second, *n(20, 30))
    (tmp_path / "new").symlink_to(second)
    (tmp_path / "new").rename(link)
    add(first, *n(10, 20))
    assert await tail.read() == n(10, 30)


async def test_symlink_removed(follow: Any, tmp_path: Path) -> None:
    """A target that still grows is drained, and followed no further than patience goes."""
    target, link = tmp_path / "one.txt", tmp_path / "access.log"
    add(target, *n(0, 10))
    link.symlink_to(target)
    tail = follow(link)
    await tail.read()
    link.unlink()
    add(target, *n(10, 20))
    assert await tail.read() == n(10, 20)
    await tail.after(1)
    await tail.after(601)
    await tail.after(1)
    assert tail.states() == {}


async def test_atomic_replace_with_other_content(follow: Any, log: Path) -> None:
    """Another file moved into the place is read from its beginning, however long it is."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log.with_name("new"), *n(100, 150))
    log.with_name("new").rename(log)
    assert await tail.read() == n(100, 150)


async def test_atomic_replace_by_itself(follow: Any, log: Path) -> None:
    """A copy moved into the place (an editor, overlayfs) is the same log: nothing is read again."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    shutil.copy(log, log.with_name("new"))
    log.with_name("new").rename(log)
    add(log, *n(10, 12))
    assert await tail.read() == n(10, 12)


@pytest.mark.parametrize("count", [1, 100])
async def test_new_log_that_begins_as_the_renamed_one(follow: Any, log: Path, count: int) -> None:
    """The same visits again after a rotation are visits: the renamed file is there to show that this is no copy."""
    tail = follow(log)
    for _ in range(3):
        add(log, *numbered(1) * count)
        assert await tail.read() == numbered(1) * count
        cycle(log)


@pytest.mark.parametrize("count", [1, 3])
async def test_rotated_while_stopped_by_one_that_begins_alike(follow: Any, log: Path, count: int) -> None:
    """The saved file lies beside it under its new name, so what is at the path was never read."""
    first = follow(log)
    add(log, *numbered(1) * count)
    assert await first.read() == numbered(1) * count
    cycle(log)
    add(log, *numbered(1) * count)
    second = first.restart()
    assert await second.read() == numbered(1) * count
    assert await second.read() == []


async def test_inode_reused(follow: Any, log: Path) -> None:
    """A new file with a dead one's inode starts at its beginning."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    inode = log.stat().st_ino
    tail.tailer.close()
    saved = tail.tailer.positions()
    for turn in range(200):
        log.unlink()
        add(log, *n(100, 120))
        if log.stat().st_ino == inode:
            break
        (log.parent / f"filler{turn}").touch()
    again = follow(log, positions=saved, seen={"s0"})
    assert await again.read() == n(100, 120)


async def test_a_glob_that_matches_rotated_names(follow: Any, log: Path) -> None:
    """`access.log*` means a log and its old generations, which are not read again when they are renamed."""
    tail = follow(f"{log}*")
    add(log, *n(0, 10))
    await tail.read()
    for turn in range(1, 4):
        cycle(log)
        add(log, *n(turn * 10, turn * 10 + 10))
        await tail.read()
        await tail.after(61)
        await tail.after(61)
    assert tail.lines() == n(0, 40)
    tail = tail.restart()
    cycle(log)
    assert await tail.read() == []
    tail.close()


async def test_backlog_of_rotated_siblings_is_read_oldest_first(follow: Any, log: Path) -> None:
    """With `start_at: beginning` and a glob, history is read in the order it was written."""
    add(log.with_name("access.log.2"), *n(0, 10))
    add(log.with_name("access.log.1"), *n(10, 20))
    add(log, *n(20, 30))
    for age, name in enumerate(["access.log", "access.log.1", "access.log.2"]):
        os.utime(log.with_name(name), (1_700_000_000 - age, 1_700_000_000 - age))
    tail = follow(f"{log}*")
    assert await tail.read() == n(0, 30)


async def test_rotated_while_stopped(follow: Any, log: Path) -> None:
    """The file that was left is found under its new name and read to its end, before the new one."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    cycle(log)
    add(log, *n(20, 30))
    tail = tail.restart()
    assert await tail.read() == n(10, 30)
    tail = tail.restart()
    assert await tail.read() == []
    tail.close()


async def test_rotated_while_stopped_without_successor(follow: Any, log: Path) -> None:
    """Nobody has made a new file yet: the old one is read all the same."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    log.rename(log.with_name("access.log.1"))
    tail = tail.restart()
    assert await tail.read() == n(10, 20)
    tail.close()


async def test_several_rotations_while_stopped(follow: Any, log: Path) -> None:
    """Generations that came and went while nobody looked are read in order."""
    tail = follow(log)
    add(log.with_name("access.log.1"), "ancient")
    os.utime(log.with_name("access.log.1"), (1_700_000_000, 1_700_000_000))
    add(log, *n(0, 10))
    await tail.read()
    for turn in range(1, 4):
        add(log, *n(turn * 10, turn * 10 + 5))
        cycle(log)
        add(log, *n(turn * 10 + 5, turn * 10 + 10))
    tail = tail.restart()
    assert await tail.read() == n(10, 40)
    tail = tail.restart()
    assert await tail.read() == []
    tail.close()


def zstandard(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard}
NAMES = ("access.log.1", "access.log-20251010", "access-20251010.log", "old/access.log.1")

packers = pytest.mark.parametrize(
    "suffix",
    [
        pytest.param(each, marks=pytest.mark.skipif(each == ".zst" and not shutil.which("zstd"), reason="no zstd"))
        for each in PACKERS
    ],
)


@packers
@pytest.mark.parametrize("name", NAMES)
async def test_rotated_and_compressed_while_stopped(follow: Any, log: Path, suffix: str, name: str) -> None:
    """E6, C12: the rest is read from the decompressed content, once, under whatever name rotation gave it."""
    tail = follow(log)
    add(log, *n(0, 3000))
    await tail.read()
    add(log, *n(3000, 6000))
    pack(log, name, suffix)
    add(log, *n(6000, 6010))
    tail = tail.restart()
    assert await tail.read() == n(3000, 6010)
    tail = tail.restart()
    assert await tail.read() == []
    tail.close()


@packers
async def test_killed_in_the_middle_of_a_compressed_rest(follow: Any, log: Path, suffix: str) -> None:
    """C10: a position in a compressed file is one in its content; what was settled is not far behind."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 9000))
    pack(log, "access.log.1", suffix)
    log.touch()
    tail = tail.restart()
    tail.hold = True
    await tail.tailer.look()
    tail.account(tail.tailer.take())
    tail.settle()
    read = tail.lines()
    tail.account(tail.tailer.take())
    assert len(tail.lines()) > len(read) > 100
    tail = tail.restart()
    assert read + await tail.read() == n(10, 9000)
    tail.close()


@packers
async def test_a_compressed_rest_that_breaks_off_is_given_up_at_last(follow: Any, log: Path, suffix: str) -> None:
    """What can be read of it is; then it is tried again for minutes, told and counted, and holds up nothing."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *(f"{line} {os.urandom(64).hex()}" for line in n(10, 9000)))
    packed = pack(log, "access.log.1", suffix)
    os.truncate(packed, packed.stat().st_size * 3 // 4)
    add(log, *n(9000, 9010))
    tail = tail.restart()
    got = await tail.read()
    assert got[-10:] == n(9000, 9010)
    assert len(got) > 1000
    again = [line for _ in range(25) for line in await tail.after(30)]
    assert again == []
    assert tail.event("damaged") == 1
    assert tail.states() == {"access.log": "following"}


async def test_a_file_that_is_still_being_compressed_is_waited_for(follow: Any, log: Path) -> None:
    """Its end comes a minute later: nothing is lost, nothing doubled."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    add(log, *(f"{line} {os.urandom(64).hex()}" for line in n(10, 9000)))
    whole = log.read_bytes().decode().splitlines()
    packed = pack(log, "access.log.1", ".gz")
    data = packed.read_bytes()
    packed.write_bytes(data[: len(data) // 2])
    log.touch()
    tail = tail.restart()
    got = await tail.read()
    for _ in range(10):
        got += await tail.after(6)
    packed.write_bytes(data)
    for _ in range(10):
        got += await tail.after(6)
    assert got == whole[10:]


async def test_without_its_library_zstd_is_skipped_and_counted(
    follow: Any, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C12: what cannot be decompressed is never parsed as text."""
    monkeypatch.setitem(sys.modules, "backports.zstd" if sys.version_info < (3, 14) else "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports" if sys.version_info < (3, 14) else "compression", None)
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    log.with_name("access.log.1.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 100)
    cycle(log)
    add(log, *n(10, 20))
    assert await tail.read() == n(10, 20)
    assert tail.event("skipped") == 1


def pack(log: Path, name: str, suffix: str) -> Path:
    """Rotate and compress a log; its time stays that of the last write."""
    packed = log.parent / f"{name}{suffix}"
    packed.parent.mkdir(exist_ok=True)
    packed.write_bytes(PACKERS[suffix](log.read_bytes()))
    shutil.copystat(log, packed)
    log.unlink()
    return packed


async def test_compression_of_what_was_read(follow: Any, log: Path) -> None:
    """A known file that is compressed is no news."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    cycle(log)
    add(log, *n(10, 20))
    await tail.read()
    old = log.with_name("access.log.1")
    log.with_name("access.log.2.gz").write_bytes(gzip.compress(old.read_bytes()))
    old.unlink()
    cycle(log)
    add(log, *n(20, 30))
    assert await tail.read() == n(20, 30)


async def test_thousands_of_rotations_leave_nothing_behind(follow: Any, log: Path) -> None:
    """Descriptors, positions and tables stay small."""
    tail = follow(log)
    await tail.read()
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(1000):
        add(log, *n(turn, turn + 1))
        log.rename(log.with_name("access.log.1"))
        tail.now += 20
        assert await tail.read(looks=1) == n(turn, turn + 1)
    await tail.after(601)
    await tail.after(3601)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert len(tail.tailer.positions()) <= 3
    assert len(tail.tailer._open.by_id) <= 2
    assert len(tail.ledger.files()) <= 2


async def test_deleted_while_stopped(follow: Any, log: Path) -> None:
    """What vanished meanwhile is told once; the new file is read from its beginning."""
    tail = follow(log)
    add(log, *n(0, 10))
    await tail.read()
    log.unlink()
    add(log, *n(20, 30))
    tail = tail.restart()
    assert await tail.read() == n(20, 30)
    await tail.after(61)
    await tail.after(11)
    assert tail.event("vanished") == 1
    assert len(tail.tailer.positions()) == 1
    tail.close()


async def test_two_logs_that_begin_alike(follow: Any, tmp_path: Path) -> None:
    """Two virtual hosts with the same first KiB are two logs, each with its own offset."""
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    same = ["GET /health " + "x" * 90] * 20
    add(one, *same, *n(0, 10))
    add(two, *same, *n(20, 30))
    tail = follow(tmp_path / "*.log")
    assert sorted(await tail.read()) == sorted(same + same + n(0, 10) + n(20, 30))
    tail = tail.restart()
    add(two, "more")
    assert await tail.read() == ["more"]
    tail.close()


async def test_an_empty_old_file_is_not_taken_for_a_copy_with_its_inode(
    follow: Any, log: Path, monkeypatch: Any
) -> None:
    """It could not be looked at, was removed, and its inode went to the copy of another: what that holds was read."""
    tail = follow(log)
    await tail.read()
    cycle(log)
    await tail.read()
    add(log, *n(0, 5))
    assert await tail.read() == n(0, 5)
    empty = tail.tailer._trails[str(log)].files[0]
    tail.tailer._open.shut(empty)
    log.with_name("access.log.1").write_bytes(log.read_bytes())  # the same inode, the content of a copy
    os.truncate(log, 0)
    add(log, *n(5, 9))
    assert await tail.read() == n(5, 9)


async def test_rotated_while_the_new_log_cannot_be_opened_then_restarted(
    follow: Any, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that could not open what lies at the path knows nothing of the siblings."""
    tail = follow(log)
    add(log, *n(0, 5))
    await tail.read()
    cycle(log)
    add(log, *n(5, 10))
    cycle(log)
    real = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda path, *more: denied(path) if str(path) == str(log) else real(path, *more))
        tail.now += 1
        await tail.tailer.look()
    tail.now += 5
    add(log, *n(10, 15))
    tail = tail.restart()
    assert await tail.read() == n(5, 15)
    tail.close()


def denied(path: Any) -> int:
    raise PermissionError(13, "Permission denied", str(path))


async def test_a_log_that_could_not_be_opened_before_two_restarts(
    follow: Any, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an empty log only the time is known; it outlives a run in which nothing could be opened."""
    tail = follow(log)
    await tail.read()
    add(log, *n(0, 5))
    log.rename(log.with_name("access.log-20251010"))
    add(log, *n(5, 10))
    tail = tail.restart()
    real = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda path, *more: denied(path) if log.name in str(path) else real(path, *more))
        await tail.tailer.look()
    tail = tail.restart()
    assert sorted(await tail.read()) == n(0, 10)
    tail.close()


async def test_a_closed_file_does_not_hide_another_with_its_inode(follow: Any, log: Path) -> None:
    """C24: it could not be read, was removed, and its inode went to a generation that came and went unseen."""
    tail = follow(log)
    add(log, *n(0, 3))
    await tail.read()
    cycle(log)
    await tail.read()
    old = tail.tailer._trails[str(log)].files[0]
    tail.tailer._open.shut(old)
    unseen = log.with_name("access.log.1")
    unseen.write_text("".join(f"{line}\n" for line in n(3, 6)))  # the same inode, another content
    add(log, *n(6, 9))
    tail.tailer._trails[str(log)].searching = True
    await tail.tailer._find()
    pack(unseen, "access.log.1", ".gz")
    got = [line for _ in range(4) for line in await tail.after(10)]
    assert sorted(got) == n(3, 9)


@pytest.mark.parametrize("call", ["stat", "open", "scandir", "pread", "fstat"])
async def test_rotated_in_the_middle_of_a_look(
    follow: Any, log: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """C28: between any two system calls of a look the log is renamed, and another one is there."""
    for at in range(12):
        directory = log.parent / f"{call}-{at}"
        directory.mkdir()
        here = directory / "access.log"
        add(here, *n(0, 5))
        tail = follow(here)
        await tail.read()
        add(here, *n(5, 10))
        with monkeypatch.context() as patch:
            patch.setattr(os, call, before_call(at, getattr(os, call), here))
            got = await tail.read(looks=1)
        if here.with_name("access.log.1").exists():
            add(here.with_name("access.log.1"), *n(10, 12))
        add(here, *n(12, 15))
        got += [line for _ in range(3) for line in await tail.after(10)]
        expected = n(5, 15) if here.with_name("access.log.1").exists() else n(5, 10) + n(12, 15)
        assert sorted(got) == sorted(expected)
        tail.close()


def before_call(number: int, call: Any, log: Path) -> Any:
    """Rotate just before the n-th call."""
    left = [number]

    def called(*what: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            log.rename(log.with_name("access.log.1"))
            log.touch()
        return call(*what, **more)

    return called


async def test_compressed_while_lines_are_in_flight(follow: Any, log: Path) -> None:
    """C10: what was settled before it went on in the compressed file stays settled, though what follows is not."""
    tail = follow(log)
    tail.hold = True
    add(log, *n(0, 10))
    await tail.read()
    add(log, *n(10, 20))
    pack(log, "access.log.1", ".gz")
    log.touch()
    tail.tailer._open.shut(tail.tailer._trails[str(log)].live)  # so that it goes on in the compressed file
    assert await tail.read() == n(10, 20)
    tail.settle(10)
    tail = tail.restart()
    assert await tail.read() == n(10, 20)
    tail.close()
