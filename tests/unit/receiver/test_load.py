"""Thousands of events a second, and none is lost: the benchmark of the receiver, once, small and untimed."""

import shutil
from pathlib import Path

import pytest

from tests.bench import receiver


@pytest.mark.parametrize("lasting", [False, True])
def test_wrk_loses_no_event(tmp_path: Path, lasting: bool) -> None:
    """Whatever was answered is stored, once."""
    if not shutil.which("wrk"):
        pytest.skip("wrk is not installed: `make packages` installs it")
    load = receiver.measure(tmp_path, seconds=1, lasting=lasting)
    assert (load.refused, load.lost, load.doubled) == (0, 0, 0), load
    assert load.stored >= load.answered > 0
