"""Dead letters: refused events, one JSON object per line, appended and fsynced before they count as settled.

The file is opened for each append: an operator may move it away at any time, and refusals are rare. A crash or a full
disk can leave half a line; the next append ends it first, so that it spoils no other, and reading skips and counts it.
A file that has grown large is renamed, and a new one is begun. None is ever rewritten or removed: people decide that.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import orjson
import structlog

from logship import durable

LETTERS = "dead-letter.jsonl"

ROTATE_AT = 64 << 20
"""Bytes (64 MiB, some hundred thousand letters) at which a file is renamed: what an editor still opens."""

_OLDER = re.compile(r"dead-letter\.(\d+)\.jsonl")

log = structlog.get_logger(__name__)


class DeadLetters:
    """Appends to a dead letter file. Blocks until it is durable; threads and processes may append at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes in the file and in those that were renamed; 0 if there are none, or the disk does not say."""
        try:
            return sum(map(_size, [*older(self.path.parent), self.path]))
        except OSError:  # a figure of many: the others are still wanted
            return 0

    def append(self, entry: Mapping[str, object]) -> None:
        """Add one entry and make it durable. On OSError it is not in the file; try again."""
        self.append_many((entry,))

    def append_many(self, entries: Iterable[Mapping[str, object]]) -> None:
        """Add entries and make them durable together: all of them, or on OSError none."""
        append_lines(self.path, b"".join(_encode(entry) for entry in entries))


def append_lines(path: Path, lines: bytes) -> None:
    """Append whole lines to a dead letter file as they are, and make them durable: all of them, or on OSError none."""
    if not lines:
        return
    descriptor = _open(path)
    try:
        flock(descriptor, LOCK_EX)  # what follows the old end is ours alone, and can be taken back if we fail
        if _rotate(path, descriptor):
            os.close(descriptor)
            descriptor = _open(path)
            flock(descriptor, LOCK_EX)
        _append(path, descriptor, lines)
    finally:
        os.close(descriptor)


def older(state_dir: Path) -> list[Path]:
    """Return the files that were renamed because they had grown large, oldest first."""
    try:
        found = [each for each in os.listdir(state_dir) if _OLDER.fullmatch(each)]
    except FileNotFoundError:
        return []
    return [state_dir / each for each in sorted(found, key=_number)]


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
                entry = decode(line)
                if entry is not None:
                    yield entry
                elif line.strip():
                    self.torn += 1


def read(path: Path) -> Letters:
    """Return the entries of a dead letter file, oldest first; a file that is not there has none."""
    return Letters(path)


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the entry that a line holds; None for a blank or torn one."""
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _rotate(path: Path, descriptor: int) -> bool:
    """Rename the file if it is large, and still the one whose lock we hold. Failing to is no error."""
    there = os.fstat(descriptor)
    if there.st_size < ROTATE_AT:
        return False
    with suppress(OSError):
        if os.path.samestat(there, os.stat(path)):
            last = max(map(_number, (each.name for each in older(path.parent))), default=0)
            new = path.with_name(f"dead-letter.{last + 1}.jsonl")
            os.rename(path, new)
            log.warning("dead_letter.rotated", path=str(new), bytes=there.st_size, help="replay it or remove it")
            return True
    return False


def _number(name: str) -> int:
    match = _OLDER.fullmatch(name)
    return int(match[1]) if match else 0


def _append(path: Path, descriptor: int, lines: bytes) -> None:
    before = os.fstat(descriptor).st_size
    try:
        durable.write(descriptor, lines if _ends_a_line(descriptor, before) else b"\n" + lines)
        durable.sync_directory(path.parent)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _ends_a_line(descriptor: int, size: int) -> bool:
    return not size or os.pread(descriptor, 1, size - 1) == b"\n"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _encode(entry: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(dict(entry), default=_plain) + b"\n"
    except TypeError:  # a byte that is not UTF-8 (a lone surrogate), or a number beyond 64 bits: orjson cannot
        return json.dumps(dict(entry), separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: object) -> object:
    """Turn any other value into a JSON one: no entry must be lost because of an odd value in it."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
