"""Read configuration files within bounds, and find those that an include means. Each file is read once."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable
from typing import Generic, TypeVar

from logship.errors import LogshipError

_MOST_BYTES = 16 << 20  # of one file: maps of a hundred thousand redirects are configuration, too
_MOST_IN_ALL = 128 << 20
_MOST_INCLUDES = 20_000  # a file that includes two, each of which includes two, ...: stop before memory does
_DEEPEST = 32  # files inside one another; more than a handful is a loop

_UNESCAPE = re.compile(r"\[([*?[])\]")  # what glob.escape does

T = TypeVar("T")


class UnreadableError(LogshipError):
    """A file cannot be read; the text says why."""


class Library(Generic[T]):
    """The files of one configuration, each parsed once, however often it is included."""

    def __init__(self, parse: Callable[[str, str], T]) -> None:
        """Take the function that turns a file's text and name into what is kept of it."""
        self._parse = parse
        self._kept: dict[str, T] = {}
        self._reals: dict[str, str] = {}
        self._bytes = 0
        self._includes = 0
        self.notes: dict[str, None] = {}

    @property
    def files(self) -> int:
        """How many files have been read."""
        return len(self._kept)

    def main(self, path: str) -> T:
        """Return the file where everything begins. Raises LogshipError when it cannot be read."""
        try:
            return self._get(path)
        except UnreadableError as error:
            raise LogshipError(f"{path} cannot be read: {error}") from None

    def included(self, pattern: str, chain: tuple[str, ...], place: object, *, optional: bool) -> list[tuple[str, T]]:
        """Return the files that an include means, in the server's order; what cannot be read becomes a note."""
        paths = matching(pattern)
        if not paths and not optional and not glob.has_magic(pattern):
            self._note(f"{place}: {pattern} is not there; left out")
        found = (self._one(path, chain, place) for path in paths)
        return [each for each in found if each is not None]

    def _one(self, path: str, chain: tuple[str, ...], place: object) -> tuple[str, T] | None:
        self._includes += 1
        if self._includes > _MOST_INCLUDES:
            raise LogshipError(f"{place}: more than {_MOST_INCLUDES} includes; do files include one another?")
        if self._real(path) in map(self._real, chain):
            self._note(f"{place}: {path} includes itself; not followed again")
            return None
        if len(chain) >= _DEEPEST:
            self._note(f"{place}: {path} is included {len(chain)} files deep; left out")
            return None
        try:
            return path, self._get(path)
        except UnreadableError as error:
            self._note(f"{place}: {path} cannot be read: {error}; left out")
            return None

    def _real(self, path: str) -> str:
        """Return a path with its links resolved, and remember it: chains ask for the same ones again and again."""
        if path not in self._reals:
            self._reals[path] = os.path.realpath(path)
        return self._reals[path]

    def _note(self, text: str) -> None:
        self.notes[text] = None

    def _get(self, path: str) -> T:
        if path not in self._kept:
            text = read(path)
            self._bytes += len(text)
            if self._bytes > _MOST_IN_ALL:
                raise LogshipError(f"{path}: the configuration is larger than {_MOST_IN_ALL >> 20} MiB in all")
            self._kept[path] = self._parse(text, path)
        return self._kept[path]


def read(path: str) -> str:
    """Return a regular file's text. Raises UnreadableError; a FIFO is never opened, it would wait for a writer."""
    try:
        seen = os.stat(path)
        if not stat.S_ISREG(seen.st_mode):
            raise UnreadableError("it is no regular file")
        if seen.st_size > _MOST_BYTES:
            raise UnreadableError(f"it is larger than {_MOST_BYTES >> 20} MiB, no configuration")
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from None
    except ValueError as error:  # a NUL in the name
        raise UnreadableError(str(error)) from None


def matching(pattern: str) -> list[str]:
    """Return the files that a path or a glob stands for, sorted as both servers sort them."""
    if not glob.has_magic(pattern):
        return [pattern] if _is_there(pattern) else []
    try:
        return sorted(glob.glob(pattern))
    except (OSError, ValueError, RecursionError):
        return []


def _is_there(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def no_file(pattern: str) -> str:
    """Return why a log's path is no file on this machine, as in a container that links it to its output; else ""."""
    path = _UNESCAPE.sub(r"\1", pattern)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    linked = f", a link to {os.path.realpath(path)}" if os.path.islink(path) else ""
    return f"On this machine {path} is no regular file{linked}: there is nothing to follow."
