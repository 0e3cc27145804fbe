"""What others see of the files: gauges and status. Reads, when it is asked, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from logship.metrics import Metrics
from logship.progress.ledger import Ledger
from logship.source.file import LogFile
from logship.source.trail import Trail


def show(metrics: Metrics, trails: Callable[[], Iterable[Trail]], ledger: Ledger) -> None:
    """Have the gauges of files tell of these trails whenever they are collected."""

    def files() -> Iterator[tuple[Trail, LogFile]]:
        return ((trail, file) for trail in trails() for file in trail.files)

    def by_label(value: Callable[[LogFile], float]) -> Iterator[tuple[str, str, float]]:
        found = {(file.source, _label(file)): value(file) for _, file in files()}
        return ((*labels, each) for labels, each in found.items())

    metrics.files_followed.set_function(lambda: sum(file.content is not None for _, file in files()))
    metrics.files_parked.set_function(
        lambda: sum(file.content is None and not trail.trouble for trail, file in files())
    )
    metrics.files_unreadable.set_function(lambda: sum(bool(trail.trouble) for trail in trails()))
    metrics.deleted_bytes_held.set_function(lambda: sum(file.size for _, file in files() if _is_deleted(file)))
    metrics.file_behind.set_function(lambda: by_label(lambda file: file.behind))
    metrics.file_unsettled.set_function(lambda: by_label(lambda file: file.offset - ledger.watermark(file.key)))


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


def _is_deleted(file: LogFile) -> bool:
    return file.content is not None and not file.links


def _label(file: LogFile) -> str:
    """Return a path that tells a deleted file from the one that has its name now."""
    return file.path if file.links else f"{file.path} (deleted)"
