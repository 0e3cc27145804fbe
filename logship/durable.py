"""Bytes and names that outlast a power cut: written in full, and synced."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write(descriptor: int, data: bytes) -> None:
    """Write all of it where the descriptor stands, and sync. OSError: perhaps a part of it is there."""
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. OSError: they are there, and may be gone after a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has nothing to sync here
            raise
    finally:
        os.close(descriptor)
