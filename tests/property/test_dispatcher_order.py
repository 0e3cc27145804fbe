"""Events through a destination to a real server that answers in every way: each visitor's in order, never two at once.

The server knows nothing of lanes. It tells what it was asked, what it took, and who was there at a time. Nearly all
answers are plain, so that what follows them is sent on the spot, and every other kind comes in the middle of that.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.deadletter import DeadLetters
from logship.dispatcher.destination import Destination
from logship.metrics import Metrics
from logship.records import Delivery, Event, Outcome
from logship.settings.destination import BatchSettings, DestinationSettings, RetrySettings, TimeoutSettings

PLAIN = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
TAKEN = (  # what says 202, however it says it
    b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    b"HTTP/1.1 202 Accepted\r\nx-plausible-dropped: 1\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfine"[:-1],
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000,
    PLAIN + PLAIN,  # one for this, and one that nobody asked for
)
AGAIN = (
    b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 4\r\n\r\nbusy",
    b"HTTP/1.1 429 Slow down\r\nRetry-After: -7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
)
AMBIGUOUS = (
    b"",  # hangs up
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 202 Acc",
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
)
REFUSED = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\n{"errors": {}}'


class Api:
    """Takes requests, and does with each what chance says."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.asked: defaultdict[int, list[int]] = defaultdict(list)  # by visitor
        self.answers: Counter[int] = Counter()  # by event: told that it was taken
        self.unknown: Counter[int] = Counter()  # by event: nobody was told
        self.refused: set[int] = set()
        self.now: Counter[int] = Counter()
        self.most_at_once = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.loads(await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1])))
        visitor, number = map(int, body["url"].split("/")[-2:])
        self.asked[visitor].append(number)
        self.now[visitor] += 1
        self.most_at_once = max(self.most_at_once, self.now[visitor])
        try:
            return await self._answer(number, writer)
        finally:
            self.now[visitor] -= 1

    async def _answer(self, number: int, writer: asyncio.StreamWriter) -> bool:
        dice, fate = self.dice, self.dice.random()
        if fate < 0.75:
            await asyncio.sleep(dice.choice((0, 0, 0.001)))
            return self._say(writer, PLAIN, self.answers, number)
        if fate < 0.85:
            return self._say(writer, dice.choice(TAKEN), self.answers, number)
        if fate < 0.92:
            writer.write(dice.choice(AGAIN))
            return True
        if fate < 0.94:
            self.refused.add(number)
            writer.write(REFUSED)
            return True
        if fate < 0.96:  # an answer in pieces, each of them alone
            for at in range(len(PLAIN)):
                writer.write(PLAIN[at : at + 1])
                await asyncio.sleep(0)
            self.answers[number] += 1
            return True
        self.unknown[number] += 1
        writer.write(dice.choice(AMBIGUOUS))
        return False

    def _say(self, writer: asyncio.StreamWriter, answer: bytes, told: Counter[int], number: int) -> bool:
        told[number] += 1
        writer.write(answer)
        return b"close" not in answer


async def live(seed: int, lanes: int, visitors: int) -> None:
    dice = random.Random(seed)
    api, acks, events = Api(dice), list[tuple[int, Outcome]](), 120
    server = await asyncio.start_server(api.talk, "127.0.0.1", 0)
    given = DestinationSettings(
        url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/event",
        connections=lanes,
        batch=BatchSettings(max_events=20),
        timeout=TimeoutSettings(connect=60.0, total=60.0),
        retry=RetrySettings(initial=0.001, max=0.01),
    )
    with tempfile.TemporaryDirectory() as folder:
        destination = Destination(
            given,
            ack=lambda done, outcome: acks.extend((int(one.event.url.rpartition("/")[2]), outcome) for one in done),
            dead_letters=DeadLetters(Path(folder) / "dead-letter.jsonl"),
            metrics=Metrics(),
            max_event_age=None,
        )
        running = asyncio.create_task(destination.run())
        await destination.add([delivery(number, dice.randrange(visitors)) for number in range(events)])
        async with asyncio.timeout(60):
            assert await destination.stop(100.0) == 0
        await running
        counts = destination.status()["counts"]
    server.close()
    judge(api, acks, events, counts["ambiguous"])


def delivery(number: int, visitor: int) -> Delivery:
    url = f"https://example.com/{visitor}/{number}"
    return Delivery("api", Event("pageview", "example.com", url, f"Agent/{visitor}", f"203.0.113.{visitor}"), None)


def judge(api: Api, acks: list[tuple[int, Outcome]], events: int, ambiguous: int) -> None:
    assert sorted(number for number, _ in acks) == list(range(events)), "each is settled once"
    for number, outcome in acks:
        assert outcome is (Outcome.DELIVERED if api.answers[number] else Outcome.DEAD_LETTER)
        assert api.answers[number] <= 1, "what was answered with 202 is never sent again"
        assert number in api.refused or api.answers[number]
    for numbers in api.asked.values():
        assert numbers == sorted(numbers), "in order, and none before the one ahead of it has found its end"
    assert api.most_at_once == 1
    assert api.unknown.total() == ambiguous, "each answer that never came is counted"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), lanes=st.integers(1, 5), visitors=st.integers(1, 12))
def test_a_visitors_events_arrive_in_order_whatever_the_server_does(loop, seed, lanes, visitors):
    """Any mixture of answers, failures and silence; each event finds one end, and what may be doubled is counted."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(live(seed, lanes, visitors))
