"""Signals to a real process, at every inconvenient moment: what is on disk stays true, and nothing is lost."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

LOGSHIP = Path(sys.executable).with_name("logship")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


class House:
    """A log, a configuration and logship as a process."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.log, self.config, self.output = root / "access.log", root / "logship.yaml", root / "output"
        self.log.touch()
        self.written = 0
        self.configure()

    def configure(self, extra: str = "", *, state: str = "state", grace: str = "10s") -> None:
        self.config.write_text(
            f"state_dir: {self.root}/{state}\nadmin: null\ngrace_period: {grace}\n"
            f"destinations: {{api: {{url: '{self.url}', connections: 4, batch: {{max_events: 100}}, "
            "timeout: {connect: 2s, total: 30s}}}\n"
            f"sources: [{{path: '{self.log}', site: https://example.com, start_at: beginning}}]\n{extra}"
        )

    def write(self, count: int) -> None:
        when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        with self.log.open("a") as log:
            for _ in range(count):
                self.written += 1
                visitor, path = self.written % 50, f"/s/{self.written}"
                log.write(f'203.0.113.{visitor} - - [{when}] "GET {path} HTTP/1.1" 200 5 "-" "{FIREFOX}"\n')

    def paths(self) -> set[str]:
        return {f"/s/{number}" for number in range(1, self.written + 1)}

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.output.open("ab") as output:
            process = subprocess.Popen([LOGSHIP, "run", "-c", self.config], stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def once(self) -> None:
        last = subprocess.run([LOGSHIP, "run", "--once", "-c", self.config], capture_output=True, timeout=300)
        assert last.returncode == 0, last.stderr[-2000:]

    def told(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def house(tmp_path: Path, recorder: tuple[str, Path]) -> House:
    return House(tmp_path, recorder[0])


@pytest.fixture
def taken(recorder: tuple[str, Path]) -> Callable[[], list[str]]:
    return lambda: recorder[1].read_text().splitlines() if recorder[1].exists() else []


@pytest.mark.parametrize("after", [0.05, 0.4, 0.8])
def test_stopped_while_it_starts(house: House, taken: Callable[[], list[str]], after: float) -> None:
    """Whatever it had come to: it ends at once, and the next run delivers everything, once."""
    house.write(300)
    with house.running() as process:
        time.sleep(after)
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)
    house.once()
    assert Counter(taken()) == Counter(house.paths())


def test_a_second_signal_ends_it_at_once(
    house: House, taken: Callable[[], list[str]], wait_until: Callable[..., Any]
) -> None:
    """I4: the API answers nothing and the grace period is long; what was settled before is not sent again."""
    house.write(50)
    with house.running() as process:
        wait_until(lambda: len(taken()) == 50, "the first events")
        process.terminate()
        assert process.wait(60) == 0
    with silent_api() as silent:
        house.url = silent.url
        house.configure(grace="60s")
        house.write(50)
        with house.running() as process:
            wait_until(lambda: house.told("logship.started")[1:] and silent.asked.is_set(), "a request")
            process.terminate()
            wait_until(lambda: house.told("stop.began")[1:], "the stop to begin")
            began = time.monotonic()
            process.terminate()
            assert process.wait(60) == 0
            assert time.monotonic() - began < 30
    assert house.told("stop.forced")
    assert "Traceback" not in house.output.read_text()


def test_settings_that_need_a_restart_are_left_alone(
    house: House, taken: Callable[[], list[str]], wait_until: Callable[..., Any]
) -> None:
    """I10: another state directory is told, not taken; the rest of the edit applies, and no offset is lost."""
    house.write(20)
    with house.running() as process:
        wait_until(lambda: len(taken()) == 20, "the first events")
        house.configure(
            "rules: [{name: none, when: {path: '/never'}, drop: true}, {preset: pageviews}]\n", state="other"
        )
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: house.told("config.needs_restart"), "the reload")
        house.write(20)
        wait_until(lambda: len(taken()) == 40, "the events after the reload")
        process.terminate()
        assert process.wait(60) == 0
    assert [each["key"] for each in house.told("config.needs_restart")] == ["state_dir"]
    assert not (house.root / "other").exists()
    house.configure()
    house.once()
    assert Counter(taken()) == Counter(house.paths())


def test_many_signals_and_broken_files_while_lines_come(
    house: House, taken: Callable[[], list[str]], wait_until: Callable[..., Any]
) -> None:
    """I6, I8: reloads on top of reloads, every other file broken, under load: nothing lost, nothing doubled."""
    good = house.config.read_text()
    enough = threading.Event()

    def load() -> None:
        while not enough.wait(0.01):
            house.write(10)

    writer = threading.Thread(target=load)
    with house.running() as process:
        wait_until(lambda: house.told("logship.started"), "the start")
        writer.start()
        try:
            for turn in range(12):
                broken = f"{good}rules: [{{preset: nothing-like-that}}]\n"
                house.config.write_text(broken if turn % 2 else f"{good}max_event_age: {turn + 1}h\n")
                process.send_signal(signal.SIGHUP)
                process.send_signal(signal.SIGHUP)
                wait_until(
                    lambda turn=turn: len(house.told("config.refused" if turn % 2 else "config.reloaded")) > turn // 2,
                    f"reload {turn}",
                )
        finally:
            enough.set()
            writer.join()
        wait_until(lambda: len(set(taken())) == house.written, "all events")
        process.terminate()
        assert process.wait(60) == 0
    assert {each["problem"].split(":")[0].rpartition("/")[2] for each in house.told("config.refused")} == {
        "logship.yaml"
    }
    assert Counter(taken()) == Counter(house.paths())


@dataclass
class Silent:
    """An API that takes requests and says nothing."""

    url: str
    asked: threading.Event = field(default_factory=threading.Event)


@contextmanager
def silent_api() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        silent = Silent(f"http://127.0.0.1:{listening.getsockname()[1]}")
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listening.accept()[0])
                except OSError:
                    return
                threading.Thread(target=hear, args=(kept[-1],), daemon=True).start()

        def hear(connection: socket.socket) -> None:
            if connection.recv(1):
                silent.asked.set()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield silent
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in kept:
                connection.close()
