"""Is all well, and what is not: a daemon's status in, the page's words and sentences out. Knows no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from logship.admin.figures import duration


def state(status: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the daemon is doing, and whether that is ``good`` or ``bad``."""
    if status["stopping"]:
        return "Stopping", "bad"
    if not status["ready"]:
        return "Not ready", "bad"
    return ("Delivering", "good") if behind(status) == 0 else ("Delivering, catching up", "good")


def behind(status: Mapping[str, Any]) -> int:
    """Return how many bytes are yet to be read, of all files."""
    return sum(each.get("behind", 0) for each in status["files"])


def raised(status: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for everything that somebody should look at."""
    yield from _of_files(status)
    yield from _of_destinations(status)
    if not status["checkpoint_saved"]:
        yield "The checkpoint cannot be saved: is the disk full?"
    if status["reload"]["problems"]:
        yield "The configuration was refused, the previous one stays in use: see below."


def _of_files(status: Mapping[str, Any]) -> Iterator[str]:
    if not status["files"]:
        yield "No file is followed: none fits the configured paths."
    for each in status["files"]:
        if each.get("error"):
            yield f"{each['path']}: {each['error']}"


def _of_destinations(status: Mapping[str, Any]) -> Iterator[str]:
    for each in status["destinations"]:
        if each["state"] != "ok":
            error = (each["last_error"] or {}).get("reason", each["cause"])
            yield f"Destination {each['name']} is {each['state']}: {error}"
        for domain in each["dropping"]:
            yield f"{each['name']} drops nearly all events for {domain}: is it a site there, are the addresses right?"


def error_of(error: Mapping[str, Any] | None, now: float) -> str:
    """Say what a destination's last error was, and how long ago; empty where there was none."""
    if not error:
        return ""
    try:
        ago = f"{duration(max(0.0, now - datetime.fromisoformat(error['time']).timestamp()))} ago"
    except ValueError:
        ago = str(error["time"])
    said = str(error["reason"] or "")
    status = str(error["status"] or "")
    return f"{ago}: {said if status in said else f'{status} {said}'}"
