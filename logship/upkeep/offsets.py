"""Where reading resumes, looked at and changed by a person: the positions of a checkpoint, held against the files.

A position is believed at the next start only if it proves itself, so one that is set is made of the file as it is now.
Positions of other generations of the same log stay: what was not read of a rotated file is still read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from logship.errors import LogshipError, StateError
from logship.progress.checkpoint import Checkpoint, Position
from logship.progress.fingerprint import BEFORE, HEAD, Anchor, Fingerprint
from logship.records import readable
from logship.source import content, file, paths
from logship.source.content import Content
from logship.source.lines import BLOCK, LIMIT, Cut
from logship.source.paths import Followed

BEGINNING, END = "beginning", "end"

SAME, CUT, OTHER, MISSING, UNREADABLE = "same", "cut", "other", "missing", "unreadable"
"""What lies at a position's path: the file it was made of; that file, cut off before the offset; another file, so that
this one is searched for among the rotated siblings; nothing; something that cannot be read."""

_NAMED = 10  # known paths that an error lists


@dataclass(frozen=True, slots=True)
class Place:
    """A position, and what is at its path now. ``size`` is None if only unpacking could tell."""

    position: Position
    state: str
    size: int | None = None
    error: str = ""

    @property
    def behind(self) -> int | None:
        """Bytes after the offset; None when the file is not there, another one, or compressed."""
        if self.size is None or self.state not in (SAME, CUT):
            return None
        return max(0, self.size - self.position.offset)

    def as_json(self) -> dict[str, Any]:
        """Return which file it is of, and how far that is settled, as JSON-able values; sizes in bytes."""
        return {
            "source": self.position.source,
            "path": readable(self.position.path),
            "offset": self.position.offset,
            "size": self.size,
            "behind": self.behind,
        }


# Looking


def look(position: Position) -> Place:
    """Hold a position against the file at its path."""
    try:
        with contextlib.closing(content.open_any(position.path)) as body:
            return Place(position, _state(body, position), None if body.packed else body.stat().st_size)
    except (FileNotFoundError, NotADirectoryError):
        return Place(position, MISSING)
    except (OSError, LogshipError) as error:
        return Place(position, UNREADABLE, error=getattr(error, "strerror", None) or str(error))


def _state(body: Content, position: Position) -> str:
    """Decide as the tailer does at a start."""
    seen = body.stat()
    same = (seen.st_dev, seen.st_ino) == (position.device, position.inode)
    if file.proves(body, (position.offset, position.fingerprint, position.anchor)) or (same and not position.offset):
        return SAME
    if same and not body.packed and file.is_cut(body, seen.st_size, position.offset, position.fingerprint):
        return CUT
    return OTHER


# Holding the checkpoint


@contextlib.contextmanager
def held(state_dir: Path, sources: Iterable[str]) -> Iterator[Checkpoint]:
    """Hold the checkpoint, to change it. ``sources``: the names of all that are configured.

    Raises:
        StateError: a daemon holds it, or it cannot be used.
    """
    if not state_dir.is_dir():
        raise StateError(f"state directory {state_dir} is not there: nothing was read with this configuration yet")
    with contextlib.closing(Checkpoint.open(state_dir)) as checkpoint:
        if checkpoint.recovered == "empty":
            # To open it has set the damaged generations aside, so the next start would take the files for new ones,
            # begin at their ends and lose lines. Sources that are known are read from the beginning instead.
            save(checkpoint, (), sources)
        yield checkpoint


def save(checkpoint: Checkpoint, positions: Iterable[Position], sources: Iterable[str] = ()) -> None:
    """Write positions; every source that was seen stays known. StateError when the disk refuses."""
    try:
        checkpoint.save(positions, checkpoint.sources | set(sources))
    except OSError as error:
        raise StateError(f"the checkpoint cannot be written, it is as it was: {error}") from error


# Setting


@dataclass(frozen=True, slots=True)
class Moved:
    """What `move` made of the positions. ``before``: the offset that was; ``older``: generations that keep theirs."""

    positions: tuple[Position, ...]
    position: Position
    size: int
    before: int | None
    older: int


def move(
    positions: Sequence[Position], sources: Sequence[Followed], path: str, where: int | str, *, now: float
) -> Moved:
    """Let reading of the file at ``path`` resume at ``where``: a byte offset, `BEGINNING` or `END`.

    Raises:
        LogshipError: the path is not known or cannot be read, or the offset is not the start of a line.
    """
    path, owner = _known(path, positions, sources)
    cut = next((each.cut for each in sources if each.name == owner), None)
    try:
        with contextlib.closing(content.open_any(path)) as body:
            size = _size(body)
            offset = _offset(body, size, where, cut, path)
            made = _position(body, owner, path, offset, now)
            replaced = [each for each in positions if _is_of(body, each, made)]
    except OSError as error:
        raise LogshipError(f"{path} cannot be read: {error.strerror}") from error
    # First: where two positions prove themselves, the tailer takes the one that it meets first.
    kept = [each for each in positions if each not in replaced]
    before = next((each.offset for each in replaced if each.path == path), None)
    return Moved((made, *kept), made, size, before, sum(each.path == path for each in kept))


def _is_of(body: Content, position: Position, made: Position) -> bool:
    """Tell whether a position is of this very file, and not of another generation, a copy or a log that looks alike."""
    related = position.path == made.path or (position.device, position.inode) == (made.device, made.inode)
    return related and _state(body, position) != OTHER


def _position(body: Content, source: str, path: str, offset: int, now: float) -> Position:
    seen = body.stat()
    before = body.pread(min(BEFORE, offset), max(0, offset - BEFORE))
    head = Fingerprint.of(body.pread(HEAD, 0))
    return Position(source, path, seen.st_dev, seen.st_ino, offset, head, Anchor.of(before), now)


def _size(body: Content) -> int:
    if not body.packed:
        return body.stat().st_size
    size = 0
    while block := body.pread(BLOCK, size):
        size += len(block)
    return size


# Starts of lines


def _offset(body: Content, size: int, where: int | str, cut: Cut | None, path: str) -> int:
    if where == BEGINNING:
        return 0
    if where == END:
        return _start_at_or_before(body, size, cut)
    offset = int(where)
    if offset > size:
        last = _start_at_or_before(body, size, cut)
        raise LogshipError(f"{readable(path)} holds {size} bytes, {offset} is beyond; {END} is {last}")
    if not _is_start(body, offset, cut):
        before, after = _start_at_or_before(body, offset, cut), _start_after(body, offset, cut)
        nearest = f"{before} and {after}" if after is not None else f"{before}, and none after it"
        raise LogshipError(f"{offset} is inside a line of {readable(path)}; the nearest lines start at {nearest}")
    return offset


def _is_start(body: Content, offset: int, cut: Cut | None) -> bool:
    """Tell whether a line starts here; not inside a line that a wrapper has split (``cut``)."""
    if not offset:
        return True
    if body.pread(1, offset - 1) != b"\n":
        return False
    if cut is None:
        return True
    data = body.pread(min(offset, LIMIT), max(0, offset - LIMIT))
    return cut(data) == len(data)


def _start_at_or_before(body: Content, offset: int, cut: Cut | None) -> int:
    while not _is_start(body, offset, cut):
        offset = _last_newline(body, offset - 1) + 1
    return offset


def _last_newline(body: Content, before: int) -> int:
    """Return where the last newline stands before an offset; -1 where there is none."""
    while before > 0:
        start = max(0, before - BLOCK)
        if (found := body.pread(before - start, start).rfind(b"\n")) >= 0:
            return start + found
        before = start
    return -1


def _start_after(body: Content, offset: int, cut: Cut | None) -> int | None:
    """Return where the next line starts; None when no line ends after ``offset``."""
    while block := body.pread(BLOCK, offset):
        found = block.find(b"\n")
        offset += found + 1 if found >= 0 else len(block)
        if found >= 0 and _is_start(body, offset, cut):
            return offset
    return None


# Forgetting


def forget(positions: Sequence[Position], asked: Sequence[str]) -> tuple[list[Position], list[Position]]:
    """Return the positions that stay, and those of the paths that were asked for. LogshipError for an unknown path."""
    gone = {_known(path, positions, ())[0] for path in asked}
    stay = [each for each in positions if each.path not in gone]
    return stay, [each for each in positions if each.path in gone]


def expectation(position: Position, sources: Sequence[Followed], seen: Iterable[str]) -> str:
    """Say what the next start does about a file whose position was forgotten."""
    owner = next((each for each in sources if paths.owns(each, position.path)), None)
    if owner is None:
        rest = look(position).behind
        lost = f", and the {rest} bytes that were not read of it are given up" if rest else ""
        return f"it is not read any more: no source names this path{lost}"
    if not os.path.lexists(position.path):
        return "when a file is there again, it is read from its beginning"
    if owner.name in seen:
        return f"the next start reads it from its beginning, as source {owner.name} was followed before"
    where = "its beginning" if owner.start_at == BEGINNING else "its end"
    return f"the next start reads it from {where} (start_at: {owner.start_at}), as source {owner.name} is new"


# Paths


def _known(path: str, positions: Sequence[Position], sources: Sequence[Followed]) -> tuple[str, str]:
    """Return a path as the checkpoint or the configuration has it, and the source it belongs to."""
    known = {each.path: each.source for each in positions} | {
        match.path: match.source.name for match in (paths.find(sources).matches if sources else ())
    }
    written, real = os.path.abspath(path), os.path.realpath(path)
    for each in (written, real):
        if owner := known.get(each) or _owner(each, sources):
            return each, owner
    for each, owner in known.items():
        if os.path.realpath(each) == real:
            return each, owner
    raise LogshipError(_unknown(path, list(known)))


def _owner(path: str, sources: Sequence[Followed]) -> str | None:
    """Return the source that means this path, there or not, or the log that rotation made this file of."""
    directory, name = os.path.split(path)
    origins = [os.path.join(directory, each) for each in paths.origins(name) if paths.is_rotated(name, each)]
    return next((source.name for each in (path, *origins) for source in sources if paths.owns(source, each)), None)


def _unknown(path: str, known: Sequence[str]) -> str:
    shown = [readable(each) for each in known]
    if not shown:
        return f"{readable(path)} has no position, and neither has any other file"
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    near = get_close_matches(readable(os.path.abspath(path)), shown, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{readable(path)} has no position and belongs to no source{hint}; known: {', '.join(shown[:_NAMED])}{more}"
