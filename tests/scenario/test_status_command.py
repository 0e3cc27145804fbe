"""`logship status`: of a daemon that runs, of one that is down, of one that does not answer."""

import asyncio
import fcntl
import json
import os
import sys
from pathlib import Path

import pytest

from logship.upkeep import remains

LOG = '203.0.113.7 - - [22/Nov/2026:10:00:00 +0000] "GET /p HTTP/1.1" 200 5 "-" "curl/8.5.0"\n'


@pytest.fixture
def config(tmp_path):
    log = tmp_path / "access.log"
    log.write_text(LOG * 3)
    path = tmp_path / "logship.yaml"
    path.write_text(f"""
state_dir: {tmp_path}/state
admin: {{listen: "127.0.0.1:1"}}
sources: [{{name: shop, path: {log}, site: "https://example.com", format: combined}}]
""")
    return path


async def logship(*arguments):
    """Run a command, and return its exit code, its output and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("logship"),
        *map(str, arguments),
        stdout=-1,
        stderr=-1,
        env={**os.environ, "COLUMNS": "200"},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_daemon_that_never_ran(config):
    """Says so, plainly; and fails, for scripts and health checks."""
    code, out, _ = await logship("status", "-c", config)
    assert code == 1
    assert "not running: nothing holds" in out
    assert "nothing was read with this state directory yet" in out


async def test_a_daemon_that_was_stopped(config, tmp_path):
    """Where reading resumes, how much waits there, how many events were refused."""
    assert (await logship("run", "--once", "-c", config))[0] == 0
    with (tmp_path / "access.log").open("a") as log:
        log.write(LOG * 2)
    (tmp_path / "state/dead-letter.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    code, out, _ = await logship("status", "-c", config)
    assert code == 1
    assert "not running" in out
    assert f"{2 * len(LOG)} B were written since" in out
    assert "dead letters: 2 events" in out
    assert "the same file" in out
    found = json.loads((await logship("status", "--json", "-c", config))[1])
    assert (found["running"], found["pid"]) == (False, None)
    assert found["files"][0]["behind"] == 2 * len(LOG)
    assert found["dead_letters"]["events"] == 2


async def test_a_daemon_that_hangs_is_not_called_stopped(config, tmp_path):
    """It holds its directory and does not answer: somebody should look, and not start a second one."""
    (tmp_path / "state").mkdir()
    with held(tmp_path / "state/lock"):
        code, out, _ = await logship("status", "-c", config)
    assert code == 1
    assert f"running but not answering, pid {os.getpid()}" in out


async def test_a_daemon_without_admin_is_told_from_its_directory(config, tmp_path):
    """`admin: null` is a choice, and no fault."""
    config.write_text(config.read_text().replace('{listen: "127.0.0.1:1"}', "null"))
    (tmp_path / "state").mkdir()
    with held(tmp_path / "state/lock"):
        code, out, _ = await logship("status", "-c", config)
    assert (code, out.startswith(f"running, pid {os.getpid()}; `admin: null`")) == (0, True)


def held(path):
    """Hold a lock as the daemon does: its pid in the file, and the kernel's lock on it."""
    lock = path.open("w")
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def test_a_pid_that_was_left_behind_is_nobody(tmp_path):
    """After kill -9 the file still holds a pid, perhaps another's by now; the kernel knows better."""
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")
    assert remains.look(tmp_path)["pid"] is None


async def test_it_goes_on_watching_when_the_daemon_is_down(config):
    """`--watch` shows that it is not running, and goes on; with --json an object a second."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("logship"), "status", "--watch", "--json", "-c", str(config), stdout=-1
    )
    seen = [json.loads(await asyncio.wait_for(process.stdout.readline(), 60)) for _ in range(2)]
    assert process.returncode is None
    process.terminate()
    await process.wait()
    assert [each["running"] for each in seen] == [False, False]
