"""Read browser, operating system and size class from a User-Agent."""

from __future__ import annotations

from logship.receiver.values import Device


def of(user_agent: str) -> Device:
    """Return what a User-Agent says."""
    return Device()
