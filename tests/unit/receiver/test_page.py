"""The live page is safe and whole: strangers' text is text, and nothing is loaded from anywhere."""

import base64
import hashlib
import re

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
