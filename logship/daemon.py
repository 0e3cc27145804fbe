"""The process around a pipeline: signals, the service manager, the reload of its configuration, stop, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from logship import __version__
from logship.admin.rates import Rates
from logship.configuration import Configuration
from logship.deadletter import DeadLetters
from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.pipeline import Pipeline
from logship.plan import Plan
from logship.progress.checkpoint import Checkpoint
from logship.servicemanager import ServiceManager
from logship.settings.root import Settings

log = structlog.get_logger(__name__)

_READY_LOOK = 0.1  # seconds between two looks until READY was said
_WAIT_FOR_API = 30.0  # seconds; the unit's TimeoutStartSec is twice that
_NOTE_EVERY = 1.0  # seconds between two notes of the totals, for the rates
_AFTER_DAMAGE = {
    "previous": "what was settled since the save before is sent again",
    "empty": "followed files are read from their beginning; what is within max_event_age is sent again",
}


class Daemon:
    """One logship process. `run` returns when it was told to stop or, with ``once``, when all is delivered."""

    def __init__(self, config: Path, *, once: bool = False) -> None:
        self._once = once
        self.metrics = Metrics()
        self.metrics.build_info.labels(__version__).set(1)
        self.configuration = Configuration(config, self.metrics)
        self._manager = ServiceManager.from_environment()
        self._forced = False
        self._told_ready = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pipeline: Pipeline | None = None
        self._started = time.time()
        self._rates = Rates()

    async def run(self) -> None:
        """Run until stopped. Raise ConfigError or StateError when it cannot start."""
        self._loop = asyncio.get_running_loop()
        with self._signals():  # before anything is read: an edit of what was read by then is noticed
            await self._run()

    async def _run(self) -> None:
        built = self.configuration.load()
        loaded = built.settings
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
                side += [_beside("configuration", self._follow_configuration()), _beside("rates", self._note_rates())]
            log.info("logship.started", version=__version__, config=str(self.configuration.path), pid=os.getpid())
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
            "config": str(self.configuration.path),
            "ready": self.ready(),
            "stopping": self.pipeline.stopping,
            "reload": self.configuration.last.as_json(),
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
        calls = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.configuration.ask}
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

    async def _follow_configuration(self) -> None:
        while True:
            await self.configuration.edited()
            with self._told_of_reloading():
                await self.configuration.reload(self._apply)

    def _apply(self, built: Plan) -> bool:
        if self.pipeline.stopping:
            return False  # a destination that was started now would outlive the stop
        self.pipeline.apply(built)
        return True

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


def _beside(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start what runs beside the pipeline: a bug there does not end delivery, and the log tells of it."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_of_a_bug)
    return task


def _tell_of_a_bug(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("daemon.task_failed", task=task.get_name(), exc_info=error)


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
