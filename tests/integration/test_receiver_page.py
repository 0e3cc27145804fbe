"""The live page in a real browser: it draws what arrives, on a phone too, and runs nobody's script but its own."""

from __future__ import annotations

import asyncio
import shutil
import struct
from pathlib import Path

import pytest
from aiohttp import ClientSession

from logship.receiver import server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]


async def browse(url: str, profile: Path, *options: str) -> str:
    """Open a page without a window and return the document as its script left it."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={profile}", "--virtual-time-budget=4000", *options, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    return output.decode()


async def post(session: ClientSession, root: str, **event: object) -> None:
    body = {"name": "pageview", "domain": "example.com", "url": "https://example.com/"} | event
    async with session.post(root + "/api/event", json=body, headers={"User-Agent": FIREFOX}) as answer:
        assert answer.status == 202


async def test_the_page_draws_what_arrived(tmp_path):
    """Figures, lists, drops with their reasons and the live tail stand in the document."""
    async with server.serve(port=0, sites=["example.com"]) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/pricing", referrer="https://duckduckgo.com/")
        await post(session, running.url, name="File Download", props={"url": "https://example.com/a.pdf"})
        await post(session, running.url, domain="unknown.example")
        seen = await browse(running.url, tmp_path, "--dump-dom")
    assert '<b>1</b>current visitor' in seen
    for text in ("/pricing", "DuckDuckGo", "File Download", "not_found", "compare `domain` with --site", "a.pdf"):
        assert text in seen
    assert "<span>Unique visitors</span><b>1</b>" in seen


async def test_strangers_markup_is_shown_and_not_run(tmp_path):
    """An event full of markup is text on the page; no script of its own has run."""
    async with server.serve(port=0, keep_addresses=True) as running, ClientSession() as session:
        await post(
            session,
            running.url,
            name=EVIL[:120],
            domain=f"{EVIL},example.com",
            url=f"https://example.com/{EVIL}?utm_source={EVIL}",
            props={"x": EVIL},
        )
        seen = await browse(running.url, tmp_path, "--dump-dom")
    assert "<title>logship receive</title>" in seen
    assert "<img" not in seen
    assert seen.count("<script>") == 1
    assert "&lt;img src=x" in seen


async def test_an_empty_receiver_says_what_to_do(tmp_path):
    """Nothing has arrived: the page shows how to try it by hand."""
    async with server.serve(port=0) as running:
        seen = await browse(running.url, tmp_path, "--dump-dom")
        assert f"curl -i {running.url}/api/event" in seen
    assert "Nothing has arrived yet" in seen


async def test_a_phone_can_show_it(tmp_path):
    """At a phone's width the page is drawn, and is a picture of that width."""
    picture = tmp_path / "phone.png"
    async with server.serve(port=0) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/" + "long-path/" * 20)
        await browse(running.url, tmp_path / "profile", "--window-size=500,1400", f"--screenshot={picture}")
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert (width, height) == (500, 1400)
