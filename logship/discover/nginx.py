"""Read nginx's configuration: which server writes which requests to which log, in which format.

A level (http, server, location, if) that sets any ``access_log`` replaces those of the level above it; where none sets
one, the compiled-in log applies. https://nginx.org/en/docs/http/ngx_http_log_module.html#access_log
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from logship.discover.build import Build
from logship.discover.files import Library
from logship.discover.nginx_grammar import Directive, parse
from logship.discover.servers import Format, Found, Log, LogSet, Place, Server
from logship.errors import LogshipError

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
_MOST_DIRECTIVES = 2_000_000  # a hundred thousand servers; includes inside includes reach it before memory ends
_DEEPEST = 96
_EVERYTHING = frozenset(
    ("^", "^/", ".*", "(.*)", "^(.*)", "^(.*)$", "^/(.*)", "^/(.*)$", "^.*$")
)  # a rewrite of it all
_INNER = frozenset(("location", "if", "limit_except"))

_Child = tuple[Directive, tuple[str, ...]]  # and the files that led to it


def read(path: str, build: Build) -> Found:
    """Return what the configuration says. Raises LogshipError where it cannot be read or is none."""
    return _Reader(os.path.abspath(path), build).found()


@dataclass(frozen=True, slots=True)
class _Level:
    """What a block hands on to those inside."""

    logs: tuple[Log, ...]
    real_ip: tuple[bool, str] = (False, "X-Real-IP")

    @property
    def resolved(self) -> str:
        return f"set_real_ip_from with real_ip_header {self.real_ip[1]}" if self.real_ip[0] else ""


class _Reader:
    def __init__(self, path: str, build: Build) -> None:
        self._path, self._build = path, build
        self._directory = os.path.dirname(path)
        self._library: Library[list[Directive]] = Library(parse)
        self._formats: dict[str, Format] = {"combined": Format("nginx", "combined", COMBINED)}
        self._logs: dict[tuple[str, int, tuple[str, ...]], Log | None] = {}
        self._seen = 0

    def found(self) -> Found:
        top = self._children(self._library.main(self._path), (self._path,))
        found = Found("nginx", self._path, fallback=self._build.log)
        blocks = [self._children(each.block or [], chain) for each, chain in top if each.name == "http"]
        if not blocks and any(each.name == "server" for each, _ in top):
            found.notes.append("there is no http block: read as a part of one, without what stands outside of it")
            blocks = [top]
        if not blocks:
            raise LogshipError(f"{self._path}: there is no http block in it; name nginx's main file: --nginx FILE")
        for children in blocks:
            found.servers += self._http(children)
        found.notes += self._library.notes
        found.files = self._library.files
        return found

    def _children(self, block: list[Directive], chain: tuple[str, ...]) -> list[_Child]:
        """Return a block's directives with includes in their place."""
        return list(self._expanded(block, chain))

    def _expanded(self, block: list[Directive], chain: tuple[str, ...]) -> Iterator[_Child]:
        for each in block:
            self._seen += 1
            if self._seen > _MOST_DIRECTIVES:
                raise LogshipError(
                    f"{each.file}:{each.line}: more than {_MOST_DIRECTIVES} directives, all includes counted"
                )
            if each.name != "include" or not each.args:
                yield each, chain
                continue
            pattern = os.path.join(self._directory, each.args[0])
            for file, tree in self._library.included(pattern, chain, _place(each), optional=False):
                yield from self._expanded(tree, (*chain, file))

    def _http(self, children: list[_Child]) -> Iterator[Server]:
        for each, _ in children:
            if each.name == "log_format" and len(each.args) > 1:
                self._formats[each.args[0]] = _format(each)
        compiled = Log(
            self._build.log,
            self._build.log,
            self._formats["combined"],
            Place(self._path, 1),
            remarks=("No access_log is set: this is the one that is compiled in.",),
        )
        level = self._level(children, _Level((compiled,)))
        servers = [(each, chain) for each, chain in children if each.name == "server"]
        for each, chain in servers:
            yield self._server(each, chain, level)
        if not servers:
            yield Server((), Place(self._path, 1), False, True, (LogSet("", level.logs),), level.resolved)

    def _server(self, block: Directive, chain: tuple[str, ...], above: _Level) -> Server:
        children = self._children(block.block or [], chain)
        level = self._level(children, above)
        listens = [each.args for each, _ in children if each.name == "listen" and each.args]
        return Server(
            names=tuple(name.lower() for each, _ in children if each.name == "server_name" for name in each.args),
            place=_place(block),
            https=any(map(_is_tls, listens)) or any(map(_wants_https, children)),
            serves=self._serves(children),
            logs=(LogSet("", level.logs), *self._inner(children, level, 0)),
            real_ip=level.resolved,
            ports=tuple(dict.fromkeys(_port(args[0]) for args in listens)) or ("80",),
            remarks=_proxy_protocol(listens, level),
        )

    def _serves(self, children: list[_Child]) -> bool:
        """Tell whether a server shows pages, or only redirects, errors and certificate challenges."""
        if any(map(_ends_there, children)):
            return False
        locations = [
            (each.args, self._children(each.block or [], chain)) for each, chain in children if _is_location(each)
        ]
        pages = [
            args for args, inside in locations if not any(map(_ends_there, inside)) and "well-known" not in args[-1]
        ]
        return bool(pages) or not any(args[-1] == "/" for args, _ in locations)

    def _inner(self, children: list[_Child], above: _Level, depth: int) -> Iterator[LogSet]:
        """Yield the logs of locations that do not write to the server's."""
        if depth > _DEEPEST:
            raise LogshipError(f"{_place(children[0][0])}: more than {_DEEPEST} blocks inside one another")
        for each, chain in children:
            if each.name in _INNER and each.block is not None:
                inside = self._children(each.block, chain)
                level = self._level(inside, above)
                if level.logs != above.logs and level.logs:
                    yield LogSet(f"{each.name} {' '.join(each.args)}".strip(), level.logs)
                if inside:
                    yield from self._inner(inside, level, depth + 1)

    def _level(self, children: list[_Child], above: _Level) -> _Level:
        own = [each for each, _ in children if each.name == "access_log" and each.args]
        logs = above.logs
        if own:
            off = any(each.args[0] == "off" for each in own)
            logs = () if off else tuple(log for log in map(self._log, own) if log is not None)
        trusted = any(each.name == "set_real_ip_from" for each, _ in children)
        headers = [each.args[0] for each, _ in children if each.name == "real_ip_header" and each.args]
        return _Level(logs, (trusted or above.real_ip[0], headers[-1] if headers else above.real_ip[1]))

    def _log(self, each: Directive) -> Log | None:
        """Return a log; if an included snippet sets it for many servers, it is the same one for all."""
        key = each.file, each.line, each.args
        if key not in self._logs:
            self._logs[key] = self._made(each)
        return self._logs[key]

    def _made(self, each: Directive) -> Log | None:
        target, *others = each.args
        if target == "/dev/null":
            return None
        format_ = others.pop(0) if others and "=" not in others[0] else "combined"
        known = self._formats.get(format_) or Format("nginx", format_, None)
        path, trouble = _path(target, self._build.prefix)
        packed = [word for word in others if word.split("=")[0] == "gzip"]
        if packed and path:
            path, trouble = None, f"{packed[0]} packs it while it is written; a log that is followed must be plain text"
        condition = " ".join(word for word in others if word.startswith("if="))
        return Log(target, path, known, _place(each), condition, trouble, _buffered(others))


def _place(each: Directive) -> Place:
    return Place(each.file, each.line)


def _format(each: Directive) -> Format:
    name, *words = each.args
    escape = words.pop(0).removeprefix("escape=") if words[0].startswith("escape=") else "default"
    return Format("nginx", name, "".join(words), escape, _place(each))


def _path(target: str, prefix: str) -> tuple[str | None, str]:
    """Return the path of a log, with variables turned into a glob, or why there is none to follow."""
    if target.startswith("syslog:"):
        return None, "it goes to syslog"
    if target.startswith(("/dev/", "/proc/")):
        return None, f"{target} is no file that can be followed"
    pieces = VARIABLE.split(os.path.join(prefix, target))[::3]
    if target.startswith("$"):
        return None, "its whole path is in variables, which only a running nginx knows"
    return re.sub(r"\*+", "*", "*".join(map(glob.escape, pieces))) if len(pieces) > 1 else glob.escape(pieces[0]), ""


def _buffered(others: list[str]) -> tuple[str, ...]:
    size = next((word for word in others if word.startswith("buffer=")), None)
    if size is None or any(word.startswith("flush=") for word in others):
        return ()
    return (
        f"{size} without flush=: visits are seen when the buffer is full. Add flush=1s in nginx to see them at once.",
    )


def _port(listen: str) -> str:
    if listen.startswith("unix:"):
        return "unix"
    last = listen.rpartition(":")[2]
    return last if last.isdigit() else "80"


def _is_tls(args: tuple[str, ...]) -> bool:
    return bool({"ssl", "quic"} & set(args[1:])) or _port(args[0]) == "443"


def _wants_https(child: _Child) -> bool:
    """Tell whether a server is reached by https in the end: by itself, or by redirecting everybody."""
    each = child[0]
    sent = (
        each.name == "return" and each.args[-1:] and each.args[-1].startswith(("https://$host", "https://$server_name"))
    )
    return bool(sent) or (each.name == "ssl" and each.args == ("on",))


def _is_location(each: Directive) -> bool:
    return each.name == "location" and bool(each.args)


def _ends_there(child: _Child) -> bool:
    """Tell whether every request is answered with a redirect or an error, as by certbot's server blocks."""
    name, args = child[0].name, child[0].args
    if name == "rewrite":
        return len(args) > 1 and args[0] in _EVERYTHING and args[1].startswith(("http://", "https://"))
    return name == "return" and bool(args) and not re.fullmatch(r"2\d\d", args[0])


def _proxy_protocol(listens: list[tuple[str, ...]], level: _Level) -> tuple[str, ...]:
    if level.real_ip[0] or not any("proxy_protocol" in args for args in listens):
        return ()
    remark = (
        "It listens with proxy_protocol, and without set_real_ip_from $remote_addr is the balancer's address: set it, "
        "with real_ip_header proxy_protocol."
    )
    return (remark,)
