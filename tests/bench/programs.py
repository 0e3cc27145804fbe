"""The programs that are measured, each doing the job once: from the start of its process to the last event."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.job import Job
from tests.bench.target import Target, free_port

LOGSHIP = Path(sys.executable).with_name("logship")
# As it is installed: a package manager leaves compiled modules, a checkout under test perhaps not.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
_STALLED = 20.0  # seconds without a new event: the program is done, however many it made


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run. CPU is user and system time of the whole process, None where it is not the point (wrk)."""

    seconds: float
    events: int
    lines: int = 0
    cpu_seconds: float | None = None
    peak_memory: int | None = None  # bytes, of all its processes

    @property
    def figures(self) -> dict[str, float]:
        """What is compared: rates, CPU per line in microseconds, peak memory in MB."""
        figures = {"events_per_s": self.events / self.seconds}
        if self.lines:
            figures["lines_per_s"] = self.lines / self.seconds
        if self.cpu_seconds is not None and self.lines:
            figures["cpu_us_per_line"] = self.cpu_seconds / self.lines * 1e6
        if self.peak_memory is not None:
            figures["peak_memory_mb"] = self.peak_memory / 1e6
        return figures


def logship(
    job: Job, target: Target, root: Path, *, rules: str = "", destinations: int = 1, connections: int = 16
) -> Run:
    """Run `logship run --once`: all of its features on, its default rules where none are given."""
    config = root / "logship.yaml"
    ca = f", tls: {{ca_file: '{target.certificate}'}}" if target.certificate else ""
    each = f"{{url: '{target.url}', connections: {connections}{ca}}}"
    config.write_text(
        f"state_dir: {root}/state\n"
        f"admin: {{listen: '127.0.0.1:{free_port()}'}}\n"
        f"destinations: {{{', '.join(f'nginx{n}: {each}' for n in range(destinations))}}}\n"
        f"sources: [{{path: '{job.path}', site: https://example.com, {job.source}, start_at: beginning}}]\n"
        f"{rules}"
    )
    target.reset()
    command = [str(LOGSHIP), "run", "--once", "-c", str(config)]
    return _watch(command, root, job, target)


def syslog_ng(job: Job, target: Target, root: Path) -> Run:
    """Run Debian's syslog-ng with a filter that leaves the same page views. Its headers are constant: it cannot more.

    It never ends by itself, so it is stopped when the last event has arrived; what it did until then is measured.
    """
    config = root / "syslog-ng.conf"
    config.write_text(_SYSLOG_NG.replace("JOB", str(job.path)).replace("URL", target.url))
    target.reset()
    binary = shutil.which("syslog-ng") or "/usr/sbin/syslog-ng"
    files = ["-f", str(config), "-R", f"{root}/persist", "-c", f"{root}/control", "-p", f"{root}/pid"]
    return _watch([binary, "-F", "--no-caps", *files], root, job, target, done=_last_event(job, target))


_SYSLOG_NG = r"""@version: 3.38
options { stats-freq(0); log-msg-size(65536); };
source s { file("JOB" flags(no-parse) follow-freq(1) log-iw-size(10000) log-fetch-limit(1000)); };
filter page {
  match('^\S+ \S+ \S+ \[[^]]+\] "GET (?<target>(?<path>[^ ?"]*)[^ "]*) HTTP/[0-9.]+" (2..|304) '
    type(pcre) value("MESSAGE") flags(store-matches));
};
filter asset {
  match('\.(css|js|mjs|map|png|jpe?g|gif|webp|avif|svg|ico|woff2?|ttf|eot|otf|mp4|webm|mp3|json|xml|txt|pdf|zip|gz)$'
    type(pcre) value("path"));
};
filter machine {
  match('(?i)"[^"]*(bot|crawl|spider|slurp|curl/|wget/|python-requests|go-http-client|okhttp|facebookexternalhit)[^"]*"$'
    type(pcre) value("MESSAGE"));
};
destination d {
  http(url("URL") method("POST") workers(4) user-agent("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0")
    headers("Content-Type: application/json", "X-Forwarded-For: 203.0.113.7")
    body('{"name":"pageview","domain":"example.com","url":"https://example.com${target}"}'));
};
log {
  source(s); filter(page); filter { not filter(asset) }; filter { not filter(machine) };
  destination(d); flags(flow-control);
};
"""


def explain(job: Job, root: Path) -> Run:
    """Run the summary of a dry run over the log: parsing, deciding, counting; nothing is sent."""
    options = ["--format", "combined", "--site", "https://example.com", "--summary"]
    run = _watch([str(LOGSHIP), "explain", *options, str(job.path)], root, job)
    _require_lines(job, "logship explain", (root / "output").read_text())
    return run


def goaccess(job: Job, root: Path) -> Run:
    """Run GoAccess over the log, to its JSON report: parsing and counting."""
    binary, made = shutil.which("goaccess") or "/usr/bin/goaccess", root / "report.json"
    run = _watch([binary, str(job.path), "--log-format=COMBINED", "--no-progress", "-o", str(made)], root, job)
    _require_lines(job, "goaccess", str(json.loads(made.read_text())["general"]["total_requests"]))
    return run


def _require_lines(job: Job, program: str, told: str) -> None:
    if not re.search(rf"\b({job.lines}|{job.lines:,})\b", told):
        raise RuntimeError(f"{program} did not read {job.lines:,} lines:\n{told[-2000:]}")


def wrk(target: Target, root: Path, seconds: float = 5) -> Run:
    """Run wrk with the same POST over 32 connections and no log to read: the ceiling."""
    script = root / "post.lua"
    script.write_text(_WRK)
    binary = shutil.which("wrk") or "/usr/bin/wrk"
    command = [binary, "-t1", "-c32", f"-d{seconds:g}s", "-s", str(script), target.url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", printed)
    if found is None or "Non-2xx" in printed:
        raise RuntimeError(f"wrk did not measure: {printed}")
    return Run(seconds=float(found[2]) * (0.001 if found[3] == "ms" else 1), events=int(found[1]))


_WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Forwarded-For"] = "203.0.113.7"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
wrk.body = '{"name":"pageview","domain":"example.com","url":"https://example.com/blog/filter-banner-access"}'
"""


def _watch(
    command: list[str],
    root: Path,
    job: Job,
    target: Target | None = None,
    done: Callable[[subprocess.Popen[bytes]], bool] = lambda process: False,
) -> Run:
    """Start a process, wait until it ends or is done, and account for all that it and its children used."""
    with (root / "output").open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=root, env=ENVIRONMENT)
        peak = 0
        while True:
            peak = max(peak, memory(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.monotonic() - began
            if pid:
                break
            if done(process):
                process.terminate()
                _, status, usage = os.wait4(process.pid, 0)
                break
            time.sleep(0.03)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{(root / 'output').read_text()[-3000:]}")
    events = target.events() if target is not None else 0
    return Run(seconds, events, job.lines, usage.ru_utime + usage.ru_stime, peak)


def _last_event(job: Job, target: Target) -> Callable[[subprocess.Popen[bytes]], bool]:
    """Return a test for "all events have arrived", or none has for a long time. Asks nginx some times a second."""
    seen, changed, asked = 0, time.monotonic(), 0.0

    def done(process: subprocess.Popen[bytes]) -> bool:
        nonlocal seen, changed, asked
        now = time.monotonic()
        if now - asked < 0.1:
            return False
        asked, events = now, target.events()
        if events != seen:
            seen, changed = events, now
        return events >= job.pageviews or now - changed > _STALLED

    return done


def memory(pid: int) -> int:
    """Return bytes of memory that a process and its children have, 0 when it has gone.

    For one process that is the high-water mark of its resident set (not `ru_maxrss`, which begins with what the
    parent had at the fork). What several share counts once: the sum of their proportional shares, at this moment.
    """
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return sum(_number(Path(f"/proc/{each}/smaps_rollup"), "Pss") for each in (pid, *children))
        return peak_rss(pid)
    except OSError:
        return 0


def peak_rss(pid: int) -> int:
    """Return the high-water mark of one process's resident set in bytes, 0 when it has gone."""
    try:
        return _number(Path(f"/proc/{pid}/status"), "VmHWM")
    except OSError:
        return 0


def _number(path: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
