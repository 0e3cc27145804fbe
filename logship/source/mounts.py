"""What is mounted where, and which directories report every change: those of local file systems, reached without links.

There the kernel sees every write and every rename, so that each gives an event, and a directory's time changes with
each name. Network and FUSE file systems are changed behind its back; of unknown ones nobody can say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

_LOCAL = {
    *("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2"),
    *("overlay", "ramfs", "reiserfs", "rootfs", "tmpfs", "xfs", "zfs"),
}


def trusted(directories: Iterable[str], mounts: str = "/proc/self/mountinfo") -> set[str]:
    """Return those directories that report every change; none if it is unknown what is mounted."""
    kinds = mounted(mounts)
    return {each for each in directories if os.path.realpath(each) == each and kind(each, kinds) in _LOCAL}


def kind(path: str, kinds: Mapping[str, str]) -> str | None:
    """Return the kind of the file system at an absolute path: that of the nearest mount point, here or above."""
    while path not in kinds and path != "/":
        path = os.path.dirname(path)
    return kinds.get(path)


def mounted(mounts: str = "/proc/self/mountinfo") -> dict[str, str]:
    """Return the kind of file system at each mount point; the last one mounted is on top. See proc_pid_mountinfo(5)."""
    found: dict[str, str] = {}
    with suppress(OSError), open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            mount, _, file_system = line.strip().partition(" - ")
            fields = mount.split()
            if len(fields) > 4 and file_system:
                found[_unescaped(fields[4])] = file_system.split()[0]
    return found


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
