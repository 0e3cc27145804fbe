"""What takes minutes: an idle machine, a log that never ends, an API that is slower than the log, other file systems.

`make faults` runs these; LOGSHIP_LINES makes the long log shorter or longer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1700)]

LOGSHIP = Path(sys.executable).with_name("logship")
ROOT = Path(__file__).resolve().parents[2]
LINES = int(os.environ.get("LOGSHIP_LINES", "10_000_000"))
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
SECONDS_IDLE = 60


def line(path: str, address: str = "203.0.113.7") -> str:
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    return f'{address} - - [{when}] "GET {path} HTTP/1.1" 200 5 "-" "{FIREFOX}"\n'


@contextmanager
def running(root: Path, url: str, pattern: str, extra: str = "") -> Iterator[subprocess.Popen[bytes]]:
    config = root / "logship.yaml"
    config.write_text(
        f"state_dir: {root}/state\nadmin: null\ndestinations: {{api: {{url: '{url}'{extra}}}}}\n"
        f"sources: [{{path: '{pattern}', site: https://example.com, start_at: beginning}}]\n"
    )
    with (root / "output").open("ab") as output:
        process = subprocess.Popen([LOGSHIP, "run", "-c", config], stdout=output, stderr=output)
    try:
        yield process
        process.terminate()
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def memory(process: subprocess.Popen[bytes]) -> int:
    """Return the resident megabytes of a process: without the second one, which is there at times, and shares most."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 // 1_000_000


def processor(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds that a process has used, to the nanosecond: ticks would miss what is short."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def test_idle_with_a_hundred_files(tmp_path: Path, recorder: Any, wait_until: Callable[..., Any]) -> None:
    """G4, A14: less than a hundredth of a core; empty files are no work either."""
    url, record = recorder
    for number in range(100):
        (tmp_path / f"{number}.log").write_text(line(f"/s/{number}") if number % 2 else "")
    with running(tmp_path, url, f"{tmp_path}/*.log") as process:
        wait_until(lambda: record.exists() and len(record.read_text().split()) == 50, "the events")
        time.sleep(3)
        before = processor(process)
        time.sleep(SECONDS_IDLE)
        share = (processor(process) - before) / SECONDS_IDLE
    print(f"idle with 100 files: {share:.2%} of a core")
    assert share < 0.01


def test_memory_of_a_long_log(tmp_path: Path, recorder: Any, wait_until: Callable[..., Any]) -> None:
    """G8: ten million lines, and no more memory at the end than near the beginning."""
    url, record = recorder
    log = tmp_path / "access.log"
    block = "".join(line(f"/asset-{number}.css") for number in range(10_000))
    with log.open("w") as file:
        for turn in range(LINES // 10_000):
            file.write(block)
            file.write(line(f"/s/{turn}"))
    with running(tmp_path, url, str(log)) as process:
        turns = LINES // 10_000
        seen = []
        for share in (0.2, 0.5, 1.0):
            wait_until(
                lambda share=share: record.exists() and len(record.read_text().split()) >= share * turns,
                f"{share:.0%} of the log",
                seconds=900,
            )
            seen.append(memory(process))
    print(f"{LINES:,} lines: {seen} MB after a fifth, half and all of it")
    assert max(seen) - seen[0] < 20


def test_memory_while_the_api_is_slower_than_the_log(
    tmp_path: Path, recorder: Any, wait_until: Callable[..., Any]
) -> None:
    """F26: a minute of ten times as many events as may be sent: memory stays, and none is lost."""
    url, record = recorder
    log = tmp_path / "access.log"
    log.touch()
    written, seen = 0, []
    with running(tmp_path, url, str(log), ", max_events_per_second: 500") as process:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with log.open("a") as file:
                for _ in range(500):
                    written += 1
                    file.write(line(f"/s/{written}", f"203.0.113.{written % 250}"))
            time.sleep(0.1)
            seen.append(memory(process))
        taken = len(record.read_text().split())
    print(f"{written:,} written, {taken:,} taken in a minute: {seen[50]} to {max(seen)} MB")
    assert taken < written // 2
    assert max(seen[50:]) - seen[50] < 20
    last = tmp_path / "logship.yaml"
    last.write_text(last.read_text().replace(", max_events_per_second: 500", ""))
    subprocess.run([LOGSHIP, "run", "--once", "-c", last], check=True, capture_output=True, timeout=300)
    assert sorted(int(each[3:]) for each in record.read_text().split()) == list(range(1, written + 1))


SUITES = (
    "tests/scenario/test_source_rotation.py",
    "tests/scenario/test_source_truncation.py",
    "tests/scenario/test_source_discovery.py",
    "tests/scenario/test_faults.py",
    "tests/unit/progress/test_checkpoint.py",
)


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "xfs", "btrfs", "vfat"])
def test_other_file_systems(tmp_path: Path, kind: str) -> None:
    """J6: rotation, truncation, restarts and saves where inodes, times and names are not those of ext4."""
    with mounted(tmp_path, kind) as place:
        suites = SUITES if kind != "vfat" else SUITES[4:]  # it has no hard links; nobody keeps logs there
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout", "300", f"--basetemp={place}/t", *suites]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500)
    assert ended.returncode == 0, ended.stdout[-6000:]


@contextmanager
def mounted(root: Path, kind: str) -> Iterator[Path]:
    """Mount a file system of that kind; skip where that is not possible."""
    place = root / "mounted"
    place.mkdir()
    if not shutil.which("mount") or os.geteuid():
        pytest.skip("only root can mount")
    done = subprocess.run(mount(root, kind, place), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{kind} cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=False)


def mount(root: Path, kind: str, place: Path) -> list[str | Path]:
    if kind == "tmpfs":
        return ["mount", "-t", "tmpfs", "none", place]
    if kind == "overlay":
        for name in ("lower", "upper", "work"):
            (root / name).mkdir()
        layers = f"lowerdir={root}/lower,upperdir={root}/upper,workdir={root}/work"
        return ["mount", "-t", "overlay", "overlay", "-o", layers, place]
    make, image = f"mkfs.{kind}", root / "image"
    if not shutil.which(make):
        pytest.skip(f"{make} is not installed")
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run([make, image], check=True, capture_output=True)
    return ["mount", "-o", "loop", image, place]
