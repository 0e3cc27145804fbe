"""Which directories can be trusted to tell of changes: those of a local file system, with no link on the way to them.

There the kernel sees every write and every rename, so that an event comes of each, and a directory's time tells of each
name. Network and FUSE file systems are changed behind its back, and of an unknown one nobody can say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress

_LOCAL = {
    *("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2"),
    *("overlay", "ramfs", "reiserfs", "rootfs", "tmpfs", "xfs", "zfs"),
}


def trusted(directories: Iterable[str], mounts: str = "/proc/self/mountinfo") -> set[str]:
    """Return those that can be trusted. Where nobody knows what is mounted, none."""
    kinds = _mounted(mounts)
    return {each for each in directories if os.path.realpath(each) == each and _kind(each, kinds) in _LOCAL}


def _kind(directory: str, kinds: dict[str, str]) -> str | None:
    """Return the file system at the nearest mount point above."""
    while directory not in kinds and directory != "/":
        directory = os.path.dirname(directory)
    return kinds.get(directory)


def _mounted(mounts: str) -> dict[str, str]:
    """Return the file system at each mount point; the last one mounted there is on top. See proc_pid_mountinfo(5)."""
    found: dict[str, str] = {}
    with suppress(OSError), open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            mount, separator, kind = line.partition(" - ")
            if separator:
                found[_unescaped(mount.split(" ")[4])] = kind.split(" ")[0]
    return found


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
