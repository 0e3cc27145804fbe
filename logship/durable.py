"""Writes that survive a power cut: complete, and synced."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write(descriptor: int, data: bytes) -> None:
    """Write all of it at the descriptor's position, and sync. On OSError a part of it may be there."""
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. On OSError they are there, but may be gone after a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has nothing to sync here
            raise
    finally:
        os.close(descriptor)
