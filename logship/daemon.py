"""The process around a pipeline: signals, the service manager, watching the configuration, reload, stop, exit code.

A reload builds the new plan in full before anything changes; a broken file changes nothing. Changes to `state_dir` and
`admin` need a restart: they are reported, and everything else applies.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from logship import __version__, plan
from logship.admin.rates import Rates
from logship.deadletter import DeadLetters
from logship.environment import Variables
from logship.errors import ConfigError, LogshipError
from logship.metrics import Metrics
from logship.pipeline import Pipeline
from logship.progress.checkpoint import Checkpoint
from logship.servicemanager import ServiceManager
from logship.settings import differences
from logship.settings.edition import Contents, Edition
from logship.settings.root import Settings

log = structlog.get_logger(__name__)

_READY_LOOK = 0.1  # seconds between two looks until READY was said
_WAIT_FOR_API = 30.0  # seconds; the unit's TimeoutStartSec is twice that
_NOTE_EVERY = 1.0  # seconds between two notes of the totals, for the rates
_LOOK_EVERY = 1.0  # seconds between two looks at the configuration's files
_AFTER_DAMAGE = {
    "previous": "what was settled since the save before is sent again",
    "empty": "followed files are read from their beginning; what is within max_event_age is sent again",
}
_NEEDS_RESTART = ("state_dir", "admin")


@dataclass(slots=True)
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


class Daemon:
    """One logship process. `run` returns when it was told to stop or, with ``once``, when all is delivered."""

    def __init__(self, config: Path, *, once: bool = False) -> None:
        self.config = config
        self._once = once
        self.metrics = Metrics()
        self.metrics.build_info.labels(__version__).set(1)
        self._manager = ServiceManager.from_environment()
        self._reload_asked = asyncio.Event()
        self._forced = False
        self._told_ready = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.reloads = Reload()
        self._pipeline: Pipeline | None = None
        self._started = time.time()
        self._rates = Rates()
        self._edition = Edition(config)
        self._in_use: Contents = {}

    async def run(self) -> None:
        """Run until stopped. Raise ConfigError or StateError when it cannot start."""
        self._loop = asyncio.get_running_loop()
        with self._signals():  # before anything is read: an edit of what was read by then is noticed
            await self._run()

    async def _run(self) -> None:
        self._in_use = self._edition.look()
        built = plan.load(self.config, Variables())
        loaded = built.settings
        self._accepted(loaded)
        with contextlib.closing(Checkpoint.open(loaded.state_dir)) as checkpoint:
            if checkpoint.recovered:
                self.metrics.checkpoint_recoveries.labels(checkpoint.recovered).inc()
                log.error("checkpoint.damaged", used=checkpoint.recovered, help=_AFTER_DAMAGE[checkpoint.recovered])
            self._pipeline = Pipeline(
                built,
                checkpoint=checkpoint,
                dead_letters=DeadLetters(loaded.state_dir / "dead-letter.jsonl"),
                metrics=self.metrics,
                once=self._once,
            )
            _spare_the_collector()
            self._running = asyncio.ensure_future(self._run_pipeline(loaded))  # before a signal could ask for its end
            try:
                await self._running
            except asyncio.CancelledError:
                if not self._forced:
                    raise

    async def _run_pipeline(self, loaded: Settings) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if loaded.admin is not None and not self._once:
                from logship.admin import server  # brings aiohttp's server, which `run --once` can do without

                await stack.enter_async_context(server.serve(loaded.admin, self))
            if not self._once:
                await stack.enter_async_context(self.pipeline.tap.serve(loaded.state_dir))
            side = [_beside("service manager", self._report_to_manager())]
            if not self._once:
                side += [_beside("configuration", self._watch_config(loaded)), _beside("rates", self._note_rates())]
            log.info("logship.started", version=__version__, config=str(self.config), pid=os.getpid())
            try:
                await self.pipeline.run()
            finally:
                for task in side:
                    task.cancel()
                self._manager.tell("STOPPING=1")
        log.info("logship.stopped", unsettled_lines=self.pipeline.unsettled_at_stop)
        if self._once and not self.pipeline.stopping:
            _account_for(self.pipeline.status()["files"])

    # -- what may be asked of it

    def stop(self) -> None:
        """Stop cleanly; when asked a second time, at once: events in flight may then be sent again."""
        if self.pipeline.stopping:
            self._leave()
            return
        log.info("stop.began", grace_period=self.pipeline.plan.settings.grace_period)
        self._manager.tell("STOPPING=1")
        self.pipeline.stop()

    def _leave(self) -> None:
        if self._forced or self.pipeline.leaving:
            return  # a third signal must not cut short what makes the second one harmless: the last save
        self._forced = True
        lines = self.pipeline.status()["unsettled_lines"]
        help_ = "read and sent again at the next start; requests in flight may then be counted twice"
        log.warning("stop.forced", lines=lines, help=help_)
        self._running.cancel()

    def ready(self) -> bool:
        """Whether files are followed and every destination can deliver."""
        return self.pipeline.ready

    @property
    def pipeline(self) -> Pipeline:
        """The running pipeline. RuntimeError before `run` has built it."""
        if self._pipeline is None:
            raise RuntimeError("the daemon does not run yet")
        return self._pipeline

    @property
    def following(self) -> bool:
        """Whether the pipeline runs and has looked at every file once."""
        return self._pipeline is not None and self._pipeline.following

    @property
    def events_sent(self) -> int:
        """How many deliveries were accepted so far, by every destination together."""
        return self._pipeline.delivered if self._pipeline is not None else 0

    def show_progress(self, show: Callable[[int, int, int], object]) -> None:
        """Have ``show`` called soon with the bytes read, the bytes that there are, and the events sent.

        For other threads: they must not look at what runs themselves, since to be asked settles what was accepted.
        """
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._show_progress, show)

    def _show_progress(self, show: Callable[[int, int, int], object]) -> None:
        files = self._pipeline.status()["files"] if self._pipeline is not None else []
        read, size = (sum(file.get(figure, 0) for file in files) for figure in ("offset", "size"))
        show(read, size, self.events_sent)

    def status(self) -> dict[str, Any]:
        """Tell everything an operator asks for, as JSON-able values."""
        status = self.pipeline.status()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            "config": str(self.config),
            "ready": self.ready(),
            "stopping": self.pipeline.stopping,
            "reload": self.reloads.as_json(),
            "rates": self._rates.as_json(),
            **status,
            "sources_without_files": self._without_files(status["files"]),
        }

    def _without_files(self, files: Sequence[Mapping[str, Any]]) -> list[str]:
        """Name the sources without a file: one is yet to appear, or a path is misspelled."""
        followed = {each["source"] for each in files}
        return [each.name for each in self.pipeline.plan.settings.sources if each.name not in followed]

    # -- signals and the service manager

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        calls = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self._reload_asked.set}
        for number, call in calls.items():
            loop.add_signal_handler(number, call)
        try:
            yield
        finally:
            for number in calls:
                loop.remove_signal_handler(number)

    async def _report_to_manager(self) -> None:
        """Say READY once files are followed and destinations can deliver; then feed the watchdog from the loop.

        An API that is down at boot must not make the start fail: after a while READY is said anyway, and STATUS tells
        what is wrong.
        """
        deadline = time.monotonic() + _WAIT_FOR_API
        while not (self.ready() or (self.following and time.monotonic() > deadline)):
            self._manager.tell("WATCHDOG=1", f"STATUS={self.pipeline.summary()}")
            await asyncio.sleep(_READY_LOOK)
        self._manager.tell("READY=1")
        self._told_ready = True
        while True:
            self._manager.tell("WATCHDOG=1", f"STATUS={self.pipeline.summary()}")
            await asyncio.sleep(self._manager.interval)

    async def _note_rates(self) -> None:
        while True:
            self._rates.note(time.monotonic(), self.pipeline.lines_read, self.events_sent)
            await asyncio.sleep(_NOTE_EVERY)

    # -- the configuration

    async def _watch_config(self, running: Settings) -> None:
        """Reload on SIGHUP, and when the file or one that it names was edited, replaced or relinked."""
        seen = self._in_use
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reload_asked.wait(), _LOOK_EVERY)
            asked = self._reload_asked.is_set()
            found = self._edition.look(seen)
            if not asked and found == seen:
                continue
            if not asked:
                found = await self._settled(found)
            self._reload_asked.clear()
            seen = found
            running = await self._reload(running, found)

    async def _settled(self, found: Contents) -> Contents:
        """Wait until two looks agree: editors write in pieces, and a ConfigMap's links are swapped one by one."""
        while True:
            await asyncio.sleep(_LOOK_EVERY / 4)
            again = self._edition.look(found)
            if again == found:
                return found
            found = again

    async def _reload(self, running: Settings, found: Contents) -> Settings:
        """Read and build in a thread, then apply. If the file is broken, change nothing, and say where."""
        with self._told_of_reloading():
            try:
                built = await asyncio.to_thread(plan.load, self.config, Variables())
                return running if self.pipeline.stopping else self._apply(built, running, found)
            except LogshipError as error:
                self._refused(error)
            except Exception as error:  # a bug of ours: it must not be the end of all reloads
                log.exception("config.reload_failed")
                self._refused(
                    LogshipError(f"{self.config}: unexpected {type(error).__name__}; the log has the details")
                )
            return running

    def _apply(self, built: plan.Plan, running: Settings, found: Contents) -> Settings:
        changes = [_with_consequence(each) for each in differences.between(running, built.settings)]
        changes += self._edition.edits(self._in_use, found)
        loaded = self._keep_what_needs_restart(running, built.settings)
        self.pipeline.apply(replace(built, settings=loaded))
        self._in_use = found
        self._accepted(loaded, changes)
        log.info("config.reloaded", config=str(self.config), hash=self.reloads.hash, changes=changes)
        return loaded

    @contextlib.contextmanager
    def _told_of_reloading(self) -> Iterator[None]:
        """Tell the service manager, once it knows that we are ready: READY said sooner would end the start."""
        told = self._told_ready
        if told:
            self._manager.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            if told:
                self._manager.tell("READY=1")

    def _keep_what_needs_restart(self, running: Settings, loaded: Settings) -> Settings:
        for name in _NEEDS_RESTART:
            if getattr(running, name) != getattr(loaded, name):
                log.warning("config.needs_restart", key=name, help="restart to apply it; all other changes apply now")
        return replace(loaded, **{name: getattr(running, name) for name in _NEEDS_RESTART})

    def _accepted(self, loaded: Settings, changes: Sequence[str] = ()) -> None:
        digest = loaded.content_hash
        for warning in loaded.warnings:
            log.warning("config.doubtful", problem=str(warning))
        self.reloads = Reload(self.reloads.number + 1, digest, time.time(), changes=tuple(changes))
        self.metrics.reloads.labels("accepted").inc()
        self.metrics.reload_success.set(1)
        self.metrics.reload_time.set(self.reloads.at)
        self.metrics.config_hash.set(int(digest[:12], 16))

    def _refused(self, error: LogshipError) -> None:
        problems = error.problems if isinstance(error, ConfigError) else (error,)
        self.reloads = Reload(self.reloads.number + 1, self.reloads.hash, time.time(), tuple(map(str, problems)))
        self.metrics.reloads.labels("refused").inc()
        self.metrics.reload_success.set(0)
        for problem in problems:
            log.error("config.refused", problem=str(problem), help="the previous configuration stays in use")


def _beside(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start what runs beside the pipeline: a bug there does not end delivery, and the log tells of it."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_of_a_bug)
    return task


def _tell_of_a_bug(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("daemon.task_failed", task=task.get_name(), exc_info=error)


def _with_consequence(change: str) -> str:
    return f"{change}, after a restart" if change.split()[0] in _NEEDS_RESTART else change


def _account_for(files: Sequence[Mapping[str, Any]]) -> None:
    """Tell of lines without an end, which wait for it. Raise LogshipError for logs that could not be read."""
    for each in files:
        if each.get("behind"):
            log.warning("file.unfinished", path=each["path"], bytes=each["behind"], help=_UNFINISHED)
    unread = [f"{each['path']} could not be read: {each['error']}" for each in files if each["state"] == "unreadable"]
    if unread:
        raise LogshipError("; ".join(unread))


_UNFINISHED = "the last line has no end: it may still be written, and is delivered by the run that finds it whole"


def _spare_the_collector() -> None:
    """Make the garbage collector look at new objects only, and seldom: it took 5 % of the time of a backlog.

    Everything built so far lives as long as the process, and events come and go without cycles.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000, 50, 100)
