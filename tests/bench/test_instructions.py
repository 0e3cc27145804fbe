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
from logship.sieve import Sieve, Sifted
from tests.bench import job

LIMITS = {"asset": 11.0, "machine": 50.0, "page view": 640.0}
LINES = 1500

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the limits are for Python 3.11")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Lines of each kind, from the job that everything is measured on."""
    directory = tmp_path_factory.mktemp("logs")
    job.write(directory / "mixed.log", 4 * LINES, now=1e9)
    job.write(directory / "views.log", LINES, now=1e9, pageviews_only=True)
    mixed = (directory / "mixed.log").read_bytes().splitlines(keepends=True)
    return {
        "asset": b"".join(line for line in mixed if b"/static/" in line and b" 200 " in line and b"bot" not in line),
        "machine": b"".join(line for line in mixed if b"bot" in line.lower() or b"curl" in line),
        "page view": (directory / "views.log").read_bytes(),
    }


@pytest.fixture
def sieve(tmp_path: Path) -> Sieve:
    config = tmp_path / "logship.yaml"
    config.write_text("sources: [{name: log, path: /var/log/a.log, site: https://example.com, format: combined}]\n")
    return plan.load(config, {}).sources["log"].sieve(None)


@pytest.mark.parametrize("kind", LIMITS)
def test_a_line_costs_no_more_instructions_than_it_did(kind: str, logs: dict[str, bytes], sieve: Sieve) -> None:
    """Of a log whose requests were seen before; what a new one costs is the affair of the memo's tests."""
    data = logs[kind]

    def sift() -> Sifted:
        return sieve.sift(Chunk(1, "log", "/var/log/a.log", data, 0, len(data)), 0.0)

    sift()
    each = instructions(sift) / data.count(b"\n")
    print(f"{kind}: {each:.1f} instructions a line")
    assert each <= LIMITS[kind]


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
