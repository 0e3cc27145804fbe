"""Number the dead letters of all files, oldest first: these are the numbers that `list` shows and `replay` takes."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from logship import deadletter
from logship.deadletter import LETTERS

_PART = re.compile(r"dead-letter\.replaying(?:\.(\d+))?\.jsonl")


@dataclass(frozen=True, slots=True)
class Letter:
    """One line of the dead letters. ``number`` counts the entries from 1; a torn line holds no entry, and has 0."""

    number: int
    line: bytes
    entry: Mapping[str, Any] | None


def letters(state_dir: Path) -> Iterator[Letter]:
    """Yield every dead letter there is, oldest first, numbered as a replay counts them."""
    files = (*parts(state_dir), *deadletter.older(state_dir), state_dir / LETTERS)
    return numbered(line for path in files for line in lines(path))


def parts(state_dir: Path) -> list[Path]:
    """Return the parts that interrupted replays have left, oldest first."""
    return sorted((each for each in state_dir.glob("dead-letter.replaying*") if part_number(each)), key=part_number)


def part_number(path: Path) -> int:
    """Return the number of a part; 0 for any other file."""
    match = _PART.fullmatch(path.name)
    return int(match[1] or 1) if match else 0


def numbered(found: Iterable[bytes], last: int = 0) -> Iterator[Letter]:
    """Yield the lines as letters, numbered from ``last`` on."""
    for line in found:
        entry = deadletter.decode(line)
        last += entry is not None
        yield Letter(0 if entry is None else last, line, entry)


def lines(path: Path, end: float = math.inf) -> Iterator[bytes]:
    """Yield the lines of a file up to an offset, without blank ones; none if there is no such file."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        yield from lines_of(file, end)


def lines_of(file: IO[bytes], end: float) -> Iterator[bytes]:
    """Yield the lines of an open file up to an offset, without blank ones."""
    while file.tell() < end and (line := file.readline()):
        if line.strip():
            yield line
