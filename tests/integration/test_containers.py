"""The image, and what docs/containers.md says, on a real engine: Docker, podman, or each of them.

Needs root and an engine that works (Debian: docker.io and docker-compose, or podman, runc, netavark, aardvark-dns,
catatonit and podman-compose). `make faults` runs it; by itself:

    pytest -m slow -rs tests/integration/test_containers.py
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs import shown
from tests.integration.engines import COMPOSE, Engine

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/containers.md"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has an engine to itself"),
]


@pytest.fixture
def named(engine: Engine) -> Iterator[Callable[[str], str]]:
    """Gives names to containers, which are removed in the end."""
    given = []

    def name(of: str) -> str:
        given.append(f"logship-test-{of}")
        return given[-1]

    yield name
    for each in given:
        engine.run("rm", "--force", "--volumes", each, check=False)


# The image itself


def test_the_image_asks_for_little(engine, image):
    """A numeric user, the command in exec form, a health check that is one, its labels."""
    [found] = json.loads(engine.run("image", "inspect", image).stdout)
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["logship"], ["run"])
    assert (found.get("Healthcheck") or config["Healthcheck"])["Test"] == ["CMD", "logship", "status", "--json"]
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"


def test_no_tools_to_build_with_are_left(engine, image):
    """What an intruder would build or fetch with is not there, and the state directory is nobody else's."""
    look = "ls /opt/logship/lib/python3*/site-packages /opt/logship/bin; stat -c %a:%u:%g /var/lib/logship"
    said = engine.run("run", "--rm", "--entrypoint", "sh", image, "-c", look).stdout.splitlines()
    assert [line for line in said if re.match(r"pip|setuptools|wheel", line)] == []
    assert "logship" in said
    assert said[-1] == "700:10001:10001"


def test_an_invalid_configuration_ends_it_with_78(engine, image, place):
    """A supervisor can tell it from a crash."""
    (place / "logship.yaml").write_text("sauces: []\n")
    done = engine.run("run", "--rm", "--read-only", "--volume", f"{place}:/etc/logship:ro", image, check=False)
    assert done.returncode == 78
    assert 'did you mean "sources"' in done.stdout + done.stderr


# What it does there


def test_it_delivers_without_rights_and_resumes(engine, image, place, receiver, wait_until, named):
    """Read-only root, no capability, 128 MB: a line arrives, an edit is used, a stop settles, nothing comes twice."""
    name, log = named("daemon"), place / "logs/access.log"
    _house(place, receiver.url)
    engine.run(*_daemon(engine, name, place), image)
    wait_until(lambda: engine.run("exec", name, "logship", "status", check=False).returncode == 0, "a start", 60)
    _visit(log, "/first")
    wait_until(lambda: receiver.paths() == ["/first"], "the first visit", 60)
    config = place / "conf/logship.yaml"
    config.write_text(config.read_text() + "rules: [{when: {path: /secret}, drop: true}, {preset: pageviews}]\n")
    wait_until(lambda: "config.reloaded" in _said(engine, name), "the reload", 60)
    _visit(log, "/secret", "/second")
    wait_until(lambda: receiver.paths() == ["/first", "/second"], "the second visit", 60)
    engine.run("stop", name)
    assert _state(engine, name)["ExitCode"] == 0
    assert json.loads(_said(engine, name).splitlines()[-1])["event"] == "logship.stopped"
    _visit(log, "/while-down")
    engine.run("start", name)
    wait_until(lambda: receiver.paths() == ["/first", "/second", "/while-down"], "what was written meanwhile", 60)


def test_another_user_needs_only_a_state_directory(engine, image, place, receiver, wait_until, named):
    """Any number will do as the user: nothing in the image is meant for 10001 alone, but its own state directory."""
    name = named("other")
    _house(place, receiver.url)
    (place / "state").mkdir(mode=0o700)
    os.chown(place / "state", 4711, 4711)
    words = _daemon(engine, name, place)
    words[words.index("--volume") : words.index("--volume")] = ["--user", "4711:4711"]
    engine.run(*words, "--volume", f"{place}/state:/var/lib/logship", image)
    wait_until(lambda: engine.run("exec", name, "logship", "status", check=False).returncode == 0, "a start", 60)
    _visit(place / "logs/access.log", "/first")
    wait_until(lambda: receiver.paths() == ["/first"], "the first visit", 60)


def test_a_daemon_that_hangs_is_unhealthy(engine, image, place, receiver, wait_until, named):
    """The health check asks the event loop: stopped in its tracks, it does not answer."""
    name = named("hanging")
    _house(place, receiver.url)
    health = ["--health-interval", "2s", "--health-timeout", "8s", "--health-retries", "1"]
    engine.run(*_daemon(engine, name, place), *health, image)
    wait_until(lambda: _healthy(engine, name), "a healthy container", 120)
    pid = _state(engine, name)["Pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not _healthy(engine, name), "an unhealthy container", 120)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_it_stays_small(engine, image, place, receiver, wait_until, named):
    """A hundred thousand lines through a container of 128 MB, and what it holds afterwards."""
    name, log = named("small"), place / "logs/access.log"
    _house(place, receiver.url)
    engine.run(*_daemon(engine, name, place), image)
    wait_until(lambda: engine.run("exec", name, "logship", "status", check=False).returncode == 0, "a start", 60)
    _visit(log, *(f"/asset-{number}.png" for number in range(100_000)))
    _visit(log, "/last")
    wait_until(lambda: receiver.paths() == ["/last"], "the last line", 120)
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", engine.run("exec", name, "cat", "/proc/1/status").stdout)
    assert int(peak) < 96 * 1024
    assert _state(engine, name)["OOMKilled"] is False


def _house(place: Path, url: str) -> None:
    """Lay out a log that only group adm may read, as Debian does, and a configuration."""
    for directory in ("conf", "logs"):
        (place / directory).mkdir()
    log = place / "logs/access.log"
    log.touch(mode=0o640)
    os.chown(log, 0, 4)
    (place / "conf/logship.yaml").write_text(
        f"admin: {{listen: '127.0.0.1:{_free_port()}'}}\n"
        f"destinations: {{here: {{url: '{url}'}}}}\n"
        "sources: [{path: /var/log/nginx/access.log, site: 'https://example.com', start_at: beginning}]\n"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _daemon(engine: Engine, name: str, place: Path) -> list[str]:
    """Return the words that run it as an operator should; on the machine's network, where the receiver is."""
    return [
        *("run", "--detach", "--name", name, "--network", "host", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--memory", "128m", "--group-add", "4"),
        *("--volume", f"{place}/conf:/etc/logship:ro", "--volume", f"{place}/logs:/var/log/nginx:ro"),
    ]


def _visit(log: Path, *paths: str) -> None:
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    with log.open("a") as file:
        file.writelines(f'203.0.113.7 - - [{when}] "GET {path} HTTP/1.1" 200 5 "-" "{FIREFOX}"\n' for path in paths)


def _said(engine: Engine, name: str) -> str:
    done = engine.run("logs", name)
    return done.stdout + done.stderr


def _state(engine: Engine, name: str) -> dict:
    [found] = json.loads(engine.run("inspect", name).stdout)
    return found["State"]


def _healthy(engine: Engine, name: str) -> bool:
    if engine.name == "podman":  # whose timers are systemd's
        return engine.run("healthcheck", "run", name, check=False).returncode == 0
    return _state(engine, name)["Health"]["Status"] == "healthy"


# The page


def test_the_page_works_as_it_is_written(engine, image, place, wait_until):
    """Every command in its order: the image, compose from a visit to an event, a container, its end."""
    if not engine.composes:
        pytest.skip(f"none of {', '.join(COMPOSE[engine.name])} is installed")
    if engine.run("container", "inspect", "logship", check=False).returncode == 0:
        pytest.skip("a container called logship is somebody's")
    page = PAGE.read_text()
    ports = {"127.0.0.1:8000": _free_port(), "127.0.0.1:8080": _free_port(), "127.0.0.1:9469": _free_port()}
    compose = engine.place / "config/compose/compose.yaml"
    compose.write_text(_with_ports(compose.read_text().replace('"8080:80"', '"127.0.0.1:8080:80"'), ports))
    (engine.place / "conf").mkdir(exist_ok=True)
    [text] = re.findall(r"<!-- file: conf/logship.yaml -->\n```yaml\n(.*?)```", page, re.DOTALL)
    (engine.place / "conf/logship.yaml").write_text(text)
    (place / "access.log").touch(mode=0o640)
    _visit(place / "access.log", "/before")
    try:
        for each in shown.commands(page):
            command = _with_ports(each.command, ports).replace("/var/log/nginx", str(place), 1)
            command = command.replace("%g /var/log/nginx", f"%g {place}")
            until_it_says(engine, command, each.told, wait_until)
    finally:
        engine.shell("docker compose --file config/compose/compose.yaml down --volumes", check=False)
        engine.run("rm", "--force", "--volumes", "logship", check=False)
        engine.run("volume", "rm", "logship", check=False)


def until_it_says(engine: Engine, command: str, told: str, wait_until: Callable[..., object]) -> None:
    """Run a command, and where it only looks, look until it prints what the page says."""
    expression = re.escape(told).replace(r"\.\.\.\n", r"(?:.*\n)*").replace(r"\.\.\.", ".*")
    looks = re.match(r"curl -s http|docker (?:exec|inspect|logs|compose .* exec)", command)
    done = engine.shell(command, check=not looks, seconds=1200)

    def says() -> bool:
        nonlocal done
        if looks:
            done = engine.shell(command, check=False)
            if engine.name == "podman" and "Health" in command:
                engine.run("healthcheck", "run", "logship", check=False)
        return told in ("", "...\n") or re.fullmatch(expression, done.stdout.replace("\r", "")) is not None

    if looks:
        wait_until(says, f"{command} to say {told}, not {done.stdout}{done.stderr}", 120)
    else:
        assert says(), f"{command}: {done.stdout}{done.stderr}"


def _with_ports(text: str, ports: dict[str, int]) -> str:
    for usual, port in ports.items():
        text = text.replace(usual, f"127.0.0.1:{port}")
    return text
