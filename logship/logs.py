"""Our own log, on standard error: coloured text on a terminal, JSON lines elsewhere, priorities under journald.

To be imported before anything else that imports structlog: that takes rich along where it finds it, 5.5 MB of memory
that a daemon never uses, so it is not to find it here.
"""

from __future__ import annotations

import logging
import os
import sys
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
    """Records of the standard library's logging, told by our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        told = structlog.get_logger(record.name)
        getattr(told, record.levelname.lower(), told.warning)("library.said", text=record.getMessage(), by=record.name)
