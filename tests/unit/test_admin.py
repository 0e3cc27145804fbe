"""Health, metrics and status over HTTP, by a real server on loopback."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from logship import admin
from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.settings import AdminSettings


class Watched:
    def __init__(self):
        self.metrics, self.is_ready = Metrics(), True

    def ready(self):
        return self.is_ready

    def status(self):
        return {
            "ready": self.is_ready,
            "stopping": False,
            "reload": {"problems": ["logship.yaml:1:1: <script>alert(1)</script>"]},
            "files": [{"path": "/var/log/<b>.log", "behind": 1234567}],
            "destinations": [],
            "lines": {"shop": {"read": 3}},
        }


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
async def client(watched):
    async with TestClient(TestServer(admin.make_app(watched))) as client:
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


async def test_page_escapes_what_strangers_wrote(client):
    """Paths and problems are text, whatever is in them."""
    text = await (await client.get("/")).text()
    assert "<script>" not in text
    assert "/var/log/&lt;b&gt;.log" in text
    assert "1,234,567" in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9469", "127.0.0.1.evil.example"])
async def test_a_rebound_name_is_not_answered(client, host):
    """A web page that made its own name point to loopback reads nothing."""
    assert (await client.get("/status", headers={"Host": host})).status == 421


@pytest.mark.parametrize("host", ["localhost:9469", "127.0.0.1", "[::1]:9469", "[::1]"])
async def test_loopback_is_answered_by_any_of_its_names(client, host):
    """By address or as localhost."""
    assert (await client.get("/healthz", headers={"Host": host})).status == 200


async def test_nothing_can_be_changed(client):
    """The views are read-only."""
    assert (await client.post("/status")).status == 405


async def test_an_address_in_use_is_a_clear_error(watched):
    """The message names the address and what to do."""
    async with TestServer(admin.make_app(watched)) as server:
        with pytest.raises(LogshipError, match=rf"127\.0\.0\.1:{server.port}: .*choose another or null"):
            async with admin.serve(AdminSettings("127.0.0.1", server.port), watched):
                pass
