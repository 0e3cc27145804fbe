"""The live stream of decisions: what it shows, what it never shows, and that nobody who looks holds anything up."""

import asyncio
import contextlib
import json
import os
import stat

import pytest

from logship import plan
from logship.admin import tap
from logship.admin.decisions import Judge, masked, written_names
from logship.admin.tap import MOST_ONLOOKERS, Tap, Wish
from logship.records import Chunk
from logship.settings import loader

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
CONFIG = """
sources: [{name: shop, path: /a.log, site: "https://shop.example", format: combined}]
rules:
  - {name: search, when: {path: /search}, event: "Search {query.q}"}
  - {preset: pageviews}
"""


def line(target="/", agent=FIREFOX, ip="203.0.113.7", referrer="-", when="22/Nov/2026:10:00:00 +0000"):
    return f'{ip} - alice [{when}] "GET {target} HTTP/1.1" 200 5 "{referrer}" "{agent}"'.encode()


@pytest.fixture(scope="module")
def judge():
    loaded, _ = loader.read(CONFIG, "logship.yaml", {})
    source = plan.build(loaded).sources["shop"]
    sieve = source.sieve(None)
    return Judge(sieve.parser("/a.log"), source.table, None, written_names(loaded.rules) | {"pageview"})


def chunk(*lines):
    data = b"".join(each + b"\n" for each in lines)
    return Chunk(1, "shop", "/a.log", data, 100, 100 + len(data))


def test_a_page_view_is_told_without_its_visitor(judge):
    """What was asked for, by which rule it is sent, to whom; of the address its network, no query."""
    told = judge.tell(line("/pricing?email=me@example.com", referrer="https://duckduckgo.com/?q=secret"))
    assert told == {
        "result": "event",
        "reason": None,
        "rule": "pageviews",
        "request": {
            "time": "2026-11-22T10:00:00+00:00",
            "client": "203.0.x.x",
            "agent": "person",
            "method": "GET",
            "host": None,
            "path": "/pricing",
            "has_query": True,
            "status": 200,
            "referrer": "duckduckgo.com",
        },
        "events": [{"name": "pageview", "domain": "shop.example", "destination": "plausible"}],
    }


@pytest.mark.parametrize(
    ("written", "result", "reason"),
    [
        (line("/a.css"), "dropped", "asset"),
        (line(agent="curl/8.5.0"), "dropped", "bot"),
        (b"no request, but 203.0.113.7 and ?token=hunter2", "unparsed", "format"),
        (line("/search?q=hunter2"), "event", None),
    ],
)
def test_every_fate_has_its_reason_and_no_secret(judge, written, result, reason):
    """Nor does a name that a template made of the query, or a line that is no request."""
    told = judge.tell(written)
    assert (told["result"], told["reason"] if reason != "format" else "format") == (result, reason)
    text = json.dumps(told)
    assert not [secret for secret in ("113.7", "hunter2", "alice", "Firefox") if secret in text]


def of(config):
    """Return the source of a configuration."""
    loaded, _ = loader.read(config, "logship.yaml", {})
    return plan.build(loaded).sources["shop"]


def test_a_machine_of_the_users_own_is_told_as_one():
    """By the patterns that the rules go by: else the line would be dropped as `bot` and shown as a person."""
    source = of(CONFIG + 'audience: {machines: {monitor: ["*OurCheck*"]}}')
    told = Judge(source.sieve(None).parser("/a.log"), source.table).tell(line(agent=FIREFOX + " OurCheck/1"))
    assert (told["reason"], told["request"]["agent"]) == ("bot", "monitor: OurCheck")


def test_what_lines_before_decide_is_told_as_it_was_decided():
    """A visitor that tried an exploit sends no more: the line that shows so is dropped as `scanner`, and says so."""
    source = of(CONFIG.replace("format: combined", "format: combined, behaviour: {probes: true}"))
    sieve, lines = source.sieve(None), chunk(line("/"), line("/.env"), line("/after"), line("/x.css"))
    sifted = sieve.sift(lines, 0.0)
    judge, at = Judge(sieve.parser("/a.log"), source.table, doubted=sifted.doubted), lines.start
    told = []
    for each in lines.data.splitlines(keepends=True):
        told.append(judge.tell(each.rstrip(b"\n"), at)["reason"])
        at += len(each)
    assert told[0] is None
    assert told[2:] == ["scanner", "asset"]


def test_a_line_that_is_too_old_is_told_as_expired(judge):
    """As it is counted: it would have been an event."""
    assert Judge(judge.parser, judge.table, oldest=4e9).tell(line())["result"] == "expired"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.7", "203.0.x.x"),
        ("2001:db8:1:2::3", "2001:0db8:x"),
        ("::1", "0000:0000:x"),
        (None, None),
        ("?", "x"),
    ],
)
def test_an_address_is_cut_to_its_network(address, shown):
    """The greater half of it is gone, whatever its kind."""
    assert masked(address) == shown


# The stream


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def served(tmp_path):
    """A tap that listens in a directory deeper than a socket's address can say."""
    state = tmp_path.joinpath(*["deep" * 10] * 4)
    state.mkdir(parents=True)
    clock = Clock()
    tapped = Tap(clock)
    tapped.clock, tapped.state = clock, state
    async with tapped.serve(state):
        yield tapped


class Onlooker:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def next(self):
        return json.loads(await asyncio.wait_for(self.reader.readline(), 60))


@contextlib.asynccontextmanager
async def looking(tapped, number=1, **wish):
    with tap.address(tapped.state) as name:
        reader, writer = await asyncio.open_unix_connection(name)
    writer.write(json.dumps(wish).encode() + b"\n")
    async with asyncio.timeout(30):
        while len(tapped._onlookers) < number:
            await asyncio.sleep(0.005)
    yield Onlooker(reader, writer)
    writer.close()


async def test_what_is_shown_says_how_many_lines_it_stands_for(served, judge):
    """Three lines a second of a thousand: spread over the chunk, and each with the number read for it."""
    async with looking(served, rate=3) as onlooker:
        served.show(chunk(*[line(f"/{n}") for n in range(1000)]), judge)
        shown = [await onlooker.next() for _ in range(2)]
        assert [each["of"] for each in shown] == [334, 334]
        assert shown[0]["request"]["path"] == "/333"
        assert (shown[0]["source"], shown[0]["path"]) == ("shop", "/a.log")
        served.clock.now += 1
        served.show(chunk(line("/later")), judge)
        assert (await onlooker.next())["of"] == 333


async def test_no_more_is_shown_than_the_rate_allows(served, judge):
    """Whatever the number of chunks within a second."""
    async with looking(served, rate=2) as onlooker:
        for n in range(50):
            served.show(chunk(line(f"/{n}")), judge)
        served.clock.now += 1
        served.show(chunk(line("/end")), judge)
        assert [(await onlooker.next())["request"]["path"] for _ in range(3)] == ["/0", "/1", "/end"]


async def test_only_what_is_wanted_is_shown(served, judge):
    """By result, by reason, by source."""
    async with (
        looking(served, result="unparsed") as unparsed,
        looking(served, 2, reason="bot") as bots,
        looking(served, 3, source="other") as other,
    ):
        served.show(chunk(line("/a"), b"junk", line("/b", agent="curl/8.5.0")), judge)
        assert (await unparsed.next())["offset"] == 100 + len(line("/a")) + 1
        assert (await bots.next())["request"]["agent"].startswith("library")
        assert not other.reader._buffer


async def test_an_onlooker_that_does_not_read_misses_lines_and_then_its_place(served, judge):
    """What waits for it is bounded; the daemon goes on."""
    long = chunk(*[line("/" + "x" * 190) for _ in range(100)])
    async with looking(served, rate=100) as onlooker:
        transport = served._onlookers[0]._writer.transport
        onlooker.reader._transport.pause_reading()
        for _ in range(60):
            served.clock.now += 1
            served.show(long, judge)
        assert transport.get_write_buffer_size() < 256 * 1024
        async with asyncio.timeout(30):
            while served.listened:
                await asyncio.sleep(0.005)


async def test_the_fifth_onlooker_is_told_to_wait(served, judge):
    """A handful is enough; and a place is free again when one leaves."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(MOST_ONLOOKERS):
            await stack.enter_async_context(looking(served, number + 1))
        async with looking(served, MOST_ONLOOKERS) as fifth:
            assert "looking already" in (await fifth.next())["error"]
    async with asyncio.timeout(30):
        while served.listened:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "wish", [b"[]", b"{", b'{"rate": 0.0001e9}', b'{"rate": "x"}', b'{"source": 1}', b'{"rate": -1}']
)
def test_a_wish_that_makes_no_sense_is_refused(wish):
    """Whoever connects and says something else gets a sentence, and no stream."""
    with pytest.raises(ValueError, match=r"wanted|rate|JSON|unexpected"):
        Wish.read(wish)


async def test_the_socket_is_its_owners_alone_and_leaves_with_the_daemon(tmp_path):
    """Mode 0600; one that a crash left behind is replaced."""
    for _ in range(2):
        async with Tap(Clock()).serve(tmp_path):
            assert stat.S_IMODE((tmp_path / tap.SOCKET).stat().st_mode) == 0o600
        assert not (tmp_path / tap.SOCKET).exists()
        (tmp_path / tap.SOCKET).touch()


async def test_nobody_looking_costs_nothing(served):
    """The pipeline asks this for each chunk."""
    assert not served.listened
    assert os.listdir(served.state) == [tap.SOCKET]
