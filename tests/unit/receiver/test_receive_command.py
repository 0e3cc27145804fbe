"""`logship receive` says what it does, and fails with a clear word and exit code 1."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from logship.cli.main import cli

RUN = [sys.executable, "-m", "logship", "receive"]


def start(*arguments: str, **how: object) -> subprocess.Popen[str]:
    return subprocess.Popen([*RUN, *arguments], stdout=subprocess.PIPE, text=True, **how)


def test_it_runs_until_it_is_told_to_stop(tmp_path):
    """It says where it listens and what it knows, answers, and exits 0 on SIGTERM. A site's address is its host."""
    store = tmp_path / "events.db"
    process = start("--listen", "127.0.0.1:0", "--store", str(store), "--site", "https://www.a.example/")
    try:
        said = [process.stdout.readline() for _ in range(4)]
        root = re.fullmatch(r"Live page:  (http://127\.0\.0\.1:\d+)/\n", said[0])[1]
        assert said[1:] == [f"Events to:  {root}/api/event\n", "Sites:      a.example\n", f"Store:      {store}\n"]
        with urllib.request.urlopen(f"{root}/api/health") as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_it_says_that_every_domain_is_known_and_warns_of_strangers():
    """Without --site every domain counts; on an address that others can reach it warns."""
    process = subprocess.Popen(
        [*RUN, "--listen", "0.0.0.0:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = "".join(process.stdout.readline() for _ in range(4))
    warned = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert "every domain is known" in said
    assert "temporary" in said
    assert "0.0.0.0 can be reached from other machines" in warned


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:", "127.0.0.1:99999", "a:b:1", "[::1", ""])
def test_a_bad_address_is_refused(address):
    """What was given and what is wanted: wrong usage, exit code 2."""
    result = CliRunner().invoke(cli, ["receive", "--listen", address])
    assert result.exit_code == 2
    assert f"--listen: got {address!r}, want HOST:PORT" in result.output


def test_a_busy_port_is_named():
    """The address, the cause and the way out, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli, ["receive", "--listen", f"127.0.0.1:{port}"])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}: cannot listen: address already in use; end the program" in result.output


def test_an_address_of_another_machine_is_named():
    """The address, and what the system says of it; nothing of the loop's own wording."""
    result = CliRunner().invoke(cli, ["receive", "--listen", "192.0.2.1:0"])
    assert result.exit_code == 1
    assert result.output == "Error: 192.0.2.1:0: cannot listen: cannot assign requested address\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_leaves_nothing_behind(tmp_path, number):
    """Ctrl-C, a service manager, a terminal that is closed: the temporary store goes with the receiver."""
    process = start("--listen", "127.0.0.1:0", env=os.environ | {"TMPDIR": str(tmp_path)})
    assert "temporary" in [process.stdout.readline() for _ in range(4)][3]
    assert list(tmp_path.iterdir())
    process.send_signal(number)
    assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_nohup_keeps_it_alive():
    """Who told it to ignore a closed terminal is obeyed."""
    process = start("--listen", "127.0.0.1:0", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    root = process.stdout.readline().split()[-1]
    process.send_signal(signal.SIGHUP)
    with urllib.request.urlopen(f"{root}api/health") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_an_unwritable_store_is_named(tmp_path):
    """The path and the cause, exit code 1."""
    path = tmp_path / "nowhere" / "events.db"
    result = CliRunner().invoke(cli, ["receive", "--listen", "127.0.0.1:0", "--store", str(path)])
    assert result.exit_code == 1
    assert f"{path}: cannot be written" in result.output
    assert not os.path.exists(path)
