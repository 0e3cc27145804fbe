"""Read the log of bunny.net's CDN: twelve values with bars between, https://docs.bunny.net/docs/cdn-log-format.

The URL is the request's own, so it tells scheme and host as well. The log names no method: the CDN caches what is asked
for by GET, and every line is taken for one. Time is in milliseconds.
"""

from __future__ import annotations

import re

from logship.parser.labelled import Keys
from logship.records import Unparsed

KEYS: Keys = {
    "time": ("timestamp",),
    "client_ip": ("remote_ip",),
    "host": ("host",),
    "method": ("method",),
    "target": ("target",),
    "status": ("status_code",),
    "bytes": ("bytes_sent",),
    "referrer": ("referer_url",),
    "user_agent": ("user_agent",),
    "scheme": ("scheme",),
}
# A User-Agent and a referrer may hold bars themselves: what stands before and behind is known, and the URL's beginning.
_LINE = re.compile(
    rb"(?P<cache_status>[A-Z-]*)\|(?P<status_code>\d+)\|(?P<timestamp>\d+)\|(?P<bytes_sent>\d+)\|(?P<pull_zone_id>\d+)"
    rb"\|(?P<remote_ip>[0-9A-Fa-f.:]+)\|(?P<referer_url>-?|[^|]*(?:\|(?!https?://)[^|]*)*)"
    rb"\|(?P<scheme>https?)://(?P<host>[^/|?#]++)(?P<target>[^|]*(?:\|(?![A-Z0-9]{1,5}\|)[^|]*)*)"
    rb"\|(?P<edge_location>[A-Z0-9]{1,5})\|(?P<user_agent>.*)\|(?P<request_id>[0-9A-Za-z-]*)\|(?P<country_code>[A-Z0-9-]*)",
    re.DOTALL,
)

# A visitor may write a referrer with bars that looks like all that follows: nobody knows which URL was asked for.
_URLS = re.compile(rb"\|https?://[^|]*(?=\|[A-Z0-9]{1,5}\|)")


class Loader:
    """Reads a line as values by the names of bunny.net's documentation."""

    def plain(self, line: bytes) -> object:
        """Return the values by name, None for a line that is none or is to be stripped first."""
        if b"\0" in line or line[-1:] == b"\r":
            return None
        found = self.load(line)
        return found if isinstance(found, dict) else None

    def load(self, line: bytes) -> object | Unparsed:
        """Return the values by name, or why there are none."""
        match = _LINE.fullmatch(line)
        if match is None or len(_URLS.findall(line, match.start("referer_url"))) > 1:
            return Unparsed("format")
        found = match.groupdict()
        target = found["target"]
        return {**found, "method": b"GET", "target": target if target[:1] == b"/" else b"/" + target}
