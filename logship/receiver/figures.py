"""Count what the store holds: the figures of the live page and of `/api/stats`. Definitions are Plausible's.

Everything is asked of the database anew; the caller decides how often. Events carry what was seen, visits carry where
it came from and how it went: a page's visitors are counted over events, a source's over visits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 60 * 60, 24 * 60 * 60
_CURRENT = 5 * _MINUTE
"""A visitor is current for five minutes after an event, as on Plausible's dashboard."""

ROWS = 10
"""How many rows a list has where nobody says."""

_STEPS = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 30 * _DAY)
_NO_SOURCE = "Direct / None"
_VALUES = 5000
"""Values of props that are looked at, the most frequent ones; a key of endless values costs no more."""

_COUNTS = ("visitors", "pageviews", "recorded", "dropped")
_NOTHING = dict.fromkeys(_COUNTS, 0)
_NO_VISITS = {"visits": 0, "views_per_visit": None, "bounce_rate": None, "visit_duration": None}


@dataclass(frozen=True, slots=True)
class Period:
    """How far back figures go, and how far apart the chart's points are, in seconds; 0: as far as it takes."""

    length: int
    step: int


PERIODS = {
    "5m": Period(5 * _MINUTE, 5),
    "30m": Period(30 * _MINUTE, _MINUTE),
    "24h": Period(_DAY, _HOUR),
    "7d": Period(7 * _DAY, 6 * _HOUR),
    "30d": Period(30 * _DAY, _DAY),
    "all": Period(0, 0),
}

# Name -> (column, table, what is counted besides visitors). The column may be an expression; empty rows stay out.
_LISTS = {
    "pages": ("pathname", "arrivals", "pageviews"),
    "entry_pages": ("entry_page", "visits", "visits"),
    "exit_pages": ("exit_page", "visits", "visits"),
    "sources": (f"iif(source = '', '{_NO_SOURCE}', source)", "visits", "visits"),
    "referrers": ("referrer", "visits", "visits"),
    "campaigns": ("utm_campaign", "visits", "visits"),
    "utm_sources": ("utm_source", "visits", "visits"),
    "utm_mediums": ("utm_medium", "visits", "visits"),
    "utm_contents": ("utm_content", "visits", "visits"),
    "utm_terms": ("utm_term", "visits", "visits"),
    "devices": ("device", "visits", "visits"),
    "browsers": ("browser", "visits", "visits"),
    "systems": ("os", "visits", "visits"),
}


def of(
    connection: sqlite3.Connection, now: int, *, period: str = "24h", site: str = "", rows: int = ROWS
) -> dict[str, Any]:
    """Return the figures of a period (a key of PERIODS) and of one site, or of all; lists of at most so many rows.

    All are of one moment: what is written meanwhile changes none of them.
    """
    connection.execute("BEGIN")
    try:
        return _counted(connection, now, period, site, rows)
    finally:
        connection.rollback()


def _counted(connection: sqlite3.Connection, now: int, period: str, site: str, rows: int) -> dict[str, Any]:
    span = PERIODS[period]
    view = _View(connection, now, now - span.length if span.length else 0, site, rows)
    return {
        "period": period,
        "site": site or None,
        "time": _iso(now),
        "since": _iso(view.since) if view.since else None,
        **view.totals(),
        **view.visits(),
        **{name: view.top(name, *what) for name, what in _LISTS.items()},
        "events": view.events(),
        "drops": view.drops(),
        "sites": view.sites(),
        "timeseries": view.timeseries(span.step),
    }


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


class _View:
    """One period and site of a store. Every question is one query; all values are bound, only our own names are not."""

    def __init__(self, connection: sqlite3.Connection, now: int, since: int, site: str, rows: int) -> None:
        self._connection = connection
        self._bound: dict[str, Any] = {
            "now": now,
            "since": since,
            "site": site,
            "current": now - _CURRENT,
            "rows": rows,
            "values": _VALUES,
        }
        self.since = since

    def totals(self) -> dict[str, Any]:
        """Return what is counted over events."""
        row = self._one(
            """SELECT count(DISTINCT iif(time > :current, nullif(visitor, ''), NULL)) AS current_visitors,
                      count(DISTINCT nullif(visitor, '')) AS visitors,
                      total(dropped = '' AND name = 'pageview') AS pageviews,
                      total(dropped = '') AS recorded, total(dropped <> '') AS dropped, count(*) AS received
               FROM arrivals WHERE time >= :since AND (:site = '' OR site = :site)"""
        )
        ends = self._one("SELECT max(id) AS last_id, min(time) AS began FROM arrivals")
        counts = {name: int(row[name]) for name in row.keys()}  # noqa: SIM118 - a Row is no dict
        return counts | {"last_id": ends["last_id"] or 0, "began": _iso(ends["began"]) if ends["last_id"] else None}

    def visits(self) -> dict[str, Any]:
        """Return what is counted over visits; ratios are None where there is none."""
        row = self._one(
            """SELECT count(*) AS visits, total(pageviews) AS pageviews,
                      avg(bounce) AS bounce, avg(duration) AS duration
               FROM visits WHERE last >= :since AND (:site = '' OR site = :site)"""
        )
        return _averages(row)

    def top(self, name: str, column: str, table: str, counted: str) -> list[dict[str, Any]]:
        """Return the most frequent values of a column, by visitors."""
        what = (
            "AND name = 'pageview' AND dropped = '' AND time >= :since" if table == "arrivals" else "AND last >= :since"
        )
        rows = self._all(
            f"""SELECT {column} AS label, count(DISTINCT visitor) AS visitors, count(*) AS counted FROM {table}
                WHERE label <> '' {what} AND (:site = '' OR site = :site)
                GROUP BY label ORDER BY visitors DESC, counted DESC, label LIMIT :rows"""  # noqa: S608
        )
        return [{"name": row["label"], "visitors": row["visitors"], counted: row["counted"]} for row in rows]

    def events(self) -> list[dict[str, Any]]:
        """Return recorded events by name, each with its props: every key's most frequent values."""
        rows = self._all(
            """SELECT name, count(DISTINCT visitor) AS visitors, count(*) AS events FROM arrivals
               WHERE dropped = '' AND time >= :since AND (:site = '' OR site = :site)
               GROUP BY name ORDER BY events DESC, name LIMIT :rows"""
        )
        props = self._props()
        return [{**dict(row), "props": props.get(row["name"], {})} for row in rows]

    def _props(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        rows = self._all(
            """SELECT name, key, value, count(DISTINCT visitor) AS visitors, count(*) AS events
               FROM arrivals, json_each(iif(props = '', '{}', props))
               WHERE dropped = '' AND props <> '' AND time >= :since AND (:site = '' OR site = :site)
               GROUP BY name, key, value ORDER BY events DESC, name, key, value LIMIT :values"""
        )
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in rows:
            values = found.setdefault(row["name"], {}).setdefault(row["key"], [])
            if len(values) < self._bound["rows"]:
                values.append({"value": row["value"], "visitors": row["visitors"], "events": row["events"]})
        return found

    def drops(self) -> list[dict[str, Any]]:
        """Return dropped events by reason, each with the newest as an example."""
        rows = self._all(
            # SQLite takes the bare columns from the row that holds the maximum.
            """SELECT dropped AS reason, count(*) AS events, max(id) AS id, site, name, pathname FROM arrivals
               WHERE dropped <> '' AND time >= :since AND (:site = '' OR site = :site)
               GROUP BY dropped ORDER BY events DESC, reason"""
        )
        example = ("id", "site", "name", "pathname")
        return [
            {"reason": row["reason"], "events": row["events"], "last": {name: row[name] for name in example}}
            for row in rows
        ]

    def sites(self) -> list[dict[str, Any]]:
        """Return every site that was named in the period, whichever one is looked at."""
        rows = self._all(
            """SELECT site, sum(dropped = '') AS recorded, sum(dropped <> '') AS dropped FROM arrivals
               WHERE time >= :since GROUP BY site ORDER BY recorded + dropped DESC, site LIMIT 100"""
        )
        return [dict(row) for row in rows]

    def timeseries(self, step: int) -> list[dict[str, Any]]:
        """Return the chart's points, oldest first, empty ones too; a step of 0 makes some sixty of them."""
        step = step or self._fitting_step()
        arrivals = self._all(
            f"""SELECT time / {step} AS bucket, count(DISTINCT nullif(visitor, '')) AS visitors,
                       sum(dropped = '' AND name = 'pageview') AS pageviews,
                       sum(dropped = '') AS recorded, sum(dropped <> '') AS dropped
                FROM arrivals WHERE time >= :since AND (:site = '' OR site = :site) GROUP BY bucket"""  # noqa: S608
        )
        visits = self._all(
            f"""SELECT started / {step} AS bucket, count(*) AS visits, total(pageviews) AS pageviews,
                       avg(bounce) AS bounce, avg(duration) AS duration
                FROM visits WHERE last >= :since AND (:site = '' OR site = :site) GROUP BY bucket"""  # noqa: S608
        )
        counts = {row["bucket"]: {name: row[name] for name in _COUNTS} for row in arrivals}
        averages = {row["bucket"]: _averages(row) for row in visits}
        return [
            {"time": _iso(bucket * step), **counts.get(bucket, _NOTHING), **averages.get(bucket, _NO_VISITS)}
            for bucket in self._buckets(step, counts)
        ]

    def _buckets(self, step: int, found: dict[int, dict[str, Any]]) -> range:
        last = max(self._bound["now"] // step, max(found, default=0))
        # A step that began before the period does is left out: half of it would look like a dip.
        first = -(-self.since // step) if self.since else min(found, default=last)
        return range(first, last + 1)

    def _fitting_step(self) -> int:
        first = self._one("SELECT min(time) AS time FROM arrivals")["time"] or self._bound["now"]
        span = self._bound["now"] - first
        return next((step for step in _STEPS if span <= 60 * step), _STEPS[-1])

    def _all(self, query: str) -> Sequence[sqlite3.Row]:
        return self._connection.execute(query, self._bound).fetchall()

    def _one(self, query: str) -> sqlite3.Row:
        row: sqlite3.Row = self._connection.execute(query, self._bound).fetchone()
        return row


def _averages(row: sqlite3.Row) -> dict[str, Any]:
    some = bool(row["visits"])
    return {
        "visits": row["visits"],
        "views_per_visit": round(row["pageviews"] / row["visits"], 2) if some else None,
        "bounce_rate": round(100 * row["bounce"]) if some else None,
        "visit_duration": round(row["duration"]) if some else None,
    }
