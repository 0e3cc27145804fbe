"""The short way of an event's post and the long way through aiohttp are one to whoever asks."""

import asyncio
import json

import pytest

from logship.receiver import event_api, front, server

GOOD = b'{"name":"pageview","url":"https://example.com/","domain":"example.com"}'
FOR_ITSELF = {"date", "x-request-id", "connection"}


def request(body: bytes = GOOD, *lines: bytes, method: bytes = b"POST", target: bytes = b"/api/event") -> bytes:
    head = [method + b" " + target + b" HTTP/1.1", b"Host: 127.0.0.1", b"Content-Length: %d" % len(body), *lines]
    if not any(line.lower().startswith(b"content-type") for line in lines):
        head.append(b"Content-Type: application/json")
    return b"\r\n".join(head) + b"\r\n\r\n" + body


class Line:
    """A bare connection: what is written are the very bytes, what is read is answer after answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        return int(head[0].split()[1]), headers, await self._reader.readexactly(int(headers.get("content-length", 0)))

    async def end(self) -> bytes:
        return await self._reader.read()


@pytest.fixture
async def connect(api):
    lines = []

    async def _connect() -> Line:
        host, port = api.running.url.removeprefix("http://").split(":")
        lines.append(Line(*await asyncio.open_connection(host, int(port))))
        return lines[-1]

    yield _connect
    for line in lines:
        line.writer.close()


def handed_over(monkeypatch) -> list[front.Connection]:
    """Watch which connections go to aiohttp."""
    gone: list[front.Connection] = []
    real = front.Connection._hand_over
    monkeypatch.setattr(front.Connection, "_hand_over", lambda self: (gone.append(self), real(self)))
    return gone


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (GOOD, ()),
        (GOOD, (b"X-Forwarded-For: 203.0.113.9, 10.0.0.1", b"User-Agent: Mozilla/5.0 (X11) HeadlessChrome/1")),
        (GOOD, (b"X-Debug-Request: true", b"CF-Connecting-IP: 203.0.113.8")),
        (GOOD, (b"Accept: text/html",)),
        (GOOD, (b"Content-Type: text/plain",)),
        (GOOD, (b"Content-Type:",)),
        (GOOD, (b"user-AGENT:   spaced \t", b"X-Forwarded-For: 203.0.113.1", b"X-Forwarded-For: 203.0.113.2")),
        (b"", ()),
        (b"{", ()),
        (b"[1]", (b"Content-Type: text/plain",)),
        (b'{"name": "x"}', ()),
        (b"n=pageview&u=%2Fa&d=example.com", (b"Content-Type: application/x-www-form-urlencoded",)),
        (GOOD.replace(b"example.com", b"unknown.example"), ()),
    ],
)
async def test_both_ways_answer_alike(api, connect, monkeypatch, body, lines):
    """Status, headers and body are the same, and so is what is stored."""
    gone = handed_over(monkeypatch)
    line = await connect()
    short = await line.ask(request(body, *lines))
    assert not gone
    long = await (await connect()).ask(request(body, *lines, b"Connection: close"))
    assert len(gone) == 1
    kept = [({name: value for name, value in answer[1].items() if name not in FOR_ITSELF}) for answer in (short, long)]
    assert (short[0], kept[0], short[2]) == (long[0], kept[1], long[2])
    assert len(short[1]["x-request-id"]) == len(long[1]["x-request-id"]) == 20
    if events := await api.events():
        one, two = ({**event, "id": 0} for event in events)
        assert one == two


async def test_a_request_may_come_byte_by_byte(api, connect, monkeypatch):
    """However it is cut, it is one event."""
    gone = handed_over(monkeypatch)
    whole = request()
    status, _, body = await (await connect()).ask(*(whole[n : n + 1] for n in range(len(whole))))
    assert (status, body, gone) == (202, b"ok", [])
    assert len(await api.events()) == 1


async def test_requests_in_one_piece_are_answered_in_order(api, connect):
    """Three at once on one connection: each has its answer, one after the other; a strange one among them too."""
    line = await connect()
    line.writer.write(request() + request(b"{}") + request(method=b"GET", target=b"/api/health", body=b"") + request())
    answers = [await line.answer() for _ in range(4)]
    assert [status for status, _, _ in answers] == [202, 400, 200, 202]
    assert json.loads(answers[2][2])["postgres"] == "ok"
    assert len(await api.events()) == 2


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /api/event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD), 202),
        (request(target=b"/api/event?x=1"), 202),
        (request(target=b"/api/event/"), 202),
        (request(GOOD + b" " * 70_000), 202),
        (request(method=b"PATCH"), 404),
        (request(GOOD, b"Content-Length: 5"), 400),
        (request(GOOD, b"Content-Length: %d" % len(GOOD)), 400),
        (request(GOOD, b"no colon here"), 400),
        (request(GOOD, b"Bad Name: x"), 400),
        (request(GOOD, b" folded: x"), 400),
        (request(GOOD).replace(b"Content-Length: ", b"Content-Length: +"), 400),
        (request(GOOD).replace(b"Content-Length: ", b"Content-Length: -"), 400),
        (request(GOOD).replace(b"Content-Length: ", b"Content-Length: " + b"9" * 5000), 400),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", 400),
        (b"POST /api/event HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 400),
    ],
)  # fmt: skip
async def test_strange_requests_are_aiohttps(connect, monkeypatch, raw, status):
    """Chunks, queries, long bodies, smuggled lengths, malformed heads: aiohttp's parser decides, not ours."""
    gone = handed_over(monkeypatch)
    assert (await (await connect()).ask(raw))[0] == status
    assert len(gone) == 1


async def test_a_fault_is_suffered_in_the_middle_of_a_connection(api, connect):
    """A connection that has had its 202s is refused when a fault is ordered, and served again afterwards."""
    line = await connect()
    statuses = [(await line.ask(request()))[0]]
    api.running.app[server.RECEIVER].faults.order({"mode": "503", "count": 1})
    statuses += [(await line.ask(request()))[0] for _ in range(2)]
    assert statuses == [202, 503, 202]


async def test_an_idle_connection_is_closed(api, connect, monkeypatch):
    """Who has asked nothing for long is let go."""
    monkeypatch.setattr(front, "_IDLE", 0.05)
    line = await connect()
    assert await asyncio.wait_for(line.end(), 60) == b""
    assert not await api.events()


async def test_who_hangs_up_early_has_posted_all_the_same(api, connect):
    """The event of a client that does not wait for its answer is stored."""
    line = await connect()
    line.writer.write(request())
    await line.writer.drain()
    line.writer.close()
    async with asyncio.timeout(30):
        while not await api.events():
            await asyncio.sleep(0.01)


async def test_what_is_at_hand_is_answered_before_the_end(tmp_path):
    """A stop lets requests finish: every 202 is in the store, and the store holds no event without one."""
    store = tmp_path / "events.db"
    async with server.serve(port=0, store_path=store) as running:
        host, port = running.url.removeprefix("http://").split(":")
        lines = [Line(*await asyncio.open_connection(host, int(port))) for _ in range(30)]
        await asyncio.gather(*(line.ask(request()) for line in lines))
        for number, line in enumerate(lines):
            line.writer.write(request(GOOD, b"X-Forwarded-For: 198.51.100.%d" % number))
        await asyncio.sleep(0.005)
    ends = [await line.end() for line in lines]
    async with server.serve(port=0, store_path=store) as running:
        stored = (await running.stats())["recorded"]
    assert stored == 30 + sum(end.startswith(b"HTTP/1.1 202") for end in ends)
    for line in lines:
        line.writer.close()


async def test_who_reads_no_answers_gets_no_more_of_them(api, connect, monkeypatch):
    """Requests wait while our answers do: else a client that only writes fills our memory with what it never reads."""
    begun: list[front.Connection] = []
    real = front.Connection._answer

    async def answer(self, posting):
        begun.append(self)
        await real(self, posting)
        if len(begun) == 1:
            self.pause_writing()  # as the transport says when the client does not take what was written

    monkeypatch.setattr(front.Connection, "_answer", answer)
    line = await connect()
    assert (await line.ask(request() * 3))[0] == 202
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(begun) == 1
    begun[0].resume_writing()
    assert [(await line.answer())[0] for _ in range(2)] == [202, 202]


async def test_only_short_header_lines_are_remembered(api, connect):
    """A stranger may write a new one of many kilobytes into each request."""
    line, before = await connect(), front._remembered.cache_info().currsize
    assert (await line.ask(request(GOOD, b"X-Long: " + b"x" * 6000)))[0] == 202
    remembered = front._remembered.cache_info().currsize
    assert (await line.ask(request(GOOD, b"X-Longer: " + b"y" * 6000)))[0] == 202
    assert front._remembered.cache_info().currsize == remembered >= before


async def test_a_body_of_a_long_content_type_is_not_remembered(api, connect):
    """The type is a stranger's text as well as the body is."""
    line, before = await connect(), event_api._remembered.cache_info().currsize
    assert (await line.ask(request(GOOD, b"Content-Type: application/json; x=" + b"x" * 6000)))[0] == 202
    assert event_api._remembered.cache_info().currsize == before
