"""The live page: one self-contained file that draws itself from JSON, and plain tables for browsers without scripts.

What it shows was written by strangers. The script only ever adds text; here every value is escaped; and a policy that
allows the page's own script and style by their hashes, and nothing else, stands behind both.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

_FIGURES = {
    "current_visitors": "Current visitors",
    "visitors": "Unique visitors",
    "visits": "Visits",
    "pageviews": "Pageviews",
    "views_per_visit": "Views per visit",
    "bounce_rate": "Bounce rate (%)",
    "visit_duration": "Visit duration (s)",
    "recorded": "Events recorded",
    "dropped": "Events dropped",
}
_LISTS = {
    "pages": "Pages",
    "entry_pages": "Entry pages",
    "exit_pages": "Exit pages",
    "sources": "Sources",
    "campaigns": "Campaigns",
    "devices": "Devices",
    "browsers": "Browsers",
    "events": "Events",
    "drops": "Dropped",
}
_TAIL = {"time": "Time", "name": "Event", "pathname": "Page", "source": "Source", "site": "Site", "dropped": "Dropped"}


def headers() -> dict[str, str]:
    """Return the page's headers: nothing is loaded from anywhere, and no script runs but its own."""
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def render(stats: Mapping[str, Any], latest: Sequence[Mapping[str, Any]]) -> str:
    """Return the page, with the figures and the latest events as tables for whom the script does not run."""
    tables = [_table(_FIGURES.values(), [[stats[name] for name in _FIGURES]])]
    tables += [_table([title, "Visitors", "Count"], map(_cells, stats[name])) for name, title in _LISTS.items()]
    tables += [_table(_TAIL.values(), ([event[name] for name in _TAIL] for event in latest))]
    return _template().replace("<!--TABLES-->", "".join(tables))


def _cells(row: Mapping[str, Any]) -> list[Any]:
    counted = next(row[name] for name in ("pageviews", "visits", "events") if name in row)
    return [row.get("name") or row.get("reason"), row.get("visitors", ""), counted]


def _table(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<section class="card"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></section>'


def _escaped(value: Any) -> str:
    return "" if value is None else html.escape(str(value))


@cache
def _template() -> str:
    return resources.files("logship.receiver").joinpath("page.html").read_text("utf-8")


@cache
def _hashes(tag: str) -> str:
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", _template(), re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
