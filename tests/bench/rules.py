"""What rules cost as they become many: the job's log through the sieve, with rules of one sort before the preset.

    python -m tests.bench.rules [--lines N] [--rounds N]

Microseconds of user time a line, the least of several rounds. Most rules match nothing, as most of a long list do.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from pathlib import Path

from tests.bench import formats

NUMBERS = (1, 10, 100)
SORTS = {
    "paths": "when: {{path: '/area-{n}/**'}}, event: 'Area {n}'",
    "paths, with props": "when: {{path: '/blog/{n}*'}}, event: 'Blog {n}', props: {{url: '{{{{url}}}}'}}",
    "hosts": "when: {{host: 'shop{n}.example.com'}}, event: 'Shop {n}'",
    "statuses and paths": "when: {{status: 404, path: '/o{n}/**'}}, event: 'Gone {n}', props: {{path: '{{{{path}}}}'}}",
    "queries": "when: {{query: '*campaign={n}&*'}}, event: 'Campaign {n}'",
    "User-Agents": "when: {{user_agent: '*Agent-{n}/*'}}, drop: true",
    "addresses": "when: {{client_ip: '198.51.{n}.0/24'}}, drop: true",
    "referrers": "when: {{referrer: '*spam{n}.example/*'}}, drop: true",
    "fields of the log": "when: {{log.remote_user: 'user{n}'}}, drop: true",
}
# Rules that take every page view, in the preset's place.
TAKING = {
    "as they are": "event: pageview",
    "with props of the request": "event: pageview, props: {path: '{path}', status: '{status}', host: '{host}'}",
    "with a prop of the line": "event: pageview, props: {path: '{path}', referrer: '{referrer}'}",
    "with a sample": "event: pageview, sample: 0.5",
    "with a URL": "event: pageview, url: '{path}'",
    "with a name from the path": "event: 'Read {path}'",
}


def rules_of(sort: str, number: int) -> str:
    """Return so many rules of a sort, and the preset behind them."""
    some = "".join(f"  - {{{SORTS[sort].format(n=n)}}}\n" for n in range(number))
    return f"rules:\n{some}  - preset: pageviews\n"


def cost(root: Path, rules: str, lines: int, rounds: int) -> dict[str, float]:
    """Return what a line costs, by the kind of log."""
    found = list(formats.trials(root, ["combined"], lines, rules, strict=False))
    return {trial.kind: trial.best for trial in formats.measured(found, rounds)}


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rules", description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    gc.set_threshold(10_000, 50, 100)
    with tempfile.TemporaryDirectory(prefix="logship-bench-") as scratch:
        root = Path(scratch)
        print("| mixed log, µs a line, by rules before the preset | " + " | ".join(map(str, NUMBERS)) + " |")
        print("|---|" + "---|" * len(NUMBERS))
        for sort in SORTS:
            costs = [cost(root, rules_of(sort, n), options.lines, options.rounds)["mixed"] for n in NUMBERS]
            print(f"| {sort} | " + " | ".join(f"{each:.2f}" for each in costs) + " |", flush=True)
        print("\n| page views alone, µs a line | |\n|---|---|")
        for name, rule in TAKING.items():
            each = cost(root, f"rules:\n  - {{{rule}}}\n", options.lines, options.rounds)["views"]
            print(f"| {name} | {each:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
