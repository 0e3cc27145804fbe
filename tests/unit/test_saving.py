"""Saving progress: what is on disk at the end is what was settled last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from logship.metrics import Metrics
from logship.progress.checkpoint import Checkpoint
from logship.progress.ledger import Ledger
from logship.saving import Saving


class Files:
    """In a tailer's place: no files, and sources that are one more at each save."""

    def __init__(self) -> None:
        self._asked = 0

    async def gather(self) -> None:
        pass

    def positions(self) -> tuple[()]:
        self._asked += 1
        return ()

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(f"source {number}" for number in range(self._asked))


async def test_a_save_that_was_given_up_never_overwrites_the_one_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop cancels the regular save, whose thread goes on; the last save waits for it, however slow the disk is."""
    began, disk = threading.Event(), threading.Event()
    save = Checkpoint.save

    def slowly(checkpoint: Checkpoint, positions: Iterable[Any], sources: Iterable[str]) -> None:
        if not began.is_set():
            began.set()
            assert disk.wait(60)
        save(checkpoint, positions, sources)

    monkeypatch.setattr(Checkpoint, "save", slowly)
    checkpoint = Checkpoint.open(tmp_path / "state")
    saving = Saving(checkpoint, Files(), Ledger(), Metrics())  # type: ignore[arg-type]
    regular = asyncio.create_task(saving.save())
    await asyncio.to_thread(began.wait, 60)
    regular.cancel()
    last = asyncio.create_task(saving.save())
    await asyncio.wait({last}, timeout=0.2)
    disk.set()
    await asyncio.gather(regular, last, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert checkpoint.sources == {"source 0", "source 1"}
    checkpoint.close()
