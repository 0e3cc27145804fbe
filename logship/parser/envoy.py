"""Read Envoy's access log in the layouts that it has by default: alone, in Istio's mesh and in Envoy Gateway.

Text: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#default-format-string,
and Istio's, which adds to it (https://istio.io/latest/docs/tasks/observability/logs/access-log/, ``EnvoyTextLogFormat``
of its ``pilot/pkg/model``; before 1.9 with a policy's status instead of the details). JSON: Istio's keys and Envoy
Gateway's. The text's fields are called as Istio's keys.

Envoy escapes nothing in text, and what stands in X-Forwarded-For is the visitor's own word. A line in which somebody
wrote a quote could be read so that their word is the last of the chain; it is none of this format.
"""

from __future__ import annotations

import re

from logship.parser import jsonlog
from logship.parser.labelled import Keys
from logship.records import Unparsed

# DOWNSTREAM_REMOTE_ADDRESS is the peer, or whom Envoy's own trusted hops name; its default text is without it.
KEYS: Keys = {
    "time": ("start_time",),
    "client_ip": ("downstream_remote_address",),
    "x_forwarded_for": ("x_forwarded_for", "x-forwarded-for"),
    "host": ("authority", ":authority", "authority_for"),
    "request": ("request",),
    "target": ("path", "x-envoy-origin-path", "x-envoy-original-path"),
    "method": ("method",),
    "protocol": ("protocol",),
    "status": ("response_code",),
    "bytes": ("bytes_sent",),
    "user_agent": ("user_agent", "user-agent"),
    "referrer": ("referer", "referrer"),
}

_NO_REQUEST = b"- - -"  # a connection that was passed on as TCP
_TEXT = re.compile(
    rb'\[(?P<start_time>[^\]]+)\] "(?P<request>[^"]*)" (?P<response_code>\d+|-) (?P<response_flags>[^ "]+)'
    rb'(?: (?:(?P<response_code_details>[^ "]+) (?P<connection_termination_details>[^ "]+)'
    rb'|"(?P<istio_policy_status>[^"]*)") "(?P<upstream_transport_failure_reason>[^"]*)")?'
    rb" (?P<bytes_received>\d+|-) (?P<bytes_sent>\d+|-) (?P<duration>\d+|-) (?P<upstream_service_time>[^ \"]+)"
    rb' "(?P<x_forwarded_for>[^"]*)" "(?P<user_agent>[^"]*)" "(?P<request_id>[^"]*)" "(?P<authority>[^"]*)"'
    rb' "(?P<upstream_host>[^"]*)"'
    rb'(?: (?P<upstream_cluster>[^ "]+) (?P<upstream_local_address>[^ "]+) (?P<downstream_local_address>[^ "]+)'
    rb' (?P<downstream_remote_address>[^ "]+) (?P<requested_server_name>[^ "]+) (?P<route_name>[^"]+))?',
    re.DOTALL,
)


class Loader(jsonlog.Loader):
    """Reads a line of either; the text under the labels of Istio's JSON."""

    def plain(self, line: bytes) -> object:
        """Return what a line that begins with a brace holds, or one of text as it is."""
        if line[:1] == b"{":
            return super().plain(line)
        if b"\0" in line or line[-1:] == b"\r":
            return None
        found = _text(line)
        return found if isinstance(found, dict) else None

    def load(self, line: bytes) -> object | Unparsed:
        """Return what a line holds, or why it holds nothing."""
        return super().load(line) if line[:1] == b"{" else _text(line)


def _text(line: bytes) -> dict[str, bytes] | Unparsed:
    match = _TEXT.fullmatch(line)
    if match is None:
        return Unparsed("format")
    if match["request"] == _NO_REQUEST:
        return Unparsed("not_access")
    return {name: value for name, value in match.groupdict().items() if value is not None}
