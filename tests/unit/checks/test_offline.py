"""What a valid configuration meets on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from logship import plan
from logship.checks import offline
from logship.settings import loader

LINE = '203.0.113.7 - - [22/Nov/2026:05:55:36 +0000] "GET /p HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11) Firefox/127.0"\n'


@pytest.fixture
def told(tmp_path: Path) -> Callable[[str], list[str]]:
    """Check sources, written as YAML's flow, and return what is said of them."""

    def check(sources: str) -> list[str]:
        loaded, problems = loader.read(f"state_dir: {tmp_path}/state\nsources: [{sources}]\n", "f", {})
        assert not [each for each in problems if not each.warning]
        return [str(each) for each in offline.check(plan.build(loaded)).problems]

    return check


def test_a_glob_is_checked_as_it_is_followed(tmp_path: Path, told: Callable[[str], list[str]]) -> None:
    """A directory among the logs, and an archive, are no faults: `run` passes them over."""
    (tmp_path / "access.log").write_text(LINE * 5)
    (tmp_path / "access.log.2.gz").write_bytes(b"no\nlog\n")
    (tmp_path / "old").mkdir()
    assert told(f"{{path: '{tmp_path}/*', site: https://a.example, format: combined}}") == []


def test_a_file_of_two_sources_is_told_to_the_second(tmp_path: Path, told: Callable[[str], list[str]]) -> None:
    """Each file is read once: the second source would wait for its lines in vain, and nobody would know why."""
    log = tmp_path / "access.log"
    log.write_text(LINE * 5)
    one = f"{{name: one, path: {log}, site: https://a.example, format: combined}}"
    two = f"{{name: two, path: '{tmp_path}/*.log', site: https://a.example, format: combined}}"
    assert told(one) == []
    [problem] = told(f"{one}, {two}")
    assert problem.endswith(
        f'sources[1].path[0]: warning: {log} is followed by the source "one", so this one reads none of its lines'
    )
