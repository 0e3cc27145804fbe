"""The live page is safe and whole: strangers' text is text, and nothing is loaded from anywhere."""

import base64
import hashlib
import re

import pytest
from aiohttp import ClientSession

from logship.receiver import server

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


async def page_of(api):
    async with api.session.get(api.running.url + "/") as answer:
        assert answer.status == 200
        return await answer.text(), answer.headers


async def test_strangers_text_is_never_markup(api):
    """Whatever an event says, the page holds it escaped."""
    evil = {"domain": f"{EVIL},example.com", "referrer": f"https://evil.example/{EVIL}", "props": {EVIL: EVIL}}
    await api.event(EVIL[:100], url=f"https://example.com/{EVIL}?utm_source={EVIL}&utm_campaign={EVIL}", **evil)
    text, _ = await page_of(api)
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    async with api.session.get(api.running.url + "/api/events") as answer:
        assert answer.content_type == "application/json"


async def test_only_the_pages_own_script_may_run(api):
    """The policy names script and style by their hashes and allows nothing else."""
    text, headers = await page_of(api)
    policy = headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        (block,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_nothing_is_loaded_from_elsewhere(api):
    """The page is self-contained: no address but its own."""
    text, _ = await page_of(api)
    addresses = set(re.findall(r"https?://[^\s\"'`<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://example.com/hello"}
    assert not re.search(r"\s(src|style|on\w+)=\"", text)


async def test_it_can_be_read_without_scripts(api):
    """Figures, lists and the latest events stand in plain tables."""
    await api.event(url="https://example.com/reading-matter", referrer="https://lobste.rs/")
    text, _ = await page_of(api)
    tables = re.search(r"<noscript><section.*?</noscript>", text, re.DOTALL)[0]
    for word in ("Unique visitors", "/reading-matter", "Lobsters", "2025-10-09T08:53:20"):
        assert word in tables


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("192.0.2.7", 200),
        ("receiver", 200),
        ("demo.localhost:80", 200),
        ("rebound.example.com", 403),
        ("127.0.0.1.evil.example:8000", 403),
        ("evil.example.", 403),
    ],
)
async def test_a_rebound_name_reads_nothing(api, host, status):
    """On loopback, what was recorded is shown for local names; events are taken and health is told for any."""
    for path in ("/", "/api/stats", "/api/events", "/faults"):
        async with api.session.get(api.running.url + path, headers={"Host": host}) as answer:
            assert answer.status == status
            if status == 403:
                assert "Ask for 127.0.0.1 or localhost" in await answer.text()
    assert (await api.post({"name": "x", "url": "https://example.com/"}, Host=host)).status == 202
    async with api.session.get(api.running.url + "/api/health", headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_behind_an_open_address_any_name_is_shown():
    """Who listens for other machines is called by names of their choice."""
    async with server.serve("0.0.0.0", 0) as running, ClientSession() as session:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        async with session.get(url + "/api/stats", headers={"Host": "receiver.example.com"}) as answer:
            assert answer.status == 200
