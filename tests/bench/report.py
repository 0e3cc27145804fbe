"""Runs to figures: medians, spread, and ratios taken within a round, since a machine's mood changes between rounds."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.job import Job
from tests.bench.programs import Run

_COLUMNS = {
    "lines_per_s": ("lines/s", "{:,.0f}"),
    "events_per_s": ("events/s", "{:,.0f}"),
    "cpu_us_per_line": ("CPU µs/line", "{:.1f}"),
    "peak_memory_mb": ("peak memory MB", "{:.0f}"),
}
_BEGIN, _END = "<!-- {}: written by the benchmark's --write -->", "<!-- end of {} -->"

Rounds = Mapping[str, Sequence[Run]]


class UnequalError(Exception):
    """Two programs did not do the same work, so their speeds cannot be compared."""


def require_equal_work(job: Job, program: str, run: Run) -> None:
    """Refuse a run that made more or fewer events than the log has page views."""
    if run.events != job.pageviews:
        raise UnequalError(f"{program} made {run.events:,} events of {job.pageviews:,} page views: not the same job")


def figures(rounds: Rounds) -> dict[str, dict[str, dict[str, float]]]:
    """Return per program and figure: median, min, max."""
    return {
        program: {
            name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
            for name in runs[0].figures
            for values in [[run.figures[name] for run in runs]]
        }
        for program, runs in rounds.items()
    }


def ratios(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Return the comparisons that are goals, each round against its own neighbours."""
    pairs = {
        "lines/s, logship : syslog-ng": ("logship", "syslog-ng", "lines_per_s"),
        "CPU/line, logship : syslog-ng": ("logship", "syslog-ng", "cpu_us_per_line"),
        "events/s, logship on page views only : wrk": ("logship, page views only", "wrk", "events_per_s"),
        "events/s, over TLS : plain": ("logship, page views over TLS", "logship, page views only", "events_per_s"),
        "lines/s, logship explain : GoAccess": ("logship explain", "GoAccess", "lines_per_s"),
    }
    found = {}
    for title, (one, other, name) in pairs.items():
        if one in rounds and other in rounds:
            both = zip(rounds[one], rounds[other], strict=True)
            values = [a.figures[name] / b.figures[name] for a, b in both]
            found[title] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return found


def bars(rounds: Rounds) -> dict[str, list[tuple[str, float]]]:
    """Return what is to be drawn: for each figure, the medians of the programs that have it."""
    medians = figures(rounds)
    return {
        title: [(program, of[name]["median"]) for program, of in medians.items() if name in of]
        for name, (title, _) in _COLUMNS.items()
    }


def markdown(job: Job, rounds: Rounds) -> str:
    """Return the tables for people."""
    head = "| program | " + " | ".join(title for title, _ in _COLUMNS.values()) + " |"
    lines = [head, "|---|" + "---|" * len(_COLUMNS)]
    for program, of in figures(rounds).items():
        cells = [_cell(of[name], form) if name in of else "" for name, (_, form) in _COLUMNS.items()]
        lines.append(f"| {program} | " + " | ".join(cells) + " |")
    lines += ["", "| ratio within a round | median (lowest to highest) |", "|---|---|"]
    lines += [f"| {title} | {_cell(of, '{:.2f}')} |" for title, of in ratios(rounds).items()]
    runs = len(next(iter(rounds.values())))
    where = f"{platform.machine()}, {_cores()} cores, {_python()}"
    return "\n".join([f"{datetime.now(UTC):%Y-%m-%d}, {where}, {runs} rounds. The job: {job}.", "", *lines])


def _cell(of: Mapping[str, float], form: str) -> str:
    spread = f" ({form.format(of['min'])} to {form.format(of['max'])})" if of["min"] != of["max"] else ""
    return form.format(of["median"]) + spread


def _python() -> str:
    """Return which Python this is: how it was built makes a quarter of the speed."""
    return f"Python {platform.python_version()}{' of the system' if sys.base_prefix == '/usr' else ''}"


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def save(path: Path, job: Job, rounds: Rounds) -> None:
    """Write everything for a later comparison."""
    path.parent.mkdir(exist_ok=True)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": _python(),
        "cores": _cores(),
        "job": {"lines": job.lines, "bytes": job.size, "pageviews": job.pageviews, "mix": job.mix},
        "figures": figures(rounds),
        "ratios": ratios(rounds),
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


def write_figures(readme: Path, text: str, what: str = "comparison") -> None:
    """Replace one section of figures in the README, between its two marks."""
    begin, end = _BEGIN.format(what), _END.format(what)
    before, found, rest = readme.read_text().partition(begin)
    _, found_too, after = rest.partition(end)
    if not (found and found_too):
        raise ValueError(f"{readme} has no marks for {what}")
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}")
