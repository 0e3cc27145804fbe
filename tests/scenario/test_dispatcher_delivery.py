"""A destination and a scripted API: what is sent when, in which order, and what becomes of each event."""

import asyncio
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from logship.deadletter import DeadLetters
from logship.dispatcher.destination import Destination
from logship.errors import ConfigError
from logship.metrics import Metrics
from logship.records import Delivery, Event, Outcome, Span
from logship.settings.destination import BatchSettings, DestinationSettings, RetrySettings, TlsSettings

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]
FAST = RetrySettings(initial=0.01, max=0.05)


def accepted(**headers: str) -> web.Response:
    return web.Response(status=202, text="ok", headers={name.replace("_", "-"): text for name, text in headers.items()})


class Api:
    """An event API that answers as the test says, and remembers who was there at what time."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.bodies: list[dict[str, Any]] = []
        self.accepted: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.now = Counter[str]()
        self.together = 0
        self.together_of_one_visitor = 0
        self.server: TestServer
        self.port = 0

    async def receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        visitor = request.headers["X-Forwarded-For"] + request.headers["User-Agent"]
        self.bodies.append(body)
        self.times.append(time.monotonic())
        self.now[visitor] += 1
        self.together = max(self.together, self.now.total())
        self.together_of_one_visitor = max(self.together_of_one_visitor, self.now[visitor])
        try:
            response = await self.answer(request, body) if self.answer else accepted()
        finally:
            self.now[visitor] -= 1
        if response.status < 300:
            self.accepted.append(body)
        return response

    def serials(self) -> list[int]:
        return [serial(body) for body in self.accepted]


def serial(body: dict[str, Any]) -> int:
    return int(body["url"].rpartition("/")[2])


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.receive)
    api.server = TestServer(app)
    await api.server.start_server()
    api.port = api.server.port or 0
    yield api
    await api.server.close()


class Desk:
    """A running destination, and what it acknowledged."""

    def __init__(self, folder: Path, settings: DestinationSettings, **more: Any) -> None:
        self.acks: list[tuple[int, Outcome]] = []
        self.metrics = Metrics()
        self.letters = folder / "dead-letter.jsonl"
        self.destination = Destination(
            settings,
            ack=self.ack,
            dead_letters=more.pop("dead_letters", None) or DeadLetters(self.letters),
            metrics=self.metrics,
            max_event_age=more.pop("max_event_age", None),
            **more,
        )

    def ack(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        self.acks += [(int(delivery.event.url.rpartition("/")[2]), outcome) for delivery in deliveries]

    async def until(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.002)

    async def settled(self, number: int) -> list[tuple[int, Outcome]]:
        await self.until(lambda: len(self.acks) >= number)
        return self.acks

    def outcomes(self) -> Counter[Outcome]:
        return Counter(outcome for _, outcome in self.acks)

    def value(self, name: str, **labels: str) -> float:
        self.destination.status()
        return self.metrics.registry.get_sample_value(f"logship_{name}", {"destination": "plausible"} | labels) or 0.0

    def dead(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.letters.read_text().splitlines()]


Open = Callable[..., Any]


@pytest.fixture
def desk(api: Api, tmp_path: Path) -> Open:
    @asynccontextmanager
    async def make(**more: Any) -> AsyncIterator[Desk]:
        of_desk = {name: more.pop(name) for name in ("max_event_age", "now", "dead_letters") if name in more}
        given = {"url": f"http://127.0.0.1:{api.port}/api/event", "retry": FAST} | more
        desk = Desk(tmp_path, DestinationSettings(**given), **of_desk)
        running = asyncio.create_task(desk.destination.run())
        await desk.until(lambda: desk.destination.status()["connections"])
        try:
            yield desk
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    return make


def delivery(number: int, visitor: int = 0, *, seen: float | None = None, **fields: Any) -> Delivery:
    agent, address = f"Agent/{visitor}", f"203.0.113.{visitor % 250}"
    url = f"https://example.com/{number}"
    return Delivery("plausible", Event("pageview", "example.com", url, agent, address, **fields), seen)


def another_lane(lanes: int) -> int:
    """Return a visitor who has another lane than visitor 0: text hashes differ from process to process."""

    def lane(visitor: int) -> int:
        event = delivery(0, visitor).event
        return hash((event.client_ip, event.user_agent)) % lanes

    return next(visitor for visitor in range(1, 1000) if lane(visitor) != lane(0))


def deliveries(number: int, visitors: int = 40) -> list[Delivery]:
    return [delivery(each, each % visitors) for each in range(number)]


# -- lanes


async def test_each_event_is_delivered_once_and_acknowledged(api: Api, desk: Open) -> None:
    """Nothing lost, nothing doubled, everything settled."""
    async with desk() as it:
        await it.destination.add(deliveries(500))
        assert await it.destination.stop(60.0) == 0
        assert sorted(api.serials()) == list(range(500))
        assert sorted(number for number, _ in it.acks) == list(range(500))
        assert it.outcomes() == {Outcome.DELIVERED: 500}
        assert it.value("events_total", outcome="delivered") == 500
        assert it.value("answers_total", status="202") == 500
        assert it.value("request_seconds_count") == 500


async def test_a_visitors_events_arrive_in_order_and_never_two_at_a_time(api: Api, desk: Open) -> None:
    """Plausible drops the second of two at once; and the order of arrival is the order of the visit."""

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        await asyncio.sleep(serial(body) % 7 / 2000)
        return web.Response(status=500) if serial(body) % 5 == 0 and body not in api.bodies[:-1] else accepted()

    api.answer = answer
    async with desk(connections=8, retry=RetrySettings(initial=0.001, max=0.01)) as it:
        await it.destination.add(deliveries(300, visitors=20))
        await it.settled(300)
    of_visitor = defaultdict(list)
    for number in api.serials():
        of_visitor[number % 20].append(number)
    assert all(numbers == sorted(numbers) for numbers in of_visitor.values())
    assert sorted(api.serials()) == list(range(300))
    assert api.together_of_one_visitor == 1
    assert 1 < api.together <= 8


async def test_an_event_that_must_be_tried_again_blocks_its_own_lane_only(api: Api, desk: Open) -> None:
    """Others go on; its visitor's later events wait behind it."""
    broken = True

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=500) if broken and serial(body) == 0 else accepted()

    api.answer = answer
    async with desk(connections=50) as it:
        await it.destination.add([delivery(number, number % 100) for number in range(200)])
        await it.until(lambda: len(it.acks) >= 150 and len(api.bodies) > 200)
        assert not {0, 100} & {number for number, _ in it.acks}
        assert it.destination.status()["state"] == "ok"
        broken = False
        await it.settled(200)
        assert api.serials().index(0) < api.serials().index(100)
        assert it.value("retries_total") > 0


async def test_an_event_that_is_never_taken_holds_up_nobody_but_its_visitor(api: Api, desk: Open) -> None:
    """One lane for all, far more events than the queue holds: the others go round it; its visitor's wait, in order."""
    broken = True

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=500) if broken and serial(body) == 5 else accepted()

    api.answer = answer
    batch = BatchSettings(max_events=10)
    async with desk(connections=1, batch=batch, retry=RetrySettings(initial=0.01, max=0.02)) as it:
        await it.destination.add([delivery(number, 0) for number in (1, 5, 6, 7)])
        await it.destination.add([delivery(number, number % 7 + 1) for number in range(100, 400)])
        await it.destination.add([delivery(8, 0)])
        await it.settled(301)
        assert sorted(api.serials()) == [1, *range(100, 400)]
        broken = False
        await it.settled(305)
        assert [number for number in api.serials() if number < 100] == [1, 5, 6, 7, 8]
    assert api.together_of_one_visitor == 1


@pytest.mark.parametrize("status", [403, 500])
async def test_one_event_that_closed_the_gate_in_a_quiet_hour_lets_the_next_visitors_probe(
    api: Api, desk: Open, status: int
) -> None:
    """Nobody else was there to show that the API works. Who comes later, by the same lane, shows it."""

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=status) if serial(body) == 0 else accepted()

    api.answer = answer
    async with desk(connections=1) as it:
        await it.destination.add([delivery(0, 0)])
        await it.until(lambda: it.destination.status()["state"] != "ok")
        await it.destination.add([delivery(number, number % 7) for number in range(1, 50)])
        await it.settled(42)
    assert api.serials() == [number for number in range(1, 50) if number % 7]


async def test_those_who_stand_aside_are_taken_along_by_a_stop_and_a_reload(api: Api, desk: Open) -> None:
    """Their backoff is cut short by a stop; new lanes get them in order."""
    broken = True

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=500) if broken and serial(body) in (1, 11) else accepted()

    api.answer = answer
    slow = RetrySettings(initial=300.0, max=600.0)
    async with desk(connections=1, retry=slow) as it:
        await it.destination.add([delivery(1, 1), delivery(11, 2), delivery(2, 1), delivery(12, 2), delivery(30, 3)])
        await it.settled(1)
        assert api.serials() == [30]
        it.destination.apply(DestinationSettings(url=str(api.server.make_url("/api/event")), connections=2, retry=slow))
        await it.until(lambda: it.destination.status()["connections"] == 2)
        await it.until(lambda: it.value("answers_total", status="500") >= 4)  # answered, not only asked
        broken = False
        assert await it.destination.stop(60.0) == 0
    assert [number for number in api.serials() if number < 10] == [1, 2]
    assert [number for number in api.serials() if 10 < number < 20] == [11, 12]


async def test_add_waits_while_two_batches_are_held(api: Api, desk: Open) -> None:
    """Memory is bounded whatever the backlog: reading waits."""
    let_go = asyncio.Event()

    async def answer(*_: Any) -> web.Response:
        await let_go.wait()
        return accepted()

    api.answer = answer
    async with desk(connections=4, batch=BatchSettings(max_events=10)) as it:
        adding = asyncio.create_task(it.destination.add(deliveries(200)))
        await it.until(lambda: api.together == 4)
        status = it.destination.status()
        assert (status["queued"], status["in_flight"]) == (16, 4)
        assert it.value("events_queued") == 16
        assert it.value("events_in_flight") == 4
        assert not adding.done()
        let_go.set()
        await adding
        await it.settled(200)


async def test_a_reload_that_makes_the_queue_smaller_at_the_moment_of_room_does_not_stop_reading(
    api: Api, desk: Open
) -> None:
    """Whoever waits for room was told of it, finds none, and is told again."""
    async with desk(connections=1, batch=BatchSettings(max_events=10)) as it:
        url = str(api.server.make_url("/api/event"))

        def ack(deliveries: Sequence[Delivery], outcome: Outcome) -> None:
            it.ack(deliveries, outcome)
            if len(it.acks) == 5:  # of 20 that were held: there is room, and who waits for it has not run yet
                it.destination.apply(DestinationSettings(url=url, connections=1, batch=BatchSettings(max_events=1)))

        it.destination._ack = ack
        await it.destination.add(deliveries(40))
        await it.settled(40)


def all_but(*stuck: range) -> Answer:
    """Return answers of an API that never takes some events."""

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=500) if any(serial(body) in each for each in stuck) else accepted()

    return answer


async def test_events_that_are_never_taken_take_places_of_the_queue_and_no_more(api: Api, desk: Open) -> None:
    """While any place is free, all others' events go through, whatever a stranger has found."""
    api.answer = all_but(range(1000, 1016))
    async with desk(connections=4, batch=BatchSettings(max_events=10)) as it:
        await it.destination.add([delivery(number, visitor=number) for number in range(1000, 1016)])
        await it.destination.add(deliveries(10))
        await it.until(lambda: len(it.acks) == 10, 120.0)
        assert it.outcomes() == {Outcome.DELIVERED: 10}


async def test_many_events_that_are_never_taken_do_not_look_like_an_api_that_is_down(api: Api, desk: Open) -> None:
    """Others were taken since they failed: however many of them fail again in a row, nobody else has to wait."""
    api.answer = all_but(range(1000, 1020))
    with capture_logs() as logs:
        async with desk(connections=1, retry=RetrySettings(initial=1.0, max=1.0)) as it:
            it.destination._terms.random = lambda: 1000.0  # nothing is tried again before it is told to
            for number in range(20):
                await it.destination.add([delivery(number), delivery(1000 + number, visitor=1 + number)])
            await it.destination.add([delivery(20)])
            await it.until(lambda: len(api.bodies) == 41)
            await it.settled(21)
            it.destination._lanes[0].hurry()
            await it.until(lambda: len(api.bodies) == 41 + 20)
            assert it.destination.status()["state"] == "ok"
            assert "destination.paused" not in [line["event"] for line in logs]
            it.destination._lanes[0].hurry()  # and now nothing was taken since
            await it.until(lambda: it.destination.status()["state"] == "backing off")
            assert len(api.bodies) == 41 + 20 + 5


async def test_a_queue_full_of_events_that_are_never_taken_waits_until_they_expire(api: Api, desk: Open) -> None:
    """They are tried without end, in bounded memory, and nothing is dropped: so reading waits, and then goes on."""
    api.answer = all_but(range(1000, 1060))
    async with desk(connections=4, batch=BatchSettings(max_events=10), max_event_age=3600.0) as it:
        stuck = [delivery(number, visitor=number, seen=time.time()) for number in range(1000, 1060)]
        adding = asyncio.create_task(it.destination.add([*stuck, *deliveries(100)]))
        await it.until(lambda: len(api.bodies) > 40)
        assert not adding.done()
        assert it.destination.status()["queued"] + it.destination.status()["in_flight"] == 20
        it.destination._now = lambda: time.time() + 7200.0
        await adding
        await it.settled(160)
        assert it.outcomes() == {Outcome.DELIVERED: 100, Outcome.EXPIRED: 60}


async def test_a_batch_waits_for_company_no_longer_than_it_may(api: Api, desk: Open) -> None:
    """max_wait holds the first event back; a full batch, or a stop, sends it at once."""
    async with desk(batch=BatchSettings(max_events=3, max_wait=0.2)) as it:
        started = time.monotonic()
        await it.destination.add([delivery(0)])
        await it.settled(1)
        assert api.times[0] - started >= 0.19
    async with desk(batch=BatchSettings(max_events=3, max_wait=300.0)) as it:
        await it.destination.add([delivery(number, number) for number in (1, 2, 3)])
        await it.settled(3)
        await it.destination.add([delivery(4)])
        assert await it.destination.stop(60.0) == 0


async def test_a_rate_is_kept(api: Api, desk: Open) -> None:
    """max_events_per_second holds for the destination, however many lanes it has; 0.1 s may be caught up on."""
    async with desk(max_events_per_second=100.0) as it:
        started = time.monotonic()
        await it.destination.add(deliveries(40))
        await it.settled(40)
    assert all(time - started >= before / 100 - 0.11 for before, time in enumerate(api.times))


async def test_a_full_queue_gives_up_to_the_dead_letters_where_asked(api: Api, desk: Open) -> None:
    """when_full: dead_letter never holds the other destinations back for long; what was queued is still delivered."""
    let_go = asyncio.Event()

    async def answer(*_: Any) -> web.Response:
        await let_go.wait()
        return accepted()

    api.answer = answer
    async with desk(connections=2, batch=BatchSettings(max_events=5), when_full="dead_letter") as it:
        started = time.monotonic()
        await it.destination.add(deliveries(50))
        assert time.monotonic() - started >= 0.9
        for number in range(50, 100):
            await it.destination.add([delivery(number)])
        assert time.monotonic() - started < 40.0  # waited for once, not for each
        assert it.outcomes() == {Outcome.DEAD_LETTER: 90}
        assert {letter["detail"] for letter in it.dead()} == {"queue full (when_full: dead_letter)"}
        let_go.set()
        assert await it.destination.stop(60.0) == 0
        assert it.outcomes() == {Outcome.DEAD_LETTER: 90, Outcome.DELIVERED: 10}


# -- again


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_what_may_pass_is_sent_until_it_is_accepted(api: Api, desk: Open, status: int) -> None:
    """Three failures, then 202: accepted once, nothing lost."""

    async def answer(*_: Any) -> web.Response:
        return web.Response(status=status) if len(api.bodies) <= 3 else accepted()

    api.answer = answer
    async with desk() as it:
        await it.destination.add([delivery(1)])
        assert await it.settled(1) == [(1, Outcome.DELIVERED)]
        assert len(api.bodies) == 4
        assert it.value("retries_total") == 3
        assert it.value("answers_total", status=str(status)) == 3
        assert it.value("events_ambiguous_total") == 0


async def test_an_api_that_is_down_at_the_start_gets_everything_later(desk: Open, api: Api) -> None:
    """Connection refused is no reason to lose or double anything."""
    await api.server.close()
    async with desk() as it:
        await it.destination.add(deliveries(100))
        await it.until(lambda: it.destination.status()["state"] == "backing off")
        assert it.destination.status()["cause"] == "down"
        assert it.destination.status()["last_error"]["reason"] == "connect: Connection refused"
        app = web.Application()
        app.router.add_post("/api/event", api.receive)
        back = TestServer(app, port=api.port)
        await back.start_server()
        await it.settled(100)
        await it.until(lambda: it.destination.status()["state"] == "ok")
        assert sorted(api.serials()) == list(range(100))
        assert it.value("events_ambiguous_total") == 0
        await back.close()


async def test_one_request_at_a_time_tries_a_destination_that_is_down(api: Api, desk: Open) -> None:
    """All connections knocking at a server that is just getting up would knock it down again."""
    down = True

    async def answer(*_: Any) -> web.Response:
        await asyncio.sleep(0.002)
        return web.Response(status=503) if down else accepted()

    api.answer = answer
    async with desk(connections=16) as it:
        await it.destination.add(deliveries(200))
        await it.until(lambda: it.destination.status()["cause"] == "down" and not it.destination.status()["in_flight"])
        before, api.together = len(api.bodies), 0
        assert before <= 32
        await it.until(lambda: len(api.bodies) >= before + 10)
        assert api.together == 1
        assert it.value("destination_paused", cause="down") == 1
        down = False
        await it.settled(200)
        assert api.together > 1
        assert it.value("destination_paused", cause="down") == 0


async def test_half_the_answers_fail_then_all_then_none(api: Api, desk: Open) -> None:
    """Whatever it goes through, each event is accepted once in the end."""

    async def answer(*_: Any) -> web.Response:
        number = len(api.bodies)
        failing = number % 2 if number < 200 else number < 260
        return web.Response(status=500) if failing else accepted()

    api.answer = answer
    async with desk(connections=4, retry=RetrySettings(initial=0.001, max=0.005)) as it:
        await it.destination.add(deliveries(300))
        await it.settled(300)
    assert sorted(api.serials()) == list(range(300))


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_holds_the_whole_destination(api: Api, desk: Open, status: int) -> None:
    """No request of any lane before that time, then one that asks whether it is over."""
    over = False

    async def answer(*_: Any) -> web.Response:
        if over:
            return accepted()
        while len(api.bodies) < 4:  # all lanes have sent before the first one learns of it
            await asyncio.sleep(0.001)
        return web.Response(status=status, headers={"Retry-After": "1"})

    api.answer = answer
    async with desk(connections=4) as it:
        await it.destination.add(deliveries(100))
        await it.until(lambda: len(api.bodies) == 4)
        await it.until(lambda: it.destination.status()["cause"] == "retry_after")
        await it.until(lambda: not it.destination.status()["in_flight"])
        over = True
        await it.destination.add(deliveries(100))
        await it.settled(200)
        assert api.times[4] - api.times[3] >= 0.98
        assert len(api.accepted) == 200


async def test_silence_is_ambiguous_counted_and_tried_again(api: Api, desk: Open) -> None:
    """It may be counted twice, and we say so."""
    never = asyncio.Event()

    async def answer(*_: Any) -> web.Response:
        if len(api.bodies) == 1:
            it.destination._terms.wire.total = 60.0  # nothing but silence is to be late
            await never.wait()
        return accepted()

    api.answer = answer
    async with desk() as it:
        it.destination._terms.wire.total = 0.1
        await it.destination.add([delivery(1)])
        assert await it.settled(1) == [(1, Outcome.DELIVERED)]
        assert len(api.bodies) == 2
        assert it.value("events_ambiguous_total") == 1
        assert it.value("answers_total", status="timeout") == 1
        never.set()


async def test_an_ambiguous_event_is_given_up_where_asked(api: Api, desk: Open) -> None:
    """retry.ambiguous: false prefers a lost event to a doubled one; it is kept in the dead letters."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        if serial(body) == 1:
            assert request.transport is not None
            request.transport.abort()
        return accepted()

    api.answer = answer
    async with desk(retry=RetrySettings(initial=0.01, max=0.05, ambiguous=False)) as it:
        await it.destination.add([delivery(1), delivery(2)])
        assert await it.settled(2) == [(1, Outcome.DEAD_LETTER), (2, Outcome.DELIVERED)]
        assert it.dead()[0]["detail"].startswith("sent, but never answered: reset")
        assert it.value("events_ambiguous_total") == 1


# -- refused


async def test_a_refused_event_goes_to_the_dead_letters_and_the_next_goes_on(api: Api, desk: Open) -> None:
    """Settled only once it is on disk, with all that is needed to see why and to send it again."""

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        bad = serial(body) == 1
        return web.json_response({"errors": {"url": ["must be a valid url"]}}, status=400) if bad else accepted()

    api.answer = answer
    async with desk() as it:
        refused = delivery(1, seen=1_760_000_000.5, props={"path": "/x"})
        refused.event.user_agent = "caf\udce9"
        refused.span = Span(1, 4711, 4800, 1)
        await it.destination.add([refused, delivery(2)])
        await it.settled(2)
        assert sorted(it.acks, key=str) == [(1, Outcome.DEAD_LETTER), (2, Outcome.DELIVERED)]
        (letter,) = it.dead()
        assert letter["event"]["user_agent"] == "caf\udce9"
        assert letter["event"]["props"] == {"path": "/x"}
        assert (letter["destination"], letter["status"], letter["offset"]) == ("plausible", 400, 4711)
        assert json.loads(letter["detail"]) == {"errors": {"url": ["must be a valid url"]}}
        assert it.destination.status()["state"] == "ok"


async def test_a_refused_event_waits_for_a_disk_that_refuses_it(api: Api, desk: Open, tmp_path: Path) -> None:
    """No dead letter, no ack: it waits, is not sent again meanwhile, and nothing is lost."""

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.json_response({"error": "no"}, status=422) if serial(body) == 1 else accepted()

    api.answer = answer
    folder = tmp_path / "state"
    with capture_logs() as logs:
        async with desk(dead_letters=DeadLetters(folder / "dead-letter.jsonl")) as it:
            await it.destination.add([delivery(1), delivery(2, visitor=another_lane(16)), delivery(3)])
            failures = "logship_dead_letter_write_failures_total"
            await it.until(lambda: (it.metrics.registry.get_sample_value(failures) or 0.0) > 2)
            await it.settled(1)
            assert it.acks == [(2, Outcome.DELIVERED)]
            assert [line["event"] for line in logs] == ["dead_letter.failed"]  # and nothing says that it is kept
            folder.mkdir()
            await it.settled(3)
        assert logs[1] == {
            "event": "event.refused",
            "log_level": "error",
            "destination": "plausible",
            "status": 422,
            "domain": "example.com",
            "help": "kept in dead-letter.jsonl",
        }
        assert [serial(body) for body in api.bodies].count(1) == 1
        assert len((folder / "dead-letter.jsonl").read_text().splitlines()) == 1


# -- misconfigured


@pytest.mark.parametrize("status", [307, 400, 403, 404])
async def test_a_wrong_setup_pauses_loses_nothing_and_says_so(api: Api, desk: Open, status: int) -> None:
    """Probed one at a time, at most every retry.max; when somebody has acted, all is delivered."""
    wrong = True

    async def answer(*_: Any) -> web.Response:
        headers = {"Location": "https://moved.example/x?token=abc"}
        return web.Response(status=status, text="<html>", headers=headers) if wrong else accepted()

    api.answer = answer
    with capture_logs() as logs:
        async with desk(connections=4, retry=RetrySettings(initial=0.01, max=0.1)) as it:
            await it.destination.add(deliveries(50))
            await it.until(lambda: it.destination.status()["state"] == "paused")
            await it.until(lambda: not it.destination.status()["in_flight"])
            before, api.together = len(api.bodies), 0
            started = time.monotonic()
            await it.until(lambda: len(api.bodies) >= before + 3)
            assert time.monotonic() - started >= 0.19
            assert api.together == 1
            assert it.acks == []
            assert it.value("destination_paused", cause="misconfigured") == 1
            wrong = False
            await it.settled(50)
            assert it.destination.status()["state"] == "ok"
    assert sorted(api.serials()) == list(range(50))
    assert {body["url"] for body in api.bodies} <= {f"https://example.com/{number}" for number in range(50)}
    (error,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (error["event"], error["status"]) == ("destination.misconfigured", status)
    if 300 <= status < 400:
        assert "https://moved.example;" in error["help"]
    assert "token" not in str(logs)


async def test_a_working_destination_is_not_held_by_one_event_that_a_firewall_dislikes(api: Api, desk: Open) -> None:
    """A 403 for what an event contains looks like a wrong setup; others probe as well and open the gate again."""

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=403) if serial(body) == 0 else accepted()

    api.answer = answer
    async with desk(connections=8, retry=RetrySettings(initial=0.01, max=0.05)) as it:
        await it.destination.add([delivery(number, number) for number in range(100)])
        await it.settled(99)


async def test_a_firewall_that_dislikes_one_event_pauses_the_others_once(api: Api, desk: Open) -> None:
    """Logs hold what strangers wrote. Once others were taken, only its own visitor waits; nothing is dropped."""
    broken = True

    async def answer(_: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=403) if broken and serial(body) == 0 else accepted()

    api.answer = answer
    async with desk(connections=2) as it:
        await it.destination.add([delivery(0, 0), *(delivery(number, number) for number in range(1, 40))])
        for seen in range(2, 6):
            await it.until(lambda seen=seen: it.value("answers_total", status="403") >= seen)
            assert it.destination.status()["state"] == "ok"
        await it.settled(39)
        await it.destination.add([delivery(number, number) for number in range(40, 100)])
        await it.settled(99)
        broken = False
        await it.settled(100)
    assert sorted(api.serials()) == list(range(100))


# -- expiry


async def test_an_expired_event_is_settled_without_being_sent(api: Api, desk: Open) -> None:
    """Plausible stamps events on arrival: an old one would land in the wrong hour."""
    async with desk(max_event_age=60.0, now=lambda: 1000.0) as it:
        await it.destination.add([delivery(1, seen=939.0), delivery(2, seen=941.0), delivery(3)])
        await it.settled(3)
        assert sorted(it.acks) == [(1, Outcome.EXPIRED), (2, Outcome.DELIVERED), (3, Outcome.DELIVERED)]
        assert sorted(api.serials()) == [2, 3]
        assert it.value("events_total", outcome="expired") == 1


async def test_expiry_is_judged_again_before_each_attempt(api: Api, desk: Open) -> None:
    """An API that is down for a day must not get yesterday's visits when it is back."""
    clock = [1000.0]

    async def answer(*_: Any) -> web.Response:
        clock[0] += 40.0
        return web.Response(status=500)

    api.answer = answer
    async with desk(max_event_age=60.0, now=lambda: clock[0]) as it:
        await it.destination.add([delivery(1, seen=1000.0)])
        assert await it.settled(1) == [(1, Outcome.EXPIRED)]
        assert len(api.bodies) == 2


# -- dropped by Plausible


async def test_an_alarm_names_the_causes_when_plausible_drops_everything(api: Api, desk: Open) -> None:
    """Each is accepted and settled; only a header says that nobody will ever see it."""

    async def answer(*_: Any) -> web.Response:
        return accepted(x_plausible_dropped="1")

    api.answer = answer
    with capture_logs() as logs:
        async with desk() as it:
            await it.destination.add(deliveries(120))
            await it.settled(120)
            assert it.outcomes() == {Outcome.DELIVERED: 120}
            assert it.value("events_plausible_dropped_total", domain="example.com") == 120
            assert it.destination.status()["dropping"] == ["example.com"]
    (alarm,) = [entry for entry in logs if entry["event"] == "destination.dropping"]
    assert (alarm["log_level"], alarm["domain"]) == ("error", "example.com")
    assert all(cause in alarm["help"] for cause in ("domain", "proxy's", "unpaid"))


# -- stop, reload, and what must not happen


async def test_stop_counts_what_it_could_not_settle(api: Api, desk: Open) -> None:
    """An API that never answers: the grace period ends, nothing is acknowledged, everything is let go."""
    never = asyncio.Event()

    async def answer(*_: Any) -> web.Response:
        await never.wait()
        return accepted()

    api.answer = answer
    async with desk(connections=4) as it:
        await it.destination.add(deliveries(10))
        await it.until(lambda: api.together > 0)
        started = time.monotonic()
        assert await it.destination.stop(0.2) == 10
        assert 0.19 <= time.monotonic() - started < 30.0
        assert it.acks == []
        never.set()


async def test_stop_cuts_backoff_short(api: Api, desk: Open) -> None:
    """What we chose to wait ourselves is not waited for when there is little time left."""

    async def answer(*_: Any) -> web.Response:
        return web.Response(status=500) if len(api.bodies) == 1 else accepted()

    api.answer = answer
    async with desk(retry=RetrySettings(initial=300.0, max=600.0)) as it:
        await it.destination.add([delivery(1)])
        await it.until(lambda: it.destination.status()["last_error"])
        assert await it.destination.stop(60.0) == 0
        assert it.acks == [(1, Outcome.DELIVERED)]


async def test_stop_does_not_wait_for_what_cannot_come(api: Api, desk: Open) -> None:
    """Retry-After is longer than the grace period: keeping to it is right, waiting for it is not."""

    async def answer(*_: Any) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "600"})

    api.answer = answer
    async with desk() as it:
        await it.destination.add([delivery(1)])
        await it.until(lambda: it.destination.status()["cause"] == "retry_after")
        started = time.monotonic()
        assert await it.destination.stop(100.0) == 1
        assert time.monotonic() - started < 60.0
        assert len(api.bodies) == 1


async def test_a_stop_without_end_can_be_cut_short_by_another(api: Api, desk: Open) -> None:
    """`run --once` settles for as long as it takes, until somebody asks it to stop."""
    never = asyncio.Event()

    async def answer(*_: Any) -> web.Response:
        await never.wait()
        return accepted()

    api.answer = answer
    async with desk() as it:
        await it.destination.add([delivery(1)])
        patient = asyncio.create_task(it.destination.stop(math.inf))
        await it.until(lambda: api.together > 0)
        patient.cancel()
        assert await it.destination.stop(0.05) == 1
        never.set()


async def test_what_is_added_after_a_stop_is_left_unsettled(api: Api, desk: Open) -> None:
    """No ack: it is read again at the next start."""
    async with desk() as it:
        assert await it.destination.stop(1.0) == 0
        await it.destination.add([delivery(1)])
        assert (it.acks, api.bodies) == ([], [])


async def test_what_is_added_before_it_runs_is_delivered(api: Api, tmp_path: Path) -> None:
    """The pipeline may be a moment ahead of the lanes."""
    url = str(api.server.make_url("/api/event"))
    it = Desk(tmp_path, DestinationSettings(url=url))
    await it.destination.add(deliveries(20))
    running = asyncio.create_task(it.destination.run())
    await it.settled(20)
    assert await it.destination.stop(1.0) == 0
    await running


async def test_reload_takes_queued_events_to_the_new_address_in_order(api: Api, desk: Open) -> None:
    """A wrong url is corrected, the number of lanes changed: what waited is delivered, a visitor's order kept."""
    async with desk(url=str(api.server.make_url("/wrong")), retry=RetrySettings(max=600.0)) as it:
        right = api.receive

        async def answer(request: web.Request, _: dict[str, Any]) -> web.Response:
            return web.Response(status=404) if request.path == "/wrong" else accepted()

        assert right
        api.answer = answer
        await it.destination.add(deliveries(200))
        await it.until(lambda: it.destination.status()["state"] == "paused")
        settings = DestinationSettings(url=str(api.server.make_url("/api/event")), connections=3, retry=FAST)
        it.destination.apply(settings)
        await it.destination.add([delivery(number, number % 40) for number in range(200, 400)])
        await it.settled(400)
        assert it.destination.status()["connections"] == 3
    of_visitor = defaultdict(list)
    for number in api.serials():
        of_visitor[number % 40].append(number)
    assert sorted(api.serials()) == list(range(400))
    assert all(numbers == sorted(numbers) for numbers in of_visitor.values())
    assert api.together_of_one_visitor == 1


async def test_reload_lets_nobody_overtake_what_waits_for_company(api: Api, desk: Open) -> None:
    """What is added after `max_wait` was taken away comes after what it held back."""
    batch = BatchSettings(max_events=10, max_wait=300.0)
    async with desk(batch=batch) as it:
        await it.destination.add([delivery(1)])
        it.destination.apply(DestinationSettings(url=str(api.server.make_url("/api/event")), retry=FAST))
        await it.destination.add([delivery(2)])
        await it.settled(2)
    assert api.serials() == [1, 2]


async def test_reload_lets_an_attempt_under_way_finish(api: Api, desk: Open) -> None:
    """Its answer settles it: sending it again under the new settings would count it twice."""
    let_go = asyncio.Event()

    async def answer(*_: Any) -> web.Response:
        await let_go.wait()
        return accepted()

    api.answer = answer
    async with desk() as it:
        await it.destination.add([delivery(1), delivery(2)])
        await it.until(lambda: api.together == 1)
        url = str(api.server.make_url("/api/event"))
        it.destination.apply(DestinationSettings(url=url, headers={"X-New": "1"}))
        let_go.set()
        await it.settled(2)
        assert api.serials() == [1, 2]


async def test_reload_many_times_under_load_loses_and_doubles_nothing(api: Api, desk: Open) -> None:
    """Every reload hands the queue over to new lanes."""
    async with desk(connections=5) as it:
        url = str(api.server.make_url("/api/event"))
        for turn in range(20):
            await it.destination.add([delivery(number, number % 40) for number in range(turn * 50, turn * 50 + 50)])
            it.destination.apply(DestinationSettings(url=url, connections=turn % 7 + 1))
            await asyncio.sleep(0.005)
        await it.settled(1000)
    assert sorted(api.serials()) == list(range(1000))
    assert api.together_of_one_visitor == 1


async def test_reload_keeps_a_retry_after_of_the_same_address(api: Api, desk: Open) -> None:
    """A changed rate is no reason to break what the server was promised."""

    async def answer(*_: Any) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "600"})

    api.answer = answer
    async with desk() as it:
        await it.destination.add([delivery(1)])
        await it.until(lambda: it.destination.status()["cause"] == "retry_after")
        it.destination.apply(DestinationSettings(url=str(api.server.make_url("/api/event")), connections=2))
        await it.until(lambda: it.destination.status()["connections"] == 2)
        assert it.destination.status()["cause"] == "retry_after"
        assert len(api.bodies) == 1


async def test_a_reload_that_cannot_be_built_changes_nothing(api: Api, desk: Open, tmp_path: Path) -> None:
    """Everything new is built before anything old is touched."""
    async with desk() as it:
        url = str(api.server.make_url("/api/event"))
        with pytest.raises(ConfigError):
            it.destination.apply(DestinationSettings(url=url, tls=TlsSettings(ca_file=tmp_path / "none.pem")))
        await it.destination.add(deliveries(10))
        await it.settled(10)


async def test_a_lane_survives_a_bug(api: Api, desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is logged and is an attempt that failed; an ack that raises is not sent twice."""
    stumbles = 2

    async with desk() as it:
        render = it.destination._terms.render

        def stumble(event: Event) -> bytes:
            nonlocal stumbles
            stumbles -= 1
            if stumbles >= 0:
                raise RuntimeError("a bug")
            return render(event)

        def ack(delivery: Delivery, outcome: Outcome) -> None:
            it.ack(delivery, outcome)
            raise RuntimeError("another bug")

        monkeypatch.setattr(it.destination._terms, "render", stumble)
        monkeypatch.setattr(it.destination, "_ack", ack)
        with capture_logs() as logs:
            await it.destination.add([delivery(1), delivery(2)])
            await it.settled(2)
        assert api.serials() == [1, 2]
        assert Counter(entry["event"] for entry in logs)["lane.failed"] == 2


async def test_secrets_and_visitors_never_reach_the_log(api: Api, desk: Open) -> None:
    """Not a credential, not an address, not a query: whatever goes wrong."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        echo = {"errors": {"url": [body["url"], *map(str, request.headers.items())]}}
        match len(api.bodies) % 5:
            case 0:
                return web.Response(status=500, text=str(echo))
            case 1:
                return web.json_response(echo, status=400)
            case 2:
                return web.Response(status=302, headers={"Location": f"https://u:s3cret@there.example/{body['url']}"})
            case 3 if request.transport is not None:
                request.transport.abort()
        return accepted()

    api.answer = answer
    url = str(api.server.make_url("/api/event")).replace("//", "//me:s3cret@")
    with capture_logs() as logs:
        async with desk(url=url, headers={"X-Key": "s3cret"}, retry=RetrySettings(initial=0.001, max=0.01)) as it:
            secretive = [delivery(number, number) for number in range(60)]
            for each in secretive:
                each.event.url = each.event.url.replace("example.com/", "example.com/?mail=me@home/")
            await it.destination.add(secretive)
            await it.settled(60)
            said = str(it.destination.status())
    assert len(logs) > 3
    for private in ("s3cret", "203.0.113", "Agent/", "mail=", "bWU6"):
        assert private not in str(logs)
        assert private not in said
