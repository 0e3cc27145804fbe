"""The unit under a real systemd: a Debian of its own is booted in a container, with nginx and logship.

Needs root, debootstrap and systemd-nspawn (Debian: debootstrap, systemd-container), and Debian's mirror for the first
time; what was fetched is kept in $LOGSHIP_DEBIAN_ROOT, by default below ~/.cache. Skipped elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
CONFIG = """
destinations: {plausible: {url: "http://127.0.0.1:8000"}}
sources: [{path: /var/log/nginx/access.log, site: "https://example.com"}]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot a container"),
    pytest.mark.skipif(
        not shutil.which("systemd-nspawn"), reason="systemd-nspawn is not installed (Debian: systemd-container)"
    ),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the wheels are fetched for Debian 12's Python, 3.11"),
]


class Machine:
    """A booted container: commands are run in it by `run`."""

    def __init__(self, leader: int) -> None:
        self._enter = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "--"]

    def run(self, *command: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, and fail with what it said."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(
            [*self._enter, *command], input=text, capture_output=True, text=True, timeout=180, env=environment
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file in the container."""
        self.run("tee", path, text=text)

    def show(self, name: str, unit: str = "logship") -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def journal(self) -> str:
        """Return what logship has said."""
        return self.run("journalctl", "-u", "logship", "-o", "cat", "--no-pager").stdout

    def visit(self, path: str) -> None:
        """Ask nginx for a page, as a browser would, after making it."""
        self.run("install", "-D", "/etc/hostname", f"/var/www/html{path}.html")
        self.run("curl", "-s", "-o", "/dev/null", "-A", FIREFOX, f"http://127.0.0.1{path}.html")

    def arrived(self) -> list[str]:
        """Return the pages whose visits the receiver has got."""
        answer = self.run("curl", "-s", "http://127.0.0.1:8000/api/events?limit=1000", check=False).stdout
        return [event["pathname"].removesuffix(".html") for event in json.loads(answer or "[]")]


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """The wheel, and all that is locked, to be installed without a network."""
    place = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    lock = ["--require-hashes", "--only-binary=:all:", "-r", str(ROOT / "requirements.txt")]
    subprocess.run([*pip, "download", "-d", place, *lock], check=True, timeout=300)
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", place, ROOT], check=True, timeout=300)
    shutil.copy(ROOT / "requirements.txt", place)
    return place


@pytest.fixture(scope="module")
def booted(debian: Path, packages: Path) -> Iterator[Machine]:
    """Boot it: its files are laid over Debian's in memory, its network is its own loopback."""
    command = [
        "systemd-nspawn",
        "--quiet",
        "-D",
        str(debian),
        "--volatile=overlay",
        "--boot",
        "--register=no",
        "--keep-unit",
    ]
    command += ["--private-network", "--machine=logship-test", "--console=pipe", f"--bind-ro={packages}:/packages"]
    command += [f"--bind-ro={ROOT / 'systemd'}:/unit"]
    output = packages / "boot.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        until(lambda: leader_of(process.pid) or process.poll() is not None, "the container's init")
        if process.poll() is not None:
            pytest.skip(f"this machine boots no container: {output.read_text()[-500:]}")
        machine = Machine(leader_of(process.pid))
        until(lambda: machine.run("systemctl", "is-system-running", check=False).stdout.strip() in UP, "the boot")
        install(machine)
        yield machine
    finally:
        process.terminate()  # an orderly power-off
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


UP = ("running", "degraded")


def leader_of(pid: int) -> int:
    """Return the container's process 1, 0 while there is none."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if Path(f"/proc/{pid}").exists() else []
    for child in map(int, children):
        if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
            return child
        if found := leader_of(child):
            return found
    return 0


def install(machine: Machine) -> None:
    """As docs/operate.md says, but that packages come from a directory."""
    pip = ("/opt/logship/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/packages")
    machine.run("python3", "-m", "venv", "/opt/logship")
    machine.run(*pip, "--require-hashes", "-r", "/packages/requirements.txt")
    machine.run("sh", "-c", " ".join((*pip, "--no-deps", "/packages/logship-*.whl")))
    machine.run("install", "-d", "/etc/logship")
    machine.write("/etc/logship/logship.yaml", CONFIG)
    machine.run("cp", "/unit/logship.service", "/etc/systemd/system/")
    # The watchdog's half a minute is long for a test.
    machine.run("install", "-d", "/etc/systemd/system/logship.service.d")
    machine.write("/etc/systemd/system/logship.service.d/test.conf", "[Service]\nWatchdogSec=4\n")
    machine.run("systemctl", "daemon-reload")
    receive = ("/opt/logship/bin/logship", "receive", "--listen", "127.0.0.1:8000")
    machine.run("systemd-run", "--unit=receiver", *receive)
    until(
        lambda: machine.run("curl", "-s", "http://127.0.0.1:8000/api/health", check=False).returncode == 0, "receiver"
    )


@pytest.fixture
def machine(booted: Machine) -> Machine:
    """The machine with logship running: the test before leaves it so, and a test that runs alone needs it."""
    booted.run("systemctl", "start", "logship")
    if "/first" not in booted.arrived():
        booted.visit("/first")
        until(lambda: "/first" in booted.arrived(), "the first visit")
    return booted


# One machine lives through it all, in this order: each test leaves it with logship running.


def test_it_starts_and_reads_what_group_adm_may_read(booted):
    """`systemctl start` returns when it follows; a user that exists only now reads Debian's log of nginx."""
    machine = booted
    machine.visit("/before")
    machine.run("systemctl", "enable", "--now", "logship")
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText").startswith("delivering")
    assert machine.run("stat", "-c", "%a %U:%G", "/var/log/nginx/access.log").stdout.strip() == "640 www-data:adm"
    user = machine.run("ps", "-o", "user=", "-p", machine.show("MainPID")).stdout.strip()
    assert user == "logship"
    machine.visit("/first")
    until(lambda: "/first" in machine.arrived(), "the first visit")


def test_its_state_is_its_own(machine):
    """Nobody else may look into the state directory, and no file of it is root's."""
    listed = machine.run("find", "/var/lib/private/logship", "-printf", "%m %u %y\\n").stdout.split("\n")
    assert {line.split()[0] for line in listed if line.endswith("d")} == {"700"}
    assert {line.split()[0] for line in listed if line.endswith(("f", "s"))} == {"600"}
    assert not [line for line in listed if " root " in line]


def test_status_and_tap_work_for_root(machine):
    """The commands of the manual, as it says."""
    assert "ready  logship" in machine.run("/opt/logship/bin/logship", "status").stdout
    tap = machine.run(
        "sh",
        "-c",
        """
        (while sleep 1; do curl -s http://127.0.0.1/x; done) >/dev/null 2>&1 & asking=$!
        /opt/logship/bin/logship tap -n 1; ended=$?
        kill $asking; exit $ended
        """,
    )
    assert tap.stdout.startswith("dropped  access  GET /x 404")


def test_a_good_reload_succeeds_and_tells(machine):
    """`systemctl reload` waits for the outcome, and the journal has the differences."""
    machine.write("/etc/logship/logship.yaml", CONFIG + "grace_period: 5s\n")
    machine.run("systemctl", "reload", "logship")
    assert machine.show("ActiveState") == "active"
    assert "grace_period 10s -> 5s" in machine.journal()


def test_a_bad_reload_fails_and_changes_nothing(machine):
    """The command fails, the service runs on with what it had; mended, all is well."""
    machine.write("/etc/logship/logship.yaml", CONFIG.replace("sources", "sauces"))
    assert machine.run("systemctl", "reload", "logship", check=False).returncode != 0
    assert machine.show("ActiveState") == "active"
    assert 'did you mean \\"sources\\"' in machine.journal()
    machine.visit("/while-refused")
    until(lambda: "/while-refused" in machine.arrived(), "a visit under the old plan")
    machine.write("/etc/logship/logship.yaml", CONFIG)
    machine.run("systemctl", "reload", "logship")


def test_a_hanging_process_is_killed_by_the_watchdog_and_comes_back(machine):
    """The event loop feeds it: stopped, it starves, and systemd starts another one, which loses nothing."""
    pid = machine.show("MainPID")
    machine.run("kill", "-STOP", pid)
    machine.visit("/while-hanging")
    until(lambda: machine.show("NRestarts") == "1", "the watchdog")
    until(lambda: machine.show("ActiveState") == "active", "the restart")
    assert machine.show("MainPID") != pid
    until(lambda: "/while-hanging" in machine.arrived(), "what was written meanwhile")


def test_a_stop_is_quick_and_an_upgrade_loses_nothing(machine):
    """What is written while it is down is read afterwards; what had arrived does not arrive again."""
    before = machine.arrived()
    machine.run("systemctl", "stop", "logship")
    assert (machine.show("Result"), machine.show("ActiveState")) == ("success", "inactive")
    assert "not running" in machine.run("/opt/logship/bin/logship", "status", check=False).stdout
    machine.visit("/while-down")
    pip = "/opt/logship/bin/pip install --quiet --no-index --no-deps --force-reinstall /packages/logship-*.whl"
    machine.run("sh", "-c", pip)
    machine.run("systemctl", "start", "logship")
    until(lambda: "/while-down" in machine.arrived(), "what was written meanwhile")
    assert sorted(machine.arrived()) == sorted([*before, "/while-down"])


def test_a_credential_is_a_file_and_not_in_the_environment(machine):
    """The drop-in as it is: the value is root's alone, and stands where `${PLAUSIBLE_TOKEN}` is written."""
    machine.run("install", "-d", "-m", "700", "/etc/logship/credentials")
    machine.write("/etc/logship/credentials/PLAUSIBLE_TOKEN", "sesame\n")
    machine.run("chmod", "600", "/etc/logship/credentials/PLAUSIBLE_TOKEN")
    machine.run("cp", "/unit/logship.service.d/credentials.conf", "/etc/systemd/system/logship.service.d/")
    token = CONFIG.replace('8000"', '8000", headers: {Authorization: "Bearer ${PLAUSIBLE_TOKEN}"}')
    machine.write("/etc/logship/logship.yaml", token)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "logship")
    assert machine.show("ActiveState") == "active"
    environment = machine.run("sh", "-c", f"tr '\\0' '\\n' </proc/{machine.show('MainPID')}/environ").stdout
    assert "sesame" not in environment + machine.journal()
    machine.run("systemctl", "reload", "logship")


def test_an_invalid_configuration_at_the_start_is_not_tried_again(machine):
    """Exit code 78 ends it; mended, it starts."""
    machine.write("/etc/logship/logship.yaml", "nonsense: 1\n")
    machine.run("systemctl", "restart", "logship", check=False)
    until(lambda: machine.show("ActiveState") == "failed", "the failure")
    time.sleep(3)  # RestartSec is 2 s: it would have been tried again by now
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "78")
    machine.write("/etc/logship/logship.yaml", CONFIG)
    machine.run("systemctl", "start", "logship")
    machine.visit("/last")
    until(lambda: "/last" in machine.arrived(), "the last visit")


def test_systemd_itself_finds_nothing_to_complain_of(machine):
    """Neither when it verifies the unit, nor when it rates what it may do."""
    verified = machine.run("systemd-analyze", "verify", "/etc/systemd/system/logship.service", check=False)
    assert (verified.stdout, verified.stderr) == ("", "")
    machine.run("systemd-analyze", "security", "--threshold=15", "--no-pager", "logship.service")
