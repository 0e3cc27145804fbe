"""Read Apache's configuration: which virtual host writes which requests to which log, in which format.

A virtual host that sets any log replaces the main server's; nicknames are looked up when all has been read, as
mod_log_config does it. https://httpd.apache.org/docs/2.4/mod/mod_log_config.html
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from logship.discover import envvars
from logship.discover.apache_grammar import Node, parse, words
from logship.discover.files import Library
from logship.discover.servers import Format, Found, Log, LogSet, Place, Server
from logship.errors import LogshipError

COMMON = '%h %l %u %t "%r" %>s %b'
_VARIABLE = re.compile(r"\$\{([^}:]+)\}")
_MOST_DIRECTIVES = 2_000_000
_DEEPEST = 96
_STATIC = frozenset(("core", "http", "so", "log_config", "logio", "version", "unixd", "watchdog", "mpm"))
_ASSUMED_VERSION = (2, 4, 66)  # of an IfVersion: what is in use
_TELLING = frozenset(
    ("customlog", "transferlog", "globallog", "logformat", "virtualhost", "include", "includeoptional")
)
_EVERYTHING = frozenset(
    ("^", "^/", "/", "^/(.*)$", "^/(.*)", "^(.*)$", "^(.*)", "(.*)", ".*", "^.*$", "^.*", "^/?(.*)$", "^/?(.*)")
)
_HARMLESS = re.compile(r"%\{(?:HTTPS|SERVER_NAME|SERVER_PORT|REQUEST_SCHEME)\}", re.IGNORECASE)
_ROTATORS = frozenset(("rotatelogs", "rotatelogs2", "cronolog"))


def read(path: str) -> Found:
    """Return what the configuration says. Raises LogshipError where it cannot be read."""
    return _Reader(os.path.abspath(path)).found()


@dataclass(frozen=True, slots=True)
class _Custom:
    """A log as written: which format its words mean is known when all has been read."""

    target: str
    format: str | None  # None: TransferLog's
    condition: str
    place: Place


@dataclass(slots=True)
class _Host:
    """The main server, or a virtual host while it is read."""

    place: Place
    addresses: list[str] = field(default_factory=list)
    name: str = ""
    aliases: list[str] = field(default_factory=list)
    tls: bool | None = None
    serves: bool = True
    logs: list[_Custom] = field(default_factory=list)
    everywhere: list[_Custom] = field(default_factory=list)  # GlobalLog
    formats: dict[str, Format] = field(default_factory=dict)
    default: Format | None = None
    real_ip: str = ""
    lookups: bool = False
    harmless: bool = True  # the RewriteConds since the last RewriteRule hold for every request


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        directory = os.path.dirname(path)
        self._root = os.path.dirname(directory) if os.path.basename(directory) == "conf" else directory
        self._library: Library[list[Node]] = Library(parse)
        self._defined: dict[str, str] = {}
        self._environment = envvars.beside(path)
        self._modules: set[str] = set()
        self._macros: dict[str, tuple[list[str], list[Node]]] = {}
        self._notes: dict[str, None] = {}
        self._main = _Host(Place(path, 1))
        self._hosts: list[_Host] = []
        self._ports: dict[str, None] = {}
        self._seen = 0

    def found(self) -> Found:
        self._walk(self._library.main(self._path), self._main, (self._path,), 0)
        debian = os.path.join(self._environment.get("APACHE_LOG_DIR", "/var/log/apache2"), "access.log")
        fallback = "/var/log/httpd/access_log" if os.path.basename(self._path) == "httpd.conf" else debian
        found = Found("Apache", self._path, fallback=fallback)
        found.servers = [self._server(host) for host in self._serving()]
        if not any(each.logs for server in found.servers for each in server.logs):
            found.notes.append(
                "no CustomLog and no TransferLog: Apache writes no access log, and it has none compiled in"
            )
        found.notes += [*self._unused(), *self._notes, *self._library.notes]
        found.files = self._library.files
        return found

    def _serving(self) -> list[_Host]:
        """Return the hosts that answer requests; the main server if a port, or everything, is left to it."""
        if not self._hosts or (all(host.logs for host in self._hosts) and self._main.logs and self._is_left()):
            return [*self._hosts, self._main]
        return self._hosts

    def _is_left(self) -> bool:
        """Tell whether Apache listens on a port that no virtual host takes. On 443 only TLS counts."""
        addresses = [address.rpartition(":") for host in self._hosts for address in host.addresses]
        if any(port == "*" or not colon for _, colon, port in addresses):
            return False
        taken = {port for _, _, port in addresses}
        return any(port not in taken and (port != "443" or self._main.tls) for port in self._ports)

    def _unused(self) -> Iterable[str]:
        if self._hosts and all(host.logs for host in self._hosts) and not self._is_left():
            for log in self._main.logs:
                written = self._resolve(log.target)
                yield f"{log.place}: {written} is for virtual hosts without a log of their own; there is none"

    # Walking: in the order of the files, as Define and LoadModule count from where they stand.

    def _walk(self, nodes: list[Node], host: _Host, chain: tuple[str, ...], depth: int) -> None:
        if depth > _DEEPEST:
            raise LogshipError(f"{self._path}: sections, includes and macros are nested more than {_DEEPEST} deep")
        for node in nodes:
            self._seen += 1
            if self._seen > _MOST_DIRECTIVES:
                raise LogshipError(
                    f"{node.file}:{node.line}: more than {_MOST_DIRECTIVES} directives, all includes counted"
                )
            name = node.name.lower()
            if node.block is not None:
                self._section(name, node, host, chain, depth)
            elif name in ("include", "includeoptional"):
                self._include(node, host, chain, depth, optional=name == "includeoptional")
            elif name == "use":
                self._use(node, host, chain, depth)
            elif name in _DIRECTIVES:
                _DIRECTIVES[name](self, host, self._words(node.rest), Place(node.file, node.line))

    def _section(self, name: str, node: Node, host: _Host, chain: tuple[str, ...], depth: int) -> None:
        block = node.block or []
        args = self._words(node.rest)
        if name == "virtualhost":
            inner = _Host(Place(node.file, node.line), args)
            self._hosts.append(inner)
            self._walk(block, inner, chain, depth + 1)
        elif name == "macro" and args:
            self._macros[args[0].lower()] = (args[1:], block)
        elif name in _TESTS:
            if _TESTS[name](self, args):
                self._walk(block, host, chain, depth + 1)
            elif name == "ifmodule" and (held := _telling(block)):
                skipped = f"<IfModule {_plain(' '.join(args))}> does not hold, as no LoadModule says so"
                self._note(f"{Place(node.file, node.line)}: {skipped}; the {', '.join(held)} inside is left out")

    def _include(self, node: Node, host: _Host, chain: tuple[str, ...], depth: int, *, optional: bool) -> None:
        for written in self._words(node.rest)[:1]:
            pattern = os.path.join(self._root, written)
            if os.path.isdir(pattern) if "\0" not in pattern else False:
                pattern = os.path.join(glob.escape(pattern), "*")
            place = Place(node.file, node.line)
            for file, tree in self._library.included(pattern, chain, place, optional=optional):
                self._walk(tree, host, (*chain, file), depth + 1)

    def _use(self, node: Node, host: _Host, chain: tuple[str, ...], depth: int) -> None:
        name, *values = self._words(node.rest) or [""]
        if name.lower() not in self._macros:
            self._note(f"{Place(node.file, node.line)}: Use {_plain(name)}: there is no such macro; left out")
            return
        names, block = self._macros[name.lower()]
        self._walk(_filled(block, dict(zip(names, values, strict=False))), host, chain, depth + 1)

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _words(self, rest: str) -> list[str]:
        return words(self._resolve(rest)) if rest else []

    def _resolve(self, text: str) -> str:
        """Replace ``${NAME}``; what is not known stays, as in Apache."""
        if "${" not in text:
            return text
        known = self._environment | self._defined
        return _VARIABLE.sub(lambda found: known.get(found[1], found[0]), text)

    # Conditions.

    def _if_module(self, args: list[str]) -> bool:
        wanted = args[0] if args else ""
        module = wanted.lstrip("!")
        known = not self._modules or module in self._modules or _bare(module) in _STATIC
        return known != wanted.startswith("!")

    def _if_define(self, args: list[str]) -> bool:
        wanted = args[0] if args else ""
        return (wanted.lstrip("!") in self._defined) != wanted.startswith("!")

    def _if_version(self, args: list[str]) -> bool:
        operator, version = (["=", *args])[-2:] if args else ("=", "")
        if not re.fullmatch(r"\d+(\.\d+){0,2}", version):
            return not operator.startswith("!")
        wanted = tuple(map(int, version.split(".")))
        ours = _ASSUMED_VERSION[: len(wanted)]
        bare = operator.lstrip("!")
        held = {">": ours > wanted, ">=": ours >= wanted, "<": ours < wanted, "<=": ours <= wanted}.get(
            bare, ours == wanted
        )
        return held != operator.startswith("!")

    def _if_file(self, args: list[str]) -> bool:
        wanted = args[0] if args else ""
        path = os.path.join(self._root, wanted.lstrip("!"))
        return ("\0" not in path and os.path.exists(path)) != wanted.startswith("!")

    # Directives: each takes the host it stands in, its words and its place.

    def _define(self, host: _Host, args: list[str], place: Place) -> None:
        if args:
            self._defined[args[0]] = args[1] if len(args) > 1 else ""

    def _undefine(self, host: _Host, args: list[str], place: Place) -> None:
        self._defined.pop(args[0] if args else "", None)

    def _server_root(self, host: _Host, args: list[str], place: Place) -> None:
        if args and args[0].startswith("/"):
            self._root = args[0]

    def _load_module(self, host: _Host, args: list[str], place: Place) -> None:
        if args:
            file = os.path.basename(args[-1]).removesuffix(".so")
            self._modules |= {args[0], f"{file}.c", f"mod_{file.removeprefix('lib')}.c"}

    def _server_name(self, host: _Host, args: list[str], place: Place) -> None:
        if args:
            host.name = args[0]

    def _server_alias(self, host: _Host, args: list[str], place: Place) -> None:
        host.aliases += args

    def _ssl_engine(self, host: _Host, args: list[str], place: Place) -> None:
        host.tls = bool(args) and args[0].lower() in ("on", "optional")

    def _listen(self, host: _Host, args: list[str], place: Place) -> None:
        if args:
            self._ports[args[0].rpartition(":")[2]] = None

    def _log_format(self, host: _Host, args: list[str], place: Place) -> None:
        if len(args) > 1:
            host.formats[args[1]] = Format("apache", args[1], args[0], place=place)
        elif args:
            text = host.formats.get(args[0], Format("apache", "", args[0])).text
            host.default = Format("apache", "", text, place=place)

    def _custom_log(self, host: _Host, args: list[str], place: Place) -> None:
        if len(args) > 1:
            host.logs.append(_Custom(args[0], args[1], " ".join(args[2:3]), place))

    def _global_log(self, host: _Host, args: list[str], place: Place) -> None:
        if len(args) > 1:
            self._main.everywhere.append(_Custom(args[0], args[1], " ".join(args[2:3]), place))

    def _transfer_log(self, host: _Host, args: list[str], place: Place) -> None:
        if args:
            host.logs.append(_Custom(args[0], None, "", place))

    def _remote_ip(self, host: _Host, args: list[str], place: Place) -> None:
        if args:
            host.real_ip = f"mod_remoteip with RemoteIPHeader {args[0]}"

    def _remote_ip_proxy(self, host: _Host, args: list[str], place: Place) -> None:
        if args and args[0].lower() == "on":
            host.real_ip = "mod_remoteip with RemoteIPProxyProtocol"

    def _host_name_lookups(self, host: _Host, args: list[str], place: Place) -> None:
        host.lookups = bool(args) and args[0].lower() in ("on", "double")

    def _redirect(self, host: _Host, args: list[str], place: Place) -> None:
        starts = [word for word in args if word.startswith(("/", "^", "(", "."))]
        if starts and starts[0] in _EVERYTHING:
            host.serves = False

    def _rewrite_condition(self, host: _Host, args: list[str], place: Place) -> None:
        host.harmless = host.harmless and bool(args) and bool(_HARMLESS.fullmatch(args[0]))

    def _rewrite_rule(self, host: _Host, args: list[str], place: Place) -> None:
        flags = args[2].strip("[]").upper().split(",") if len(args) > 2 else []
        sends = any(flag == "R" or flag.startswith(("R=3", "R=P", "R=T")) for flag in flags)
        if host.harmless and sends and args[0] in _EVERYTHING and args[1].lower().startswith("https://"):
            host.serves = host.serves and self._is_https(host)
        host.harmless = True

    # What all of it comes to.

    def _is_https(self, host: _Host) -> bool:
        tls = host.tls if host.tls is not None else self._main.tls
        return (
            bool(tls)
            or host.name.lower().startswith("https://")
            or any(each.endswith(":443") for each in host.addresses)
        )

    def _server(self, host: _Host) -> Server:
        logs = tuple(self._log(each, host) for each in host.logs or self._main.logs)
        logs += tuple(self._log(each, self._main) for each in self._main.everywhere)
        lookups = host.lookups or self._main.lookups
        looked_up = ("HostnameLookups is on: %h may hold a name instead of the address; log %a in its place.",)
        return Server(
            names=_names(host),
            place=host.place,
            https=self._is_https(host),
            serves=host.serves,
            logs=(LogSet("", tuple(log for log in logs if log is not None)),),
            real_ip=host.real_ip or self._main.real_ip,
            ports=tuple(dict.fromkeys(each.rpartition(":")[2] for each in host.addresses if ":" in each)),
            remarks=looked_up if lookups else (),
        )

    def _log(self, written: _Custom, host: _Host) -> Log | None:
        if written.target == "/dev/null":
            return None
        path, trouble, remarks = _target(written.target, self._root)
        return Log(
            written.target, path, self._format(written, host), written.place, written.condition, trouble, remarks
        )

    def _format(self, written: _Custom, host: _Host) -> Format:
        formats = self._main.formats | host.formats
        if written.format is None:
            return host.default or self._main.default or Format("apache", "", COMMON)
        if written.format in formats:
            return formats[written.format]
        text = written.format if "%" in written.format else None
        return Format("apache", "" if text else written.format, text, place=written.place)


_Directive = Callable[[_Reader, _Host, list[str], Place], None]
_DIRECTIVES: Mapping[str, _Directive] = {
    "define": _Reader._define,
    "undefine": _Reader._undefine,
    "serverroot": _Reader._server_root,
    "loadmodule": _Reader._load_module,
    "listen": _Reader._listen,
    "servername": _Reader._server_name,
    "serveralias": _Reader._server_alias,
    "sslengine": _Reader._ssl_engine,
    "logformat": _Reader._log_format,
    "customlog": _Reader._custom_log,
    "globallog": _Reader._global_log,
    "transferlog": _Reader._transfer_log,
    "remoteipheader": _Reader._remote_ip,
    "remoteipproxyprotocol": _Reader._remote_ip_proxy,
    "hostnamelookups": _Reader._host_name_lookups,
    "redirect": _Reader._redirect,
    "redirectpermanent": _Reader._redirect,
    "redirecttemp": _Reader._redirect,
    "redirectmatch": _Reader._redirect,
    "rewritecond": _Reader._rewrite_condition,
    "rewriterule": _Reader._rewrite_rule,
}
_TESTS: Mapping[str, Callable[[_Reader, list[str]], bool]] = {
    "ifmodule": _Reader._if_module,
    "ifdefine": _Reader._if_define,
    "ifversion": _Reader._if_version,
    "iffile": _Reader._if_file,
}


def _bare(module: str) -> str:
    return re.sub(r"^mod_|\.c$|_module$", "", module)


def _telling(block: list[Node]) -> list[str]:
    """Return which of the directives that matter here are in a block."""
    names = {node.name for node in block if node.name.lower() in _TELLING}
    return sorted(names | {name for node in block for name in _telling(node.block or [])})


def _filled(block: list[Node], values: Mapping[str, str]) -> list[Node]:
    """Return a macro's lines with its parameters replaced."""

    def fill(text: str) -> str:
        for name in sorted(values, key=len, reverse=True):
            text = text.replace(name, values[name]) if name else text
        return text

    return [
        replace(node, rest=fill(node.rest), block=_filled(node.block, values) if node.block is not None else None)
        for node in block
    ]


def _names(host: _Host) -> tuple[str, ...]:
    name = re.sub(r"^https?://|:\d+$", "", host.name.lower())
    named = [] if name else [re.sub(r":[\d*]+$", "", each.lower()) for each in host.addresses]
    return tuple(each for each in dict.fromkeys([name, *named, *map(str.lower, host.aliases)]) if each not in ("", "*"))


def _target(target: str, root: str) -> tuple[str | None, str, tuple[str, ...]]:
    """Return the path of a log, or why there is none to follow, and remarks on it."""
    if target.startswith("|"):
        return _piped(target.lstrip("|$ "), root)
    if re.match(r"[a-z]+:", target):
        return None, f"it goes to {target.partition(':')[0]}", ()
    if target.startswith(("/dev/", "/proc/")):
        return None, f"{target} is no file that can be followed", ()
    if unknown := _VARIABLE.search(target):
        return None, f"{unknown[0]} is defined nowhere in what was read", ()
    return glob.escape(os.path.join(root, target)), "", ()


def _piped(command: str, root: str) -> tuple[str | None, str, tuple[str, ...]]:
    """Return the files that rotatelogs and cronolog write; other programs are unknown."""
    program, *args = words(command) or [""]
    file = _rotated(args) if os.path.basename(program) in _ROTATORS else None
    if file is None or _VARIABLE.search(file):
        return None, "it is piped into a program, and what that one writes is not known", ()
    pattern = re.sub(r"\*+", "*", "*".join(map(glob.escape, re.split(r"%[A-Za-z]", os.path.join(root, file)))))
    pattern = pattern if "%" in file else pattern + "*"
    return pattern, "", (f"Piped into {os.path.basename(program)}, which begins a new file now and then: a glob.",)


def _rotated(args: list[str]) -> str | None:
    """Return the file of a rotatelogs command: the first word that is no option and no option's value."""
    rest = iter(args)
    for word in rest:
        if word in ("-L", "-p", "-n", "-S", "-H"):
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _plain(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
