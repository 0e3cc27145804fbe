"""What reading costs, format by format: the same requests as each server writes them, through the sieve alone.

    python -m tests.bench.formats [--lines N] [--rounds N] [STYLE ...]

Microseconds of user time a line, the least of several rounds, and how many times that of plain combined. All requests
have been seen before, as on a site that is up: a first pass over the log is not counted. ``mixed`` is the job's log,
``dropped`` its lines that are no page views, ``views`` page views alone.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from logship import plan
from logship.records import Chunk
from logship.sieve.sieve import Sieve
from tests.bench import job

KINDS = ("mixed", "dropped", "views")
_CHUNK = 128 * 1024  # what the tailer reads at a time


@dataclass(slots=True)
class Trial:
    """One style's lines of one kind, and what reads them; ``spent`` are the microseconds a line of each round."""

    style: str
    kind: str
    sieve: Sieve
    chunks: Sequence[Chunk]
    lines: int
    spent: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The least that a line took."""
        return min(self.spent)

    def run(self) -> int:
        """Sift all chunks once; return how many lines survived."""
        return sum(len(self.sieve.sift(chunk, 0.0).survivors) for chunk in self.chunks)

    def measure(self) -> None:
        """Run once more, and note the time."""
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        self.run()
        self.spent.append(1e6 * (resource.getrusage(resource.RUSAGE_SELF).ru_utime - before) / self.lines)


def trials(root: Path, styles: Iterable[str], lines: int, rules: str = "", *, strict: bool = True) -> Iterator[Trial]:
    """Write the logs, and run each once. Raise ValueError where a style makes other events than the log has."""
    for style in styles:
        mixed = job.write(root / "mixed.log", lines, now=1e9, style=style)
        job.write(root / "views.log", lines // 4, now=1e9, style=style, pageviews_only=True)
        texts = {"mixed": mixed.path.read_bytes(), "views": (root / "views.log").read_bytes()}
        texts["dropped"] = _dropped(texts["mixed"], sieve(root, mixed.source, rules))
        views = {"mixed": mixed.pageviews, "views": lines // 4, "dropped": 0}
        for kind in KINDS:
            number = texts[kind].count(b"\n") or 1
            trial = Trial(style, kind, sieve(root, mixed.source, rules), list(chunks(texts[kind])), number)
            found = trial.run()
            if strict and found != views[kind]:
                raise ValueError(f"{style}, {kind}: {found} events of {views[kind]} page views")
            yield trial


def sieve(root: Path, source: str, rules: str = "") -> Sieve:
    """Return what reads a source, given as the inside of a YAML flow mapping."""
    path = root / "logship.yaml"
    path.write_text(f"sources: [{{name: log, path: /a.log, site: 'https://example.com', {source}}}]\n{rules}")
    return plan.load(path, {}).sources["log"].sieve(None)


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield a log as the tailer reads it."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + _CHUNK) + 1
        yield Chunk(1, "log", "/a.log", data[start:end], start, end)
        start = end


def _dropped(data: bytes, reader: Sieve) -> bytes:
    survivors = {at for chunk in chunks(data) for at, _ in reader.sift(chunk, 0.0).survivors}
    lines, at = [], 0
    for line in data.splitlines(keepends=True):
        if at not in survivors:
            lines.append(line)
        at += len(line)
    return b"".join(lines)


def measured(found: Sequence[Trial], rounds: int) -> Sequence[Trial]:
    """Measure all in turn, round after round, so that a machine's mood meets each."""
    for _ in range(rounds):
        for trial in found:
            trial.measure()
    return found


def table(found: Sequence[Trial]) -> Iterator[str]:
    """Yield the figures as a table, each beside what combined takes."""
    plain = {trial.kind: trial.best for trial in found if trial.style == "combined"}
    by_style: dict[str, dict[str, float]] = {}
    for trial in found:
        by_style.setdefault(trial.style, {})[trial.kind] = trial.best
    yield "| format | " + " | ".join(f"{kind}, µs | x combined" for kind in KINDS) + " |"
    yield "|---|" + "---|---|" * len(KINDS)
    for style, costs in by_style.items():
        cells = (f"{costs[kind]:.2f} | {costs[kind] / plain[kind]:.2f}" for kind in KINDS)
        yield f"| {style} | {' | '.join(cells)} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.formats", description=__doc__)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("styles", nargs="*", help="default: all of them; combined is always among them")
    options = parser.parse_args()
    styles = dict.fromkeys(("combined", *(options.styles or job.STYLES)))
    with tempfile.TemporaryDirectory(prefix="logship-bench-") as scratch:
        found = list(trials(Path(scratch), styles, options.lines))
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)  # as the daemon does
    for line in table(measured(found, options.rounds)):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
