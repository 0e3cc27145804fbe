"""The embedded receiver under wrk: how many events a second one core takes, what one costs, and that none is lost.

`python -m tests.bench.receiver` measures for ten seconds; the small test does it once for one, untimed. The receiver
is pinned to one core and wrk to another, where there are two.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.programs import ENVIRONMENT, LOGSHIP

CONNECTIONS = 64

# Every event has a URL of its own, numbered without a gap, and one of 5,000 visitors.
_SCRIPT = """
local agents = {
  "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 " ..
    "Mobile/15E148 Safari/604.1",
}
local sent = 0
function request()
  sent = sent + 1
  local visitor = sent % 5000
  return wrk.format("POST", "/api/event", {
    ["Content-Type"] = "application/json",
    ["User-Agent"] = agents[visitor % 2 + 1],
    ["X-Forwarded-For"] = "198.18." .. math.floor(visitor / 250) .. "." .. visitor % 250,
  }, '{"name":"pageview","domain":"example.com","url":"https://example.com/' .. sent .. '"}')
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw and what was stored. ``lost`` were answered and are not stored, ``doubled`` are stored twice."""

    answered: int
    refused: int
    stored: int
    lost: int
    doubled: int
    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        rate, cost = self.answered / self.seconds, self.cpu_seconds / self.stored * 1e6
        return (
            f"{rate:,.0f} events/s, {cost:.0f} us of CPU an event, "
            f"{self.refused} refused, {self.lost} lost, {self.doubled} doubled"
        )


def measure(root: Path, *, seconds: float, lasting: bool) -> Load:
    """Run `logship receive` and wrk against each other; ``lasting`` gives the receiver a file to sync."""
    script = root / "post.lua"
    script.write_text(_SCRIPT)
    with _receiver(["--store", str(root / "events.db")] if lasting else []) as (url, pid):
        _warm_up(url)
        before = _cpu_seconds(pid)
        said = _wrk(url, script, seconds)
        used = _cpu_seconds(pid) - before
        numbers = Counter(number for number in _numbers(url) if number)
    requests = re.search(r"(\d+) requests in ([\d.]+)s", said)
    assert requests is not None, said
    answered, took = int(requests[1]), float(requests[2])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    # wrk leaves without the answers to its last requests: these may be stored, one a connection.
    missing = sum(1 for number in range(1, max(numbers, default=0) + 1) if number not in numbers)
    return Load(
        answered=answered,
        refused=int(refused[1]) if refused else 0,
        stored=numbers.total(),
        lost=max(0, answered - len(numbers), missing - CONNECTIONS),
        doubled=numbers.total() - len(numbers),
        seconds=took,
        cpu_seconds=used,
    )


@contextmanager
def _receiver(more: list[str]) -> Iterator[tuple[str, int]]:
    command = [*_pinned(0), str(LOGSHIP), "receive", "--listen", "127.0.0.1:0", "--site", "example.com", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1].rstrip("/"), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _pinned(core: int) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(cores[core])] if len(cores) > 1 and shutil.which("taskset") else []


def _wrk(url: str, script: Path, seconds: float) -> str:
    command = [
        "wrk",
        "--threads=1",
        f"--connections={CONNECTIONS}",
        f"--duration={seconds:g}s",
        f"--script={script}",
        url,
    ]
    return subprocess.run([*_pinned(1), *command], capture_output=True, text=True, check=True, timeout=300).stdout


def _warm_up(url: str) -> None:
    # The first User-Agent of all compiles the catalogue of crawlers, which takes as long as thousands of events.
    body = json.dumps({"name": "pageview", "domain": "example.com", "url": "https://example.com/0"}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "Mozilla/5.0"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/event", body, headers), timeout=60).close()


def _numbers(url: str) -> Iterator[int]:
    last = 0
    while events := _get(f"{url}/api/events?after={last}&limit=50000"):
        last = int(events[-1]["id"])
        yield from (int(event["pathname"][1:]) for event in events)


def _get(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure with a temporary store and with a lasting one."""
    for lasting in (False, True):
        with tempfile.TemporaryDirectory(prefix="logship-bench-") as name:
            print(f"{'lasting' if lasting else 'temporary'} store:", measure(Path(name), seconds=10, lasting=lasting))


if __name__ == "__main__":
    main()
