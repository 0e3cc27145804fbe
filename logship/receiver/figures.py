"""Count what the store holds: the figures of the live page and of `/api/stats`."""

from __future__ import annotations

import sqlite3
from typing import Any


def of(connection: sqlite3.Connection, now: int) -> dict[str, Any]:
    """Return the figures."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE dropped = ''), count(*) FILTER (WHERE dropped <> ''), max(id) FROM arrivals"
    ).fetchone()
    return {"events": row[0], "dropped": row[1], "last_id": row[2] or 0}
