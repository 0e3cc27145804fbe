"""`logship demo`: the whole product on made-up traffic, held against the truth; it leaves nothing behind."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from logship.demo import Tally

LOGSHIP = Path(sys.executable).with_name("logship")
LAST_LINE = re.compile(r"(\d+) lines, (\d+) events sent, (\d+) arrived, 0 lost, 0 doubled")


def start(place: Path, *options: str, columns: int = 100, **more) -> subprocess.Popen[str]:
    """Start a demo whose temporary files all go to one place."""
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(place), "COLUMNS": str(columns)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.Popen([LOGSHIP, "demo", *options], text=True, env=environment, **streams)


def ended(process: subprocess.Popen[str], said: str = "") -> str:
    """Wait for a good end and return all it said."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, said + out + err
    assert not err
    return said + out


def test_a_demo_ends_with_every_event_arrived(tmp_path):
    """The page's address comes first, as it was chosen, the verdict last; and nothing is left of it all."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = ended(start(tmp_path / "tmp", "--seconds", "3", "--rate", "40", "--port", str(port)))
    lines = said.splitlines()
    assert lines[0] == f"Watch the events arrive: http://127.0.0.1:{port}/"
    written, sent, arrived = map(int, LAST_LINE.fullmatch(lines[-1]).groups())
    assert written > sent == arrived > 0
    for word, *numbers in (("delivered", sent, arrived), ("lost", 0), ("doubled", 0)):
        assert re.search(rf"^  {word} +{' +'.join(f'{number:,}' for number in numbers)}$", said, re.MULTILINE), said
    assert "differs" not in said
    for word in ("pageview", "asset", "bot", "robots"):
        assert re.search(rf"^  {word} +[\d,]+ +[\d,]+$", said, re.MULTILINE), said
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_without_end_ends_when_it_is_told(tmp_path, number):
    """Ctrl-C and SIGTERM end it in good order: what is on its way arrives, the table is drawn, all is cleaned up."""
    process = start(tmp_path / "tmp", "--forever", "--rate", "30")
    said = "".join(process.stdout.readline() for _ in range(7))
    assert "until Ctrl-C" in said
    assert any((tmp_path / "tmp").iterdir())
    process.send_signal(number)
    assert LAST_LINE.fullmatch(ended(process, said).splitlines()[-1])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_signal_at_the_very_beginning_leaves_nothing(tmp_path):
    """Stopped before the first line was written: an empty demo, and a clean place."""
    process = start(tmp_path / "tmp", "--forever")
    said = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    ended(process, said)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_own_rules_are_tried_on_the_traffic(tmp_path):
    """Only the rules are taken: paths, destinations and state stay untouched, and nobody is sent anything."""
    config = tmp_path / "own.yaml"
    config.write_text(f"""
state_dir: {tmp_path}/state
destinations:
  real: {{url: "https://plausible.invalid", headers: {{X-Secret: "1"}}}}
sources:
  - {{name: shop, path: {tmp_path}/nowhere.log, site: https://shop.example, format: nginx_json}}
  - {{name: blog, path: {tmp_path}/neither.log, site: https://blog.example}}
rules:
  - {{when: {{source: blog}}, drop: true}}
  - {{when: {{path: "/docs/**"}}, event: Docs, props: {{page: "{{path}}"}}, to: [real]}}
  - {{when: {{path: "/img/**"}}, drop: picture}}
  - {{preset: pageviews}}
""")
    said = ended(start(tmp_path / "tmp", "--seconds", "2", "--rate", "60", "--config", str(config)))
    assert LAST_LINE.fullmatch(said.splitlines()[-1])
    assert "differs" not in said
    for word in ("Docs", "pageview", "picture", "asset"):
        assert re.search(rf"^  {word} +[\d,]+ +[\d,]+$", said, re.MULTILINE), said
    assert f"The rules are those of {config}" in said
    assert not (tmp_path / "state").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_broken_configuration_is_told_with_its_place(tmp_path):
    """Exit code 78, file, line and column, and nothing was begun."""
    config = tmp_path / "broken.yaml"
    config.write_text("sources:\n  - path: /x.log\n    site: https://a.example\nrules:\n  - wen: {path: /a}\n")
    process = start(tmp_path / "tmp", "--config", str(config))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 78
    assert f"{config}:5:" in err
    assert "Watch" not in out
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_busy_port_is_named(tmp_path):
    """Exit code 1 and the cause."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path / "tmp", "--port", str(port))
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"127.0.0.1:{port}: cannot listen" in err
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_terminal_shows_a_funnel(tmp_path, columns):
    """On a terminal of any width each step is one line, drawn anew in its place; the last line is the same as ever."""
    master, slave = pty.openpty()
    process = start(tmp_path / "tmp", "--seconds", "2", "--rate", "30", columns=columns, stdout=slave, stderr=slave)
    os.close(slave)
    said = bytearray()
    try:
        while more := os.read(master, 65536):
            said += more
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
    assert process.wait(60) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode()).replace("\r", "").strip().split("\n")
    for title in ("written to the log", "read by logship", "dropped", "due as events", "at the receiver"):
        drawn = [line for line in lines if re.match(rf" *{title} ", line) and not re.search(r"\d+ +\d", line)]
        assert drawn
        for line in drawn:
            assert re.match(rf" *{title} +█* *[\d,]+ (lines|events)", line), line
            assert len(line.rstrip()) <= columns
    assert any("█" in line for line in lines) is (columns >= 80)
    assert LAST_LINE.fullmatch(lines[-1].strip())


def test_a_closed_terminal_ends_it(tmp_path):
    """Who closes the window does not leave a demo without end behind, nor its files."""
    process = start(tmp_path / "tmp", "--forever", "--rate", "30")
    said = "".join(process.stdout.readline() for _ in range(7))
    process.send_signal(signal.SIGHUP)
    assert LAST_LINE.fullmatch(ended(process, said).splitlines()[-1])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_network_is_needed(tmp_path):
    """With nothing but a loopback of its own it works all the same."""
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us make a network of our own")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*alone, LOGSHIP, "demo", "--seconds", "1", "--rate", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1]), done
    assert list(tmp_path.iterdir()) == []


def test_a_tally_knows_what_is_lost_and_what_came_twice():
    """What is due and has not come is lost; what came unasked or once more is doubled."""
    one, two = ("pageview", "192.0.2.1", "UA", "/"), ("404", "192.0.2.1", "UA", "/x")
    tally = Tally()
    tally.expect([one, one, two], ["asset", "bot"])
    tally.arrive(one, None)
    assert (tally.lost, tally.doubled, tally.due.total(), tally.no_event["asset"]) == (2, 0, 3, 1)
    tally.arrive(one, "bot")
    tally.arrive(one, None)
    tally.arrive(("pageview", "192.0.2.9", "UA", "/"), None)
    assert (tally.lost, tally.doubled, tally.refused["bot"]) == (1, 2, 1)
    assert str(tally) == "0 lines, 0 events sent, 4 arrived, 1 lost, 2 doubled"
