"""The configuration in use: read at the start, watched, and read again when it is edited or somebody asks for it.

A reload builds the new plan in full before anything changes; a broken file changes nothing. Changes to `state_dir` and
`admin` need a restart: they are reported, and everything else applies. Whoever runs the plan says how one is applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from logship import plan
from logship.environment import Variables
from logship.errors import ConfigError, LogshipError
from logship.metrics import Metrics
from logship.settings import differences
from logship.settings.edition import Contents, Edition
from logship.settings.root import Settings

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds between two looks at the files
_NEEDS_RESTART = ("state_dir", "admin")

Apply = Callable[[plan.Plan], bool]
"""Applies a plan; False if that came too late. Raises LogshipError, with nothing changed, when it cannot be used."""


@dataclass(frozen=True, slots=True)
class Reload:
    """How the last attempt to read the configuration ended, for ``/status`` and `logship reload`."""

    number: int = 0
    hash: str = ""
    at: float = 0.0
    problems: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**asdict(self), "problems": list(self.problems), "changes": list(self.changes)}


class Configuration:
    """One configuration file, with those that it names: `load` it, then by turns wait until `edited`, and `reload`."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self.path = path
        self.last = Reload()
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._edition = Edition(path)
        self._seen: Contents = {}  # at the last look
        self._in_use: Contents = {}  # when what is in use was read
        self._settings: Settings  # in use

    def load(self) -> plan.Plan:
        """Read it for the first time. Raise ConfigError when it cannot be used."""
        self._seen = self._in_use = self._edition.look()
        built = plan.load(self.path, Variables())
        self._accept(built.settings)
        return built

    def ask(self) -> None:
        """Have it read again, edited or not."""
        self._asked.set()

    async def edited(self) -> None:
        """Wait until the file or one that it names was edited, replaced or relinked, or until it is asked for."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_EVERY)
            asked = self._asked.is_set()
            found = self._edition.look(self._seen)
            if asked or found != self._seen:
                break
        self._seen = found if asked else await self._settled(found)
        self._asked.clear()

    async def _settled(self, found: Contents) -> Contents:
        """Wait until two looks agree: editors write in pieces, and a ConfigMap's links are swapped one by one."""
        while True:
            await asyncio.sleep(_LOOK_EVERY / 4)
            again = self._edition.look(found)
            if again == found:
                return found
            found = again

    async def reload(self, apply: Apply) -> None:
        """Read and build in a thread, then apply. If the file is broken, change nothing, and say where."""
        try:
            self._use(await asyncio.to_thread(plan.load, self.path, Variables()), apply)
        except LogshipError as error:
            self._refuse(error)
        except Exception as error:  # a bug of ours: it must not be the end of all reloads
            log.exception("config.reload_failed")
            self._refuse(LogshipError(f"{self.path}: unexpected {type(error).__name__}; the log has the details"))

    def _use(self, built: plan.Plan, apply: Apply) -> None:
        changes = [_with_consequence(each) for each in differences.between(self._settings, built.settings)]
        changes += self._edition.edits(self._in_use, self._seen)
        kept = {name: getattr(self._settings, name) for name in _NEEDS_RESTART}
        settings = replace(built.settings, **kept)
        if not apply(replace(built, settings=settings)):
            return
        for name in [each for each in kept if kept[each] != getattr(built.settings, each)]:
            log.warning("config.needs_restart", key=name, help="restart to apply it; all other changes apply now")
        self._in_use = self._seen
        self._accept(settings, changes)
        log.info("config.reloaded", config=str(self.path), hash=self.last.hash, changes=changes)

    def _accept(self, settings: Settings, changes: Sequence[str] = ()) -> None:
        digest = settings.content_hash
        for warning in settings.warnings:
            log.warning("config.doubtful", problem=str(warning))
        self._settings = settings
        self.last = Reload(self.last.number + 1, digest, time.time(), changes=tuple(changes))
        self._metrics.reloads.labels("accepted").inc()
        self._metrics.reload_success.set(1)
        self._metrics.reload_time.set(self.last.at)
        self._metrics.config_hash.set(int(digest[:12], 16))

    def _refuse(self, error: LogshipError) -> None:
        problems = error.problems if isinstance(error, ConfigError) else (error,)
        self.last = Reload(self.last.number + 1, self.last.hash, time.time(), tuple(map(str, problems)))
        self._metrics.reloads.labels("refused").inc()
        self._metrics.reload_success.set(0)
        for problem in problems:
            log.error("config.refused", problem=str(problem), help="the previous configuration stays in use")


def _with_consequence(change: str) -> str:
    return f"{change}, after a restart" if change.split()[0] in _NEEDS_RESTART else change
