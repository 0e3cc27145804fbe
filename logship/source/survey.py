"""What the sources mean by now, and which logs have siblings that they did not have. Looks again where it has to.

A name comes and goes with its directory's time. So where all directories lie on local file systems, and have lain as
they are for a while, what was found is still so: a thousand logs cost one look at their directory.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from logship.source import mounts, paths
from logship.source.paths import Followed, Found
from logship.source.siblings import Id, Listing

_SETTLED = 2_000_000_000  # ns: two changes within a tick of the kernel's clock leave the same time

_Times = dict[str, tuple[int, int, int, int]]


class Survey:
    """One survey after the other, by one thread at a time.

    Args:
        trust: returns those of some directories that tell of every change, by events and by their times.
        now: epoch nanoseconds.
    """

    def __init__(
        self, trust: Callable[[Iterable[str]], set[str]] = mounts.trusted, now: Callable[[], int] = time.time_ns
    ) -> None:
        self.trusted: dict[str, int] = {}  # directories of the last survey, and their devices
        self._trust = trust
        self._now = now
        self._found = Found()
        self._sources: Sequence[Followed] | None = None
        self._times: _Times | None = None  # of the directories when they were settled; None: look in any case

    def look(self, sources: Sequence[Followed], known: Mapping[str, Iterable[Id]]) -> tuple[Found, set[str]]:
        """Return what the sources mean, and of the logs in ``known`` those with a sibling that was not listed there."""
        if sources is self._sources and self._times and self._times == _times(self._times):
            return self._found, set()
        self._sources, self._times = None, None
        began = self._now()
        found = paths.find(sources)
        grown = _grown(known)
        times = _times(self._trust(found.directories))
        self.trusted = {each: device for each, (device, *_) in times.items()}
        settled = all(max(each[2:]) < began - _SETTLED for each in times.values())
        if settled and not grown and times.keys() == found.directories and _is_told_by_directories(sources, found):
            self._times = times
        self._found, self._sources = found, sources
        return found, grown


def _is_told_by_directories(sources: Sequence[Followed], found: Found) -> bool:
    """Tell whether nothing else can come of these sources unless one of the directories changes."""
    patterns = [pattern for source in sources for pattern in source.path]
    plain = not any(glob.has_magic(os.path.dirname(each)) or "**" in each for each in patterns)
    return plain and not found.troubles and not found.linked


def _times(directories: Iterable[str]) -> _Times:
    """Return who lies at each path that can be looked at, and since when."""
    times: _Times = {}
    for each in directories:
        with suppress(OSError):
            seen = os.stat(each)
            times[each] = seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns
    return times


def _grown(known: Mapping[str, Iterable[Id]]) -> set[str]:
    listing, grown = Listing(), set()
    for path, ids in known.items():
        with suppress(OSError):
            if listing.has_more(listing.real(path), {inode for _, inode in ids}):
                grown.add(path)
    return grown
