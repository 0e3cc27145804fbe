"""Open the log that a command reads: a file, or - for standard input; compressed ones are recognised by themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from logship import compressed
from logship.errors import LogshipError


def name(log: str) -> str:
    """Return what to call a log in a message."""
    return "standard input" if log == "-" else log


def open_log(log: str) -> BinaryIO:
    """Open a log for reading. Raise LogshipError if it cannot be read."""
    if log == "-":
        return compressed.reader(sys.stdin.buffer)
    path = Path(log)
    if not path.is_file() and not path.is_fifo():
        raise LogshipError(
            f"{log} is {'a directory' if path.is_dir() else 'no file'}; name an access log, or - for stdin"
        )
    try:
        return compressed.reader(path.open("rb"))
    except OSError as error:
        raise LogshipError(f"{log} cannot be read: {error.strerror}") from error
