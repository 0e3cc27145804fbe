"""The process around a pipeline: a saved edit is noticed, applied and told; a broken one changes nothing."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from logship import configuration, daemon, plan
from logship.errors import LogshipError
from logship.receiver import server

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
async def receiver():
    async with server.serve("127.0.0.1", 0) as running:
        yield running


class House:
    """A configuration that tests edit, in each of the ways that people and machines do."""

    def __init__(self, directory, url):
        self.directory = directory
        self.config = directory / "logship.yaml"
        self.log = directory / "access.log"
        self.log.touch()
        self.admin = free_port()
        self.text = f"""
state_dir: {directory}/state
admin: {{listen: "127.0.0.1:{self.admin}"}}
destinations: {{here: {{url: "{url}"}}}}
sources: [{{name: shop, path: {self.log}, site: "https://example.com", start_at: beginning}}]
rules: [{{preset: pageviews}}]
"""

    def edited(self, old="rules: [", new="rules: [{name: downloads, when: {path: '**.pdf'}, event: File Download}, "):
        assert old in self.text
        return self.text.replace(old, new)

    @contextlib.asynccontextmanager
    async def running(self, config=None):
        if config is None:
            self.config.write_text(self.text)
        running = daemon.Daemon(config or self.config)
        task = asyncio.ensure_future(running.run())
        try:
            await until(lambda: task.done() or (running.following and running.ready()))
            if task.done():
                await task
            yield running
            running.stop()
            await task
        finally:
            task.cancel()

    def write(self, *targets, referrers=()):
        when = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        asked = zip(targets, referrers or ["-"] * len(targets), strict=True)
        with self.log.open("a") as log:
            log.writelines(f'203.0.113.7 - - [{when}] "GET {t} HTTP/1.1" 200 5 "{r}" "{FIREFOX}"\n' for t, r in asked)

    async def ask(self, path):
        return await asyncio.to_thread(self._ask, path)

    def _ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=60) as answer:
            return answer.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def reloaded(running, number=2):
    await until(lambda: running.configuration.last.number >= number)
    return running.configuration.last


@pytest.fixture
def house(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(configuration, "_LOOK_EVERY", 0.2)
    return House(tmp_path, receiver.url)


def in_place(house, text):
    house.config.write_text(text)


def by_rename(house, text):
    other = house.config.with_suffix(".swp")
    other.write_text(text)
    other.rename(house.config)


def by_signal(house, text):
    house.config.write_text(text)
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.parametrize("save", [in_place, by_rename, by_signal])
async def test_a_saved_edit_is_used_and_told(house, save):
    """However an editor saves: the difference is in /status, in plain words, and the counters say accepted."""
    async with house.running() as running:
        save(house, house.edited())
        outcome = await reloaded(running)
        assert outcome.changes == ('rule "downloads" added',)
        assert json.loads(await house.ask("/status"))["reload"]["changes"] == list(outcome.changes)
        assert b'logship_config_reloads_total{result="accepted"} 2.0' in await house.ask("/metrics")


async def test_a_swapped_configmap_is_used(house, tmp_path):
    """As the kubelet does it: a new directory of its own, and one rename of the link `..data` that all links go by."""
    volume = tmp_path / "config"
    volume.mkdir()
    config = volume / "logship.yaml"
    config.symlink_to("..data/logship.yaml")
    swap(volume, "..2026_11_22_01", house.text)
    async with house.running(config) as running:
        swap(volume, "..2026_11_22_02", house.edited())
        assert (await reloaded(running)).changes == ('rule "downloads" added',)
        swap(volume, "..2026_11_22_03", house.text)
        assert (await reloaded(running, 3)).changes == ('rule "downloads" removed',)


def swap(volume, name, text):
    """Swap as kubernetes/pkg/volume/util/atomic_writer.go does: write, link under another name, rename, remove."""
    before = os.readlink(volume / "..data") if (volume / "..data").is_symlink() else None
    (volume / name).mkdir()
    (volume / name / "logship.yaml").write_text(text)
    (volume / "..data_tmp").symlink_to(name)
    (volume / "..data_tmp").rename(volume / "..data")
    if before:
        (volume / before / "logship.yaml").unlink()
        (volume / before).rmdir()


async def test_a_broken_edit_changes_nothing_and_says_where(house):
    """The old plan runs on; mended, the file is used again."""
    async with house.running() as running:
        house.config.write_text(house.edited("preset:", "presett:"))
        refused = await reloaded(running)
        assert "did you mean" in " ".join(refused.problems)
        assert refused.changes == ()
        assert running.ready()
        assert b"logship_config_last_reload_successful 0.0" in await house.ask("/metrics")
        house.config.write_text(house.text)
        assert (await reloaded(running, 3)).problems == ()


async def test_an_edited_list_is_used_and_told(house):
    """A file that the configuration names is as good as the configuration: noticed, applied, told; broken, refused."""
    spammers = house.directory / "spam.txt"
    spammers.write_text("spam.example\n")
    house.text = f"referrer_spam: {spammers}\n" + house.text
    edited = f"referrer_spam: {spammers} was edited"
    async with house.running() as running:
        by_name = spammers.with_suffix(".new")
        by_name.write_text("spam.example\ncheap.example\n")
        by_name.rename(spammers)
        assert (await reloaded(running)).changes == (edited,)
        house.write("/spam", "/page", referrers=["https://cheap.example/", "-"])
        await until(lambda: running.events_sent == 1)
        assert b'logship_lines_dropped_total{reason="referrer_spam",source="shop"} 1.0' in await house.ask("/metrics")
        spammers.write_text("no domain at all\n")
        assert "is no domain" in " ".join((await reloaded(running, 3)).problems)
        spammers.write_text("spam.example\n")
        assert (await reloaded(running, 4)).changes == (edited,)


async def test_a_secret_in_a_file_is_taken_over(house, monkeypatch):
    """A token that the cluster renews needs no restart, and is not shown."""
    token = house.directory / "token"
    token.write_text("hunter2")
    monkeypatch.setenv("TOKEN_FILE", str(token))
    house.text = house.edited('"}}', '", headers: {X-Token: "${TOKEN}"}}}')
    async with house.running() as running:
        token.write_text("hunter3")
        told = (await reloaded(running)).changes
        assert told == ("destination here: headers: X-Token changed", f"${{TOKEN}}: {token} was edited")


async def test_what_needs_a_restart_is_said_and_the_rest_applies(house):
    """`admin` stays as it is, and the rule is there."""
    async with house.running() as running:
        text = house.edited().replace(f"127.0.0.1:{house.admin}", "127.0.0.1:1")
        house.config.write_text(text)
        told = (await reloaded(running)).changes
        assert told == (f"admin 127.0.0.1:{house.admin} -> 127.0.0.1:1, after a restart", 'rule "downloads" added')
        assert await house.ask("/healthz") == b"ok\n"


async def test_a_bug_met_by_a_reload_is_not_the_end_of_reloads(house, monkeypatch):
    """Whatever it is: the old plan runs on, the outcome says so, and the next edit is noticed."""
    async with house.running() as running:
        load = plan.load
        monkeypatch.setattr(plan, "load", lambda *_: 1 / 0)
        house.config.write_text(house.edited())
        (problem,) = (await reloaded(running)).problems
        assert problem == f"{house.config}: unexpected ZeroDivisionError; the log has the details"
        monkeypatch.setattr(plan, "load", load)
        house.config.write_text(house.edited().replace("downloads", "files"))
        assert (await reloaded(running, 3)).changes == ('rule "files" added',)


async def test_a_bug_beside_the_pipeline_is_told(house, monkeypatch):
    """Delivery goes on without what broke, and the log says what that is."""

    def note(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(daemon.Rates, "note", note)
    with capture_logs() as logs:
        async with house.running() as running:
            await until(lambda: any(line["event"] == "daemon.task_failed" for line in logs))
            house.write("/page")
            await until(lambda: running.events_sent == 1)
    (told,) = [line["task"] for line in logs if line["event"] == "daemon.task_failed"]
    assert told == "rates"


async def test_progress_is_looked_at_by_the_loop_alone(house):
    """Another thread may ask for it: to look settles what was accepted, and that is nobody else's business."""
    shown = []

    def show(*figures):
        shown.append((threading.get_ident(), figures))

    house.write("/page")
    async with house.running() as running:
        await until(lambda: running.events_sent == 1)
        await asyncio.to_thread(running.show_progress, show)
        await until(lambda: shown)
        size = house.log.stat().st_size
        assert shown == [(threading.get_ident(), (size, size, 1))]
    daemon.Daemon(house.config).show_progress(show)
    assert len(shown) == 1


async def test_nothing_is_reloaded_while_it_stops(house):
    """A destination that was started now would outlive the stop."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a request, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        house.text = house.edited("rules:", f"grace_period: 300s\ndestinations: {{here: {{url: '{url}'}}}}\nrules:")
        house.text = house.text.replace(house.text.splitlines()[3] + "\n", "", 1)
        async with house.running() as running:
            house.write("/page")
            await until(lambda: running.status()["destinations"][0]["in_flight"])
            running.stop()
            house.config.write_text(house.edited())
            running.configuration.ask()
            await until(lambda: not running.configuration._asked.is_set())
            await asyncio.sleep(0.5)  # room for what should not happen
            assert running.configuration.last.number == 1
            assert len(running.pipeline.plan.settings.rules) == 1


async def test_a_reload_before_it_is_ready_is_not_told_as_the_end_of_the_start(house, monkeypatch):
    """READY means that files are followed and destinations deliver: a hang-up at the start must not say it sooner."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(house.directory / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(house.directory / "notify"))
        house.config.write_text(house.text)
        running = daemon.Daemon(house.config)
        running.ready = lambda: False
        task = asyncio.ensure_future(running.run())
        try:
            await until(lambda: running.following)
            running.configuration.ask()
            await reloaded(running)
            told = said(manager)
            assert any("STATUS=" in each for each in told)
            assert not any("READY=1" in each or "RELOADING=1" in each for each in told)
            running.ready = lambda: True
            await until(lambda: told.extend(said(manager)) or "READY=1" in told)
        finally:
            running.stop()
            await task


def said(manager):
    """Return what the service manager was told since it was asked last."""
    told = []
    with contextlib.suppress(BlockingIOError):
        while True:
            told.append(manager.recv(4096).decode())
    return told


async def logship(*arguments):
    """Run a command, and return its exit code, its output and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("logship"), *map(str, arguments), stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_reload_command_waits_and_tells(house):
    """`logship reload` prints the differences, fails with the problems, and says when there is nothing new."""
    async with house.running():
        assert (await logship("reload", "-c", house.config))[1].startswith("nothing changed\nreloaded: ")
        house.config.write_text(house.edited())
        code, out, _ = await logship("reload", "-c", house.config)
        assert code == 0
        assert 'rule "downloads" added' in out  # by this reload, or by the daemon itself a moment before
        house.config.write_text(house.edited("preset:", "presett:"))
        code, out, err = await logship("reload", "-c", house.config)
        assert code == 1
        assert "logship.yaml:6:" in err
        assert "did you mean" in err


@pytest.mark.parametrize("text", ["sources: [\n", "sources:\n\t- path: /a.log\n", None])
async def test_a_file_that_cannot_be_read_at_all_fails_a_reload_with_its_problems(house, text):
    """It does not even say where the daemon listens; the problem is told all the same, and the old plan runs on."""
    async with house.running() as running:
        house.config.unlink() if text is None else house.config.write_text(text)
        code, out, err = await logship("reload", "-c", house.config)
        assert (code, out) == (1, "")
        assert str(house.config) in err
        assert "does not exist" in err if text is None else "logship.yaml:2:" in err or "logship.yaml:1:" in err
        assert running.pipeline.plan.settings.rules[0].preset == "pageviews"


@pytest.mark.parametrize("admin", ["null", "{listen: '127.0.0.1:1'}"])
async def test_a_reload_reaches_a_daemon_that_cannot_be_asked(house, admin):
    """It listens where it was started to; who holds the state directory is told all the same, and applies the rest."""
    async with house.running() as running:
        listens = f'{{listen: "127.0.0.1:{house.admin}"}}'
        house.config.write_text(house.edited().replace(listens, admin))
        code, out, err = await logship("reload", "-c", house.config)
        assert (code, err) == (0, "")
        assert out.startswith(f"told the daemon (pid {os.getpid()}) to read it, and cannot ask what came of it: ")
        await until(lambda: running.pipeline.plan.settings.rules[0].name == "downloads")


async def test_a_reload_leaves_a_daemon_with_another_configuration_alone(house):
    """Who merely answers at the address gets no signal: no daemon runs with this file."""
    async with house.running() as running:
        other = house.directory / "other.yaml"
        other.write_text(house.text.replace("/state", "/other"))
        before = running.configuration.last.number
        code, out, err = await logship("reload", "-c", other)
        assert (code, out) == (1, "")
        assert f"the daemon that answers runs with {house.config}" in err
        assert running.configuration.last.number == before


async def test_the_tap_shows_what_a_running_daemon_decides(house):
    """`logship tap` prints lines as they are read; without a daemon it says that there is none."""
    async with house.running():
        looking = asyncio.ensure_future(logship("tap", "-c", house.config, "-n", "1", "--only", "event"))
        while not looking.done():
            house.write("/pricing?token=hunter2")
            await asyncio.sleep(0.1)
        code, out, _ = looking.result()
        assert code == 0
        asked, fate = out.split(" -> ")
        assert asked == "event    shop  GET /pricing?… 200  203.0.x.x person"
        assert fate == 'pageview for example.com to here, rule "pageviews"\n'
    code, _, err = await logship("tap", "-c", house.config)
    assert code == 1
    assert "no daemon is running with the state directory" in err
    code, _, err = await logship("tap", "-c", house.config, "--source", "shpo")
    assert (code, 'no source is called "shpo"; there are: shop' in err) == (1, True)


async def test_a_tap_that_shows_nothing_says_that_it_waits(house):
    """A quiet site, or a reason that no line has: after a while one would think that it hangs."""
    async with house.running():
        command = (Path(sys.executable).with_name("logship"), "tap", "-c", house.config, "--reason", "nonesuch")
        looking = await asyncio.create_subprocess_exec(*map(str, command), stdout=-1, stderr=-1)
        try:
            async with asyncio.timeout(60):
                assert (await looking.stderr.readline()).startswith(b"No line that fits was read for 5 s; waiting")
        finally:
            looking.kill()
            await looking.wait()


async def test_a_source_without_files_is_named(house):
    """A path that is misspelled looks like a site without visitors."""
    house.text = house.edited("}]\nrules", "}, {name: blog, path: /nowhere/*.log, site: 'https://b.example'}]\nrules")
    async with house.running():
        assert json.loads(await house.ask("/status"))["sources_without_files"] == ["blog"]
        assert "no file fits the path of: blog" in (await logship("status", "-c", house.config))[1]


@contextlib.asynccontextmanager
async def reading(house):
    """Run the daemon as a process, and hold it up where it reads its configuration; written at the end, it goes on."""
    os.mkfifo(house.config)
    command = (Path(sys.executable).with_name("logship"), "run", "-c", house.config)
    process = await asyncio.create_subprocess_exec(*map(str, command), stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(60):
            pipe = await opened(house.config)
        house.config.unlink()
        house.config.write_text(house.text)
        yield process
        pipe.write(house.text)
        pipe.close()
    except BaseException:
        process.kill()
        raise


async def opened(pipe):
    """Open a pipe for writing, once somebody reads of it."""
    while True:
        try:
            return os.fdopen(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError:
            await asyncio.sleep(0.02)


async def test_told_to_reload_while_it_starts(house):
    """The signal comes while the configuration is read: it is read once more, and the daemon lives."""
    async with reading(house) as process:
        process.send_signal(signal.SIGHUP)
    try:
        async with asyncio.timeout(60):
            async for line in process.stderr:
                if json.loads(line)["event"] == "config.reloaded":
                    break
            process.terminate()
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


@pytest.mark.parametrize("signals", [1, 2])
async def test_told_to_stop_while_it_starts(house, signals):
    """However often, and before it has begun: it ends as one that was told to, without a complaint."""
    async with reading(house) as process:
        for _ in range(signals):
            process.terminate()
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in told
    assert b"stop." in told


async def test_told_twice_to_stop_while_its_admin_server_starts(house):
    """A name may take seconds to resolve: the second signal does not wait for it."""
    house.config.write_text(house.text)
    running = daemon.Daemon(house.config)
    task = asyncio.ensure_future(running.run())
    await asyncio.sleep(0)  # up to where it first has to wait
    assert not running.following
    running.stop()
    running.stop()
    await task


async def test_once_fails_where_a_log_cannot_be_read(house):
    """What is named and not read was not delivered: a job that ends with 0 has missed nothing."""
    house.config.write_text(house.text)
    house.log.unlink()
    house.log.mkdir()
    with pytest.raises(LogshipError, match=f"{house.log} could not be read: .* is a directory"):
        await daemon.Daemon(house.config, once=True).run()


async def test_once_tells_of_a_line_without_an_end(house, receiver):
    """It may be half a line, so it waits; but nobody should have to find out by counting."""
    house.config.write_text(house.text)
    house.write("/whole", "/half")
    half = len(house.log.read_bytes().splitlines()[1])
    os.truncate(house.log, house.log.stat().st_size - 1)
    with structlog.testing.capture_logs() as told:
        await daemon.Daemon(house.config, once=True).run()
    assert [(each["path"], each["bytes"]) for each in told if each["event"] == "file.unfinished"] == [
        (str(house.log), half)
    ]
    with house.log.open("a") as log:
        log.write("\n")
    await daemon.Daemon(house.config, once=True).run()
    assert (await receiver.stats())["visitors"] == 1
    assert (await receiver.stats())["pageviews"] == 2


@pytest.mark.parametrize(("sent", "event"), [("SIGHUP", "logship.stopped"), ("SIGTERM", None)])
async def test_signals_while_it_is_imported(house, sent, event):
    """A hang-up changes nothing, a stop ends it: not by the signal, which the first process of a container ignores."""
    house.config.write_text(house.text)
    code = f"""
import os, signal, sys
from logship import lean
from logship.cli import main
lean.import_connector = lambda: os.kill(os.getpid(), signal.{sent})
sys.argv = ["logship", "run", "--once", "-c", "{house.config}"]
main.main()
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    assert process.returncode == 0
    assert (event.encode() in told) if event else not told
