"""The commands that look after positions and dead letters: real processes, a real daemon beside them, a real API."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from logship import plan
from logship.deadletter import DeadLetters
from logship.metrics import Metrics
from logship.pipeline import Pipeline
from logship.progress.checkpoint import Checkpoint
from logship.receiver import server
from logship.records import Event
from logship.settings import loader

LOGSHIP = Path(sys.executable).with_name("logship")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


class World:
    """A log, a configuration and a receiver; commands run in processes of their own."""

    def __init__(self, directory, url):
        self.log, self.config, self.state = directory / "access.log", directory / "logship.yaml", directory / "state"
        self.url, self.extra, self.grace = url, "", "60s"
        self.log.touch()

    def write(self, *paths, age=0.0):
        when = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%d/%b/%Y:%H:%M:%S +0000")
        with self.log.open("a") as log:
            for path in paths:
                log.write(f'203.0.113.7 - - [{when}] "GET {path} HTTP/1.1" 200 5 "-" "{FIREFOX}"\n')

    def configure(self):
        self.config.write_text(f"""
state_dir: {self.state}
admin: null
grace_period: {self.grace}
destinations: {{here: {{url: "{self.url}", retry: {{initial: 10ms, max: 50ms}}}}}}
sources: [{{name: shop, path: {self.log}, format: combined, site: "https://example.com", start_at: beginning}}]
{self.extra}
""")

    async def start(self, *arguments):
        self.configure()
        environment = {**os.environ, "LOGSHIP_CONFIG": str(self.config), "COLUMNS": "300"}
        return await asyncio.create_subprocess_exec(
            LOGSHIP,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )

    async def call(self, *arguments, code=0):
        """Run a command to its end and return what it printed, errors too when it failed."""
        process = await self.start(*arguments)
        out, err = (each.decode() for each in await asyncio.wait_for(process.communicate(), 60))
        assert process.returncode == code, out + err
        return out + err if code else out

    async def once(self):
        """Do as `run --once`, in this process: it is quicker."""
        self.configure()
        built = plan.build(loader.load(self.config, os.environ))
        with contextlib.closing(Checkpoint.open(self.state)) as checkpoint:
            letters = DeadLetters(self.state / "dead-letter.jsonl")
            await Pipeline(built, checkpoint=checkpoint, dead_letters=letters, metrics=Metrics(), once=True).run()

    async def positions(self):
        return [json.loads(line) for line in (await self.call("offsets", "list", "--json")).splitlines()]

    async def paths(self):
        async with aiohttp.ClientSession() as api, api.get(f"{self.url}/api/events", params={"limit": 1000}) as answer:
            return [event["pathname"] for event in await answer.json()]

    async def fault(self, mode, count):
        async with aiohttp.ClientSession() as api, api.post(f"{self.url}/faults", json={"mode": mode, "count": count}):
            pass

    def refuse(self, *paths, name="pageview", age=60.0):
        """Write dead letters, as the daemon does."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        for path in paths:
            event = Event(name, "example.com", f"https://example.com{path}?q=secret", FIREFOX, "203.0.113.7")
            told = {"time": "2025-10-10T13:55:36+00:00", "destination": "here", "status": 400, "detail": "then\x1b[2J"}
            entry = {**told, "event_time": time.time() - age, "event": asdict(event), "offset": 1}
            DeadLetters(self.state / "dead-letter.jsonl").append(entry)

    @contextlib.asynccontextmanager
    async def daemon(self):
        process = await self.start("run")
        try:
            async with asyncio.timeout(30):
                while not (self.state / "checkpoint.json").exists():
                    await asyncio.sleep(0.02)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()


@pytest.fixture
async def world(tmp_path):
    async with server.serve("127.0.0.1", 0, keep_addresses=True) as running:
        yield World(tmp_path, running.url)


# Positions.


async def test_what_is_behind_is_listed_while_the_daemon_runs(world):
    """`list` needs no lock, and shows each file with how far it is settled."""
    world.write("/a", "/b")
    async with world.daemon():
        async with asyncio.timeout(30):
            while not (found := await world.positions()) or found[0]["behind"]:
                await asyncio.sleep(0.1)
        told = await world.call("offsets", "list")
    size = world.log.stat().st_size
    assert [found[0][name] for name in ("source", "path", "offset", "size", "same")] == [
        "shop",
        str(world.log),
        size,
        size,
        True,
    ]
    assert told.splitlines()[0].split() == ["SOURCE", "PATH", "OFFSET", "SIZE", "BEHIND", "FILE", "SEEN"]
    assert f"shop    {world.log}" in told
    assert "the same" in told


async def test_nothing_is_changed_while_the_daemon_runs(world):
    """`set` and `reset` refuse with exit code 1, and name who holds the state directory."""
    world.write("/a")
    async with world.daemon() as daemon:
        for arguments in (("set", str(world.log), "beginning"), ("reset", "--all")):
            told = await world.call("offsets", *arguments, code=1)
            assert f"is held by logship, pid {daemon.pid}" in told
    await world.once()
    assert await world.paths() == ["/a"]


async def test_reading_resumes_where_it_was_set(world):
    """Back to a line, to the beginning, and to the end."""
    world.write("/a", "/b", "/c")
    await world.once()
    line = world.log.stat().st_size // 3
    told = await world.call("offsets", "set", str(world.log), str(2 * line))
    assert f"offset {2 * line} of {3 * line}, was {3 * line}; {line} bytes to read" in told
    await world.once()
    assert await world.paths() == ["/a", "/b", "/c", "/c"]
    await world.call("offsets", "set", str(world.log), "beginning")
    world.write("/d")
    await world.call("offsets", "set", str(world.log), "end")
    world.write("/e")
    await world.once()
    assert await world.paths() == ["/a", "/b", "/c", "/c", "/e"]


async def test_an_offset_inside_a_line_and_an_unknown_file_change_nothing(world):
    """Errors for people, exit code 1; a word that is no offset is wrong usage."""
    world.write("/a", "/b")
    await world.once()
    before = (world.state / "checkpoint.json").read_bytes()
    line = world.log.stat().st_size // 2
    for text, arguments, code in (
        (f"nearest lines start at 0 and {line}", ("set", str(world.log), "7"), 1),
        (f"did you mean {world.log}?", ("set", f"{world.log}x", "end"), 1),
        (f"did you mean {world.log}?", ("reset", f"{world.log}x"), 1),
        ("want a number of bytes, end or beginning", ("set", "x", "middle"), 2),
        ("name files, or say --all", ("reset",), 2),
    ):
        assert text in await world.call("offsets", *arguments, code=code)
    assert (world.state / "checkpoint.json").read_bytes() == before


@pytest.mark.parametrize("everything", [True, False])
async def test_a_file_that_was_forgotten_is_read_anew(world, everything):
    """And `reset` says so: the source was followed before."""
    world.write("/old", age=200_000.0)
    world.write("/a")
    await world.once()
    told = await world.call("offsets", "reset", "--all" if everything else str(world.log))
    assert "the next start reads it from its beginning, as source shop was followed before" in told
    assert "1 forgotten, 0 kept; lines older than max_event_age (24h) will be counted as expired" in told
    assert await world.positions() == []
    assert "no positions" in await world.call("offsets", "list")
    await world.once()
    assert await world.paths() == ["/a", "/a"]


async def test_what_was_not_read_of_a_rotated_file_is_read_after_a_set(world):
    """Setting the new file's position gives up nothing of the old one."""
    world.write("/a")
    await world.once()
    world.write("/rest")
    world.log.rename(f"{world.log}.1")
    world.write("/skipped")
    [before] = await world.positions()
    assert (before["same"], before["state"], before["behind"]) == (False, "other", None)
    assert "1 older files of this log keep their positions" in await world.call("offsets", "set", str(world.log), "end")
    world.write("/new")
    await world.once()
    assert await world.paths() == ["/a", "/rest", "/new"]


async def test_a_rotated_file_can_be_read_once_more(world):
    """It is not followed by name, but it is a sibling of a log that is."""
    world.write("/a", "/b")
    await world.once()
    world.log.rename(f"{world.log}.1")
    world.write("/c")
    await world.once()
    await world.call("offsets", "set", f"{world.log}.1", "beginning")
    await world.once()
    assert Counter(await world.paths()) == {"/a": 2, "/b": 2, "/c": 1}


async def test_a_broken_configuration_does_not_hide_the_positions(world):
    """As long as it says where the state directory is; what changes something wants a whole one."""
    world.write("/a")
    await world.once()
    world.extra = "rulez: []"
    assert len(await world.positions()) == 1
    assert "rulez" in await world.call("offsets", "set", str(world.log), "end", code=78)
    world.extra = ": ["
    assert "logship.yaml:" in await world.call("offsets", "list", code=78)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_what_root_changes_still_belongs_to_the_service(world):
    """systemd's DynamicUser= has no user to become while the service is stopped, so root is who repairs."""
    world.write("/a")
    await world.once()
    for path in (world.state, *world.state.iterdir()):
        os.chown(path, 65534, 65534)
    await world.call("offsets", "set", str(world.log), "beginning")
    world.refuse("/b", name="x" * 121)
    await world.call("dead-letter", "replay", code=1)
    assert {path.name: path.stat().st_uid for path in world.state.iterdir() if path.stat().st_uid != 65534} == {}


# Dead letters.


async def test_dead_letters_are_listed_without_saying_who(world):
    """Addresses, User-Agents and queries only with --full; nothing steers the terminal."""
    world.refuse("/a", "/b")
    with (world.state / "dead-letter.jsonl").open("a") as file:
        file.write('{"half')
    told = await world.call("dead-letter", "list")
    assert "\x1b" not in told
    row = told.splitlines()[1].split()
    assert row[:5] == ["1", "2025-10-10", "13:55:36", "here", "400"]
    assert row[5:] == ["pageview", "example.com", "https://example.com/a", "then\ufffd[2J"]
    assert told.splitlines()[-1] == "2 dead letters, 1 torn lines skipped"
    options = (("--json",), ("--full",), ("--full", "--json"))
    plain, *full = await asyncio.gather(*(world.call("dead-letter", "list", *each) for each in options))
    assert [json.loads(line)["number"] for line in plain.splitlines()] == [1, 2]
    for secret in ("secret", "203.0.113.7", "Firefox"):
        assert secret not in told + plain
        assert all(secret in each for each in full)


async def test_no_dead_letters_are_no_trouble(world):
    """Neither to list nor to replay."""
    assert await world.call("dead-letter", "list") == "0 dead letters\n"
    assert await world.call("dead-letter", "replay") == "nothing to send\n"
    assert not world.state.exists()


async def test_replay_beside_a_running_daemon(world):
    """What was refused is sent again while the daemon goes on; what is refused again is kept, with the reason."""
    world.refuse("/a", "/b")
    world.refuse("/bad", name="x" * 121)
    async with world.daemon():
        told = await world.call("dead-letter", "replay", code=1)
        world.write("/later")
        async with asyncio.timeout(30):
            while "/later" not in await world.paths():
                await asyncio.sleep(0.05)
    assert "2 accepted, 1 refused again, 0 not settled\n  1 refused by here: 400 " in told
    assert sorted(await world.paths()) == ["/a", "/b", "/later"]
    [kept] = (await world.call("dead-letter", "list", "--json")).splitlines()
    assert "errors" in json.loads(kept)["detail"]


async def test_a_dry_run_sends_nothing(world):
    """It shows what would go where, and what would stay, and why."""
    world.refuse("/a")
    world.refuse("/old", age=90_000.0)
    told = await world.call("dead-letter", "replay", "--dry-run")
    assert told.splitlines()[1].split() == ["1", "here", "pageview", "example.com", "https://example.com/a"]
    assert told.endswith("would send 1 to here\n")
    process = await world.start("dead-letter", "replay", "--dry-run", "2")
    out, err = await process.communicate()
    assert (out, process.returncode) == (b"nothing to send\n", 0)
    assert b"1 not sent, they are older than max_event_age (24h)" in err
    assert await world.paths() == []
    told = await world.call("dead-letter", "replay", "2", "--older")
    assert (told, await world.paths()) == ("1 accepted, 0 refused again, 0 not settled\n", ["/old"])


async def test_wrong_names_and_numbers_are_refused(world):
    """Before anything is sent."""
    world.refuse("/a")
    assert 'did you mean "here"' in await world.call("dead-letter", "replay", "--to", "hare", code=1)
    assert "there is no entry 2" in await world.call("dead-letter", "replay", "2", code=1)
    assert await world.paths() == []


async def test_a_destination_that_is_set_up_wrong_is_told(world):
    """The command ends, and says what to look at."""
    world.refuse("/a")
    await world.fault("404", 1000)
    told = await world.call("dead-letter", "replay", code=1)
    assert "0 accepted, 0 refused again, 1 not settled\n  here is misconfigured: " in told
    assert (await world.call("dead-letter", "list")).endswith("1 dead letters\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_an_interrupted_replay_keeps_what_is_left(world, number):
    """Ctrl-C writes back what was not settled; after a kill the next replay finds it."""
    world.grace = "500ms"
    world.refuse(*(f"/{n}" for n in range(5)))
    await world.fault("hang", 1000)
    process = await world.start("dead-letter", "replay")
    async with asyncio.timeout(30):
        while (world.state / "dead-letter.jsonl").exists():
            await asyncio.sleep(0.02)
    world.refuse("/meanwhile")
    process.send_signal(number)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 1)
    assert killed or b"0 accepted, 0 refused again, 5 not settled" in out
    assert (await world.call("dead-letter", "list")).endswith("6 dead letters\n")
    await world.fault("hang", 0)
    await world.call("dead-letter", "replay")
    assert Counter(await world.paths()) == Counter([*(f"/{n}" for n in range(5)), "/meanwhile"])
    assert [each.name for each in world.state.glob("dead-letter*")] == []
