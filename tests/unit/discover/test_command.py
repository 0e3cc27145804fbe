"""The command `logship init`: where it looks, where it writes, what it never does."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from logship import plan
from logship.cli import init
from logship.cli.main import cli

LOGSHIP = Path(sys.executable).with_name("logship")


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LOGSHIP, "init", *map(str, words)], capture_output=True, text=True, timeout=120)


@pytest.fixture
def conf(lay) -> Path:
    root: Path = lay(
        {"nginx.conf": "http { server { listen 443 ssl; server_name a.example; access_log ROOT/a.log; } }"}
    )
    return root / "nginx.conf"


def test_it_prints_what_check_accepts(conf: Path, tmp_path: Path) -> None:
    """Standard output holds the configuration and nothing else; check takes it, with nothing to look at."""
    done = run("--nginx", conf)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "a.log").touch()
    (tmp_path / "logship.yaml").write_text(f"state_dir: {tmp_path}\n{done.stdout}")
    command = [LOGSHIP, "check", "-c", tmp_path / "logship.yaml"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout
    assert f"on {datetime.date.today().isoformat()}" in done.stdout


def test_a_dash_is_standard_output(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for other tools; no file of that name comes about."""
    monkeypatch.chdir(tmp_path)
    done = run("--nginx", conf, "-o", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert "site: https://a.example" in done.stdout
    assert not os.path.lexists("-")


def test_it_writes_a_whole_file_that_others_may_read(conf: Path, tmp_path: Path) -> None:
    """Mode 0644 whatever the umask, and no temporary file is left."""
    target = tmp_path / "out" / "logship.yaml"
    target.parent.mkdir()
    umask = os.umask(0o077)
    try:
        done = run("--nginx", conf, "-o", target)
    finally:
        os.umask(umask)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"logship check -c {target}" in done.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert os.listdir(target.parent) == ["logship.yaml"]
    assert plan.load(target, {}).settings.sources[0].site == "https://a.example"


@pytest.mark.parametrize("kind", ["file", "dangling link", "directory"])
def test_it_never_overwrites(conf: Path, tmp_path: Path, kind: str) -> None:
    """What is there stays as it is, and the error says so."""
    target = tmp_path / "there"
    {"file": target.touch, "directory": target.mkdir, "dangling link": lambda: target.symlink_to("/nowhere/x")}[kind]()
    done = run("--nginx", conf, "-o", target)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"logship: {target} is already there, and never overwritten; move it away, or write elsewhere with -o\n"
    )


def test_a_file_that_came_in_the_meantime_is_not_overwritten(tmp_path: Path) -> None:
    """The last step itself fails where something is."""
    target = tmp_path / "x.yaml"
    target.write_text("mine")
    with pytest.raises(init.LogshipError, match="already there"):
        init._save(target, "new")
    assert target.read_text() == "mine"
    assert os.listdir(tmp_path) == ["x.yaml"]


def test_where_it_cannot_write_is_a_clear_error(conf: Path, tmp_path: Path) -> None:
    """The directory has to be there."""
    done = run("--nginx", conf, "-o", tmp_path / "no/such/x.yaml")
    assert done.returncode == 1
    assert "cannot be written: No such file or directory" in done.stderr


def test_without_options_it_looks_where_packages_put_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With none there, the error says where it looked and what to do."""
    monkeypatch.setattr(init, "_NGINX", (str(tmp_path / "a"),))
    monkeypatch.setattr(init, "_APACHE", (str(tmp_path / "b"),))
    with pytest.raises(
        init.LogshipError, match=r"no web server's configuration here \(looked at .*/a, .*/b\); name it"
    ):
        cli.main(["init"], standalone_mode=False)


def test_a_broken_configuration_exits_with_its_place(tmp_path: Path) -> None:
    """File and line on standard error, exit code 1, no trace."""
    (tmp_path / "nginx.conf").write_text("http {\n server {\n}\n")
    done = run("--nginx", tmp_path / "nginx.conf")
    assert done.returncode == 1
    assert done.stderr.startswith(f"logship: {tmp_path}/nginx.conf:1: the file ends")


def test_the_same_input_gives_the_same_file(conf: Path) -> None:
    """No clock and no chance in it: the date is an argument."""
    date = datetime.date(2026, 1, 2)
    assert init.compose(str(conf), None, date) == init.compose(str(conf), None, date)
    assert "on 2026-01-02 from" in init.compose(str(conf), None, date)
