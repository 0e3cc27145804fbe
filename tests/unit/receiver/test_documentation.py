"""What docs/receiver.md shows can be typed, and answers as it says."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LOGSHIP = Path(sys.executable).with_name("logship")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "receiver.md"


def shown() -> list[tuple[str, list[str]]]:
    """Return the page's commands, in order, each with the lines that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_every_command_does_what_is_shown(tmp_path):
    """The receiver starts as shown, each curl gets the answer below it, and the demo begins with its address."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    environment = {**os.environ, "PATH": f"{LOGSHIP.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    (receive, said), *others = shown()
    assert receive.startswith("logship receive")
    process = subprocess.Popen(
        [*receive.split(), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    try:
        printed = [process.stdout.readline().strip() for _ in said]
        port = re.search(r":(\d+)/$", printed[0])[1]
        assert printed == [line.replace("8000", port) for line in said]
        for command, expected in others:
            done = subprocess.run(
                command.replace("8000", port),
                shell=True,
                capture_output=True,
                text=True,
                timeout=300,
                env=environment,
            )
            assert done.returncode == 0, (command, done)
            assert done.stdout.replace("\r", "").startswith("\n".join(expected)), (command, done.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert (tmp_path / "events.db").exists()


async def test_the_figures_that_are_documented_are_those_there_are(api):
    """Every key of /api/stats and of /api/events stands on the page, in backticks."""
    await api.event(props={"plan": "pro"})
    documented = set(re.findall(r"`([a-z_]+)`", PAGE.read_text()))
    stats = await api.get("/api/stats")
    assert set(stats) <= documented
    assert set(stats["timeseries"][0]) <= documented | set(re.findall(r'"([a-z_]+)"', PAGE.read_text()))
    assert set((await api.events())[0]) <= documented | set(re.findall(r'"([a-z_]+)"', PAGE.read_text()))
