"""Choose which logs to follow, so that each request is counted once: of several logs with the same requests, one."""

from __future__ import annotations

from dataclasses import dataclass, field

from logship.discover import layouts
from logship.discover.servers import Found, Log, LogSet, Server


@dataclass(frozen=True, slots=True)
class Use:
    """A server that writes to a log, and where in it."""

    server: Server
    log: Log
    where: str


@dataclass(slots=True)
class Choice:
    """Which logs are followed, by path, and who writes to them; and which only repeat what others hold."""

    followed: dict[str, list[Use]] = field(default_factory=dict)
    repeated: dict[str, list[tuple[Use, str]]] = field(default_factory=dict)


def choose(found: Found) -> Choice:
    """Return which logs to follow: where a request is in several, one that is followed anyway, else the best."""
    choice = Choice()
    waiting: list[tuple[Server, LogSet, list[Log]]] = []
    for server in found.servers:
        for each in server.logs:
            files = list({log.path: log for log in each.logs if log.path is not None}.values())
            whole = [log for log in files if not log.condition]
            if len(whole) > 1:
                waiting.append((server, each, files))
            else:
                _follow(choice, server, each, whole or files, files)
    for server, each, files in waiting:
        whole = [log for log in files if not log.condition]
        known = [log for log in whole if log.path in choice.followed]
        _follow(choice, server, each, [(known or sorted(whole, key=_merit))[0]], files)
    return choice


def _merit(log: Log) -> tuple[bool, ...]:
    return tuple(not held for held in layouts.merit(log.format))


def _follow(choice: Choice, server: Server, where: LogSet, chosen: list[Log], files: list[Log]) -> None:
    for log in files:
        use = Use(server, log, where.where)
        assert log.path is not None
        if log in chosen:
            choice.followed.setdefault(log.path, []).append(use)
        else:
            choice.repeated.setdefault(log.path, []).append((use, str(chosen[0].path)))
