"""The generations that are open: who they are, who is looked at again soon, and what to do without descriptors.

Logs share the process's descriptors with its connections, its checkpoint, and Python, which opens a file to import a
module. So they get a share and no more: a daemon that had nothing left would not deliver, or would not save.
"""

from __future__ import annotations

import errno
import math
import os
import resource
from collections.abc import Callable

import structlog

from logship.source import content
from logship.source.file import LogFile
from logship.source.siblings import Id
from logship.source.trail import Timing, Trail
from logship.source.watch import Wakeup

SWEEP, MISSING, SOON = "sweep", "missing", "soon"
"""Tokens to nudge oneself with: look at everything now; search for what is missing; ask again how long to wait."""

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

_OTHERS = 48
"""Descriptors left to everything else at least: connections, listeners, inotify, a save, an import."""

_UNLIMITED = 1 << 20

_FEWEST = 4
"""Files open at a time however few descriptors there are: a live one, and old generations of it."""

Entry = tuple[Trail, LogFile]

log = structlog.get_logger(__name__)


class OpenFiles:
    """Every generation that is being read, by identity and by the token of its events.

    A live file may be parked: closed while another one needs its descriptor more. It stays known, and is opened and
    proved again when it has changed, or when there is room.
    """

    def __init__(self, wakeup: Wakeup, timing: Timing, clock: Callable[[], float], *, unpack: bool = False) -> None:
        self._opener = content.open_any if unpack else content.open_plain
        self.by_id: dict[Id, Entry] = {}
        self.starved = False  # somebody waits for a descriptor
        self.share = _share()
        self._told = False
        self._held: set[LogFile] = set()
        self._ids: set[Id] = set()  # of what is held
        self._by_token: dict[str, Entry] = {}
        self._active: dict[LogFile, tuple[Trail, float, float]] = {}  # when to look again, after which pause
        self._wakeup = wakeup
        self._timing = timing
        self._clock = clock

    def enter(self, trail: Trail, file: LogFile) -> None:
        """Know a generation under its present identity, and look at it soon."""
        self.by_id[file.id] = self._by_token[file.token] = trail, file
        if file.content:
            self._held.add(file)
            self._ids.add(file.id)
        self.poll(trail, file, pause=0.0)

    def shut(self, file: LogFile) -> None:
        """Close a generation's content, for now or for good. It stays known."""
        self._wakeup.forget(file.token)
        self._active.pop(file, None)
        self._held.discard(file)
        self._ids.discard(file.id)
        file.close()

    def leave(self, file: LogFile) -> None:
        """Close a generation, and do not know it any more."""
        self.shut(file)
        self._by_token.pop(file.token, None)
        if file.id in self.by_id and self.by_id[file.id][1] is file:
            del self.by_id[file.id]

    def ids(self) -> set[Id]:
        """Return the identities of what is open. Of what is closed it may have gone to another file meanwhile."""
        return self._ids.copy()

    def has(self, id_: Id) -> bool:
        """Tell whether a file is open."""
        return id_ in self._ids

    @property
    def room(self) -> bool:
        """Whether another file may be opened without parking one."""
        return len(self._held) < self.share

    def make_room(self) -> bool:
        """Park the live file that has been quiet longest, where there is no room. False: none could be parked."""
        if self.room:
            return True
        self.starved = True
        return self._park()

    def open(self, path: str) -> content.Content:
        """Open a file to follow it; when no descriptor is left for it, park another one."""
        if not self.make_room():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        try:
            return self._opener(path)
        except OSError as error:
            if not is_out_of_descriptors(error):
                raise
            self.starved = True
            self.share = max(len(self._held), _FEWEST)  # until the next `reckon`: the others have taken more
            if not self._park():
                raise
        return self._opener(path)

    def reckon(self) -> None:
        """Ask anew how many descriptors logs may take."""
        self.share = _share()

    def poll(self, trail: Trail, file: LogFile, pause: float) -> None:
        """Look at a file again after a pause, rather than at the next sweep."""
        if file.content and not file.content.packed:
            self._active[file] = trail, self._clock() + pause, max(pause, self._timing.poll)

    def wake(self, file: LogFile) -> None:
        """It has grown: it is read now, and not looked at."""
        self._active.pop(file, None)

    def is_growing(self, file: LogFile) -> bool:
        """Wait for a quiet file's next write, and tell whether it came meanwhile.

        What was written before the watch was set gives no event, so it is looked at once more. Where there are no
        events it is polled, more and more seldom.
        """
        if file.content is None or file.content.packed:
            return False
        waited = self._wakeup.is_armed(file.token)
        if waited or self._wakeup.watch_file(file.token, file.content.fileno()):
            self._active.pop(file, None)
            return not waited and file.look()
        if file in self._active:
            trail, _, pause = self._active.pop(file)
            if pause * 2 < self._timing.sweep:
                self.poll(trail, file, pause * 2)
        return False

    def due(self, tokens: set[str]) -> list[Entry]:
        """Return the files that events told of, and those whose pause is over."""
        now = self._clock()
        polled = [(trail, file) for file, (trail, at, _) in self._active.items() if at <= now]
        return polled + [self._by_token[token] for token in tokens & self._by_token.keys()]

    def next_due(self) -> float:
        """Return when the next pause is over."""
        return min((at for _, at, _ in self._active.values()), default=math.inf)

    def _park(self) -> bool:
        idle = [(trail, file) for trail, file in self.by_id.values() if _is_idle(trail, file)]
        if idle:
            self._tell()
            trail, file = min(idle, key=lambda each: each[1].quiet_since or 0.0)
            trail.rests_until = 0.0
            self.shut(file)
        return bool(idle)

    def _tell(self) -> None:
        """Say once that there are more logs than descriptors."""
        if not self._told:
            self._told = True
            help_ = (
                "more logs than may be open at once: they are read in turn; raise the limit (LimitNOFILE=, ulimit -n)"
            )
            log.warning("files.parked", open=len(self._held), help=help_)


def _is_idle(trail: Trail, file: LogFile) -> bool:
    """Tell whether a live file has nothing to read, or may not be read before a search that itself needs to open."""
    return trail.live is file and file.content is not None and (trail.searching or not file.ready)


def _share() -> int:
    """Return how many descriptors logs may take: three quarters, or what the others leave."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _UNLIMITED
    return max(limit - max(_OTHERS, limit // 4), _FEWEST)


def is_out_of_descriptors(error: Exception) -> bool:
    """Tell whether an error says nothing of the file, only that too many are open."""
    return isinstance(error, OSError) and error.errno in _OUT_OF_DESCRIPTORS
