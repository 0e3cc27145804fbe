"""Progress bars, on a terminal only: elsewhere there are none, and rich is not imported."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from logship.daemon import Daemon

_LARGE = 4 << 20  # bytes; what is smaller is read before a bar could be drawn


@contextlib.contextmanager
def of_file(stream: BinaryIO, *, enabled: bool) -> Iterator[BinaryIO]:
    """Show how far a large file has been read, by the bytes taken from the disk."""
    with stream:
        size = _size(stream)
        if not enabled or not sys.stderr.isatty() or size < _LARGE:
            yield stream
            return
        from rich.console import Console
        from rich.progress import Progress

        # Rich would send what is printed to the bar's console, even where it is meant for a file.
        with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
            task = bar.add_task("reading", total=size)
            yield cast(
                "BinaryIO", _Watched(stream, lambda: bar.update(task, completed=os.lseek(stream.fileno(), 0, 1)))
            )


@contextlib.contextmanager
def of_daemon(daemon: Daemon, *, enabled: bool) -> Iterator[None]:
    """Show the progress of `run --once`: bytes read of all, events delivered."""
    if not enabled or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    stop = threading.Event()
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[events]:,} events"))
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("delivering", total=None, events=0)

        def draw(read: int, size: int, events: int) -> None:
            bar.update(task, completed=read, total=size or None, events=events)

        def ask() -> None:
            while not stop.wait(0.2):
                daemon.show_progress(draw)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class _Watched:
    """A stream that reports when it was read, at most ten times a second."""

    def __init__(self, stream: BinaryIO, on_read: Callable[[], object]) -> None:
        self._stream, self._on_read, self._next = stream, on_read, 0.0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if (now := time.monotonic()) >= self._next:
            self._next = now + 0.1
            self._on_read()
        return data


def _size(stream: BinaryIO) -> int:
    try:
        found = os.fstat(stream.fileno())
    except (OSError, AttributeError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
