"""Our own log, on standard error: coloured text on a terminal, JSON lines elsewhere, priorities under journald.

Import it before anything else that imports structlog: structlog imports rich where that is installed, 5.5 MB of memory
that a daemon never uses, so rich is hidden from it here.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any, TextIO

import orjson

from logship.lean import hidden

with hidden("rich"):
    import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIORITIES = {
    "debug": 7,
    "info": 6,
    "warning": 4,
    "error": 3,
    "critical": 2,
}  # syslog(3), as `journalctl -p` knows them


def configure(*, level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Set up structlog, and send what libraries log through the standard library the same way.

    ``style`` is ``json``, ``text`` or ``auto``. Under systemd each JSON line bears its priority as ``<N>``.
    """
    stream = stream or sys.stderr
    text = style == "text" or (style == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *(_as_text(stream) if text else _as_json(os.environ)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)


def _as_text(stream: TextIO) -> list[Any]:
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]


def _as_json(environment: os._Environ[str]) -> list[Any]:
    render = structlog.processors.JSONRenderer(serializer=_dump)
    if "JOURNAL_STREAM" not in environment:
        return [render]

    def with_priority(logger: Any, method: str, event: Any) -> str:
        return f"<{_PRIORITIES.get(method, 6)}>" + str(render(logger, method, event))

    return [with_priority]


def _dump(event: Any, default: Any = None, **_: Any) -> str:
    # A path may hold bytes that are not UTF-8; the log shows it all the same.
    try:
        return orjson.dumps(event, default=default).decode()
    except TypeError:
        cleaned = {key: str(value).encode("utf-8", "replace").decode() for key, value in event.items()}
        return orjson.dumps(cleaned).decode()


class _Foreign(logging.Handler):
    """Passes records of the standard library's logging on to our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        getattr(log, record.levelname.lower(), log.warning)("library.said", text=record.getMessage(), by=record.name)


class Throttle:
    """Keeps what happens again and again from filling the log: the counters have it all."""

    _MOST = 100  # kinds; a server may put a new host into each redirect

    def __init__(self, every: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._logged: dict[Hashable, float] = {}

    def allows(self, kind: Hashable) -> bool:
        """Tell whether to log something of this kind now: not if it was logged less than ``every`` seconds ago."""
        now = self._clock()
        if now - self._logged.get(kind, -math.inf) < self._every:
            return False
        if len(self._logged) >= self._MOST:
            self._logged.clear()
        self._logged[kind] = now
        return True
