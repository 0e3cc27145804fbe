"""The daemon's page in a real browser: live by its script, on a phone and in the dark."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from pathlib import Path

import pytest

from logship.cli import status as status_command

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")


async def browse(url: str, profile: Path, *options: str) -> str:
    """Open a page without a window; return the document as it stands some seconds later."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={profile}", "--virtual-time-budget=9000", *options, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 200)
    finally:
        if process.returncode is None:
            process.kill()
    return output.decode()


@pytest.fixture
def daemon(logship, place):
    log = place / "access.log"
    log.touch()
    with logship.run(f"path: {log}, site: 'https://example.com', format: combined") as running:
        running.log = log
        yield running


def url(daemon) -> str:
    return f"http://127.0.0.1:{daemon.admin}/"


def write(daemon, *lines: str) -> None:
    with daemon.log.open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


async def test_the_page_stays_up_to_date_by_itself(daemon, tmp_path):
    """Its script, which the policy lets run, fetches it anew: what came after it was opened is there."""
    for patience in (12_000, 60_000):  # milliseconds; the second is for slow machines
        opened = asyncio.ensure_future(browse(url(daemon), tmp_path, f"--timeout={patience}", "--dump-dom"))
        while not opened.done():
            write(daemon, "junk")
            await asyncio.sleep(0.3)
        if "Unparsed: " in (seen := opened.result()):
            break
    assert "Unparsed: " in seen
    assert "Delivering" in seen
    assert 'id="pause" aria-pressed="false"' in seen.replace('hidden="" ', "")
    assert "Pause updates" in seen
    assert 'id="pause" hidden' not in seen


@pytest.mark.parametrize(
    "options", [("--window-size=500,1600",), ("--window-size=1100,1400", DARK)], ids=["phone", "dark"]
)
async def test_it_can_be_drawn(daemon, tmp_path, options):
    """At a phone's width, and in the dark."""
    picture = tmp_path / "page.png"
    await browse(url(daemon), tmp_path / "profile", f"--screenshot={picture}", *options)
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert options[0] == f"--window-size={width},{height}"


async def test_the_status_command_says_the_same(daemon):
    """`logship status --json` is what the page is drawn from."""
    assert json.dumps(status_command.ask(daemon.config)["rates"])
