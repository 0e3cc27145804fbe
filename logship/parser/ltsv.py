"""Read LTSV, http://ltsv.org: labels and values with a colon between, tabs between them. Its `host` is the client."""

from __future__ import annotations

from logship.parser.escapes import undo
from logship.parser.labelled import Keys
from logship.records import Unparsed

KEYS: Keys = {
    "time": ("time",),
    "client_ip": ("host", "remote_addr", "client_ip"),
    "x_forwarded_for": ("forwardedfor", "x_forwarded_for"),
    "host": ("vhost", "server"),
    "request": ("req", "request"),
    "method": ("method",),
    "target": ("uri",),
    "protocol": ("protocol",),
    "scheme": ("scheme",),
    "status": ("status",),
    "bytes": ("size", "body_bytes_sent"),
    "referrer": ("referer", "referrer"),
    "user_agent": ("ua", "user_agent"),
    "user": ("user",),
}


class Loader:
    """Reads a line as labels and values."""

    def plain(self, line: bytes) -> object:
        """Return the values by label, None for a line that is to be stripped first."""
        return None if b"\0" in line or line[-1:] == b"\r" else self.load(line)

    def load(self, line: bytes) -> object | Unparsed:
        """Return the values by label, or why there are none."""
        pairs = [item.partition(b":") for item in line.split(b"\t")]
        if not all(colon for _, colon, _ in pairs):
            return Unparsed("format")
        found = {label.decode("utf-8", "surrogateescape"): undo(value) for label, _, value in pairs}
        # A label that is there twice: a visitor sent a tab, and the writer let it through. Nobody knows which is true.
        return found if len(found) == len(pairs) else Unparsed("format")
