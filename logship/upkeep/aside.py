"""Move dead letters aside while they are sent again, and put back what stays. No crash on the way loses an entry.

A part is a file of dead letters that was renamed; the daemon begins a new file. What stays is appended to that new one
and synced before the part is emptied, so at any instant each entry is in at least one of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from logship import deadletter
from logship.deadletter import LETTERS
from logship.errors import LogshipError, StateError
from logship.upkeep.letters import lines_of, part_number, parts

LOCK = "replay.lock"

_BATCH = 4 << 20  # bytes that are put back at a time
_UNUSED_WITHIN = 2.0  # seconds that a daemon is given to close a file that was moved
_LOOK_EVERY = 0.01  # seconds between two looks at whether it has


@contextlib.contextmanager
def alone(state_dir: Path) -> Iterator[None]:
    """Let only one replay run at a time."""
    try:
        descriptor = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(f"state directory {state_dir} cannot be used: {error.strerror}") from error
    try:
        _take(descriptor, state_dir)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, state_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LogshipError(f"another replay is under way in {state_dir}; wait until it has ended") from error


def move_aside(state_dir: Path, step: Callable[[str], None]) -> list[Path]:
    """Move the dead letters aside; return all parts, those that an earlier replay left first.

    Nothing is synced: either name will do after a power cut.
    """
    found = parts(state_dir)
    for path in (*deadletter.older(state_dir), state_dir / LETTERS):
        number = max(map(part_number, found), default=0) + 1
        new = state_dir / (f"dead-letter.replaying.{number}.jsonl" if number > 1 else "dead-letter.replaying.jsonl")
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, new)
            found.append(new)
            step("moved")
    return found


def size(part: Path) -> int:
    """Return the size of a part while nobody is writing to it."""
    with part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return os.fstat(file.fileno()).st_size


def put_back(
    part: Path, end: int, kept: Callable[[Iterator[bytes]], Iterator[bytes]], step: Callable[[str], None]
) -> None:
    """Append what ``kept`` leaves of a part's lines up to ``end`` to the dead letters, then remove the part."""
    to = part.with_name(LETTERS)
    with part.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for batch in _batches(kept(lines_of(file, end))):
            _append(to, batch)
            step("kept")
        if late := file.read():  # from a daemon that had opened the part before it was moved
            _append(to, late)
            step("kept late ones")
        file.truncate(0)
        os.fsync(file.fileno())
        step("emptied")
    _remove_unused(part)
    step("removed")


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    batch, size = [], 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= _BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _append(path: Path, data: bytes) -> None:
    _make(path)
    deadletter.append_lines(path, data)  # as they are, torn ones too


def _make(path: Path) -> None:
    """Make the file for the owner of the directory, if root is about to: the daemon must be able to append to it."""
    if os.geteuid() or path.exists():
        return
    new, owner = path.with_name("dead-letter.new"), path.parent.stat()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchown(descriptor, owner.st_uid, owner.st_gid)
    os.close(descriptor)
    with contextlib.suppress(FileExistsError):  # the daemon was quicker
        os.link(new, path)
    os.unlink(new)


def _remove_unused(part: Path) -> None:
    """Remove an empty part. If a process still has it open for writing, leave it to the next replay.

    A daemon that opened the file before it was moved, and was suspended before it could lock it, would otherwise write
    to a file without a name. The kernel grants a read lease only if nobody has the file open for writing, and nobody
    opens it under its new name.
    """
    with part.open("rb") as file:
        patience = time.monotonic() + _UNUSED_WITHIN
        while _is_written_to(file) and time.monotonic() < patience:
            time.sleep(_LOOK_EVERY)
        if not _is_written_to(file) and not os.fstat(file.fileno()).st_size:
            os.unlink(part)


def _is_written_to(file: IO[bytes]) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN  # else: a file system without leases
    return False
