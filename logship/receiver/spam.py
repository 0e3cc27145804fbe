"""The hosts of spam referrers: one a line, from a small list of our own or from a file that takes its place."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def load(path: Path | None = None) -> frozenset[str]:
    """Return the listed hosts, lower case, without ``www.``; blank lines and ``#`` comments are skipped."""
    text = (
        path.read_text("utf-8")
        if path
        else resources.files("logship.receiver").joinpath("spam_referrers.txt").read_text("utf-8")
    )
    lines = (line.partition("#")[0].strip().lower() for line in text.splitlines())
    return frozenset(line.removeprefix("www.") for line in lines if line)
