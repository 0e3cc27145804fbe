"""What is shipped: pinned requirements, a service that systemd accepts, an image that needs no root."""

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from logship import __version__
from logship.settings.root import Settings

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.txt"))
UNIT = ROOT / "systemd" / "logship.service"


def pins(name: str) -> dict[str, str]:
    """Return name -> version of a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+) (?:; .+ )?\\$", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_names_versions_and_hashes_only(name: str) -> None:
    """Where packages come from is the machine's affair: no address, no option, nothing without a hash."""
    for line in (ROOT / name).read_text().splitlines():
        assert re.fullmatch(r"(\S+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?| *#.*|)", line), line
        assert "://" not in line


def test_python_dash_m_is_the_command() -> None:
    """Where scripts are not on the path, `python -m logship` is what people try."""
    ran = subprocess.run([sys.executable, "-m", "logship", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"logship, version {__version__}\n"


def test_the_locks_agree() -> None:
    """What is tested is what is shipped."""
    runtime = pins("requirements.txt")
    assert runtime
    assert runtime.items() <= pins("requirements-dev.txt").items()


def test_every_dependency_is_locked() -> None:
    """A dependency added to pyproject.toml without `make lock` is noticed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(map(normalised, project["dependencies"]))
    assert wanted <= pins("requirements.txt").keys()
    extra = set(map(normalised, project["optional-dependencies"]["dev"]))
    assert extra <= pins("requirements-dev.txt").keys()


def normalised(requirement: str) -> str:
    """Return the name that a lock has for a requirement: PEP 503."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[; ]", requirement)[0]).lower()


def unit() -> configparser.SectionProxy:
    reader = configparser.ConfigParser(strict=False, interpolation=None)
    reader.optionxform = str  # type: ignore[assignment, method-assign]
    reader.read(UNIT)
    return reader["Service"]


def test_the_service_reports_and_is_not_restarted_on_a_bad_configuration() -> None:
    """READY and watchdog by notification; exit code 78 is final; a reload waits for its outcome."""
    service = unit()
    assert service["Type"] == "notify"
    assert service["RestartPreventExitStatus"] == "78"
    assert service["ExecReload"].startswith("/opt/logship/bin/logship reload")
    assert int(service["WatchdogSec"]) >= 10


def test_a_stop_has_time_for_the_grace_period() -> None:
    """systemd kills only after logship had its grace period, and some seconds to save."""
    assert int(unit()["TimeoutStopSec"]) >= Settings(state_dir=Path("/")).grace_period + 10


@pytest.fixture
def runnable_unit(tmp_path: Path) -> Path:
    """Return the unit with a command that exists here: `verify` looks for it."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "logship.service"
    path.write_text(UNIT.read_text().replace("/opt/logship/bin/logship", "/bin/true"))
    return path


def test_systemd_knows_every_key_of_the_unit(runnable_unit: Path) -> None:
    """An unknown key is only a warning, and the exit code 0: silence is the test."""
    done = subprocess.run(["systemd-analyze", "verify", runnable_unit], capture_output=True, text=True, timeout=120)
    assert (done.stdout + done.stderr).strip() == ""


def test_the_unit_is_hardened(runnable_unit: Path) -> None:
    """At most 2.0 of 10 exposed, by systemd's own measure (it takes the threshold in tenths)."""
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", runnable_unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-500:]


def test_the_image_needs_no_root_and_no_shell() -> None:
    """A numeric user (Kubernetes' runAsNonRoot can check it), exec forms, and nothing that old buildah refuses."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    told = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if re.match(r"[A-Z]+ ", line)}
    assert told["USER"] == "10001:10001"
    assert told["ENTRYPOINT"].startswith("[")
    assert told["CMD"].startswith("[")
    assert 'CMD ["logship"' in told["HEALTHCHECK"]
    assert not [line for line in lines if "--link" in line or "<<" in line or "--start-interval" in line]


def test_the_image_gets_what_it_copies() -> None:
    """The ignore file lets in what the build copies, and nothing else."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_changelog_knows_the_version() -> None:
    """A release has an entry, or its changes stand under Unreleased."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changes
    assert "Keep a Changelog" in changes
