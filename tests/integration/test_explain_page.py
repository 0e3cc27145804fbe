"""The report of `explain --html` in a real browser: drawn in light and dark, on a phone, without asking anybody."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from logship import traffic
from logship.cli.main import cli

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<img src=http://127.0.0.1:9/x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
START = 1760000000.0

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the page on two days of a made-up site, with a line of markup in it."""
    home = tmp_path_factory.mktemp("report")
    hits = [hit.line for hit in traffic.Site(start=START, visits=0.01).lines(START + 2 * 86400)]
    hits.insert(
        5, f'198.51.100.77 - - [09/Oct/2025:08:54:00 +0000] "GET /{EVIL}?secret HTTP/1.1" 200 1 "-" "{hits[0][-60:-1]}"'
    )
    (home / "access.log").write_text("\n".join(hits) + "\n")
    arguments = ["--site", "https://example.com", "--html", str(home / "report.html"), str(home / "access.log")]
    assert CliRunner().invoke(cli, ["explain", *arguments]).exit_code == 0
    return home / "report.html"


def browse(page: Path, profile: Path, *options: str) -> str:
    """Open the page without a window and return the document as it is after a while."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=2000", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.decode()


def test_the_page_is_drawn_and_runs_nobodys_script(report, tmp_path):
    """What was counted stands in it; a stranger's markup is text."""
    seen = browse(report, tmp_path, "--dump-dom")
    assert "<title>logship explain</title>" in seen
    assert "<script" not in seen
    assert "<img" not in seen
    for text in ("What will be sent", "What will not, and why", "What it will cost", "/docs/rules", "asset", "<svg"):
        assert text in seen


@pytest.mark.parametrize(("options", "dark"), [((), False), (("--blink-settings=preferredColorScheme=0",), True)])
def test_it_is_light_or_dark_as_the_reader_likes(report, tmp_path, options, dark):
    """The corner of the picture is the page's own colour."""
    picture = tmp_path / "page.png"
    browse(report, tmp_path / "profile", *options, "--window-size=900,700", f"--screenshot={picture}")
    assert (sum(corner(picture)) < 128 * 3) is dark


def test_a_phone_can_show_it(report, tmp_path):
    """At a phone's width nothing makes the page wider than the window."""
    wide = tmp_path / "wide.html"
    script = "<script>document.title = document.documentElement.scrollWidth</script>"
    wide.write_text(report.read_text().replace("default-src 'none';", "").replace("</html>", f"{script}</html>"))
    seen = browse(wide, tmp_path / "profile", "--window-size=500,900", "--dump-dom")
    assert "<title>500</title>" in seen


def corner(picture: Path) -> tuple[int, ...]:
    """Return the colour of a PNG's first pixel."""
    data = picture.read_bytes()
    packed, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return tuple(zlib.decompress(packed)[1:4])  # whatever the filter: nothing stands before the first pixel
