"""Read what may be compressed, told by its first bytes and never by its name: gzip, bzip2, xz and zstd.

`kind` looks at the first bytes, `unpacked` gives the content of a stream of that kind; damage, and an end that is not
there yet, are an OSError (EILSEQ) whatever the compression. `reader` does both for a stream that is read once.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, cast

from logship.errors import LogshipError

MAGIC_SIZE = 6
"""How many first bytes tell a compression."""

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))
_STEP = 128 * 1024


def kind(head: bytes) -> str:
    """Return what the first bytes say: ``gzip``, ``bzip2``, ``xz``, ``zstd``, or nothing for a plain file."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def unpacked(stream: BinaryIO, kind: str) -> BinaryIO:
    """Return the content of a compressed stream; it can seek where the stream can, backwards by starting over.

    Raises:
        LogshipError: It is zstd, and the library that reads it is missing.
    """
    return io.BufferedReader(_Content(*_OPENERS[kind](stream)), _STEP)


def reader(stream: BinaryIO) -> BinaryIO:
    """Return a stream of the log's own bytes, whether it is compressed or not. Raise LogshipError as `unpacked`."""
    buffered = cast(
        "io.BufferedReader", stream if hasattr(stream, "peek") else io.BufferedReader(cast("io.RawIOBase", stream))
    )
    found = kind(buffered.peek(MAGIC_SIZE)[:MAGIC_SIZE])
    return unpacked(cast("BinaryIO", buffered), found) if found else cast("BinaryIO", buffered)


class _Content(io.RawIOBase):
    """What a decompressor gives. Each has errors of its own; here they are one."""

    def __init__(self, stream: Any, packed: BinaryIO, damage: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._packed = packed
        self._damage = damage

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def fileno(self) -> int:
        return self._packed.fileno()

    def readinto(self, buffer: Any, /) -> int:
        try:
            return int(self._stream.readinto(buffer))
        except self._damage as error:
            raise _damaged(error) from error
        except OSError as error:
            if error.errno is None:  # gzip and bzip2 use it for what is wrong with the bytes
                raise _damaged(error) from error
            raise

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._stream.seek(offset, whence))

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()


def _damaged(error: Exception) -> OSError:
    return OSError(errno.EILSEQ, f"compressed data is damaged or not complete: {error}")


_Opened = tuple[object, BinaryIO, tuple[type[Exception], ...]]


def _gzip(stream: BinaryIO) -> _Opened:
    return gzip.GzipFile(fileobj=stream), stream, (EOFError, zlib.error)


def _bzip2(stream: BinaryIO) -> _Opened:
    return bz2.BZ2File(stream), stream, (EOFError,)


def _xz(stream: BinaryIO) -> _Opened:
    return lzma.LZMAFile(stream), stream, (EOFError, lzma.LZMAError)


def _zstd(stream: BinaryIO) -> _Opened:
    """Python has zstd since 3.14; before, its backport has. Imported late: few logs need it."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise LogshipError(
            "it is compressed with zstd, and the package backports.zstd is not installed; "
            "install it, or decompress the log: zstdcat LOG | logship explain -"
        ) from None
    return zstd.ZstdFile(stream), stream, (EOFError, zstd.ZstdError)


_OPENERS: Mapping[str, Callable[[BinaryIO], _Opened]] = {"gzip": _gzip, "bzip2": _bzip2, "xz": _xz, "zstd": _zstd}
