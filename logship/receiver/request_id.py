"""Name a request: the caller's own name for it when it is of a sensible length, else a new one."""

from __future__ import annotations

import random


def request_id(given: str | None) -> str:
    """Return the request's id, 20 to 200 characters as Plug.RequestId rules, and plain ASCII."""
    if given and 20 <= len(given) <= 200 and given.isascii() and given.isprintable():
        return given
    return f"{random.getrandbits(80):020x}"
