"""Measure logship, syslog-ng, GoAccess and wrk in turn, round after round, on the same log and the same nginx.

    python -m tests.bench [--lines N] [--runs N] [--write] [--only PROGRAM]...

Ratios within a round are what counts; absolute figures drift by a factor of two on small shared machines.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import job as jobs
from tests.bench import people, plots, programs, report, target

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the rounds, print the tables, keep bench/latest.json and bench/latest.svg."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="logship-bench-") as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        whole = jobs.write(root / "access.log", options.lines)
        views = jobs.write(root / "pageviews.log", whole.pageviews, pageviews_only=True)
        print(f"The job: {whole}.")
        with target.nginx(root / "nginx") as nginx, target.nginx(root / "nginx-tls", tls=True) as secure:
            programs.logship(jobs.write(root / "warm-up.log", 100), nginx, Path(tempfile.mkdtemp(dir=root)))
            try:
                rounds = measure(whole, views, (nginx, secure), root, options.runs, options.only)
            except report.UnequalError as error:
                print(f"no figures: {error}", file=sys.stderr)
                return 1
    text = report.markdown(whole, rounds)
    print(f"\n{text}\n\n{people.report()}")
    report.save(_ROOT / "bench" / "latest.json", whole, rounds)
    plots.write(_ROOT / "bench" / "latest.svg", report.bars(rounds))
    if options.write:
        report.write_figures(_ROOT / "tests" / "bench" / "README.md", text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5, help="rounds; each measures every program once")
    parser.add_argument("--write", action="store_true", help="put the figures into tests/bench/README.md")
    parser.add_argument("--only", action="append", default=[], help="a program's name; may be given more than once")
    return parser.parse_args()


def measure(
    whole: jobs.Job,
    views: jobs.Job,
    servers: tuple[target.Target, target.Target],
    root: Path,
    runs: int,
    only: list[str],
) -> dict[str, list[programs.Run]]:
    """Run every program once a round. Raises `report.UnequalError` when one did not do the whole job."""
    nginx, secure = servers
    todo: dict[str, tuple[jobs.Job | None, Callable[[Path], programs.Run]]] = {
        "logship": (whole, lambda where: programs.logship(whole, nginx, where)),
        "syslog-ng": (whole, lambda where: programs.syslog_ng(whole, nginx, where)),
        "logship, page views only": (views, lambda where: programs.logship(views, nginx, where)),
        "logship, page views over TLS": (views, lambda where: programs.logship(views, secure, where)),
        "logship explain": (None, lambda where: programs.explain(whole, where)),
        "GoAccess": (None, lambda where: programs.goaccess(whole, where)),
        "wrk": (None, lambda where: programs.wrk(nginx, where, seconds=5 if whole.lines > 100_000 else 1)),
    }
    chosen = {name: do for name, do in todo.items() if not only or name in only}
    rounds: dict[str, list[programs.Run]] = {name: [] for name in chosen}
    for number in range(runs):
        for name, (job, run) in chosen.items():
            fresh = root / "run"
            fresh.mkdir()
            done = run(fresh)
            shutil.rmtree(fresh)
            if job is not None:
                report.require_equal_work(job, name, done)
            rounds[name].append(done)
            print(f"round {number + 1}, {name}: " + ", ".join(f"{k} {v:,.1f}" for k, v in done.figures.items()))
    return rounds


if __name__ == "__main__":
    sys.exit(main())
