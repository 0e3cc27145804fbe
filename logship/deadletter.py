"""What was refused, one JSON object a line, appended and fsynced before it counts as settled. Never rewritten here.

The file is opened for each append: an operator may move it away at any time, and refusals are rare. A crash or a full
disk can leave half a line; the next append ends it first, so that it spoils no other, and reading skips and counts it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

import orjson


class DeadLetters:
    """Appends to a dead letter file. Blocks until it is durable; threads and processes may append at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes in the file; 0 when there is none."""
        return _size(self.path)

    def append(self, entry: Mapping[str, object]) -> None:
        """Add one entry and make it durable. On OSError it is not in the file; try again."""
        self.append_many((entry,))

    def append_many(self, entries: Iterable[Mapping[str, object]]) -> None:
        """Add entries and make them durable together: all of them, or on OSError none."""
        data = b"".join(_encode(entry) for entry in entries)
        if data:
            _append(self.path, data)


class Letters:
    """The entries of a dead letter file, read while iterating. ``torn`` counts the lines that were skipped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = _size(path)
        self.torn = 0

    def __iter__(self) -> Iterator[dict[str, object]]:
        self.torn = 0
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            for line in file:
                entry = _decode(line)
                if entry is not None:
                    yield entry
                elif line.strip():
                    self.torn += 1


def read(path: Path) -> Letters:
    """Return the entries of a dead letter file, oldest first; a file that is not there has none."""
    return Letters(path)


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        flock(descriptor, LOCK_EX)  # what follows the old end is ours alone, to be taken back if it fails
        before = os.fstat(descriptor).st_size
        try:
            _write_durably(descriptor, data if _ends_a_line(descriptor, before) else b"\n" + data)
            _sync_directory(path.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def _ends_a_line(descriptor: int, size: int) -> bool:
    return not size or os.pread(descriptor, 1, size - 1) == b"\n"


def _write_durably(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has nothing to sync here
            raise
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _encode(entry: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(dict(entry), default=_plain) + b"\n"
    except TypeError:  # a byte that is not UTF-8 (a lone surrogate), or a number beyond 64 bits: orjson has no words
        return json.dumps(dict(entry), separators=(",", ":"), default=_plain).encode() + b"\n"


def _decode(line: bytes) -> dict[str, object] | None:
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _plain(value: object) -> object:
    """Say in JSON's words what is not: an entry must never be lost for an odd value in it."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
