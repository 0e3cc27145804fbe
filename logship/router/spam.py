"""Read a list of domains whose referrers are spam: one a line, as Matomo's public list has them."""

from __future__ import annotations

import re

_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9-]{2,}", re.ASCII)
_LONGEST = 80


class SpamListError(ValueError):
    """A line is no domain. The text is for people."""


def domains(text: str) -> frozenset[str]:
    """Return the domains of a list, as they stand in referrers. What follows ``#`` is a remark.

    Raises:
        SpamListError: for the first line that is no domain.
    """
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        if bare := line.partition("#")[0].strip():
            found.add(_domain(bare, number))
    return frozenset(found)


def _domain(text: str, number: int) -> str:
    name = text.lower().removeprefix("*.").rstrip(".")
    try:
        written = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        written = ""
    if not _DOMAIN.fullmatch(written):
        raise SpamListError(f"line {number}: {text[:_LONGEST]!r} is no domain, as in spam.example; one a line")
    return written
