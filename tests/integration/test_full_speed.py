"""kill -9 while a backlog is worked off as fast as it goes, two processes and all: nothing lost, repeats bounded.

nginx answers, and its access log is the witness: each line's visitor has an address of its own, so the address of an
accepted request names the line.
"""

from __future__ import annotations

import contextlib
import ipaddress
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logship.progress.checkpoint import Checkpoint
from tests.bench.target import free_port

pytestmark = pytest.mark.integration

LOGSHIP = Path(sys.executable).with_name("logship")
LINES = 90_000
KILLS = 4
CONNECTIONS = 16
FIRST = int(ipaddress.IPv4Address("20.0.0.0"))
NGINX = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log warn; user root;
events {{ worker_connections 256; }}
http {{
  log_format visitor "$http_x_forwarded_for";
  access_log {root}/accepted.log visitor;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u;
  scgi_temp_path {root}/s; keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; location / {{ return 202 "ok"; }} }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path, wait_until: Callable[..., Any]) -> Iterator[tuple[str, Path]]:
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(binary).exists():
        pytest.skip("nginx is not installed: `make packages` installs it")
    root, port = tmp_path / "nginx", free_port()
    root.mkdir()
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=port))
    process = subprocess.Popen([binary, "-p", root, "-c", root / "nginx.conf"])
    try:
        wait_until(lambda: (root / "nginx.pid").exists() or process.poll() is not None, "nginx")
        yield f"http://127.0.0.1:{port}", root / "accepted.log"
    finally:
        process.terminate()
        process.wait(60)


def write_log(path: Path) -> None:
    """Write page views, 260 bytes each: more than what makes logship start a second process."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0 " + "x" * 70 for n in range(90, 140)
    ]
    with path.open("w") as file:
        for n in range(LINES):
            address = ipaddress.IPv4Address(FIRST + n)
            file.write(f'{address} - - [{when}] "GET /p/{n % 700} HTTP/1.1" 200 5 "-" "{agents[n % 50]}"\n')


def accepted(witness: Path) -> list[int]:
    """Return the numbers of the lines whose events were accepted, in their order."""
    return [int(ipaddress.IPv4Address(line)) - FIRST for line in witness.read_text().split()]


def committed(state: Path) -> int:
    """Return the offset on disk."""
    if not state.exists():
        return 0
    checkpoint = Checkpoint.open(state, read_only=True)
    checkpoint.close()
    return max((position.offset for position in checkpoint.positions), default=0)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(900)
def test_killed_at_full_speed_nothing_is_lost(
    tmp_path: Path, nginx: tuple[str, Path], wait_until: Callable[..., Any]
) -> None:
    """Lost: 0. Twice: at most what was accepted beyond the last checkpoint, and what was in flight."""
    url, witness = nginx
    log, state, config = tmp_path / "access.log", tmp_path / "state", tmp_path / "logship.yaml"
    write_log(log)
    starts = [0]
    for line in log.read_bytes().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    config.write_text(
        f"state_dir: {state}\nadmin: null\n"
        f"destinations: {{api: {{url: '{url}', connections: {CONNECTIONS}}}}}\n"
        f"sources: [{{path: '{log}', site: https://example.com, format: combined, start_at: beginning}}]\n"
    )
    dice, may_repeat, forks = random.Random(5), 0, set[int]()
    for _ in range(KILLS):
        before = witness.stat().st_size
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen([LOGSHIP, "run", "-c", config], stdout=output, stderr=output)
        wait_until(lambda: witness.stat().st_size > before + 20_000 or process.poll() is not None, "events")  # noqa: B023
        time.sleep(dice.uniform(0.1, 0.6))
        assert process.poll() is None, (tmp_path / "output").read_text()[-2000:]
        forks.update(children(process.pid))
        process.kill()
        process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in forks), "the second process to end")
        arrived, offset = accepted(witness), committed(state)
        safe = sum(1 for start in starts[1:] if start <= offset)
        assert set(range(safe)) <= set(arrived), "committed, but never accepted"
        may_repeat += sum(1 for each in set(arrived) if each >= safe) + CONNECTIONS
    last = subprocess.run([LOGSHIP, "run", "--once", "-c", config], capture_output=True, timeout=200)
    assert last.returncode == 0, last.stderr[-2000:]
    times = Counter(accepted(witness))
    assert set(times) == set(range(LINES))
    doubled = times.total() - LINES
    print(
        f"{KILLS} kills at full speed, {len(forks)} forks, {LINES:,} events: "
        f"lost 0, twice {doubled:,} (at most {may_repeat:,})"
    )
    assert doubled <= may_repeat


@pytest.mark.timeout(900)
def test_stopped_and_reloaded_at_full_speed(
    tmp_path: Path, nginx: tuple[str, Path], wait_until: Callable[..., Any]
) -> None:
    """Nothing lost, nothing twice, and no second process left; a second signal may repeat one request a connection."""
    url, witness = nginx
    log, config, output = tmp_path / "access.log", tmp_path / "logship.yaml", tmp_path / "output"
    write_log(log)

    def configure(hours: int) -> None:
        config.write_text(
            f"state_dir: {tmp_path}/state\nadmin: null\ngrace_period: 60s\nmax_event_age: {hours}h\n"
            f"destinations: {{api: {{url: '{url}', connections: {CONNECTIONS}}}}}\n"
            f"sources: [{{path: '{log}', site: https://example.com, format: combined, start_at: beginning}}]\n"
        )

    def told(event: str) -> int:
        return output.read_text().count(f'"event":"{event}"') + output.read_text().count(f'"event": "{event}"')

    forks = set[int]()
    for number, signals in enumerate((["TERM"], ["HUP", "HUP", "TERM"], ["HUP", "TERM"], ["TERM", "TERM"]), start=1):
        configure(24)
        before = witness.stat().st_size
        with output.open("ab") as sink:
            process = subprocess.Popen([LOGSHIP, "run", "-c", config], stdout=sink, stderr=sink)
        wait_until(lambda: witness.stat().st_size > before + 20_000 or process.poll() is not None, "events")  # noqa: B023
        forks.update(children(process.pid))
        for each in signals:
            if each == "HUP":
                configure(24 + number)
            process.send_signal(getattr(signal, f"SIG{each}"))
            time.sleep(0.1)
            with contextlib.suppress(FileNotFoundError):
                forks.update(children(process.pid))
        # A second signal may find it on its way out, with all that it had to do behind it.
        assert process.wait(100) in ((0, -signal.SIGTERM) if signals.count("TERM") > 1 else (0,))
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in forks), "the second process to end")
    configure(24)
    last = subprocess.run([LOGSHIP, "run", "--once", "-c", config], capture_output=True, timeout=200)
    assert last.returncode == 0, last.stderr[-2000:]
    times = Counter(accepted(witness))
    assert set(times) == set(range(LINES))
    doubled = times.total() - LINES
    print(f"4 stops at full speed, {len(forks)} forks, {told('config.reloaded')} reloads: lost 0, twice {doubled}")
    assert doubled <= CONNECTIONS * told("stop.unsettled") + CONNECTIONS * told("stop.forced")
