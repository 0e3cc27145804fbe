"""The generations that are open: who they are, who is looked at again soon, and what to do without descriptors."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable

from logship.source import content
from logship.source.file import LogFile
from logship.source.siblings import Id
from logship.source.trail import Timing, Trail
from logship.source.watch import Wakeup

SWEEP, SOON = "sweep", "soon"
"""Tokens to nudge oneself with: look at everything now; ask again how long to wait."""

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

Entry = tuple[Trail, LogFile]


class OpenFiles:
    """Every generation that is being read, by identity and by the token of its events.

    A live file may be parked: closed while another one needs its descriptor more. It stays known, and is opened and
    proved again when it has changed.
    """

    def __init__(self, wakeup: Wakeup, timing: Timing, clock: Callable[[], float]) -> None:
        self.by_id: dict[Id, Entry] = {}
        self.starved = False  # somebody waits for a descriptor
        self._by_token: dict[str, Entry] = {}
        self._active: dict[LogFile, tuple[Trail, float, float]] = {}  # when to look again, after which pause
        self._wakeup = wakeup
        self._timing = timing
        self._clock = clock

    def enter(self, trail: Trail, file: LogFile) -> None:
        """Know a generation under its present identity, and look at it soon."""
        self.by_id[file.id] = self._by_token[file.token] = trail, file
        self.poll(trail, file, pause=0.0)

    def shut(self, file: LogFile) -> None:
        """Close a generation's content, for now or for good. It stays known."""
        self._wakeup.forget(file.token)
        self._active.pop(file, None)
        file.close()

    def leave(self, file: LogFile) -> None:
        """Close a generation, and do not know it any more."""
        self.shut(file)
        self._by_token.pop(file.token, None)
        if file.id in self.by_id and self.by_id[file.id][1] is file:
            del self.by_id[file.id]

    def open(self, path: str) -> content.Plain:
        """Open a file to follow it; when no descriptor is left, park the one that has been quiet longest."""
        try:
            return content.open_plain(path)
        except OSError as error:
            if not is_out_of_descriptors(error):
                raise
            self.starved = True
            if not self._park():
                raise
        return content.open_plain(path)

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
        if self._wakeup.watch_file(file.token, file.content.fileno()):
            return bool(self._active.pop(file, None)) and file.look()
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
        idle = [file for trail, file in self.by_id.values() if trail.live is file and file.content and not file.ready]
        if idle:
            self.shut(min(idle, key=lambda file: file.quiet_since or 0.0))
        return bool(idle)


def is_out_of_descriptors(error: Exception) -> bool:
    """Tell whether an error says nothing of the file, only that too many are open."""
    return isinstance(error, OSError) and error.errno in _OUT_OF_DESCRIPTORS
