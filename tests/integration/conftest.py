"""Real programs on loopback: web servers with a prefix of their own, logship and its receiver as processes.

Nothing here touches the system's services; what a test starts it ends, by pid. A missing Debian package skips the
test and says so.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from logship.progress.checkpoint import Checkpoint, Position
from tests.integration import engines
from tests.integration.engines import Engine

LOGSHIP = Path(sys.executable).with_name("logship")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


def binary(name: str, package: str) -> str:
    """Return where a program is, or skip the test."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{name} is not installed: Debian package {package} (`make packages`)")
    return found


@contextmanager
def running(command: list[Any], output: Path, stop: int = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block lasts; its output goes to a file."""
    with output.open("ab") as sink:
        process = subprocess.Popen([str(word) for word in command], stdout=sink, stderr=sink)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(stop)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait for a condition and return its value; fail with a sentence."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that a web server's own user can enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="logship-it-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


# --- web servers


@dataclass
class WebServer:
    """A web server that writes an access log. ``ask`` makes one request the way a test needs it."""

    port: int
    log: Path
    pid: int
    second_port: int = 0

    def send(self, request: bytes) -> bytes:
        """Send the very bytes, and return all that comes back until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def ask(
        self,
        target: str,
        agent: str = FIREFOX,
        *,
        method: str = "GET",
        peer: str = "127.0.0.1",
        **headers: str,
    ) -> int:
        """Send the very bytes of a request from a loopback address; return the status. Header names take ``_``."""
        lines = [f"{method} {target} HTTP/1.1", "Host: example.com", "Connection: close", "Content-Length: 0"]
        lines += [f"User-Agent: {agent}"] if agent else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        host = "::1" if ":" in peer else "127.0.0.1"
        with socket.create_connection((host, self.port), timeout=60, source_address=(peer, 0)) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(answer.split(b" ", 2)[1])


@dataclass
class Servers:
    """Starts web servers in a test's own directory; they end with the test."""

    place: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def nginx(self, log_format: str = "combined", declaration: str = "") -> WebServer:
        """Start nginx with an access log of the given format."""
        program, port, root = binary("nginx", "nginx"), free_port(), self.place
        config = root / "nginx.conf"
        config.write_text(_NGINX.format(root=root, port=port, format=log_format, declaration=declaration))
        command = [program, "-p", root, "-c", config]
        process = self.stack.enter_context(running(command, root / "nginx.out", signal.SIGQUIT))
        until(lambda: listens(port) or process.poll() is not None, "nginx")
        assert process.poll() is None, (root / "nginx.out").read_text()
        return WebServer(port, root / "access.log", process.pid)

    def apache(self, log_format: str = "combined") -> WebServer:
        """Start Apache with an access log of one of Debian's formats."""
        program, port, root = binary("apache2", "apache2"), free_port(), self.place
        pages = root / "pages"
        pages.mkdir()
        (pages / "page.html").write_text("<h1>Hello</h1>")
        config = root / "apache.conf"
        config.write_text(_APACHE.format(root=root, port=port, format=log_format))
        process = self.stack.enter_context(running([program, "-DFOREGROUND", "-f", config], root / "apache.out"))
        until(lambda: listens(port) or process.poll() is not None, "Apache")
        assert process.poll() is None, (root / "apache.out").read_text()
        return WebServer(port, root / "access.log", process.pid)

    def haproxy(self, syslog: str = "raw", option: str = "httplog") -> WebServer:
        """Start HAProxy with its HTTP log, four captured headers, and HTTP/2 at the port after the first."""
        program, port, root = binary("haproxy", "haproxy"), free_port(), self.place
        second = free_port()
        config = root / "haproxy.cfg"
        config.write_text(_HAPROXY.format(port=port, second=second, syslog=syslog, option=option))
        process = self.stack.enter_context(running([program, "-f", config], root / "access.log"))
        until(lambda: (listens(port) and listens(second)) or process.poll() is not None, "HAProxy")
        assert process.poll() is None, (root / "access.log").read_text()
        (root / "access.log").write_bytes(b"")  # it says what it is there as well
        return WebServer(port, root / "access.log", process.pid, second)

    def caddy(self) -> WebServer:
        """Start Caddy with its JSON access log."""
        program, port, root = binary("caddy", "caddy"), free_port(), self.place
        config = root / "Caddyfile"
        config.write_text(_CADDY.format(root=root, port=port))
        command = [program, "run", "--adapter", "caddyfile", "--config", config]
        process = self.stack.enter_context(running(command, root / "caddy.out"))
        until(lambda: listens(port) or process.poll() is not None, "Caddy")
        assert process.poll() is None, (root / "caddy.out").read_text()
        return WebServer(port, root / "access.log", process.pid)


_HAPROXY = """
global
  log stdout format {syslog} local0 info
  nbthread 1
defaults
  mode http
  log global
  option {option}
  option dontlognull
  timeout client 10s
  timeout server 10s
  timeout connect 10s
  timeout http-request 10s
frontend web
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{second} proto h2
  capture request header Host len 200
  capture request header User-Agent len 500
  capture request header Referer len 200
  capture request header X-Forwarded-For len 200
  http-request return status 404 content-type text/html string no if {{ path /missing }}
  http-request return status 200 content-type text/html string yes
"""

_CADDY = """
{{
  admin off
  auto_https off
  storage file_system {root}/caddy
}}
http://:{port} {{
  bind 127.0.0.1
  log {{
    output file {root}/access.log
    format json
  }}
  header Content-Type text/html
  respond /missing 404
  respond "Hello" 200
}}
"""

_NGINX = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
user root;
events {{}}
http {{
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  {declaration}
  access_log {root}/access.log {format};
  server {{
    listen 127.0.0.1:{port};
    listen [::1]:{port};
    default_type text/html;
    location / {{ return 200 "<h1>Hello</h1>"; }}
    location /missing {{ return 404; }}
    location /moved {{ return 301 /; }}
    location /broken {{ return 500; }}
  }}
}}
"""

_APACHE = """
ServerRoot /usr/lib/apache2
ServerName example.com
PidFile {root}/apache.pid
ErrorLog {root}/error.log
Listen 127.0.0.1:{port}
Listen [::1]:{port}
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule alias_module modules/mod_alias.so
LoadModule mime_module modules/mod_mime.so
TypesConfig /etc/mime.types
User www-data
Group www-data
StartServers 1
DocumentRoot {root}/pages
<Directory {root}/pages>
  Require all granted
</Directory>
RedirectMatch 404 ^/missing
RedirectMatch 301 ^/moved$ http://example.com/
RedirectMatch 500 ^/broken
AliasMatch ^/ {root}/pages/page.html
# As in Debian's apache2.conf.
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" vhost_combined
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog {root}/access.log {format}
"""


@pytest.fixture
def servers(place: Path) -> Iterator[Servers]:
    made = Servers(place)
    with made.stack:
        yield made


# --- logrotate


@pytest.fixture
def rotate(place: Path) -> Callable[..., None]:
    """Rotate a web server's log as Debian does: by logrotate, and with a signal to the server."""

    def run(server: WebServer, how: str = "create 0644") -> None:
        program = binary("logrotate", "logrotate")
        signal_it = "" if how == "copytruncate" else f"postrotate\n    kill -USR1 {server.pid}\n  endscript"
        config = place / "logrotate.conf"
        config.write_text(f"{server.log} {{\n  su root root\n  rotate 9\n  {how}\n  {signal_it}\n}}\n")
        config.chmod(0o644)
        command = [program, "-f", "-s", str(place / "logrotate.state"), str(config)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)

    return run


# --- logship and its receiver


@dataclass
class Receiver:
    """`logship receive --keep-addresses`, and what arrived there."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def events(self) -> list[dict[str, Any]]:
        """Return all events so far, oldest first."""
        found: list[dict[str, Any]] = []
        while more := self._page(found[-1]["id"] if found else 0):
            found += more
        return found

    def _page(self, after: int) -> list[dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", f"/api/events?after={after}&limit=1000")
        page: list[dict[str, Any]] = json.loads(connection.getresponse().read())
        connection.close()
        return page

    def paths(self) -> list[str]:
        return [event["pathname"] for event in self.events()]


@pytest.fixture
def receiver(place: Path) -> Iterator[Receiver]:
    port = free_port()
    command = [LOGSHIP, "receive", "--listen", f"127.0.0.1:{port}", "--keep-addresses"]
    with running(command, place / "receive.out") as process:
        until(lambda: listens(port) or process.poll() is not None, "logship receive")
        assert process.poll() is None, (place / "receive.out").read_text()
        yield Receiver(port)


@dataclass
class Daemon:
    """A running `logship run`."""

    process: subprocess.Popen[bytes]
    config: Path
    admin: int

    def ready(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def stop(self) -> int:
        """Stop as a supervisor does, and return the exit code."""
        self.process.terminate()
        return self.process.wait(60)


@dataclass
class Daemons:
    """Starts logship with a YAML file in a test's own directory."""

    place: Path
    url: str

    @contextmanager
    def run(self, source: str, extra: str = "") -> Iterator[Daemon]:
        """Run logship on one source, given as the inside of a YAML flow mapping; yield when it is ready."""
        config, admin = self.place / "logship.yaml", free_port()
        config.write_text(
            f"state_dir: {self.place}/state\n"
            f"admin: {{listen: '127.0.0.1:{admin}'}}\n"
            f"destinations: {{receiver: {{url: '{self.url}'}}}}\n"
            f"sources: [{{{source}}}]\n{extra}"
        )
        output = self.place / "logship.out"
        with running([LOGSHIP, "run", "-c", config], output) as process:
            daemon = Daemon(process, config, admin)
            until(lambda: daemon.ready() or process.poll() is not None, "logship to be ready")
            assert process.poll() is None, output.read_text()
            yield daemon


@pytest.fixture
def logship(place: Path, receiver: Receiver) -> Daemons:
    return Daemons(place, receiver.url)


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until


# --- an API that remembers


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An API in a process of its own: where it listens, and where it writes down what it took."""
    record = tmp_path / "record"
    command = [sys.executable, str(Path(__file__).with_name("recorder.py")), str(record)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = int(process.stdout.readline())
    yield f"http://127.0.0.1:{port}", record
    process.terminate()
    process.wait(60)


@dataclass
class _Lines:
    """The lines of one file that are not committed, and where each begins. Known by its inode and its first line."""

    head: bytes = b""
    read: int = 0
    lines: list[tuple[int, str]] = field(default_factory=list)


class Committed:
    """What is settled by what is on disk: before an offset, or known beyond it. Reads what is new of each log, once.

    What was seen to be committed once stays it: a file that was compressed since has another inode.
    """

    def __init__(self, log: Path, state: Path) -> None:
        self.log, self.state = log, state
        self.paths: set[str] = set()
        self._files: dict[tuple[int, bytes], _Lines] = {}

    def look(self) -> set[str]:
        """Return the paths of all requests that are committed now, or were."""
        for path in [each for each in self.log.parent.glob(f"{self.log.name}*") if each.suffix != ".gz"]:
            with path.open("rb") as file:
                self._take(file)
        if self.state.exists():
            checkpoint = Checkpoint.open(self.state, read_only=True)
            for position in checkpoint.positions:
                for (inode, _), known in self._files.items():
                    if inode == position.inode and position.fingerprint.matches(known.head):
                        self._commit(position, known)
            checkpoint.close()
        return self.paths

    def _take(self, file: BinaryIO) -> None:
        head = file.read(1024)
        if b"\n" not in head:
            return
        known = self._files.setdefault((os.fstat(file.fileno()).st_ino, head.partition(b"\n")[0]), _Lines())
        known.head = head
        file.seek(known.read)
        for line in file.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                known.lines.append((known.read, line.split(b'"', 2)[1].split(b" ")[1].decode()))
                known.read += len(line)

    def _commit(self, position: Position, known: _Lines) -> None:
        reach = position.reach
        open_ = set(reach.open) if reach else set()
        settled = max(position.offset, reach.end) if reach else position.offset
        self.paths.update(path for start, path in known.lines if start < settled and start not in open_)
        known.lines = [each for each in known.lines if each[0] >= settled or each[0] in open_]


@pytest.fixture
def committed() -> type[Committed]:
    """What the checkpoint of a state directory says of a log."""
    return Committed


# --- a Debian to boot, or to make images of

DEBIAN = Path(os.environ.get("LOGSHIP_DEBIAN_ROOT", Path.home() / ".cache/logship/debian-bookworm"))
IN_DEBIAN = "systemd,systemd-sysv,dbus,libnss-systemd,ca-certificates,python3-venv,procps,nginx-light,curl"


@pytest.fixture(scope="session")
def debian() -> Path:
    """A Debian as its installer leaves it, with systemd, nginx and Python; made once, and never changed."""
    if not (DEBIAN / "sbin/init").exists():
        program, made = binary("debootstrap", "debootstrap"), DEBIAN.with_suffix(".new")
        DEBIAN.parent.mkdir(parents=True, exist_ok=True)
        command = [program, "--variant=minbase", f"--include={IN_DEBIAN}", "bookworm", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            pytest.skip(f"debootstrap failed, is Debian's mirror within reach? {done.stdout[-300:]}")
        made.rename(DEBIAN)
    return DEBIAN


# --- containers


@pytest.fixture(scope="session", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A container engine that works, in a copy of the checkout."""
    if not engines.works(request.param):
        pytest.skip(f"{request.param} does not run here (Debian: docker.io docker-compose, or podman podman-compose)")
    place = tmp_path_factory.mktemp(request.param)
    place.chmod(0o755)
    engines.copy_checkout(place)
    return Engine(request.param, place)


@pytest.fixture(scope="session")
def image(engine: Engine, request: pytest.FixtureRequest) -> str:
    """The image, built as docs/containers.md says; on stand-ins where there is no registry."""
    if not (engine.has(engines.PYTHON) and engine.has(engines.NGINX)):
        engines.make_stand_ins(engine, request.getfixturevalue("debian"))
    engine.run("build", "--tag", "logship", "--build-arg", "VERSION=1.2.3", ".", seconds=1200)
    return "logship"
