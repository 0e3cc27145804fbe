"""File events and a time limit, merged into one wakeup: a hint to look, never the truth.

Every watch is a one-shot. It says "look" once, and is armed again by whoever has looked. So a busy log or a flood of
files in its directory costs one event a look, the kernel's queue cannot fill up, and a thousand quiet files cost
nothing. watchdog's public observers cannot do that (a thread and a standing watch for each path), so this module, and
only this one, uses the inotify descriptor beneath them. When anything about it fails, polling carries on alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import InotifyFD

log = structlog.get_logger(__name__)

EVERYTHING = "*"
"""The token that means: look everywhere."""

_ONESHOT = 0x80000000
_FILE = 0x00000002 | _ONESHOT  # IN_MODIFY: written or truncated
_DIRECTORY = 0x00000FC0 | 0x01000000 | _ONESHOT  # MOVED_FROM/TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF; ONLYDIR

_RETRY = 30.0  # seconds until a kernel that had no watches or instances left is asked again


def _descriptor() -> InotifyFD:
    """Import late: it costs memory that `--once` and other commands need not pay, and may not work here at all."""
    from watchdog.observers.inotify_c import InotifyFD

    descriptor = InotifyFD()
    descriptor.start()
    return descriptor


class Wakeup:
    """Waits until something happened to what is watched, or time is up.

    Args:
        events: False polls only (and is not degraded: nobody asked for events).
        descriptor: makes the inotify descriptor; for tests.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        events: bool = True,
        descriptor: Callable[[], Any] = _descriptor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cause = ""
        self._events = events
        self._make = descriptor
        self._clock = clock
        self._inotify: Any = None
        self._retry_at = 0.0
        self._armed: dict[str, _Shot] = {}
        self._noticed: set[str] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def degraded(self) -> bool:
        """Whether events were asked for and do not work, so that polling carries on alone. ``cause`` says why."""
        return bool(self.cause)

    @property
    def works(self) -> bool:
        """Whether events come at present."""
        return self._inotify is not None and bool(self._inotify.is_alive())

    def is_armed(self, token: str) -> bool:
        """Tell whether the next event of what has this token is still to come."""
        return token in self._armed

    async def wait(self, limit: float) -> set[str] | None:
        """Return what was noticed since the last call, as soon as there is something; None when time is up."""
        if not self._noticed:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(limit, 0)):
                    await self._wake.wait()
        self._wake.clear()
        noticed, self._noticed = self._noticed, set()
        return noticed or None

    def nudge(self, *tokens: str) -> None:
        """Wake up whoever waits, from the loop's own thread. Without tokens: to look everywhere."""
        self._noticed.update(tokens or (EVERYTHING,))
        self._wake.set()

    def watch_directories(self, paths: Iterable[str]) -> None:
        """Arm exactly these directories: an event's token is the directory's path.

        One that has taken another's place is armed anew: who moves a directory above it leaves no event here.
        """
        wanted = set(paths)
        if self._events:
            self._alive()
        for token, shot in [each for each in self._armed.items() if each[0].startswith("/")]:
            if token not in wanted or shot.directory != _identity(token):
                self.forget(token)
        for path in wanted:
            self._arm(path, path, _DIRECTORY)

    def watch_file(self, token: str, fd: int) -> bool:
        """Arm an open file for its next write, wherever it was renamed to. False: it must be polled."""
        return self._arm(token, f"/proc/self/fd/{fd}", _FILE)

    def forget(self, token: str) -> None:
        """Disarm what is armed under this token."""
        shot = self._armed.pop(token, None)
        if shot and self._inotify:
            with suppress(Exception):
                self._inotify.remove_callbacks([(shot.wd, shot.id)])

    def close(self) -> None:
        """End the thread."""
        self._events = False
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _arm(self, token: str, path: str, mask: int) -> bool:
        if token in self._armed:
            return True
        if not self._events or not self._alive():
            return False
        self._loop = self._loop or asyncio.get_running_loop()
        shot = _Shot(self, token, _identity(path) if mask == _DIRECTORY else None)
        try:
            shot.wd = self._inotify.add_callback(os.fsencode(path), mask, shot, shot.id)
        except FileNotFoundError:
            return False
        except Exception as error:  # an inner interface: whatever it raises, polling carries on
            self._fail(str(error))
            return False
        if shot.wd < 0:  # not allowed to read it; watchdog says nothing then
            self._armed[token] = shot
            self.forget(token)
            return False
        self._armed[token] = shot
        return True

    def _alive(self) -> bool:
        """Tell whether there is a descriptor whose thread runs; make one when there is none, now and then."""
        if self._inotify and not self._inotify.is_alive():
            self._fail("its thread has ended")
        if self._clock() < self._retry_at:
            return False
        if self._inotify is None:
            try:
                self._inotify = self._make()
            except Exception as error:  # not installed, no inotify here, no instances left: all one
                self._fail(str(error) or type(error).__name__)
                return False
        if self.cause:
            log.info("watch.recovered")
            self.cause = ""
        return True

    def _fail(self, cause: str) -> None:
        if not self.cause:
            log.warning("watch.degraded", cause=cause, help="polling once a second")
        self.cause = cause
        self._retry_at = self._clock() + _RETRY
        self._drop()

    def _drop(self) -> None:
        self._armed.clear()
        inotify, self._inotify = self._inotify, None
        if inotify:
            with suppress(Exception):
                inotify.stop()

    # Called in watchdog's thread.

    def _notice(self, shot: _Shot) -> None:
        self._in_loop(self._fired, shot)

    def _overflow(self) -> None:
        self._in_loop(self._lost)

    def _in_loop(self, call: Callable[..., None], *args: object) -> None:
        if self._loop:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(call, *args)

    # Called in the loop's thread.

    def _fired(self, shot: _Shot) -> None:
        if self._armed.get(shot.token) is shot:
            del self._armed[shot.token]
            self.nudge(shot.token)

    def _lost(self) -> None:
        """Start over with a new descriptor: which one-shots have fired is not known any more."""
        if self._armed:
            log.warning("watch.overflowed", help="looking at every file")
        self._drop()
        self.nudge()


class _Shot:
    """One armed watch, called back by watchdog. Its id tells it from an earlier one for the same file."""

    __slots__ = ("_told", "_wakeup", "directory", "id", "token", "wd")

    def __init__(self, wakeup: Wakeup, token: str, directory: tuple[int, int] | None = None) -> None:
        self._wakeup = wakeup
        self.token = token
        self.directory = directory
        self.id = id(self)
        self.wd = -1
        self._told = False

    def on_event(self, event: object) -> None:
        self._tell()

    def on_watch_deleted(self, wd: int) -> None:
        self._tell()

    def _tell(self) -> None:
        """Pass on the first thing that happens; that the watch is used up then is no news."""
        if not self._told:
            self._told = True
            self._wakeup._notice(self)

    def on_queue_overflow(self) -> None:
        self._wakeup._overflow()


def _identity(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        seen = os.stat(path)
        return seen.st_dev, seen.st_ino
    return None
