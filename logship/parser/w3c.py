"""Read W3C extended logs (IIS, CloudFront, Shoutcast): a `#Fields:` line says what the columns of the next lines are.

https://www.w3.org/TR/WD-logfile.html, https://learn.microsoft.com/windows/win32/http/w3c-logging,
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html. Times are UTC. A loader
remembers the directives that it has read, so one reads the lines of one file only, in their order; who begins in the
middle of a file gives it the `directives` before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from logship.parser.labelled import Keys
from logship.records import Unparsed

KEYS: Keys = {
    "time": ("date_and_time",),  # ours, of the fields date and time
    "client_ip": ("c_ip", "cs_ip"),
    "x_forwarded_for": ("http_x_forwarded_for", "x_forwarded_for"),
    "host": ("x_host_header", "http_host", "cs_host"),  # CloudFront's cs(Host) is the distribution's own name
    "method": ("cs_method",),
    "target": ("cs_uri",),
    "path": ("cs_uri_stem",),
    "query": ("cs_uri_query",),
    "protocol": ("cs_version", "cs_protocol_version"),
    "scheme": ("cs_protocol",),
    "status": ("sc_status",),
    "bytes": ("sc_bytes",),
    "referrer": ("http_referer", "cs_referer"),
    "user_agent": ("http_user_agent", "cs_user_agent"),
    "user": ("cs_username",),
    "content_type": ("sent_http_content_type", "sc_content_type"),
}
FIELDS = b"#Fields:"

_HEADERS = {"cs": "http_", "c": "http_", "sc": "sent_http_", "s": "sent_http_", "rs": "sent_http_", "sr": "http_"}
_LABEL = re.compile(r"([a-z]+)\((.+)\)")
_DATES = (("date", "time"), ("date_local", "time_local"))
_QUOTED = re.compile(rb'"((?:[^"]|"")*)"(?= |$)|([^ ]*)')
_HEX = re.compile(rb"%25([0-9A-Fa-f]{2})")
# http.sys writes a blank within a value as "+", and nothing tells it from a plus. What follows a bracket or another
# plus was one: "(+http://...)", ";++http://...".
_PLUS = re.compile(rb"(?<![(+])\+")
_ENCODED = frozenset(("cs_uri_stem", "cs_uri_query", "http_referer"))
_BLOCK = 1 << 18
_FARTHEST = 1 << 26  # 64 MiB back; a server that wrote more since it was started has written the head of the file


class Loader:
    """Reads lines by the last `#Fields:`. ``header``: the columns' names, where they are known beforehand."""

    def __init__(self, header: str = "") -> None:
        self._microsoft = False
        self._set(header)

    def plain(self, line: bytes) -> object:
        """Return the values by label, None for a directive and for a line with a hole."""
        if b"\0" in line or line[:1] == b"#":
            return None
        found = self.load(line.rstrip(b"\r"))
        return found if isinstance(found, dict) else None

    def load(self, line: bytes) -> object | Unparsed:
        """Return the values by label; of a directive and of a line before any `#Fields:`, why there are none."""
        if line[:1] == b"#":
            return self._obey(line)
        if not self._labels:
            return Unparsed("no_fields")
        values = _columns(line)
        if len(values) != len(self._labels):
            return Unparsed("format")
        found = dict(zip(self._labels, values, strict=True))
        if self._dates is not None:
            found["date_and_time"] = b"%b %b" % (found[self._dates[0]], found[self._dates[1]])
        _undo(found, microsoft=self._microsoft, percent=self._percent)
        return found

    def _obey(self, line: bytes) -> Unparsed:
        if line.startswith(FIELDS):
            self._set(line[len(FIELDS) :].decode("utf-8", "replace"))
        elif line.startswith(b"#Software:"):
            self._microsoft = b"Microsoft" in line
        return Unparsed("directive")

    def _set(self, header: str) -> None:
        self._labels = labels_of(header)
        self._dates = next((pair for pair in _DATES if {*pair} <= {*self._labels}), None)
        self._percent = any(label.startswith("x_edge_") for label in self._labels)  # CloudFront's own


def labels_of(header: str) -> tuple[str, ...]:
    """Return the ``log.NAME`` of each column: ``cs(User-Agent)`` is http_user_agent, ``sc-status`` is sc_status."""
    return tuple(map(_label, header.lower().split()))


def facts_of(header: str) -> frozenset[str]:
    """Return what lines with these columns tell."""
    labels = {*labels_of(header)}
    facts = {fact for fact, keys in KEYS.items() if labels & {*keys}}
    return frozenset(facts | {"time"} if any({*pair} <= labels for pair in _DATES) else facts)


def directives(read: Callable[[int, int], bytes], end: int) -> list[bytes]:
    """Return the directives that hold at an offset. ``read(at, size)`` gives bytes of the file."""
    if read(0, 1) != b"#":
        return []
    at = _last_fields(read, end)
    if at is None:
        return []
    before = read(max(0, at - 4096), min(at, 4096)).split(b"\n")[:-1]
    line = read(at, min(_BLOCK, end - at)).split(b"\n", 1)[0]
    return [each.rstrip(b"\r") for each in (*before, line) if each.startswith(b"#")]


def _last_fields(read: Callable[[int, int], bytes], end: int) -> int | None:
    """Return where the last `#Fields:` before an offset begins: looked for backwards, and at last in the head."""
    nearest = max(0, end - _FARTHEST)
    start: int
    for start in (*range(end - _BLOCK, nearest, -_BLOCK), nearest, 0):
        block = read(start, min(_BLOCK + len(FIELDS), end - start))
        found = block.rfind(b"\n" + FIELDS)
        if found >= 0:
            return start + found + 1
        if start == 0 and block.startswith(FIELDS):
            return 0
    return None


def _label(name: str) -> str:
    match = _LABEL.fullmatch(name)
    if match is not None and match[1] in _HEADERS:
        name = _HEADERS[match[1]] + match[2]
    return name.replace("-", "_")


def _columns(line: bytes) -> list[bytes]:
    """Split a line at tabs if it has any, else at blanks. IIS Advanced Logging quotes values that hold blanks."""
    if b"\t" in line:
        return line.split(b"\t")
    if b'"' not in line:
        return line.split(b" ")
    values, at = [], 0
    while at <= len(line):
        match = _QUOTED.match(line, at)
        if match is None:
            break
        values.append(match[2] if match[1] is None else match[1].replace(b'""', b'"'))
        at = match.end() + 1
    return values


def _undo(found: dict[str, bytes], *, microsoft: bool, percent: bool) -> None:
    """Give the values back what their writer took from them."""
    agent = found.get("http_user_agent", b"")
    if percent or b"%20" in agent:
        plain = unquote_to_bytes(agent)
        if b"%20" in plain and b" " not in plain:  # encoded twice, and then so is all else
            plain = unquote_to_bytes(plain)
            for label in _ENCODED & found.keys():
                found[label] = _HEX.sub(rb"%\1", found[label])
        found["http_user_agent"] = plain
    elif b"+" in agent and b" " not in agent:
        found["http_user_agent"] = _PLUS.sub(b" ", agent)
    if microsoft and b"+" in found.get("cs_uri_stem", b""):
        # A plus of the visitor's own is refused by IIS's request filtering (404.11), unless allowDoubleEscaping is set.
        found["cs_uri_stem"] = found["cs_uri_stem"].replace(b"+", b"%20")
