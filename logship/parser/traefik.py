"""Read Traefik's access log, in both of its formats: JSON, and the common format with Traefik's fields behind it.

https://doc.traefik.io/traefik/observability/access-logs/. The common format escapes nothing (``toLogEntry`` of
Traefik's ``accesslog/logger_formatters.go`` puts the header as it came between two quotes), so a User-Agent may hold
quotes: it ends where Traefik's own fields begin, which are known to the end of the line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter

from logship.parser import jsonlog
from logship.parser.labelled import Keys
from logship.records import Unparsed

# ClientHost is the text of X-Forwarded-For where there is one, ClientAddr the peer.
KEYS: Keys = {
    "time": ("StartUTC", "StartLocal", "time"),
    "client_ip": ("ClientAddr", "ClientHost"),
    "x_forwarded_for": ("request_X-Forwarded-For", "ClientHost"),
    "host": ("RequestHost", "RequestAddr"),
    "target": ("RequestPath",),
    "method": ("RequestMethod",),
    "protocol": ("RequestProtocol",),
    "scheme": ("RequestScheme",),
    "status": ("DownstreamStatus", "OriginStatus"),
    "bytes": ("DownstreamContentSize", "OriginContentSize"),
    "referrer": ("request_Referer",),
    "user_agent": ("request_User-Agent",),
    "user": ("ClientUsername",),
    "content_type": ("downstream_Content-Type",),
}

_COMMON = re.compile(
    rb'(?P<ClientHost>[^ ,]+(?:, ?[^ ,]+)*) - (?P<ClientUsername>[^"\[]*) \[(?P<StartUTC>[^\]]+)\]'
    rb' "(?P<RequestMethod>[^ ]+) (?P<RequestPath>[^"]*) (?P<RequestProtocol>[^ "]+)"'
    rb" (?P<OriginStatus>\d+|-) (?P<OriginContentSize>\d+|-)"
    rb' "(?P<Referer>[^"]*)" "(?P<Agent>.*)" (?P<RequestCount>\d+|-)'
    rb' (?:"(?P<RouterName>[^"]*)"|-) (?:"(?P<ServiceURL>[^"]*)"|-) (?P<Milliseconds>\d+)ms',
    re.DOTALL,
)
_FIRST = itemgetter(slice(1))
_LABELS = {"Referer": "request_Referer", "Agent": "request_User-Agent"}


class Loader(jsonlog.Loader):
    """Reads a line of either format; the common one under the labels of the other."""

    def plain(self, line: bytes) -> object:
        """Return what a line that begins with a brace holds, or one of the common format as it is."""
        if line[:1] == b"{":
            return super().plain(line)
        return None if b"\0" in line or line[-1:] == b"\r" else _common(line)

    def plain_all(self, lines: Sequence[bytes]) -> list[object]:
        """Return what `plain` does of each line."""
        return super().plain_all(lines) if {*map(_FIRST, lines)} == {b"{"} else list(map(self.plain, lines))

    def load(self, line: bytes) -> object | Unparsed:
        """Return what a line holds, or why it holds nothing."""
        return super().load(line) if line[:1] == b"{" else _common(line) or Unparsed("format")


def _common(line: bytes) -> dict[str, bytes] | None:
    match = _COMMON.fullmatch(line)
    if match is None:
        return None
    return {_LABELS.get(name, name): value for name, value in match.groupdict().items() if value is not None}
