"""What the pages show, done: their files laid out, their commands run, and what comes held against what they say.

    python -m tests.docs.shown            say which pages show something else than what comes
    python -m tests.docs.shown --write    and put in what came

A page's commands run in order, in one directory that begins with the page's files: a fence under `<!-- file: NAME -->`.
In it lie `var/log/nginx/access.log` and `etc/logship/logship.yaml` as well, which stand for the machine's. Below a
command stands what it prints; a line of dots stands for any lines; where nothing stands, it has to succeed. A command
that ends with `&` runs until the page ends, and what stands below is what it says at first.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

LEFT_OUT = {
    r"^apt ": "changes the machine",
    r"^ln .*/usr/local/bin": "changes the machine",
    r"^make ": "makes an environment from the package index; .ci/run does it",
    r"^python3 -m venv |/pip ": "fetches packages; .ci/run installs a wheel into an empty environment",
    r"cyclonedx": "fetches packages",
    r"logship init": "reads this machine's web servers; tests/integration/test_init.py",
    r"logship reload$": "tells what was edited before; tests/unit/settings/test_differences.py",
    r"systemctl|journalctl|^cp systemd/": "needs systemd as the init; tests/integration/test_systemd_boot.py",
    r"docker ": "needs a container engine; tests/integration/test_containers.py",
    r"kubectl": "needs a cluster; tests/integration/test_pods.py",
    r"127.0.0.1:8080/": "asks the nginx of compose",
    r"dead-letter ": "needs events that were refused; tests/unit/upkeep/test_replay.py",
    r"^logship demo|^logship tap": "goes on for a while; tests/scenario/test_demo.py, tests/unit/admin/test_tap.py",
}
"""Commands that an ordinary machine cannot run, or not for a test: what is found in them, and why. No other is left."""

ELSEWHERE = {
    "docs/receiver.md": "tests/unit/receiver/test_documentation.py",
    "docs/containers.md": "tests/integration/test_containers.py",
}
"""Pages whose commands have a test of their own."""

SERVED = ("docs/operate.md",)
"""Pages whose commands speak to a daemon that runs already."""

_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^[$#] (.*(?:\n> .*)*)\n((?:(?![$#] ).*\n)*)", re.MULTILINE)
_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_CONFIG = """\
state_dir: {home}/state
admin: {{listen: "127.0.0.1:{admin}"}}
destinations: {{plausible: {{url: "http://127.0.0.1:{receiver}"}}}}
sources: [{{path: {home}/var/log/nginx/access.log, site: "https://example.com", start_at: beginning}}]
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a page, and what stands below it; `at` is where that begins in the page."""

    command: str
    told: str
    at: int

    @property
    def left_out(self) -> str:
        """Why it is not run here; empty where it is."""
        return next((reason for sign, reason in LEFT_OUT.items() if re.search(sign, self.command)), "")


def commands(page: str) -> list[Shown]:
    """Return the commands of all `console` blocks, in order."""
    return [
        Shown(each[1].replace("\n> ", "\n"), each[2], block.start(1) + each.start(2))
        for block in _CONSOLE.finditer(page)
        for each in _COMMAND.finditer(block[1])
    ]


def differences(path: Path) -> Iterator[tuple[Shown, str]]:
    """Run a page's commands; yield those that print something else than the page says, with what they print.

    Raises:
        AssertionError: a command below which nothing stands has failed.
    """
    page = path.read_text()
    with _home(page, served=str(path.relative_to(ROOT)) in SERVED) as home:
        for shown in commands(page):
            if shown.left_out:
                continue
            status, printed = home.run(shown.command, shown.told)
            if not shown.told:
                assert status == 0, f"{shown.command}: exit code {status}\n{printed}"
            elif not re.fullmatch(_expression(shown.told), printed):
                yield shown, printed


def write(path: Path) -> None:
    """Put what the commands print into the page."""
    page = path.read_text()
    for shown, printed in reversed(list(differences(path))):
        page = page[: shown.at] + printed + page[shown.at + len(shown.told) :]
    path.write_text(page)


@dataclass
class _Home:
    """The directory in which a page's commands run, and the ports that stand for the usual ones."""

    path: Path
    ports: dict[str, int]
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, command: str, told: str) -> tuple[int | None, str]:
        """Run a command line; return its exit code (none: it goes on) and what it printed, as the page would."""
        if command.endswith("&"):
            return None, self._as_shown(self._begin(command.removesuffix("&"), told.count("\n")))
        done = subprocess.run(
            ["bash", "-c", self.here(command)], timeout=200, stderr=subprocess.STDOUT, **self._options()
        )
        printed = done.stdout
        if command.split()[:2] == ["logship", "check"]:  # its warnings are about the machine
            printed = "".join(line for line in printed.splitlines(True) if ": warning: " not in line)
            printed = re.sub(r"ok, \d+ to look at", "ok", printed)
        return done.returncode, self._as_shown(printed)

    def start(self, command: str) -> None:
        """Run it until the page ends."""
        self._begin(command, 0)

    def _begin(self, command: str, lines: int) -> str:
        process = self.stack.enter_context(
            subprocess.Popen(["bash", "-c", "exec " + self.here(command)], stderr=subprocess.DEVNULL, **self._options())
        )
        self.stack.callback(process.send_signal, signal.SIGTERM)
        return "".join(process.stdout.readline() for _ in range(lines))

    def _options(self) -> dict[str, object]:
        here = {"PATH": f"{self.path}/bin:{os.environ['PATH']}", "HOME": str(self.path), "COLUMNS": "80"}
        here |= {"STATE_DIRECTORY": f"{self.path}/state", "LOGSHIP_CONFIG": f"{self.path}/etc/logship/logship.yaml"}
        environment = {**os.environ, **here}
        return {"cwd": self.path, "env": environment, "text": True, "stdin": -3, "stdout": -1}

    def here(self, command: str) -> str:
        """Return it with this directory and these ports in the place of the machine's."""
        command = re.sub(r"(?<![\w/])(/etc/logship|/var/log/nginx)\b", rf"{self.path}\1", command)
        command = command.replace("/opt/logship/bin/", "")
        command = re.sub(r"^logship receive(?! --listen)", "logship receive --listen 127.0.0.1:8000", command)
        return self.with_ports(command)

    def with_ports(self, text: str) -> str:
        """Return it with free ports for the usual ones."""
        for usual, port in self.ports.items():
            text = text.replace(f":{usual}", f":{port}")
        return text

    def _as_shown(self, printed: str) -> str:
        printed = printed.replace("\r", "").replace(str(self.path), "").lstrip("\n")
        for usual, port in self.ports.items():
            printed = printed.replace(f":{port}", f":{usual}")
        return "".join(line.rstrip() + "\n" for line in printed.splitlines())


@contextmanager
def _home(page: str, *, served: bool) -> Iterator[_Home]:
    with tempfile.TemporaryDirectory(prefix="logship-docs-") as name, ExitStack() as stack:
        home = _Home(Path(name), {"8000": _free_port(), "9469": _free_port()}, stack)
        _lay_out(home)
        for file, text in _FILE.findall(page):
            (home.path / file).write_text(home.with_ports(text) if file.endswith(".yaml") else text)
        if served:
            home.start("logship receive --listen 127.0.0.1:8000")
            home.start("logship run")
            _wait(home, "curl -fs http://127.0.0.1:9469/readyz && curl -fs http://127.0.0.1:8000/api/health")
        yield home


def _lay_out(home: _Home) -> None:
    for directory in ("bin", "etc/logship", "var/log/nginx"):
        (home.path / directory).mkdir(parents=True)
    for command in ("logship", "as_logship"):
        (home.path / "bin" / command).write_text(f'#!/bin/sh\nexec {sys.executable} -m logship "$@"\n')
        (home.path / "bin" / command).chmod(0o755)
    ports = {"admin": home.ports["9469"], "receiver": home.ports["8000"]}
    (home.path / "etc/logship/logship.yaml").write_text(_CONFIG.format(home=home.path, **ports))
    now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    line = f'203.0.113.7 - - [{now}] "GET /pricing HTTP/1.1" 200 4096 "-" "{_FIREFOX}"\n'
    (home.path / "var/log/nginx/access.log").write_text(line)


def _wait(home: _Home, command: str) -> None:
    deadline = time.monotonic() + 90
    while (said := home.run(command, ""))[0] != 0:
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _expression(told: str) -> str:
    lines = [r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n" for line in told.splitlines()]
    return "".join(lines)


def missing_programs(page: str) -> list[str]:
    """Return which of the programs that a page pipes into are not on this machine."""
    asked = " ".join(shown.command for shown in commands(page) if not shown.left_out)
    return [name for name in ("jq", "curl") if re.search(rf"\b{name}\b", asked) and not shutil.which(name)]


def main() -> int:
    """Say what differs, or write it into the pages."""
    different = 0
    for path in PAGES:
        if str(path.relative_to(ROOT)) in ELSEWHERE:
            continue
        for shown, printed in differences(path):
            different += 1
            print(f"{path.relative_to(ROOT)}: {shown.command}\n{printed}")
        if "--write" in sys.argv:
            write(path)
    return min(different, 1)


if __name__ == "__main__":
    sys.exit(main())
