"""What lines cost in Python's own instructions: a count, the same on every machine, so that a slow change is noticed.

The limits stand a fifth above what was counted with Python 3.11; other versions compile to other instructions, and
have their own cost. Whoever makes a line dearer on purpose raises its limit, and says why in the commit.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from logship import plan
from logship.records import Chunk
from logship.sieve.sieve import Sieve
from logship.sieve.sifted import Sifted
from tests.bench import job

LIMITS = {
    "asset": ("combined", 11.0),
    "machine": ("combined", 56.0),
    "page view": ("combined", 330.0),
    "asset with an escape": ("escapes in every line", 11.0),
    "asset in CRI": ("combined in CRI", 11.0),
    "asset in JSON": ("nginx JSON", 13.0),
    "page view in JSON": ("nginx JSON", 520.0),
    "asset of Caddy's": ("Caddy JSON", 14.5),
    "page view of Caddy's": ("Caddy JSON", 545.0),
}
LINES = 1500

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the limits are for Python 3.11")


def lines_of(kind: str, style: str, root: Path) -> bytes:
    """Return lines of a kind, from the job that everything is measured on."""
    views = "view" in kind
    job.write(root / "log", LINES if views else 4 * LINES, now=1e9, style=style, pageviews_only=views)
    lines = (root / "log").read_bytes().splitlines(keepends=True)
    if "machine" in kind:
        return b"".join(line for line in lines if b"bot" in line.lower() or b"curl" in line)
    return b"".join(
        line for line in lines if views or (b"/static/" in line and b"bot" not in line and b"404" not in line)
    )


def sieve(style: str, root: Path) -> Sieve:
    """Return what reads a style's lines."""
    config = root / "logship.yaml"
    config.write_text(
        f"sources: [{{name: log, path: /a.log, site: 'https://example.com', {job.STYLES[style].source}}}]\n"
    )
    return plan.load(config, {}).sources["log"].sieve(None)


@pytest.mark.parametrize("kind", LIMITS)
def test_a_line_costs_no_more_instructions_than_it_did(kind: str, tmp_path: Path) -> None:
    """Of a log whose requests were seen before; what a new one costs is the affair of the memo's tests."""
    style, limit = LIMITS[kind]
    data, made = lines_of(kind, style, tmp_path), sieve(style, tmp_path)

    def sift() -> Sifted:
        return made.sift(Chunk(1, "log", "/a.log", data, 0, len(data)), 0.0)

    sift()
    each = instructions(sift) / data.count(b"\n")
    print(f"{kind}: {each:.1f} instructions a line")
    assert each <= limit


def instructions(call: Callable[[], Any]) -> int:
    """Return how many bytecode instructions a call executes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count
