"""Cut a stream into blocks of whole lines, as the daemon does: what belongs to one line stays in one block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from logship.parser import wrappers

_BLOCK = 1 << 17
_LONGEST = 1 << 20  # the longest line that `run` reads, too


def blocks(stream: BinaryIO, wrapper: str, *, live: bool = False) -> Iterator[bytes]:
    r"""Yield whole lines, some 128 KiB at a time; what is longer than any line `run` would read is cut.

    ``live`` takes what is there instead of waiting for more, as a pipe that is still written to wants it. Every line
    ends with ``\n``, the last one of the stream too.
    """
    cut = wrappers.cut(wrapper)
    read = getattr(stream, "read1", stream.read) if live else stream.read
    rest = b""
    while more := read(_BLOCK):
        data = rest + more if rest else more
        end = data.rfind(b"\n") + 1
        if end and cut is not None:
            end = cut(data[:end])
        if end:
            yield data[:end]
        rest = data[end:]
        if len(rest) > _LONGEST:
            rest = rest[:_LONGEST]
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"
