"""What is shipped is what was tested: a wheel, in an environment that holds nothing else."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("dist")
    hatchling = Path(sys.executable).with_name("hatchling")
    subprocess.run([hatchling, "build", "-t", "wheel", "-d", where], cwd=ROOT, check=True, capture_output=True)
    [path] = where.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every file of the package, data too; no tests, no caches."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "logship").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == there


@pytest.mark.timeout(1700)
def test_the_wheel_passes_its_own_demo(wheel: Path, tmp_path: Path) -> None:
    """Installed from the lock alone, away from the source tree: every event arrives, once."""
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python), "install"]
    subprocess.run([*pip, "--require-hashes", "--requirement", ROOT / "requirements.txt"], check=True, timeout=900)
    subprocess.run([*pip, "--no-deps", wheel], check=True)
    logship = python.with_name("logship")
    done = subprocess.run(
        [logship, "demo", "--seconds", "5"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ lines, \d+ events sent, \d+ arrived, 0 lost, 0 doubled", last)
