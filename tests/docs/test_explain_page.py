"""Every command of docs/explain.md, run on the files that the page shows, prints what the page says it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs/explain.md").read_text()
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
CONSOLES = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
SESSIONS = [re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE) for console in CONSOLES]


@pytest.fixture
def home(tmp_path):
    """Return a directory with the page's files, and with `logship` on the path."""
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    command = tmp_path / "bin" / "logship"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m logship "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("session", SESSIONS, ids=[session[0][0] for session in SESSIONS])
def test_commands_print_what_the_page_says(home, session):
    """A line of dots stands for any lines; of `check`, warnings about this machine are left out."""
    if any("jq" in command for command, _ in session) and not _has_jq():
        pytest.skip("jq is not installed (Debian: apt-get install jq)")
    for command, told in session:
        printed = _run(command, home)
        if command.startswith("logship check"):
            printed = "".join(line for line in printed.splitlines(True) if ": warning: " not in line)
            printed = re.sub(r"ok, \d+ to look at", "ok", printed)
        assert re.fullmatch(_expression(told), printed.lstrip("\n")), f"{command}:\n{printed}"


def test_the_page_shows_something():
    """The expressions above find the page's files and commands."""
    assert [name for name, _ in FILES] == ["access.log", "logship.yaml"]
    assert len(SESSIONS) == 7


def _run(command, home):
    environment = os.environ | {"PATH": f"{home}/bin:{os.environ['PATH']}", "STATE_DIRECTORY": str(home)}
    environment.pop("LOGSHIP_CONFIG", None)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    return subprocess.run(["bash", "-c", command], cwd=home, env=environment, text=True, **options).stdout


def _expression(told):
    lines = [r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n" for line in told.splitlines()]
    return "".join(lines)


def _has_jq():
    return subprocess.run(["bash", "-c", "command -v jq"], capture_output=True).returncode == 0
