"""The content of a file by offset, whether it lies there plain or compressed. Opens regular files only."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from typing import BinaryIO, Protocol

from logship import compressed
from logship.errors import LogshipError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_PAGE = 4096

_KINDS = (
    (stat.S_ISDIR, "a directory: name the log files in it, with a glob"),
    (stat.S_ISFIFO, "a FIFO, which cannot be read twice: let the web server write a regular file"),
    (stat.S_ISSOCK, "a socket: let the web server write a regular file"),
    (stat.S_ISCHR, "a device (nginx's official image links its log to /dev/stdout): log to a file on a shared volume"),
    (stat.S_ISBLK, "a block device: let the web server write a regular file"),
)


class UnusableFileError(LogshipError):
    """A file that cannot be followed whatever its permissions: no regular one, or compressed."""


class Content(Protocol):
    """What a generation is read from. ``packed``: it is decompressed on the way, and will not grow."""

    packed: bool

    def pread(self, size: int, at: int) -> bytes:
        """Return up to ``size`` bytes from ``at``; fewer at the end. OSError as of `os.pread`."""

    def stat(self) -> os.stat_result:
        """Return the file's state now, wherever it was renamed to."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def close(self) -> None:
        """Close it."""


class Plain:
    """A regular file, read where it lies."""

    packed = False
    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pread(self, size: int, at: int) -> bytes:
        """Return up to ``size`` bytes from ``at``."""
        return os.pread(self._fd, size, at)

    def stat(self) -> os.stat_result:
        """Return the file's state now."""
        return os.fstat(self._fd)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def at_hand(self, *where: int) -> bool | None:
        """Tell whether the bytes at these places are in memory, so that reading them waits for no disk. None: unknown.

        RWF_NOWAIT, see preadv2(2): most file systems of disks know it, remote ones do not.
        """
        try:
            for at in {each // _PAGE: each for each in where}.values():
                os.preadv(self._fd, [bytearray(1)], at, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
        except (OSError, AttributeError, NotImplementedError):
            return None
        return True

    def twin(self) -> Plain:
        """Open it once more, for another thread: whatever happens to this one, the twin's bytes are the same file's."""
        return Plain(os.dup(self._fd))

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)


class Ahead:
    """A file of which some bytes are here already; others are read where it lies."""

    def __init__(self, content: Content, found: Mapping[tuple[int, int], bytes]) -> None:
        self.packed = content.packed
        self._content = content
        self._found = found
        self.stat, self.fileno, self.close = content.stat, content.fileno, content.close

    def pread(self, size: int, at: int) -> bytes:
        """Return up to ``size`` bytes from ``at``."""
        found = self._found.get((size, at))
        return self._content.pread(size, at) if found is None else found


class Unpacked:
    """A compressed file, decompressed forwards. Its first and last bytes stay at hand; going back more starts over."""

    packed = True
    _STEP = 128 * 1024
    _KEEP = 8 * 1024

    def __init__(self, fd: int, kind: str) -> None:
        self._file: BinaryIO = os.fdopen(fd, "rb")
        try:
            self._stream = compressed.unpacked(self._file, kind)
        except BaseException:
            self._file.close()
            raise
        self._head = self._window = b""
        self._start = 0

    def pread(self, size: int, at: int) -> bytes:
        """Return up to ``size`` decompressed bytes from ``at``. Damage, or an end that is not there yet: OSError."""
        if at + size <= len(self._head):
            return self._head[at : at + size]
        try:
            self._reach(size, at)
        except OSError:
            self._begin(sys.maxsize)  # how far the stream came is not known: start over
            raise
        return self._window[at - self._start : at - self._start + size]

    def _reach(self, size: int, at: int) -> None:
        if at < self._start:
            self._stream.seek(0)
            self._begin(0)
        while self._start + len(self._window) < at + size:
            if not (more := self._stream.read(self._STEP)):
                break
            if not self._start and not self._window:
                self._head = more[: self._KEEP]
            keep = max(0, min(len(self._window), len(self._window) + self._start - at + self._KEEP))
            self._start += len(self._window) - keep
            self._window = self._window[len(self._window) - keep :] + more

    def _begin(self, start: int) -> None:
        self._head = self._window = b""
        self._start = start

    def stat(self) -> os.stat_result:
        """Return the state of the compressed file."""
        return os.fstat(self._file.fileno())

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close it."""
        self._stream.close()


def refuse(path: str, found: os.stat_result) -> None:
    """Raise UnusableFileError for what is no regular file, and say what to do about it."""
    if not stat.S_ISREG(found.st_mode):
        kind = next((text for test, text in _KINDS if test(found.st_mode)), "no regular file")
        raise UnusableFileError(f"{path} is {kind}")


def open_plain(path: str) -> Plain:
    """Open a file to follow it. OSError, or UnusableFileError; never blocks, and never opens what is no file."""
    fd = _open(path)
    if kind := _kind(fd):
        os.close(fd)
        raise UnusableFileError(
            f"{path} is compressed ({kind}): exclude it, rotated files are found without being named"
        )
    return Plain(fd)


def open_any(path: str) -> Content:
    """Open a file for its plain content. OSError, or UnusableFileError where a library for it is missing."""
    fd = _open(path)
    kind = _kind(fd)
    try:
        return Unpacked(fd, kind) if kind else Plain(fd)
    except LogshipError as error:
        raise UnusableFileError(f"{path}: {error}") from None


def open_raw(path: str) -> Plain:
    """Open a file as it lies there, compressed or not."""
    return Plain(_open(path))


def _open(path: str) -> int:
    """Look before opening: to open a FIFO is felt by its writer. And after: it may have been swapped in between."""
    refuse(path, os.stat(path))
    fd = os.open(path, _FLAGS)
    try:
        refuse(path, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _kind(fd: int) -> str:
    try:
        return compressed.kind(os.pread(fd, compressed.MAGIC_SIZE, 0))
    except BaseException:
        os.close(fd)
        raise
