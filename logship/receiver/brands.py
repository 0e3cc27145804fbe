"""The names of sources, in their brands' own spelling. A compact table of our own; see docs/receiver.md."""

from __future__ import annotations


def of_host(host: str, path: str = "/") -> str | None:
    """Return the brand behind a referrer's host."""
    return None


def canonical(name: str) -> str:
    """Return the usual spelling of a tagged source."""
    return name
