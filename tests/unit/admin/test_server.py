"""Health, metrics and status over HTTP, by a real server on loopback: for whom, under which names, for how long."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import RawTestServer, TestClient
from structlog.testing import capture_logs

from logship.admin import server
from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.settings.admin import AdminSettings


class Watched:
    def __init__(self):
        self.metrics, self.is_ready = Metrics(), True

    def ready(self):
        return self.is_ready

    def status(self):
        return {
            "version": "1.2.3",
            "pid": 42,
            "started": 0.0,
            "config": "/etc/logship/logship.yaml",
            "ready": self.is_ready,
            "stopping": False,
            "checkpoint_saved": True,
            "sources_without_files": [],
            "unsettled_lines": 0,
            "oldest_unsettled_seconds": 0.0,
            "reload": {"number": 1, "hash": "ab", "at": 0.0, "problems": [], "changes": []},
            "rates": {
                "window": 10,
                "lines_per_second": 0.0,
                "events_per_second": 0.0,
                "history": {"step": 5, "steps": 60, "lines": [], "events": []},
            },
            "files": [],
            "destinations": [],
            "lines": {"shop": {"read": 3}},
            "reasons": {},
        }


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
async def client(watched):
    async with TestClient(RawTestServer(server.answers(watched, AdminSettings()))) as client:
        yield client


async def test_health_does_not_depend_on_the_destination(client, watched):
    """An API that is down is no reason to restart; it only makes us not ready."""
    watched.is_ready = False
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503


async def test_ready_is_200(client):
    """Following, and able to deliver."""
    assert (await client.get("/readyz")).status == 200


async def test_metrics_are_prometheus_text(client, watched):
    """What was counted is there, by its name."""
    watched.metrics.lines_read.labels("shop").inc(3)
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert 'logship_lines_read_total{source="shop"} 3.0' in await answer.text()


async def test_status_is_json(client):
    """The same that `logship status --json` prints."""
    assert (await (await client.get("/status")).json())["lines"] == {"shop": {"read": 3}}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/healthz"])
async def test_nothing_can_be_changed(client, method, path):
    """The views are read-only."""
    assert (await client.request(method, path)).status == 405


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/healthz", "/readyz"])
async def test_no_other_site_may_use_an_answer(client, path):
    """Not embedded, not guessed at, not kept; and the page may load nothing but itself."""
    headers = (await client.get(path)).headers
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    if path == "/":
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in headers["Content-Security-Policy"]


# Names


async def asked_as(watched, name, **settings):
    """Return the status of a request with this Host header."""
    async with TestClient(RawTestServer(server.answers(watched, AdminSettings(**settings)))) as client:
        answer = await client.get("/status", headers={"Host": name})
        return answer.status, await answer.text()


LOCAL = ["localhost:9469", "127.0.0.1", "[::1]:9469", "[::1]", "127.1.2.3:80", "LOCALHOST", "localhost."]
CLUSTER = [
    "10.1.2.3:9469",
    "[fd00::7]:9469",
    "logship",
    "logship:9469",
    "logship.shop.svc",
    "web.logship.svc.cluster.local",
]
STRANGE = ["evil.example", "evil.example:9469", "127.0.0.1.evil.example", "localhost.evil.example", "1.2.3.4.nip.io"]


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("listen", ["127.0.0.1", "::1", "0.0.0.0"])
async def test_loopback_is_answered_by_any_of_its_names(watched, host, listen):
    """By address or as localhost."""
    assert (await asked_as(watched, host, host=listen))[0] == 200


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("listen", ["127.0.0.1", "::1", "0.0.0.0"])
async def test_a_rebound_name_is_not_answered(watched, host, listen):
    """A web page that made its own name point here reads nothing, wherever it listens; the answer says what to do."""
    status, told = await asked_as(watched, host, host=listen)
    assert status == 421
    assert "add it to admin.hosts" in told


@pytest.mark.parametrize("host", CLUSTER)
async def test_a_scraper_finds_a_pod_by_address_or_service(watched, host):
    """On every address: by IP, by a service's name, by names that nobody can own in public."""
    assert (await asked_as(watched, host, host="0.0.0.0"))[0] == 200
    assert (await asked_as(watched, host))[0] == 421


async def test_this_machines_own_name_is_answered(watched):
    """Prometheus configurations often name the host."""
    assert (await asked_as(watched, f"{socket.gethostname()}:9469", host="0.0.0.0"))[0] == 200


@pytest.mark.parametrize("host", ["web1.example.com:9469", "x.metrics.example.com"])
async def test_names_that_are_configured_are_answered(watched, host):
    """`admin.hosts` lists them, with wildcards."""
    hosts = ("web1.example.com", "*.metrics.example.com")
    assert (await asked_as(watched, host, hosts=hosts))[0] == 200
    assert (await asked_as(watched, f"{host}.evil.example", hosts=hosts))[0] == 421


async def test_a_health_check_without_a_name_is_answered(watched):
    """HTTP/1.0 has no Host header, and no browser speaks it."""
    async with served(watched) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 200 OK" in await reader.readline()
        writer.close()


# Connections


@contextlib.asynccontextmanager
async def served(watched, **options):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with server.serve(AdminSettings("127.0.0.1", port), watched, **options):
        yield port


async def ended(reader):
    """Wait until the server has hung up."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(30):
            while await reader.read(65536):
                pass


async def test_a_head_that_never_ends_loses_its_connection(watched):
    """A byte now and then does not keep a connection open."""
    async with served(watched, patience=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        dripping = asyncio.ensure_future(drip(writer))
        await ended(reader)
        dripping.cancel()


async def drip(writer):
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


async def test_an_answer_that_is_never_taken_loses_its_connection(watched, monkeypatch):
    """Nothing waits for a reader that does not read."""
    aborted, abort = asyncio.Event(), server._Connections._abort
    monkeypatch.setattr(server._Connections, "_abort", lambda *each: (abort(*each), aborted.set()))
    watched.status = lambda: {"much": "x" * 30_000_000}
    async with served(watched, patience=0.3) as port:
        slow = socket.create_connection(("127.0.0.1", port))
        slow.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(aborted.wait(), 60)
        assert await asyncio.to_thread(taken, slow) < 30_000_000
        slow.close()


def taken(connection):
    total = 0
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 20):
            total += len(data)
    return total


async def test_a_crowd_of_silent_clients_shuts_nobody_out(watched):
    """One connection more takes the place of the oldest: a probe is answered while hundreds hang on."""
    async with served(watched) as port, contextlib.AsyncExitStack() as stack:
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        stack.callback(lambda: [writer.close() for _, writer in crowd])
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200
        await ended(crowd[0][0])


async def test_a_kept_connection_is_answered_again_and_again(watched, monkeypatch):
    """As long as requests come, it stays: each of them puts its end off."""
    patience, loop, ends = 1234.5, asyncio.get_running_loop(), []
    later = loop.call_later

    def noted(delay, *call):
        handle = later(delay, *call)
        if delay == patience:
            ends.append(handle)
        return handle

    monkeypatch.setattr(loop, "call_later", noted)
    async with served(watched, patience=patience) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(6):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"ok\n")
            assert [end.cancelled() for end in ends] == [True] * (number + 1) + [False]
        writer.close()


async def test_a_large_body_is_not_read(watched):
    """Nothing here takes one."""
    async with served(watched) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 2000)
        assert b"200 OK" in await reader.readline()
        writer.close()


@pytest.mark.parametrize("head", [b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 20_000, b"GET / HTTP/1.1\r\n\x00: \r\n\r\n"])
async def test_a_request_that_is_none_leaves_nothing_in_the_log(watched, caplog, head):
    """Whoever reaches the port could fill the log, and each line would have an address."""
    async with served(watched) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert b" 400 " in await reader.readline()
        writer.close()
    assert caplog.records == []


async def test_a_view_that_fails_says_why_in_the_log_and_there_alone(client, watched):
    """The others go on."""
    watched.status = lambda: {}["files"]
    with capture_logs() as logs:
        answer = await client.get("/status")
        assert (answer.status, "KeyError" in await answer.text()) == (500, False)
    assert [(each["event"], each["path"], each["log_level"]) for each in logs] == [("admin.failed", "/status", "error")]
    assert logs[0]["exc_info"]
    assert (await client.get("/healthz")).status == 200


async def test_an_address_in_use_is_a_clear_error(watched):
    """The message names the address and what to do."""
    async with served(watched) as port:
        with pytest.raises(LogshipError, match=rf"127\.0\.0\.1:{port}: .*choose another or null"):
            async with server.serve(AdminSettings("127.0.0.1", port), watched):
                pass


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", 0), ("0.0.0.0", 1)])
async def test_listening_beyond_loopback_is_said(watched, host, told):
    """So that nobody does it without knowing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with capture_logs() as logs:
        async with server.serve(AdminSettings(host, port), watched):
            pass
    assert [each["event"] for each in logs].count("admin.listens_beyond_loopback") == told
