"""The programs that are measured, each doing the job once: from the start of its process to the last event."""

from __future__ import annotations

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
    peak_rss: int | None = None  # bytes

    @property
    def figures(self) -> dict[str, float]:
        """What is compared: rates, CPU per line in microseconds, peak memory in MB."""
        figures = {"events_per_s": self.events / self.seconds}
        if self.lines:
            figures["lines_per_s"] = self.lines / self.seconds
        if self.cpu_seconds is not None and self.lines:
            figures["cpu_us_per_line"] = self.cpu_seconds / self.lines * 1e6
        if self.peak_rss is not None:
            figures["peak_rss_mb"] = self.peak_rss / 1e6
        return figures


def logship(job: Job, target: Target, root: Path, rules: str = "") -> Run:
    """Run `logship run --once`: all of its features on, its default rules where none are given."""
    config = root / "logship.yaml"
    config.write_text(
        f"state_dir: {root}/state\n"
        f"admin: {{listen: '127.0.0.1:{free_port()}'}}\n"
        f"destinations: {{nginx: {{url: '{target.url}'}}}}\n"
        f"sources: [{{path: '{job.path}', site: https://example.com, format: combined, start_at: beginning}}]\n"
        f"{rules}"
    )
    target.reset()
    command = [str(LOGSHIP), "run", "--once", "-c", str(config)]
    return _watch(command, root, job, target, done=lambda process: False)


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
    command: list[str], root: Path, job: Job, target: Target, done: Callable[[subprocess.Popen[bytes]], bool]
) -> Run:
    """Start a process, wait until it ends or is done, and account for all that it used."""
    with (root / "output").open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=root, env=ENVIRONMENT)
        peak = 0
        while True:
            peak = max(peak, peak_rss(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.monotonic() - began
            if pid:
                break
            if done(process):
                peak = max(peak, peak_rss(process.pid))
                process.terminate()
                _, status, usage = os.wait4(process.pid, 0)
                break
            time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{(root / 'output').read_text()[-3000:]}")
    return Run(seconds, target.events(), job.lines, usage.ru_utime + usage.ru_stime, peak)


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


def peak_rss(pid: int) -> int:
    """Return the high-water mark of a process's resident memory in bytes, 0 when it has gone.

    Not `ru_maxrss`: that begins with what the parent had at the fork.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
