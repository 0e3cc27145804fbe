"""What others see of the files: gauges and status. Reads; changes nothing but the gauges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from logship.metrics import Metrics
from logship.progress.ledger import Ledger
from logship.source.file import LogFile
from logship.source.trail import Trail

_AT_A_TIME = 128
"""Files whose gauges are set in one step of the loop: a millisecond or two."""


class Gauges:
    """The gauges of files. Each is set when its value has changed only: there may be a thousand."""

    def __init__(self, metrics: Metrics, ledger: Ledger) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._shown: dict[tuple[str, str], tuple[int, int]] = {}

    async def set(self, trails: Iterable[Trail]) -> None:
        """Show what is there now, and forget the series of what is not; a few at a time."""
        behind: dict[tuple[str, str], tuple[int, int]] = {}
        troubled = held = followed = parked = 0
        for trail in trails:
            troubled += bool(trail.trouble)
            for file in trail.files:
                behind[file.source, _label(file)] = file.behind, file.offset - self._ledger.watermark(file.key)
                held += file.size if file.content and not file.links else 0
                followed += file.content is not None
                parked += file.content is None and not trail.trouble
        self._metrics.files_unreadable.set(troubled)
        self._metrics.files_followed.set(followed)
        self._metrics.files_parked.set(parked)
        self._metrics.deleted_bytes_held.set(held)
        await self._show(behind)

    async def _show(self, behind: dict[tuple[str, str], tuple[int, int]]) -> None:
        changed = [each for each in behind.items() if self._shown.get(each[0]) != each[1]]
        gone = self._shown.keys() - behind.keys()
        self._shown = behind
        for labels in gone:
            self._metrics.forget_file(*labels)
        for number, (labels, values) in enumerate(changed):
            if not number % _AT_A_TIME:
                await asyncio.sleep(0)
            self._metrics.file_behind.labels(*labels).set(values[0])
            self._metrics.file_unsettled.labels(*labels).set(values[1])


def describe(trails: Iterable[Trail], ledger: Ledger) -> list[dict[str, object]]:
    """Describe every file, and every path that cannot be followed."""
    described: list[dict[str, object]] = []
    for trail in trails:
        described += [_describe(trail, file, ledger) for file in trail.files]
        if trail.trouble and not trail.live:
            trouble = {"source": trail.source.name, "path": trail.path, "state": "unreadable", "error": trail.trouble}
            described.append(dict(trouble))
    return described


def _describe(trail: Trail, file: LogFile, ledger: Ledger) -> dict[str, object]:
    described: dict[str, object] = {
        "source": file.source,
        "path": file.path,
        "size": file.size,
        "offset": file.offset,
        "settled": ledger.watermark(file.key),
        "behind": file.behind,
        "state": _state(trail, file),
    }
    if file is trail.live and trail.trouble:
        described["error"] = trail.trouble
    return described


def _state(trail: Trail, file: LogFile) -> str:
    if file is trail.live:
        return "unreadable" if trail.trouble else "following"
    return "deleted" if not file.links else "draining"


def _label(file: LogFile) -> str:
    """Return a path that tells a deleted file from the one that has its name now."""
    return file.path if file.links else f"{file.path} (deleted)"
