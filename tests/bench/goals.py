"""The other goals: latency, idle cost, start, formats, and what grows as files, rules and connections do.

    python -m tests.bench.goals [--write] [--only idle]

Growth is also drawn, into bench/growth.svg.

Each is a plain function that returns its figure; the goals stand beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from tests.bench import job, plots, programs, report, target

_README = Path(__file__).with_name("README.md")
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing, beside its goal where it has one; ``run`` is a point of the plot ``of`` something."""

    name: str
    value: str
    goal: str = ""
    run: programs.Run | None = None
    of: str = ""
    at: int = 0


def config(root: Path, url: str, source: str, admin: int, rules: str = "") -> Path:
    """Write a configuration with one source, given as the inside of a YAML flow mapping."""
    path = root / "logship.yaml"
    path.write_text(
        f"state_dir: {root}/state\nadmin: {{listen: '127.0.0.1:{admin}'}}\n"
        f"destinations: {{api: {{url: '{url}'}}}}\nsources: [{{{source}}}]\n{rules}"
    )
    return path


def start(configuration: Path, admin: int) -> tuple[subprocess.Popen[bytes], float]:
    """Start logship; return it and the seconds until `/readyz` said 200."""
    with (configuration.parent / "output").open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [programs.LOGSHIP, "run", "-c", configuration], stdout=output, stderr=output, env=programs.ENVIRONMENT
        )
    while time.monotonic() - began < 20 and process.poll() is None:
        if _ready(admin):
            return process, time.monotonic() - began
        time.sleep(0.005)
    process.kill()
    raise RuntimeError(f"logship is not ready:\n{(configuration.parent / 'output').read_text()[-3000:]}")


def _ready(admin: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=2)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End what `start` started."""
    process.terminate()
    process.wait(60)


# --- start


def start_to_ready(root: Path, times: int = 5) -> Figure:
    """Measure from the start of the process to the first 200 of /readyz."""
    (root / "access.log").touch()
    found = []
    for _ in range(times):
        admin = target.free_port()
        path = config(root, "http://127.0.0.1:9", f"path: {root}/access.log, site: https://example.com", admin)
        process, seconds = start(path, admin)
        stop(process)
        found.append(seconds)
    return Figure("start to ready", f"{statistics.median(found):.2f} s", "≤ 0.6 s")


def help_page(root: Path, times: int = 5) -> Figure:
    """Measure `logship --help`, the least that every command costs."""
    found = []
    for _ in range(times):
        began = time.monotonic()
        subprocess.run(
            [programs.LOGSHIP, "--help"], check=True, capture_output=True, cwd=root, env=programs.ENVIRONMENT
        )
        found.append(time.monotonic() - began)
    return Figure("--help", f"{statistics.median(found):.2f} s", "≤ 0.15 s")


# --- latency

_IDLE_GAPS = (0.001, 0.01, 0.05, 0.2)
_BUSY_GAPS = (0.0005, 0.001, 0.002)


async def latency(root: Path, lines: int = 500, gaps: tuple[float, ...] = _IDLE_GAPS) -> Figure:
    """Measure from the append of a line to its request on the wire; ``gaps`` are the seconds between two appends."""
    log, admin, dice = root / "live.log", target.free_port(), random.Random(1)
    log.touch()
    async with _stopwatch() as (port, arrived):
        path = config(root, f"http://127.0.0.1:{port}", f"path: {log}, site: https://example.com", admin)
        process, _ = await asyncio.to_thread(start, path, admin)
        try:
            await _append(log, lines, 0.0)  # the first line of a life waits for what only lines need: not measured
            await _until(lambda: lines in arrived)
            appended = [await _append(log, number, dice.choice(gaps)) for number in range(lines)]
            await _until(lambda: len(arrived) > lines)
        finally:
            await asyncio.to_thread(stop, process)
    if len(arrived) != lines + 1:
        raise RuntimeError(f"{len(arrived)} of {lines + 1} events arrived")
    delays = sorted(1000 * (arrived[number] - at) for number, at in enumerate(appended))
    p50, p99 = delays[lines // 2], delays[lines * 99 // 100]
    what = f"append to request on the wire, every {1000 * gaps[0]:g} to {1000 * gaps[-1]:g} ms"
    return Figure(what, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", "p50 ≤ 5 ms, p99 ≤ 25 ms")


async def _until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _append(log: Path, number: int, gap: float) -> float:
    await asyncio.sleep(gap)
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    line = f'203.0.113.{number % 250} - - [{when}] "GET /n/{number} HTTP/1.1" 200 5 "-" "{agent}"\n'
    with log.open("a") as file:
        file.write(line)
    return time.monotonic()


@asynccontextmanager
async def _stopwatch() -> AsyncIterator[tuple[int, dict[int, float]]]:
    """Answer 202, and note when which numbered page arrived."""
    arrived: dict[int, float] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"/n/")
                number = int((await reader.readuntil(b'"'))[:-1])
                arrived[number] = time.monotonic()
                await reader.readuntil(b"}")
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], arrived
    finally:
        server.close()


# --- idle


def idle(root: Path, files: int = 100, seconds: float = 20) -> Figure:
    """Measure the CPU that quiet files cost, as a share of one core."""
    logs, admin = root / "logs", target.free_port()
    logs.mkdir()
    for number in range(files):
        job.write(logs / f"{number}.log", 10)
    path = config(root, "http://127.0.0.1:9", f"path: '{logs}/*.log', site: https://example.com", admin)
    process, _ = start(path, admin)
    time.sleep(min(3.0, seconds))
    before = _cpu(process.pid)
    time.sleep(seconds)
    share, memory = (_cpu(process.pid) - before) / seconds, programs.peak_rss(process.pid)
    stop(process)
    goal = "≤ 0.3 %, ≤ 48 MB" if files <= 100 else "≤ 1 %"
    return Figure(f"{files:,} idle files", f"{100 * share:.2f} % of a core, {memory / 1e6:.0f} MB", goal)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- formats


def formats(root: Path, nginx: target.Target, lines: int = 200_000) -> Iterator[Figure]:
    """Measure the same requests as other servers write them, beside plain combined."""
    plain: float | None = None
    for style in job.STYLES:
        written = job.write(root / "access.log", lines, style=style)
        run = _once(root, nginx, written)
        cost = run.cpu_seconds or 0.0
        plain = plain or cost
        yield Figure(f"format: {style}", f"{_cost(run)}: {cost / plain:.2f} x combined", "≤ 2 x")


# --- what grows


def growth(root: Path, nginx: target.Target, lines: int = 200_000, most: int = 1000) -> Iterator[Figure]:
    """Measure the same lines spread over more files, under more rules, to more destinations, on more connections."""
    plain = _spread(root / "plain", lines, 1)
    for files in (n for n in (1, 10, 100, 1000) if n <= most):
        run = _once(root, nginx, _spread(root / f"files-{files}", lines, files))
        yield Figure(f"files: {files:,}", _cost(run), run=run, of="files", at=files)
    for rules in (n for n in (1, 10, 100) if n <= most):
        run = _once(root, nginx, plain, rules=_rules(rules - 1))
        yield Figure(f"rules: {rules}", _cost(run), run=run, of="rules", at=rules)
    for number in (1, 2, 4):
        run = _once(root, nginx, plain, destinations=number)
        yield Figure(f"destinations: {number}", _cost(run), run=run, of="destinations", at=number)
    for number in (1, 16, 64):
        run = _once(root, nginx, plain, connections=number)
        yield Figure(f"connections: {number}", _cost(run), run=run, of="connections", at=number)


def _spread(directory: Path, lines: int, files: int) -> job.Job:
    """Deal the same lines out to so many files."""
    directory.mkdir()
    written = job.write(directory / "whole", lines)
    with written.path.open("rb") as whole:
        dealt = [b"".join(islice(whole, lines // files)) for _ in range(files)]
    written.path.unlink()
    for number, part in enumerate(dealt):
        (directory / f"{number}.log").write_bytes(part)
    return replace(written, path=directory / "*.log")


def _rules(number: int) -> str:
    """Return rules that match nothing, before the preset: what it costs to ask them all."""
    asked = "".join(f"  - {{when: {{path: '/area-{n}/**'}}, event: 'Area {n}'}}\n" for n in range(number))
    return f"rules:\n{asked}  - preset: pageviews\n"


def _once(
    root: Path,
    nginx: target.Target,
    written: job.Job,
    *,
    rules: str = "",
    destinations: int = 1,
    connections: int = 16,
) -> programs.Run:
    with tempfile.TemporaryDirectory(dir=root) as fresh:
        run = programs.logship(
            written, nginx, Path(fresh), rules=rules, destinations=destinations, connections=connections
        )
    report.require_equal_work(replace(written, pageviews=written.pageviews * destinations), "logship", run)
    return run


def _cost(run: programs.Run) -> str:
    of = run.figures
    return f"{of['lines_per_s']:,.0f} lines/s, {of['cpu_us_per_line']:.1f} µs/line, {of['peak_memory_mb']:.0f} MB"


Fresh = Iterator[Path]
"""Directories, each of them new."""


def _starts(fresh: Fresh) -> Iterator[Figure]:
    yield start_to_ready(next(fresh))
    yield help_page(next(fresh))


def _latencies(fresh: Fresh) -> Iterator[Figure]:
    yield asyncio.run(latency(next(fresh)))
    yield asyncio.run(latency(next(fresh), 2000, _BUSY_GAPS))


def _idles(fresh: Fresh) -> Iterator[Figure]:
    yield idle(next(fresh))
    yield idle(next(fresh), files=1000)


def _with_nginx(figures: Callable[[Path, target.Target], Iterator[Figure]]) -> Callable[[Fresh], Iterator[Figure]]:
    def measured(fresh: Fresh) -> Iterator[Figure]:
        with target.nginx(next(fresh)) as nginx:
            yield from figures(next(fresh), nginx)

    return measured


PARTS: Mapping[str, Callable[[Fresh], Iterator[Figure]]] = {
    "start": _starts,
    "latency": _latencies,
    "idle": _idles,
    "formats": _with_nginx(formats),
    "growth": _with_nginx(growth),
}


def measure(root: Path, parts: Iterable[str] = tuple(PARTS)) -> Iterator[Figure]:
    """Measure these, one thing after the other."""
    fresh = (Path(tempfile.mkdtemp(dir=root)) for _ in iter(int, 1))
    for each in parts:
        yield from PARTS[each](fresh)


def main() -> int:
    """Print each figure as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.goals", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the figures into tests/bench/README.md")
    parser.add_argument("--only", choices=PARTS, help="measure this part, and write nothing")
    options = parser.parse_args()
    lines = ["| what | measured | goal |", "|---|---|---|"]
    drawn: dict[str, list[tuple[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="logship-bench-") as scratch:
        for figure in measure(Path(scratch), [options.only] if options.only else PARTS):
            lines.append(f"| {figure.name} | {figure.value} | {figure.goal} |")
            print(lines[-1], flush=True)
            if figure.run is not None:
                point = (f"{figure.at:,}", figure.run.figures["lines_per_s"])
                drawn.setdefault(f"lines/s by number of {figure.of}", []).append(point)
    if options.only:
        return 0
    plots.write(_ROOT / "bench" / "growth.svg", drawn)
    if options.write:
        report.write_figures(_README, "\n".join(lines), "goals")
    return 0


if __name__ == "__main__":
    sys.exit(main())
