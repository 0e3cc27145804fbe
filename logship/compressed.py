"""Read a log that may be compressed, told by its first bytes and never by its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import BinaryIO, cast

from logship.errors import LogshipError

_LONGEST_MAGIC = 6
_READERS: tuple[tuple[bytes, Callable[[BinaryIO], object]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
_ZSTD = b"\x28\xb5\x2f\xfd"


def reader(stream: BinaryIO) -> BinaryIO:
    """Return a stream of the log's own bytes. Raise LogshipError for a compression that we cannot read."""
    buffered = cast(
        "io.BufferedReader", stream if hasattr(stream, "peek") else io.BufferedReader(cast("io.RawIOBase", stream))
    )
    head = buffered.peek(_LONGEST_MAGIC)[:_LONGEST_MAGIC]
    if head.startswith(_ZSTD):
        raise LogshipError("the log is compressed with zstd; decompress it first: zstdcat LOG | logship explain -")
    for magic, opened in _READERS:
        if head.startswith(magic):
            return cast("BinaryIO", opened(cast("BinaryIO", buffered)))
    return cast("BinaryIO", buffered)
