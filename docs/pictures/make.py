"""Take the pictures of the README: the receiver's page during a demo, and the report of `explain` on the same traffic.

python docs/pictures/make.py      needs Chromium; looks at nothing but this machine

Look at them before they are committed: a picture that shows an error is one as well.
"""

# ruff: noqa: S603, T201

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from logship import traffic

_HERE = Path(__file__).parent
_LOGSHIP = (sys.executable, "-m", "logship")
_START = 1760000000.0  # of the made-up log that is explained: 9 October 2025
_DAYS = 7
_LARGEST = 150_000  # bytes of a picture: the README is read on phones, too


def main() -> None:
    """Write receiver.png and explain.png beside this file."""
    with tempfile.TemporaryDirectory(prefix="logship-pictures-") as name:
        _receiver(Path(name))
        _explain(Path(name))
    for picture in _HERE.glob("*.png"):
        size = picture.stat().st_size
        print(f"{picture.name}: {size:,} bytes{'' if size < _LARGEST else ', TOO LARGE'}")


def _receiver(place: Path) -> None:
    port = _free_port()
    command = [*_LOGSHIP, "demo", "--forever", "--rate", "10", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as demo:
        try:
            time.sleep(80)  # more than a minute of a site's life is worth looking at
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=10):
                _shoot(f"http://127.0.0.1:{port}/", "receiver.png", "1200,1000", place)
        finally:
            demo.terminate()


def _explain(place: Path) -> None:
    log, report = place / "access.log", place / "report.html"
    hits = traffic.Site(start=_START, visits=0.005).lines(_START + _DAYS * 86400)
    log.write_text("".join(hit.line + "\n" for hit in hits))
    subprocess.run(
        [*_LOGSHIP, "explain", "--summary", "--site", "https://demo.example", "--html", report, log],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    _shoot(report.as_uri(), "explain.png", "1000,1100", place)


def _shoot(address: str, picture: str, size: str, place: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium)")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
    options = (f"--user-data-dir={place / picture}", f"--window-size={size}", "--virtual-time-budget=8000")
    subprocess.run(
        [chromium, *quiet, *options, f"--screenshot={_HERE / picture}", address],
        check=True,
        timeout=120,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
