"""What a web server's configuration says about its logs: the values that travel in this room, for any server.

Readers (`nginx`, `apache`) fill them, `sources` decides from them what to follow, `write` turns that into YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a configuration."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Format:
    """How a server writes its lines. ``text`` is the format string, None if the configuration defines no such name."""

    family: str  # nginx, apache
    name: str
    text: str | None
    escape: str = "default"
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """One access log. ``path`` may be a glob; it is None where there is no file to follow, and ``trouble`` says why."""

    written: str  # the path or target as the configuration has it, with the server's variables
    path: str | None
    format: Format
    place: Place
    condition: str = ""  # "if=$loggable", "env=!dontlog"
    trouble: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogSet:
    """The logs that one request is written to: each of them holds it. ``where`` is empty for the whole server."""

    where: str
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """One server block or virtual host."""

    names: tuple[str, ...]
    place: Place
    https: bool
    serves: bool  # False: it only redirects, so there is never a page in its lines
    logs: tuple[LogSet, ...]
    real_ip: str = ""  # what resolves the visitor's address, "" when nothing does
    ports: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    """Everything that was read. ``notes`` say what could not be followed or judged."""

    program: str  # nginx, Apache
    file: str
    servers: list[Server] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 1
    fallback: str = ""  # where such a server writes its log by default
