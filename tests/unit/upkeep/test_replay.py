"""Dead letters sent again: real files, the embedded receiver, and a crash at each step."""

import asyncio
import fcntl
import json
import os
import stat
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import aiohttp
import pytest

from logship import deadletter
from logship.deadletter import LETTERS, DeadLetters
from logship.errors import LogshipError, StateError
from logship.receiver import server
from logship.records import Event
from logship.settings import loader
from logship.settings.destination import BatchSettings
from logship.upkeep import aside
from logship.upkeep.letters import letters
from logship.upkeep.replay import Replay
from logship.upkeep.selection import NO_DESTINATION, NOT_CHOSEN, TOO_OLD, UNUSABLE, Selection

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
TOO_LONG = "x" * 121  # no name of an event: the API refuses it


class World:
    """A state directory, a receiver, and the configuration that joins them."""

    def __init__(self, directory, url):
        self.state = directory / "state"
        self.state.mkdir()
        self.letters = self.state / LETTERS
        self.url = url
        self.extra = ""

    @property
    def settings(self):
        text = f"""
state_dir: {self.state}
grace_period: 200ms
destinations: {{here: {{url: "{self.url}", retry: {{initial: 10ms, max: 20ms}}}}}}
{self.extra}
"""
        loaded, _ = loader.read(text, "logship.yaml", os.environ)
        return loaded

    def selection(self, **wish):
        return Selection(self.settings, **wish)

    def replay(self, **wish):
        return Replay(self.settings, self.selection(**wish))

    def write(self, *entries):
        DeadLetters(self.letters).append_many(entries)

    def left(self):
        """What is still there, wherever: paths of the events, in order."""
        return [path_of(each.entry) for each in letters(self.state) if each.entry]

    def files(self):
        return sorted(each.name for each in self.state.glob("dead-letter*"))

    async def arrived(self):
        async with aiohttp.ClientSession() as api, api.get(f"{self.url}/api/events", params={"limit": 1000}) as answer:
            return [event["pathname"] for event in await answer.json()]

    async def fault(self, mode, count=1, **more):
        order = {"mode": mode, "count": count, **more}
        async with aiohttp.ClientSession() as api, api.post(f"{self.url}/faults", json=order) as answer:
            assert answer.status == 200


def letter(path, *, name="pageview", destination="here", age=60.0, agent=FIREFOX, **more):
    event = Event(name, "example.com", f"https://example.com{path}", agent, "203.0.113.7", **more)
    return {
        "time": "2025-10-10T13:55:36+00:00",
        "destination": destination,
        "status": 400,
        "detail": "then",
        "event_time": time.time() - age,
        "event": asdict(event),
        "offset": 4711,
    }


def path_of(entry):
    return entry["event"]["url"].removeprefix("https://example.com")


@pytest.fixture
async def world(tmp_path):
    async with server.serve("127.0.0.1", 0, keep_addresses=True) as running:
        yield World(tmp_path, running.url)


# What is sent, and what stays.


async def test_what_is_accepted_is_gone(world):
    """All entries arrive in the file's order, one visitor's events, and no file is left."""
    world.write(*(letter(f"/{n}") for n in range(50)))
    assert world.selection().survey().send == {"here": 50}
    report = await world.replay().run()
    assert (report.accepted, report.complete) == (50, True)
    assert await world.arrived() == [f"/{n}" for n in range(50)]
    assert (world.left(), world.files()) == ([], [])


async def test_what_is_refused_again_stays_and_says_why_now(world):
    """The entry keeps its event and where it came from; time, status and detail are the new ones."""
    bad = letter("/bad", name=TOO_LONG)
    world.write(letter("/a"), bad, letter("/b"))
    report = await world.replay().run()
    assert (report.accepted, report.refused.total(), report.complete) == (2, 1, False)
    assert await world.arrived() == ["/a", "/b"]
    [kept] = deadletter.read(world.letters)
    assert {**kept, "time": bad["time"], "detail": "then"} == bad
    assert kept["time"] > bad["time"]
    assert "errors" in kept["detail"]
    assert world.files() == [LETTERS]


async def test_chosen_numbers_alone_are_sent(world):
    """The others stay, byte for byte, torn lines too."""
    world.write(letter("/1"), letter("/2"))
    with world.letters.open("a") as file:
        file.write('{"torn": \n')
    world.write(letter("/3"))
    lines = world.letters.read_bytes().splitlines()
    found = [(each.number, each.entry is not None) for each in letters(world.state)]
    assert found == [(1, True), (2, True), (0, False), (3, True)]
    assert world.selection(numbers=[2]).survey().torn == 1
    report = await world.replay(numbers=[2]).run()
    assert (report.accepted, report.stay[NOT_CHOSEN], report.complete) == (1, 2, True)
    assert world.letters.read_bytes().splitlines() == [lines[0], *lines[2:]]


async def test_old_entries_are_sent_only_when_asked(world):
    """Plausible would count yesterday's visit as today's."""
    world.write(letter("/old", age=90_000.0), letter("/new"))
    assert world.selection().survey().stay[TOO_OLD] == 1
    report = await world.replay().run()
    assert (report.accepted, report.stay[TOO_OLD], report.complete) == (1, 1, True)
    assert world.left() == ["/old"]
    report = await world.replay(older=True).run()
    assert (report.accepted, world.left()) == (1, [])


async def test_an_entry_that_grows_old_while_it_waits_stays(world):
    """Age is judged before each attempt, as everywhere."""
    world.extra = "max_event_age: 1h"
    world.write(letter("/waits", age=3599.7))
    await world.fault("503", 1000)
    report = await asyncio.wait_for(world.replay().run(), 60)
    assert (report.stay[TOO_OLD], world.left()) == (1, ["/waits"])


async def test_an_entry_that_somebody_has_edited_badly_stays(world):
    """It is counted and kept; the others are sent."""
    entries = [letter("/ok"), letter("/1"), letter("/2"), letter("/3"), letter("/4")]
    entries[1]["event"].pop("user_agent")
    entries[2]["event"]["props"] = "none"
    entries[3]["event_time"] = "yesterday"
    entries[4]["event"] = None
    world.write(*entries)
    report = await world.replay().run()
    assert (report.accepted, report.stay[UNUSABLE], report.complete) == (1, 4, False)
    assert len(list(deadletter.read(world.letters))) == 4


async def test_an_event_is_sent_whole(world):
    """Props, revenue, the visitor's address and a byte that was not UTF-8 come through."""
    world.write(letter("/caf\udce9?a=1", props={"k": "v"}, agent=FIREFOX + " \udce9", interactive=False))
    await world.replay().run()
    async with aiohttp.ClientSession() as api, api.get(f"{world.url}/api/events") as answer:
        [event] = await answer.json()
    assert (event["props"], event["ip"], event["interactive"]) == ({"k": "v"}, "203.0.113.7", False)


async def test_a_destination_that_is_gone_needs_another(world):
    """The error names --to and what there is; with it everything goes there."""
    world.write(letter("/a"), letter("/b", destination="old"))
    with pytest.raises(
        LogshipError, match=r"1 of the entries \(the first is 2\).*configured: old; .*--to.*configured: here"
    ):
        world.selection().survey()
    with pytest.raises(LogshipError, match=r'--to her: .*did you mean "here"'):
        world.selection(to="her").survey()
    assert world.selection(numbers=[1]).survey().send == {"here": 1}
    world.write(letter("/c", destination=["here"]))
    assert (await world.replay(numbers=[1, 3]).run()).stay[NO_DESTINATION] == 1
    world.write(letter("/a"))
    chosen = world.selection(to="here").chosen()
    assert [(number, sent.destination) for number, sent in chosen] == [(n, "here") for n in (1, 2, 3)]
    assert (await world.replay(to="here").run()).accepted == 3


@pytest.mark.parametrize("number", [0, 3])
async def test_a_number_that_is_not_there_is_refused(world, number):
    """Before anything is sent."""
    world.write(letter("/a"), letter("/b"))
    with pytest.raises(LogshipError, match=f"no entry {number}; .*shows 2"):
        world.selection(numbers=[1, number]).survey()


async def test_a_survey_changes_nothing(world):
    """A dry run does not even take the lock."""
    world.write(letter("/a"))
    before = world.letters.stat()
    world.selection().survey()
    assert world.letters.stat().st_mtime_ns == before.st_mtime_ns
    assert os.listdir(world.state) == [LETTERS]
    assert await world.arrived() == []


# Trouble on the way.


async def test_what_may_pass_is_tried_again(world):
    """The same verdicts as in the daemon: 503 and 429 are not the event's fault."""
    world.write(*(letter(f"/{n}") for n in range(5)))
    await world.fault("503", 3)
    report = await world.replay().run()
    assert (report.accepted, await world.arrived()) == (5, [f"/{n}" for n in range(5)])


async def test_a_destination_that_is_set_up_wrong_ends_it(world):
    """A daemon waits for somebody to set it right; here somebody waits for the command."""
    world.write(*(letter(f"/{n}") for n in range(5)))
    await world.fault("404", 1000)
    report = await asyncio.wait_for(world.replay().run(), 60)
    assert (report.accepted, report.unsettled, list(report.misconfigured)) == (0, 5, ["here"])
    assert not report.complete
    assert world.left() == [f"/{n}" for n in range(5)]


async def test_stopped_it_keeps_what_was_not_settled(world):
    """Also what it had not read yet: far more entries than the queue holds."""
    world.write(*(letter(f"/{n}") for n in range(3000)))
    await world.fault("503", 1_000_000)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    report = await asyncio.wait_for(world.replay().run(stop=stop), 60)
    assert (report.accepted, report.unsettled, report.complete) == (0, 3000, False)
    assert Counter(world.left()) == Counter(f"/{n}" for n in range(3000))
    assert world.files() == [LETTERS]


async def test_a_full_queue_makes_no_refusals(world):
    """`when_full: dead_letter` is for a daemon whose other destinations wait; a replay has time."""
    world.write(*(letter(f"/{n}") for n in range(20)))
    await world.fault("slow", 1, delay=1.2)  # longer than a daemon would wait
    batch = BatchSettings(max_events=1)
    [here] = world.settings.destinations
    hasty = replace(here, connections=1, when_full="dead_letter", batch=batch)
    settings = replace(world.settings, destinations=(hasty,))
    report = await Replay(settings, Selection(settings)).run()
    assert (report.accepted, report.refused.total()) == (20, 0)


async def test_a_disk_that_refuses_loses_nothing(world, monkeypatch):
    """The part that was moved aside is still there, and the next replay takes it up."""
    world.write(letter("/a"), letter("/bad", name=TOO_LONG))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deadletter, "_append", full)
    with pytest.raises(StateError, match=r"No space left.*no entry is lost.*dead-letter\.replaying\.jsonl"):
        await world.replay().run()
    monkeypatch.undo()
    assert world.left() == ["/a", "/bad"]
    assert (await world.replay().run()).accepted == 1
    assert world.left() == ["/bad"]


async def test_two_replays_do_not_meet(world):
    """The second is told to wait."""
    world.write(letter("/a"))
    await world.fault("503", 1_000_000)
    first = asyncio.create_task(world.replay().run())
    while LETTERS in world.files():
        await asyncio.sleep(0.01)
    with pytest.raises(LogshipError, match="another replay is under way"):
        await world.replay().run()
    await world.fault("503", 0)
    assert (await first).accepted == 1


# Crashes, and a daemon beside it.


class Crash(BaseException):
    """The process ends here: nothing that follows happens."""


class CrashAt:
    """Crashes at the n-th step; counts them."""

    def __init__(self, number):
        self.number = number
        self.steps = []

    def __call__(self, name):
        self.steps.append(name)
        if len(self.steps) == self.number:
            raise Crash


@pytest.mark.parametrize("crash_at", range(1, 12))
async def test_a_crash_at_any_step_loses_no_entry(world, crash_at):
    """Every entry is in a file or has been accepted, whatever step was the last; the next replay cleans up."""
    good, bad = [f"/good/{n}" for n in range(4)], ["/bad/1", "/bad/2"]
    world.write(*(letter(path) for path in good[:2]), letter(bad[0], name=TOO_LONG))
    with suppress(Crash):
        await world.replay().run(step=CrashAt(1))  # what an earlier crash has left
    world.write(*(letter(path) for path in good[2:]), letter(bad[1], name=TOO_LONG))
    crash = CrashAt(crash_at)
    with suppress(Crash):
        await world.replay().run(step=crash)
    assert len(crash.steps) == min(crash_at, 8), crash.steps  # moved, sent, and for each part: kept, emptied, removed
    arrived = Counter(await world.arrived())
    assert set(arrived) | set(world.left()) == {*good, *bad}
    world.write(letter("/later"))
    report = await world.replay().run()
    assert set(await world.arrived()) == {*good, "/later"}
    assert set(world.left()) == set(bad)
    assert world.files() == [LETTERS]
    assert report.refused.total() in (2, 3, 4)  # doubled where a crash came between the copy and the original's end
    assert max(Counter(await world.arrived()).values()) <= 2


async def test_parts_that_were_left_come_first_and_keep_their_numbers(world):
    """What a daemon adds meanwhile does not shift the numbers of what was there."""
    for path in ("/1", "/2"):
        world.write(letter(path))
        with suppress(Crash):
            await world.replay().run(step=CrashAt(1))
    world.write(letter("/3"))
    assert world.files() == [LETTERS, "dead-letter.replaying.2.jsonl", "dead-letter.replaying.jsonl"]
    assert world.left() == ["/1", "/2", "/3"]
    report = await world.replay(numbers=[2]).run()
    assert (report.accepted, await world.arrived(), world.left()) == (1, ["/2"], ["/1", "/3"])


async def test_an_entry_that_is_appended_to_the_part_under_way_is_kept(world):
    """A daemon may have opened the file just before it was moved, and write to it just after."""
    world.write(letter("/a"))

    def late(name):
        if name == "sent":
            DeadLetters(world.state / "dead-letter.replaying.jsonl").append(letter("/late"))

    report = await world.replay().run(step=late)
    assert (report.accepted, world.left()) == (1, ["/late"])
    assert world.files() == [LETTERS]


async def test_a_part_that_a_daemon_has_open_is_left_for_the_next_replay(world, monkeypatch):
    """It was suspended before it could write; what it writes afterwards is not lost."""
    monkeypatch.setattr(aside, "_UNUSED_WITHIN", 0.05)
    world.write(letter("/a"))
    descriptor = os.open(world.letters, os.O_RDWR | os.O_APPEND)
    await world.replay().run()
    assert world.files() == ["dead-letter.replaying.jsonl"]
    os.write(descriptor, json.dumps(letter("/late")).encode() + b"\n")
    os.close(descriptor)
    assert world.left() == ["/late"]
    await world.replay().run()
    assert (await world.arrived(), world.files()) == (["/a", "/late"], [])


async def test_an_empty_part_without_leases_is_removed(world, monkeypatch):
    """Some file systems know no leases; the moment that they would guard is microseconds long."""

    def no_leases(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", no_leases)
    world.write(letter("/a"))
    await world.replay().run()
    assert world.files() == []


async def test_nothing_is_lost_beside_a_daemon_that_writes_all_the_time(world):
    """One process appends while another replays, again and again: each entry arrives, once."""
    total, done = 400, threading.Event()

    def write():
        for n in range(total):
            world.write(letter(f"/{n}"))
        done.set()

    writing = asyncio.create_task(asyncio.to_thread(write))
    while not (done.is_set() and not world.left()):
        await world.replay().run()
    await writing
    assert Counter(await world.arrived()) == Counter(f"/{n}" for n in range(total))
    assert world.files() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_what_root_makes_belongs_to_the_directorys_owner(world):
    """A daemon that is not root must be able to append to it, from the first moment on."""
    os.chown(world.state, 65534, 65534)
    world.write(letter("/bad", name=TOO_LONG))
    await world.replay().run()
    found = world.letters.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o600)


async def test_a_directory_that_cannot_be_used_is_told(tmp_path):
    """No file, no replay."""
    loaded, _ = loader.read(f"state_dir: {tmp_path}/none", "logship.yaml", os.environ)
    selection = Selection(loaded)
    assert not selection.survey().send
    with pytest.raises(StateError, match="cannot be used"):
        await Replay(loaded, selection).run()
    assert list(letters(Path("/nonexistent"))) == []


async def test_files_that_were_renamed_for_their_size_come_first(world):
    """They are listed and numbered in their order, and a replay takes them up with the newest."""
    for number, path in (("2.", "/2"), ("10.", "/3"), ("1.", "/1"), ("", "/4")):
        (world.state / f"dead-letter.{number}jsonl").write_text(json.dumps(letter(path)) + "\n")
    numbered = [(each.number, each.entry["event"]["url"][-2:]) for each in letters(world.state)]
    assert numbered == [(1, "/1"), (2, "/2"), (3, "/3"), (4, "/4")]
    report = await world.replay().run()
    assert report.accepted == 4
    assert await world.arrived() == ["/1", "/2", "/3", "/4"]
    assert not list(world.state.glob("dead-letter*"))
