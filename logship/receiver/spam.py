"""The hosts of spam referrers: one a line, from a small list of our own or from a file that takes its place."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from logship.errors import LogshipError


class SpamListError(LogshipError):
    """A list of spam referrers cannot be read."""


def load(path: Path | None = None) -> frozenset[str]:
    """Return the listed hosts, lower case, without ``www.``; blank lines and ``#`` comments are skipped.

    Raises:
        SpamListError: the file cannot be read, or is no text.
    """
    lines = (line.partition("#")[0].strip().lower() for line in _text(path).splitlines())
    return frozenset(line.removeprefix("www.") for line in lines if line)


def _text(path: Path | None) -> str:
    if path is None:
        return resources.files("logship.receiver").joinpath("spam_referrers.txt").read_text("utf-8")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpamListError(f"{path}: cannot be read as a list of hosts: {error}") from error
