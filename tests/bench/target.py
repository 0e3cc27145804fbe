"""nginx on loopback in Plausible's place: answers every POST with 202, and counts."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

_CONFIG = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port};
    {tls}
    location = /api/event {{ return 202 "ok"; }}
    location = /count {{ stub_status; }}
  }}
}}
"""


class Target:
    """A running nginx. ``events`` is the number of requests answered since the last `reset`."""

    def __init__(self, port: int, tls_port: int | None = None, certificate: Path | None = None) -> None:
        self.port = port
        self.certificate = certificate  # to be trusted, when it speaks TLS
        self.url = f"https://localhost:{tls_port}/api/event" if tls_port else f"http://127.0.0.1:{port}/api/event"
        self._asked = 0
        self._zero = 0

    def reset(self) -> None:
        """Start counting from zero."""
        self._zero = self._requests()

    def events(self) -> int:
        """Return how many events arrived: nginx counts our own questions as well, so they are taken off."""
        return self._requests() - self._zero

    def _requests(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/count")
        answer = connection.getresponse().read().decode()
        connection.close()
        self._asked += 1
        return int(answer.splitlines()[2].split()[2]) - self._asked


@contextmanager
def nginx(root: Path, *, tls: bool = False) -> Iterator[Target]:
    """Run nginx with a prefix of its own, and end it by its pid."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    port = free_port()
    target = Target(port, free_port(), _certificate(root)) if tls else Target(port)
    config = root / "nginx.conf"
    config.write_text(_CONFIG.format(root=root, port=port, user="user root;", tls=_speaks_tls(target)))
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([binary, "-p", root, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_listening(port, process)
        yield target
    finally:
        process.terminate()
        process.wait(timeout=60)


def _speaks_tls(target: Target) -> str:
    if target.certificate is None:
        return ""
    port, key = urlsplit(target.url).port, target.certificate.with_name("key.pem")
    return f"listen 127.0.0.1:{port} ssl; ssl_certificate {target.certificate}; ssl_certificate_key {key};"


def _certificate(root: Path) -> Path:
    """Make a certificate for localhost, of an elliptic curve as most sites have one."""
    made = root / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(root / "key.pem"), "-out", str(made)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return made


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx does not listen on port {port}; exit code {process.poll()}")
