"""Where the bytes went: the rotated siblings of a log, and the one among them that a proof accepts.

Names and inodes only say where to look first. What is found is opened and must prove itself by content, so a copy, a
rename into another directory and a compressed file are all the same to whoever asks.
"""

from __future__ import annotations

import math
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

import structlog

from logship.source import content, paths

log = structlog.get_logger(__name__)

Id = tuple[int, int]

_BELOW = 32  # directories below a log's own that are searched, too

_NUMBER = re.compile(r"\.(\d{1,4})(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Sibling:
    """A regular file that rotation may have made, as it was when listed."""

    path: str
    id: Id
    size: int
    mtime_ns: int

    @property
    def packed(self) -> bool:
        """Whether its name says that it is compressed."""
        return self.path.endswith((".gz", ".bz2", ".xz", ".zst", ".Z"))

    def age(self) -> tuple[int, int, str]:
        """Sort oldest first: by the last write, then `.2` before `.1`, then by date."""
        number = _NUMBER.search(os.path.basename(self.path))
        return self.mtime_ns, -int(number[1]) if number else 0, self.path


class Listing:
    """Directories as they were when first asked for; each is read once, whatever the number of logs in it."""

    def __init__(self) -> None:
        self._entries: dict[str, list[tuple[str, int]]] = {}
        self._below: dict[str, list[str]] = {}
        self._names: dict[str, dict[int, list[str]]] = {}  # by inode
        self._real: dict[str, str] = {}

    def siblings(self, live: str, directories: Iterable[str]) -> list[Sibling]:
        """Return what rotation made of the log at ``live``, oldest first. OSError: a directory cannot be read."""
        name = os.path.basename(live)
        found: dict[Id, Sibling] = {}
        for directory in directories:
            for each, _ in self._rotated(directory, name):
                if sibling := _stat(os.path.join(directory, each)):
                    found.setdefault(sibling.id, sibling)
        return sorted(found.values(), key=Sibling.age)

    def has_more(self, live: str, inodes: Container[int]) -> bool:
        """Tell whether the log has a sibling beside it with another inode than these."""
        return any(inode not in inodes for _, inode in self._rotated(*os.path.split(live)))

    def has_none(self, live: str, directories: Iterable[str]) -> bool:
        """Tell whether the log has no sibling, as far as is known by now: False while a directory was not read."""
        own, name = os.path.split(live)
        where = {own, *directories, *self._below.get(own, ())}
        return where <= self._entries.keys() and not any(any(self._rotated(each, name)) for each in where)

    def real(self, path: str) -> str:
        """Return what `os.path.realpath` does, with the links above it followed once for all in a directory."""
        if os.path.islink(path):
            return os.path.realpath(path)
        directory, name = os.path.split(path)
        if directory not in self._real:
            self._real[directory] = os.path.realpath(directory)
        return os.path.join(self._real[directory], name)

    def with_inode(self, inode: int, directories: Iterable[str]) -> Iterator[Sibling]:
        """Yield the files of that inode, whatever their name."""
        for directory in directories:
            if directory not in self._names:
                self._names[directory] = _by_inode(self._read(directory))
            for name in self._names[directory].get(inode, ()):
                if sibling := _stat(os.path.join(directory, name)):
                    yield sibling

    def below(self, directory: str) -> list[str]:
        """Return the directories in a directory: rotation may move files there. Of very many, some."""
        self._read(directory)
        return self._below[directory]

    def _rotated(self, directory: str, name: str) -> Iterator[tuple[str, int]]:
        """Yield what is called as rotation calls the log, without looking at names that do not begin as its own."""
        entries, stem = self._read(directory), name.rpartition(".")[0] or name
        start = bisect_left(entries, (stem, 0))
        end = bisect_left(entries, (stem + "\U0010ffff", 0), start)
        return (entry for entry in entries[start:end] if paths.is_rotated(entry[0], name))

    def _read(self, directory: str) -> list[tuple[str, int]]:
        if directory not in self._entries:
            try:
                with os.scandir(directory) as entries:
                    there = list(entries)
            except (FileNotFoundError, NotADirectoryError):
                there = []
            self._entries[directory] = sorted((each.name, each.inode()) for each in there)
            self._below[directory] = sorted(each.path for each in there if each.is_dir())[:_BELOW]
        return self._entries[directory]


def _by_inode(entries: Iterable[tuple[str, int]]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for name, inode in entries:
        names.setdefault(inode, []).append(name)
    return names


def search(
    proof: Callable[[content.Content], bool],
    candidates: Iterable[Sibling],
    inode: int,
    taken: Container[Id],
    seen: float = math.inf,
) -> tuple[content.Content, Sibling] | None:
    """Return the candidate that proves itself, opened: the inode we knew first, plain ones before compressed.

    Where another inode was written later than ``seen`` (epoch seconds), and holds the same, it is the oldest such: what
    follows may be as alike as one health check is to the next.

    Raises:
        OSError: none did, but one could not be read, or was renamed meanwhile: so nothing is known.
    """
    failed: OSError | None = None
    found: tuple[content.Content, Sibling] | None = None
    for each in sorted(candidates, key=lambda each: (each.id[1] != inode, each.packed, -each.mtime_ns)):
        if each.id in taken or (found and found[1].age() <= each.age()):
            continue
        try:
            body = _proven(proof, each.path)
        except content.UnusableFileError as error:
            log.warning("sibling.skipped", path=each.path, reason=str(error))
            continue
        except OSError as error:
            failed = error
            continue
        if body:
            if found:
                found[0].close()
            found = body, each
            if each.id[1] == inode or each.mtime_ns < seen * 1e9:
                break
    if failed and not found:
        raise failed
    return found


def head(path: str, size: int, *, unpack: bool = True) -> bytes:
    """Return the first bytes of a sibling, of its plain content or as they lie there. OSError, UnusableFileError."""
    body = content.open_any(path) if unpack else content.open_raw(path)
    try:
        return body.pread(size, 0)
    finally:
        body.close()


def _proven(proof: Callable[[content.Content], bool], path: str) -> content.Content | None:
    body = content.open_any(path)
    try:
        proven = proof(body)
    except BaseException:
        body.close()
        raise
    if not proven:
        body.close()
        return None
    return body


def _stat(path: str) -> Sibling | None:
    try:
        found = os.stat(path)
        content.refuse(path, found)
    except (FileNotFoundError, content.UnusableFileError):
        return None
    return Sibling(path, (found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)
