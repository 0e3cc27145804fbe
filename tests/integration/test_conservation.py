"""A real web server, real rotations, kills, and a network that breaks requests; then a judge counts.

Twenty seconds here, minutes in `make faults`.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SECONDS = float(os.environ.get("LOGSHIP_CONSERVATION_SECONDS", "20"))
CONNECTIONS = 8
HERE = Path(__file__).parent
LOGSHIP = Path(sys.executable).with_name("logship")


class Visitors(threading.Thread):
    """Asks for one new page after the other, from many addresses, and writes down what was answered with 200."""

    def __init__(self, server: Any, served: Path) -> None:
        super().__init__()
        self.server = server
        self.served = served
        self.failed = ""
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        with self.served.open("a", buffering=1) as served:
            while not self.enough.wait(0.003):
                number += 1
                try:
                    status = self.server.ask(f"/page/{number}", peer=f"127.0.0.{number % 200 + 1}")
                except OSError as error:  # perhaps logged, perhaps not: it would prove nothing
                    self.failed = f"/page/{number}: {error}"
                    return
                if status == 200:
                    served.write(f"/page/{number}\n")


@contextmanager
def proxy(target: int, record: Path) -> Iterator[tuple[int, Callable[[str], None]]]:
    """Run the faulty proxy; yield its port, and what tells it to be faulty or not."""
    command = [sys.executable, HERE / "faulty_proxy.py", str(target), record]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout

    def tell(order: str) -> None:
        process.stdin.write(f"{order}\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]

    try:
        yield int(process.stdout.readline()), tell
    finally:
        process.kill()
        process.wait()


class Daemon:
    """logship, which is killed and started again."""

    def __init__(self, config: Path, output: Path, kills: Path, witness: Any) -> None:
        self.config, self.output, self.kills, self.witness = config, output, kills, witness
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen([LOGSHIP, "run", "-c", self.config], stdout=output, stderr=output)

    def kill(self) -> None:
        assert self.process
        assert self.process.poll() is None, self.output.read_text()[-3000:]
        self.process.kill()
        self.process.wait()
        with self.kills.open("a") as kills:
            kills.write(f"{time.time():.3f} {len(self.witness.look())}\n")

    def end(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(60)


@pytest.mark.timeout(1700)
def test_what_was_served_is_what_was_stored(
    place: Path,
    servers: Any,
    receiver: Any,
    rotate: Callable[..., None],
    committed: Any,
    wait_until: Callable[..., Any],
) -> None:
    """J2: through network faults, kills and rotations; a fresh visit gets through when they have stopped."""
    server = servers.nginx()
    files = {name: place / name for name in ("served", "sent", "stored", "kills")}
    for path in files.values():
        path.touch()
    with proxy(receiver.port, files["sent"]) as (port, tell):
        config = place / "conservation.yaml"
        config.write_text(
            f"state_dir: {place}/state\nadmin: null\n"
            f"destinations: {{api: {{url: 'http://127.0.0.1:{port}', connections: {CONNECTIONS}, "
            "timeout: {connect: 5s, total: 5s}, retry: {initial: 50ms, max: 1s}}}\n"
            f"sources: [{{path: '{server.log}', site: https://example.com, start_at: beginning}}]\n"
        )
        daemon = Daemon(config, place / "conservation.out", files["kills"], committed(server.log, place / "state"))
        visitors = Visitors(server, files["served"])
        daemon.start()
        tell("on")
        visitors.start()
        try:
            # What was rotated before a source was ever looked at is history, and not followed.
            wait_until(lambda: files["sent"].stat().st_size, "the first visit", seconds=60)
            rotations = torment(daemon, server, rotate)
        finally:
            visitors.enough.set()
            visitors.join()
        assert not visitors.failed
        tell("off")
        server.ask("/fresh")
        with files["served"].open("a") as served:
            served.write("/fresh\n")
        # Looked for where it costs the receiver nothing: it has a backlog to take.
        wait_until(lambda: " /fresh\n" in files["sent"].read_text()[-2000:], "the last visit", seconds=300)
        assert daemon.end() == 0
        last = subprocess.run([LOGSHIP, "run", "--once", "-c", config], capture_output=True, timeout=300)
        assert last.returncode == 0, last.stderr[-2000:]
    files["stored"].write_text("".join(f"{path}\n" for path in receiver.paths()))
    command = [sys.executable, HERE / "judge.py", *files.values()]
    verdict = subprocess.run(command, capture_output=True, text=True, timeout=300)
    print(f"{rotations} rotations; {verdict.stdout.strip()}")
    assert verdict.returncode == 0, verdict.stderr
    fates = Counter(line.split(" ")[1] for line in files["sent"].read_text().splitlines())
    assert {"forwarded", "cut", "refused", "answered"} <= fates.keys()


def torment(daemon: Daemon, server: Any, rotate: Callable[..., None]) -> Counter[str]:
    """Kill and rotate at random times, in every way that logrotate knows and that keeps each line."""
    chance, rotations = random.Random(7), Counter[str]()
    # Without delaycompress a line that nginx writes while gzip runs may be in no file at all, whoever reads. And what
    # logrotate deletes while logship is down is lost by right, so that it keeps them all.
    ways = ("rotate 999\n  create 0644", "rotate 999\n  create 0644\n  compress\n  delaycompress")
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.5, 3.5))
        happening = chance.choice(("kill", "rotate", "rotate", "rotate while down"))
        if happening != "rotate":
            daemon.kill()
        if happening != "kill":
            way = chance.choice(ways)
            daemon.witness.look()  # what is compressed now is not seen again
            rotations[way.rpartition(" ")[2]] += 1
            rotate(server, way)
        if happening == "rotate while down":
            time.sleep(chance.uniform(0.0, 0.5))
        if happening != "rotate":
            daemon.start()
    return rotations
