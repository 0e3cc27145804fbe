"""Save progress while a pipeline runs. A full or read-only disk is survived: the checkpoint before it still holds."""

from __future__ import annotations

import asyncio
import contextlib
import time

import structlog

from logship.logs import Throttle
from logship.metrics import Metrics
from logship.progress.checkpoint import Checkpoint
from logship.progress.ledger import Ledger
from logship.source.tailer import Tailer

log = structlog.get_logger(__name__)

SAVE_EVERY = 1.0  # seconds; the contract promises that a checkpoint is at most 2 s behind what has settled
_SAVE_AT_REST = 10.0  # seconds; when nothing was read or settled, only the time at which a file was last seen is new


class Saving:
    """Writes what is settled to the checkpoint: `run` does it regularly, `save` at once."""

    def __init__(self, checkpoint: Checkpoint, tailer: Tailer, ledger: Ledger, metrics: Metrics) -> None:
        self._checkpoint = checkpoint
        self._tailer = tailer
        self._ledger = ledger
        self._metrics = metrics
        self._throttle = Throttle()
        self._writing: asyncio.Future[None] | None = None
        self.succeeded = True  # whether the last checkpoint reached the disk

    async def run(self) -> None:
        """Save every second while anything is read or settled, else every ten, until cancelled."""
        # The first save follows as soon as every file was looked at: after a crash in the first second, and a rotation,
        # what was followed would be taken for the history of an unknown source, and skipped.
        await self._tailer.ready.wait()
        while True:
            changes, saved_at = self._changes(), time.monotonic()
            await self.save()
            await asyncio.sleep(SAVE_EVERY)
            at_rest_until = saved_at + _SAVE_AT_REST
            while self.succeeded and self._changes() == changes and time.monotonic() < at_rest_until:  # noqa: ASYNC110
                await asyncio.sleep(SAVE_EVERY)

    async def save(self) -> None:
        """Save the watermarks. If the disk refuses, say so once, and go on: the next save may succeed."""
        await self._tailer.gather()
        await self._until_written()
        try:
            await self._write()
        except OSError as error:
            self._failed(error)
        else:
            self._saved()

    async def _until_written(self) -> None:
        """Wait for a save whose awaiter was cancelled: it goes on in its thread, and must not overwrite a later one."""
        if self._writing is not None and not self._writing.done():
            with contextlib.suppress(OSError):
                await asyncio.shield(self._writing)

    async def _write(self) -> None:
        positions, sources = self._tailer.positions(), self._tailer.sources
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._checkpoint.save, positions, sources))
        await asyncio.shield(self._writing)

    def _failed(self, error: OSError) -> None:
        self._metrics.checkpoints.labels("failed").inc()
        if self.succeeded or self._throttle.allows("checkpoint"):
            help_ = "delivery goes on; after a crash now, some events would be sent again"
            log.error("checkpoint.failed", error=str(error), help=help_)
        self.succeeded = False

    def _saved(self) -> None:
        self._metrics.checkpoints.labels("saved").inc()
        if not self.succeeded:
            log.info("checkpoint.recovered")
        self.succeeded = True

    def _changes(self) -> tuple[int, frozenset[str]]:
        return self._ledger.changes, self._tailer.sources
