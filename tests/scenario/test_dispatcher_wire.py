"""One line to one server, over real sockets: what each kind of answer, silence and fault becomes."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from logship.dispatcher import wire as wires
from logship.dispatcher.wire import Line, Wire
from logship.records import Delivered, Misconfigured, Refused, TryAgain
from logship.settings.destination import DestinationSettings, TimeoutSettings, TlsSettings

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy.:pytest.PytestDeprecationWarning")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST = b"POST /api/event HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Run everything on both loops: their transports differ in when and how they tell of a closed connection."""
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


class Server:
    """Talks to each connection as the test says; counts connections and requests."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.connections = 0
        self.requests: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))
        return self.requests[-1]


@asynccontextmanager
async def serving(talk: Talk | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(talk) if talk is not None else Server(None)  # type: ignore[arg-type]
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in server.writers:
            writer.close()


def answers(server: Server, *script: bytes) -> Talk:
    """Answer request after request with these bytes, the last one for ever."""
    left = list(script)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])

    return talk


class Clock:
    """Stands still until a test moves it: how slow the machine is has no part in what is late."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def line_to(
    server: Server | None, port: int = 0, *, total: float | None = None, clock: Clock | None = None, **more: object
) -> AsyncIterator[Line]:
    """Make a line. ``total`` bounds answers alone: however long the machine takes to connect, it is not late."""
    given = {"url": f"http://127.0.0.1:{server.port if server else port}/api/event"} | more
    wire = Wire(DestinationSettings(**given), clock or time.monotonic)  # type: ignore[arg-type]
    wire.total = total or wire.total
    line = wire.line()
    try:
        yield line
    finally:
        line.close()
        await wire.close()


async def post(line: Line) -> object:
    return (None if line.ready else await line.open()) or await line.post(REQUEST)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what must come true, on a slow machine as well."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_connection_is_kept_for_the_next_request() -> None:
    """One connection, many requests, in order."""
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, ACCEPTED)
        assert [await post(line) for _ in range(20)] == [Delivered()] * 20
        assert (server.connections, server.requests) == (1, [REQUEST] * 20)
        assert line.answered_at >= line.sent_at > 0.0


async def test_what_follows_a_plain_acceptance_is_sent_on_the_spot() -> None:
    """One wait for many requests, each with its own times; the verdict is on the last of them."""
    refused = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\n{"errors": {}}'
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, *[ACCEPTED] * 7, refused, ACCEPTED)
        followers, times = [REQUEST] * 4, []

        def more() -> bytes | None:
            times.append((line.sent_at, line.answered_at))
            return followers.pop() if followers else None

        await line.open()
        assert await line.post(REQUEST, more) == Delivered()
        assert (len(server.requests), len(times)) == (5, 5)
        assert all(sent < answered for sent, answered in times)
        assert times == sorted(times)
        followers = [REQUEST] * 9
        assert await line.post(REQUEST, more) == Refused(400, '{"errors": {}}')
        assert (len(server.requests), len(followers)) == (8, 7)
        assert await line.post(REQUEST) == Delivered()
        assert server.connections == 1


IN_THE_MIDDLE = (
    # answer, verdict, whether the connection can be used again
    (b"HTTP/1.1 100 Continue\r\n\r\n" + ACCEPTED, Delivered(), True),
    (ACCEPTED + ACCEPTED, Delivered(), False),
    (ACCEPTED + b"HTTP/1.1 4", Delivered(), False),
    (ACCEPTED + b"\0", Delivered(), False),
    (b"HTTP/1.1 202 Accepted\r\nx-plausible-dropped: 1\r\nContent-Length: 2\r\n\r\nok", Delivered(202, 1), True),
    (b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", Delivered(), False),
    (b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Delivered(), True),
    (b"HTTP/1.0 202 Accepted\r\nContent-Length: 2\r\n\r\nok", Delivered(), False),
    (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", TryAgain("answered 500", status=500), True),
    (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", True, False),
    (b"HTTP/1.1 202 Accepted\r\nContent-Length: x\r\n\r\nok", True, False),
    (b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", True, False),
    (b"HTTP/1.1 100 Continue\r\n\r\n", True, False),
    (b"\r\n\r\n\r\n\r\n\0\0", True, False),
    (b"", True, False),
)


@pytest.mark.parametrize(("answer", "expected", "usable"), IN_THE_MIDDLE, ids=range(len(IN_THE_MIDDLE)))
@pytest.mark.parametrize("at", [0, 3])
async def test_an_answer_that_is_not_plain_in_the_middle_of_many_that_are(answer, expected, usable, at) -> None:
    """What was accepted before it stays accepted, the verdict is on its own request, and what is spoilt is closed.

    True stands for a verdict that is ambiguous. A server that has said it all hangs up.
    """
    async with serving() as server, line_to(server) as line:
        asked = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            while asked <= at:
                await server.request(reader)
                asked += 1
                writer.write(ACCEPTED if asked <= at else answer)
            if usable:
                await reader.read()

        server.talk = talk
        settled = 0

        def more() -> bytes | None:
            nonlocal settled
            if settled == at:
                return None
            settled += 1
            return REQUEST

        await line.open()
        verdict = await line.post(REQUEST, more)
        assert settled == at
        if expected is True:
            assert isinstance(verdict, TryAgain)
            assert verdict.ambiguous
        else:
            assert verdict == expected
        assert line.ready == usable


async def test_an_answer_that_trickles_in_the_middle_of_many_is_given_up_in_time() -> None:
    """A byte now and then keeps no request alive: its deadline is its own, however quick those before it were."""
    clock = Clock()
    async with serving() as server, line_to(server, total=0.02, clock=clock) as line:

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(5):
                await server.request(reader)
                writer.write(ACCEPTED)
            await server.request(reader)
            for byte in b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 10_000:
                writer.write(bytes([byte]))
                await writer.drain()
                clock.now += 0.001
                await asyncio.sleep(0.005)

        server.talk = talk
        await line.open()
        verdict = await line.post(REQUEST, lambda: REQUEST)
        assert isinstance(verdict, TryAgain)
        assert (verdict.ambiguous, len(server.requests)) == (True, 6)
        assert "timeout" in verdict.reason
        assert line.answered_at - line.sent_at >= 0.018
        assert not line.ready


async def test_an_answer_that_comes_after_it_was_given_up_answers_nothing_else() -> None:
    """The next request goes out on another connection; the late answer meets nobody."""
    clock, late = Clock(), asyncio.Event()
    async with serving() as server, line_to(server, total=0.02, clock=clock) as line:

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first = server.connections == 1
            while True:
                await server.request(reader)
                if first:
                    await late.wait()
                writer.write(ACCEPTED if first else b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

        server.talk = talk
        await line.open()
        attempt = asyncio.ensure_future(line.post(REQUEST, lambda: REQUEST))
        await until(lambda: server.requests)
        clock.now += 0.02
        assert await attempt == TryAgain("timeout: no answer within 0.02 s", ambiguous=True)
        late.set()
        assert await post(line) == TryAgain("answered 500", status=500)
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ACCEPTED,
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ACCEPTED,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
    ],
)
async def test_answers_of_every_shape_leave_the_connection_usable(answer: bytes) -> None:
    """Chunked, interim answers, no body, a body nobody asked for: the next request goes on the same connection."""
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, answer)
        for _ in range(3):
            verdict = await post(line)
            assert isinstance(verdict, Delivered)
        assert server.connections in (1, 3) if len(answer) > 65536 else server.connections == 1


async def test_an_answer_that_comes_byte_by_byte_is_understood() -> None:
    """The network may cut anywhere."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            for at in range(len(answer)):
                writer.write(answer[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)

    answer = b'HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{"errors": {}}\r\n0\r\n\r\n'
    async with serving(talk) as server, line_to(server) as line:
        assert [await post(line) for _ in range(2)] == [Refused(400, '{"errors": {}}')] * 2
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 202 Accepted\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_connection_close_is_honoured(answer: bytes) -> None:
    """The server said so, so nothing is written there again, though it has not closed yet."""
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, answer)
        assert await post(line) == Delivered()
        assert not line.ready
        assert await post(line) == Delivered()
        assert server.connections == 2


async def test_an_idle_connection_that_the_server_closed_is_opened_anew() -> None:
    """Known closed before a byte was written: no event is at stake, nothing is ambiguous."""
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, ACCEPTED)
        await post(line)
        server.writers[0].close()
        await until(lambda: not line.ready)
        assert await post(line) == Delivered()
        assert len(server.requests) == 2


async def test_an_idle_connection_that_spoke_unasked_is_opened_anew() -> None:
    """HAProxy says 408 to an idle connection: taken for the next answer it would settle the wrong event."""
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, ACCEPTED)
        await post(line)
        server.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: not line.ready)
        assert await post(line) == Delivered()
        assert server.connections == 2


async def test_we_close_an_idle_connection_before_the_server_would() -> None:
    """A server that says `Keep-Alive: timeout=1` closes after a second; we are gone a little earlier."""
    clock = Clock()
    async with serving() as server, line_to(server, total=0.02, clock=clock) as line:  # it looks every 0.02 s
        server.talk = answers(server, ACCEPTED.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1\r\n\r\n"))
        await post(line)
        clock.now += 0.75
        await asyncio.sleep(0.1)
        assert line.ready
        clock.now += 0.1
        await until(lambda: not line.ready)


async def test_a_refused_connection_is_tried_again_and_never_ambiguous() -> None:
    """Nothing was sent."""
    async with line_to(None, closed_port()) as line:
        assert await post(line) == TryAgain("connect: Connection refused")


async def test_a_name_that_does_not_resolve_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS comes back."""

    async def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolve)
    async with line_to(None, url="http://stats.invalid/api/event") as line:
        assert await post(line) == TryAgain("dns: Name or service not known")


async def test_a_server_that_comes_back_at_another_address_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone, then its name is, and then the name means another machine: no restart, and nothing is ambiguous."""
    found = ["127.0.0.1"]

    async def resolve(_: object, host: str, port: int, *__: object, **___: object) -> list[dict[str, object]]:
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        of = {"hostname": host, "port": port, "family": socket.AF_INET, "proto": 0, "flags": socket.AI_NUMERICHOST}
        return [of | {"host": each} for each in found]

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolve)
    verdicts = []
    async with serving() as server:
        server.talk = answers(server, ACCEPTED)
        port = server.port
        wire = Wire(DestinationSettings(url=f"http://plausible.test:{port}/api/event"))
        line = wire.line()
        assert await post(line) == Delivered()
    line.close()
    for names, why in ((["127.0.0.1"], "connect"), ([], "dns")):
        found[:] = names
        async with asyncio.timeout(30):
            while not verdicts or not verdicts[-1].reason.startswith(why):
                verdicts.append(await line.open())
                await asyncio.sleep(0.05)
    elsewhere = Server(None)  # type: ignore[arg-type]
    elsewhere.talk = answers(elsewhere, ACCEPTED)
    listener = await asyncio.start_server(elsewhere.serve, "127.0.0.2", port)
    found[:] = ["127.0.0.2"]
    async with asyncio.timeout(30):
        while (verdict := await post(line)) != Delivered():
            verdicts.append(verdict)
            await asyncio.sleep(0.05)
    assert elsewhere.requests == [REQUEST]
    assert not any(each.ambiguous for each in verdicts)
    line.close()
    await wire.close()
    listener.close()


async def test_a_connection_that_is_not_accepted_in_time_is_tried_again() -> None:
    """timeout.connect bounds it; nothing was sent."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        async with line_to(None, deaf.getsockname()[1], timeout=TimeoutSettings(connect=0.1)) as line:
            assert await post(line) == TryAgain("connect: timed out")
        for filler in fillers:
            filler.close()


async def test_silence_after_sending_is_ambiguous() -> None:
    """The server may have counted the event before it fell silent."""

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        await reader.read()

    async with serving(talk) as server, line_to(server, total=0.1) as line:
        assert await post(line) == TryAgain("timeout: no answer within 0.1 s", ambiguous=True)
        assert line.answered_at - line.sent_at > 0.09
        assert not line.ready


async def test_an_answer_is_awaited_for_as_long_as_the_time_out_says() -> None:
    """Looked at again and again, but given up only when its time has come."""

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        await reader.read()

    clock = Clock()
    async with serving(talk) as server, line_to(server, total=0.02, clock=clock) as line:
        attempt = asyncio.ensure_future(post(line))
        await until(lambda: server.requests)
        clock.now += 0.018
        await asyncio.sleep(0.1)
        assert not attempt.done()
        clock.now += 0.002
        assert await attempt == TryAgain("timeout: no answer within 0.02 s", ambiguous=True)


async def test_a_deadline_belongs_to_its_own_request() -> None:
    """A connection older than the time-out serves on: the timer is one for all of its requests."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            clock.now += 0.06
            await asyncio.sleep(0.1)  # the timer looks meanwhile
            writer.write(ACCEPTED)

    clock = Clock()
    async with serving(talk) as server, line_to(server, total=0.08, clock=clock) as line:
        assert [await post(line) for _ in range(6)] == [Delivered()] * 6
        assert server.connections == 1


async def test_a_reset_after_sending_is_ambiguous() -> None:
    """The request was written; what became of it nobody knows."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.transport.abort()

    async with serving(talk) as server, line_to(server) as line:
        for _ in range(2):
            verdict = await post(line)
            assert isinstance(verdict, TryAgain)
            assert verdict.ambiguous
            assert verdict.reason.startswith("reset: ")


async def test_a_close_without_an_answer_on_a_reused_connection_is_ambiguous() -> None:
    """The race with a server that closes an idle connection cannot be told from a lost answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(ACCEPTED)
        await server.request(reader)

    async with serving(talk) as server, line_to(server) as line:
        assert await post(line) == Delivered()
        verdict = await post(line)
        assert isinstance(verdict, TryAgain)
        assert verdict.ambiguous


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 202 Accepted\r\n" + b"X: y\r\n" * 1000,
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
    ],
)
async def test_an_answer_that_is_not_http_is_ambiguous(answer: bytes) -> None:
    """Bounded, given up, tried again."""
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, answer)
        verdict = await post(line)
        assert isinstance(verdict, TryAgain)
        assert verdict.ambiguous
        assert verdict.reason.startswith("malformed: ")


@pytest.mark.parametrize("length", [b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b""])
async def test_a_broken_body_does_not_undo_an_acceptance(length: bytes) -> None:
    """The head said 202: sending again would count the visitor twice."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 202 Accepted\r\n" + length + b"\r\n1")
        await writer.drain()
        writer.close()

    async with serving(talk) as server, line_to(server) as line:
        assert await post(line) == Delivered()
        assert not line.ready


async def test_a_body_that_dawdles_after_an_acceptance_is_left_behind() -> None:
    """A lane is worth more than the rest of an `ok`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\no")
        await reader.read()

    async with serving(talk) as server, line_to(server, total=300.0) as line:  # more than a test may take
        assert await post(line) == Delivered()
        assert not line.ready


async def test_a_400_that_breaks_off_is_tried_again() -> None:
    """Without its body nobody knows whether the event or the set-up is at fault; it was not counted either way."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        clock.now += 0.01
        writer.write(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\n{"errors"')
        await writer.drain()
        if len(server.requests) == 1:
            writer.transport.abort()
        await reader.read()

    clock = Clock()
    async with serving(talk) as server, line_to(server, total=0.02, clock=clock) as line:
        verdict = await post(line)
        assert isinstance(verdict, TryAgain)
        assert (verdict.status, verdict.ambiguous) in ((400, False), (None, True))
        assert not line.ready
        attempt = asyncio.ensure_future(post(line))
        await until(lambda: len(server.requests) == 2 and line.answered_at > line.sent_at)
        clock.now += 0.01
        verdict = await attempt
        assert isinstance(verdict, TryAgain)
        assert (verdict.status, verdict.ambiguous) == (400, False)
        assert not line.ready


async def test_an_endless_error_page_is_read_up_to_a_bound() -> None:
    """64 KiB are enough to know that it is not the API's own 400."""
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await server.request(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 50_000_000:
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            sent += 0x4000
            await writer.drain()

    async with serving(talk) as server, line_to(server) as line:
        assert isinstance(await post(line), Misconfigured)
        assert not line.ready
        assert sent < 50_000_000


async def test_a_request_given_up_takes_its_connection_along() -> None:
    """Its answer may still come, and must not be taken for the next one's."""

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        await reader.read()

    async with serving(talk) as server, line_to(server) as line:
        attempt = asyncio.ensure_future(post(line))
        await until(lambda: server.requests)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert not line.ready


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody vouches for, and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", f"{path}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls_with_an_own_authority_delivers(certificate: Path, tls: ssl.SSLContext) -> None:
    """tls.ca_file is all that a private Plausible needs."""
    async with serving(tls=tls) as server:
        server.talk = answers(server, ACCEPTED)
        url = f"https://localhost:{server.port}/api/event"
        async with line_to(server, url=url, tls=TlsSettings(ca_file=certificate)) as line:
            assert [await post(line) for _ in range(5)] == [Delivered()] * 5
            assert server.connections == 1
        async with line_to(server, url=url, tls=TlsSettings(verify=False)) as line:
            assert await post(line) == Delivered()


async def test_the_systems_authorities_are_read_when_the_first_connection_needs_them(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination by plain HTTP does without them; one by TLS finds them, wherever the system keeps them."""
    read: list[ssl.SSLContext] = []
    monkeypatch.setattr(wires, "_READ", read)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving() as server, line_to(server) as line:
        server.talk = answers(server, ACCEPTED)
        assert await post(line) == Delivered()
        assert not read
    async with serving(tls=tls) as server:
        server.talk = answers(server, ACCEPTED)
        url = f"https://localhost:{server.port}/api/event"
        async with line_to(server, url=url) as line, line_to(server, url=url) as other:
            assert await asyncio.gather(post(line), post(other)) == [Delivered()] * 2
    assert len(read) == 1


async def test_an_untrusted_certificate_is_a_wrong_setup_and_nothing_is_sent(tls: ssl.SSLContext) -> None:
    """Never in plain text, never to somebody else; and the text says what to do."""
    async with serving(tls=tls) as server:
        server.talk = answers(server, ACCEPTED)
        async with line_to(server, url=f"https://localhost:{server.port}/api/event") as line:
            verdict = await post(line)
        assert isinstance(verdict, Misconfigured)
        assert "certificate of localhost" in verdict.detail
        assert "tls.ca_file" in verdict.detail
        assert server.requests == []


async def test_a_certificate_for_another_name_is_a_wrong_setup(certificate: Path, tls: ssl.SSLContext) -> None:
    """Trusted, but not theirs."""
    async with serving(tls=tls) as server:
        url = f"https://127.0.0.1:{server.port}/api/event"
        async with line_to(server, url=url, tls=TlsSettings(ca_file=certificate)) as line:
            assert isinstance(await post(line), Misconfigured)


async def test_a_certificate_that_has_expired_is_a_wrong_setup(certificate: Path, tmp_path: Path) -> None:
    """Trusted and theirs, but of the year before last: the text says so, and nothing is sent."""
    expired = _expired(certificate, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(expired, certificate)
    async with serving(tls=context) as server:
        url = f"https://localhost:{server.port}/api/event"
        async with line_to(server, url=url, tls=TlsSettings(ca_file=expired)) as line:
            verdict = await post(line)
        assert isinstance(verdict, Misconfigured)
        assert "certificate has expired" in verdict.detail
        assert "renew it" in verdict.detail
        assert server.requests == []


def _expired(key: Path, folder: Path) -> Path:
    """Return a certificate for localhost with a key of ours that was good for a day in 2024."""
    (folder / "index").touch()
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index\nnew_certs_dir = {folder}\ndefault_md = sha256\n"
        f"policy = p\nx509_extensions = v\nrand_serial = yes\n[p]\ncommonName = supplied\n"
        "[v]\nsubjectAltName = DNS:localhost\n"
    )
    for command in (
        ("req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", folder / "request"),
        (
            *("ca", "-batch", "-selfsign", "-config", folder / "ca.cnf", "-keyfile", key, "-in", folder / "request"),
            *("-startdate", "20240101000000Z", "-enddate", "20240102000000Z", "-out", folder / "expired.pem"),
        ),
    ):
        subprocess.run(("openssl", *command), check=True, capture_output=True)
    return folder / "expired.pem"


async def test_tls_to_a_plain_port_is_tried_again_and_never_falls_back() -> None:
    """It may be a server that is just starting; plain text is no way out."""
    seen = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen = await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with serving(talk) as server:
        async with line_to(server, url=f"https://localhost:{server.port}/api/event") as line:
            verdict = await post(line)
        assert isinstance(verdict, TryAgain)
        assert verdict.reason.startswith("tls: ")
        assert not verdict.ambiguous
        assert b"POST" not in seen


# -- proxies


async def test_a_plain_request_is_handed_to_the_proxy() -> None:
    """For http the proxy gets the request itself."""
    async with serving() as proxy:
        proxy.talk = answers(proxy, ACCEPTED)
        url, via = "http://stats.invalid/api/event", f"http://127.0.0.1:{proxy.port}"
        async with line_to(None, url=url, proxy=via) as line:
            assert [await post(line) for _ in range(3)] == [Delivered()] * 3
        assert proxy.connections == 1


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> bytes:
    """Do what a proxy does after CONNECT, to this port."""
    head = await reader.readuntil(b"\r\n\r\n")
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
    return head


async def test_tls_goes_through_the_proxy_in_a_tunnel(certificate: Path, tls: ssl.SSLContext) -> None:
    """For https the proxy sees a name, its own credentials, and nothing else."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await tunnel(reader, writer, server.port))

    async with serving(tls=tls) as server, serving(talk) as proxy:
        server.talk = answers(server, ACCEPTED)
        url, via = "https://localhost:8443/api/event", f"http://me:pw@127.0.0.1:{proxy.port}"
        async with line_to(None, url=url, proxy=via, tls=TlsSettings(ca_file=certificate)) as line:
            assert [await post(line) for _ in range(3)] == [Delivered()] * 3
        await until(lambda: heads)
        assert server.requests == [REQUEST] * 3
        assert heads[0].startswith(b"CONNECT localhost:8443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6cHc=\r\n" in heads[0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", Misconfigured),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Misconfigured),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", TryAgain),
    ],
)
async def test_a_proxy_that_refuses_the_tunnel_is_told_apart_from_one_that_fails(answer: bytes, kind: type) -> None:
    """407 needs somebody to act; 502 may pass. Neither is ambiguous."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    async with serving(talk) as proxy:
        via = f"http://127.0.0.1:{proxy.port}"
        async with line_to(None, url="https://stats.invalid/api/event", proxy=via) as line:
            verdict = await post(line)
        assert isinstance(verdict, kind)
        assert not getattr(verdict, "ambiguous", False)


async def test_a_proxy_that_is_not_there_is_tried_again() -> None:
    """It may come back; the text names it as the one that fails."""
    via = f"http://127.0.0.1:{closed_port()}"
    async with line_to(None, url="https://stats.invalid/api/event", proxy=via) as line:
        assert await post(line) == TryAgain("proxy: Connection refused")
