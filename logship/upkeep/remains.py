"""What a daemon has left in its state directory, looked at from outside: is it there at all, and where would it resume?

Changes nothing and takes no lock: to try the daemon's lock could keep one from starting at that very moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logship.deadletter import LETTERS, Letters
from logship.errors import StateError
from logship.progress.checkpoint import LOCK, NEWEST, Checkpoint
from logship.upkeep import offsets

_COUNTED = 16 << 20  # bytes of dead letters that are read to count them


def look(state_dir: Path, locks: Path = Path("/proc/locks")) -> dict[str, Any]:
    """Return JSON-able values; times are epoch seconds. StateError when it cannot be looked at.

    ``pid`` is that of the daemon that holds the directory, None when none does.
    """
    try:
        holder = _holder(state_dir / LOCK, locks)
        saved = _modified(state_dir / NEWEST)
        places = [offsets.look(each) for each in Checkpoint.open(state_dir, read_only=True).positions]
        letters = _letters(state_dir / LETTERS)
    except PermissionError as error:
        raise StateError(
            f"{error.filename} cannot be read; ask as root, or as the user that logship runs as"
        ) from error
    return {
        "state_dir": str(state_dir),
        "pid": holder,
        "checkpoint_at": saved,
        "files": [place.as_json() | {"state": place.state} for place in places if not place.position.finished],
        "dead_letters": letters,
    }


def _holder(lock: Path, locks: Path) -> int | None:
    """Return who holds a lock, as the kernel knows it: a pid that only stands in the file may be long gone."""
    try:
        with lock.open("rb") as file:
            pid, inode = file.read(20).strip(), str(os.fstat(file.fileno()).st_ino).encode()
        held = locks.read_bytes()
    except FileNotFoundError:
        return None
    return int(pid) if (pid, inode) in _flocks(held) and pid.isdigit() else None


def _flocks(held: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield pid and inode of each lock, of lines such as ``1: FLOCK ADVISORY WRITE 42 fe:00:7 0 EOF``, see proc(5)."""
    for fields in (line.split() for line in held.splitlines()):
        if len(fields) > 5 and fields[1] == b"FLOCK":
            yield fields[4], fields[5].rpartition(b":")[2]


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _letters(path: Path) -> dict[str, Any]:
    letters = Letters(path)
    counted = sum(1 for _ in letters) if letters.size <= _COUNTED else None
    return {"bytes": letters.size, "events": counted}
