r"""Read HAProxy's HTTP log: ``option httplog``, alone or with ``httpslog``'s fields behind it, and ``httplog clf``.

https://docs.haproxy.org/2.6/configuration.html#8.2.3, 8.2.4, 8.6 (``#22`` is a quote) and 8.8 (captured headers); the
layout with ``clf`` is ``clf_http_log_format`` of HAProxy's ``src/log.c``. The captured headers stand in the order of
the configuration, without names: `Captures` names them, as far as they are named; else what is surely a User-Agent, a
referrer or a host is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logship.parser import times
from logship.parser.fields import FACTS, FormatError, did_you_mean
from logship.parser.labelled import Keys
from logship.records import Unparsed

KEYS: Keys = {
    "time": ("accept_date",),
    "client_ip": ("client_ip",),
    "x_forwarded_for": ("http_x_forwarded_for",),
    "host": ("http_host", "ssl_fc_sni"),
    "request": ("http_request",),
    "scheme": ("scheme",),
    "status": ("status_code",),
    "bytes": ("bytes_read",),
    "referrer": ("http_referer",),
    "user_agent": ("http_user_agent",),
    "content_type": ("sent_http_content_type",),
}

_LINE = re.compile(
    rb"(?P<client_ip>[^ ]+):(?P<client_port>\d+) \[(?P<accept_date>[^\] ]+)\] (?P<frontend_name>[^ ]+)"
    rb" (?P<backend_name>[^ /]+)/(?P<server_name>[^ ]+)"
    rb" (?P<time_request>[-+\d]+)/(?P<time_queue>[-+\d]+)/(?P<time_connect>[-+\d]+)/(?P<time_response>[-+\d]+)"
    rb"/(?P<time_active>[-+\d]+) (?P<status_code>-?\d+) \+?(?P<bytes_read>\d+)"
    rb" (?P<captured_request_cookie>[^ ]+) (?P<captured_response_cookie>[^ ]+) (?P<termination_state>[^ ]{4})"
    rb" (?P<actconn>\d+)/(?P<feconn>\d+)/(?P<beconn>\d+)/(?P<srv_conn>\d+)/(?P<retries>\+?\d+)"
    rb" (?P<srv_queue>\d+)/(?P<backend_queue>\d+)"
    rb"(?: \{(?P<first>[^{}]*)\})?(?: \{(?P<second>[^{}]*)\})?"
    rb' "(?P<http_request>[^"]*)"(?: (?P<tls>[^"]*))?',
    re.DOTALL,
)
# %{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq
# %CC %CS %hrl %hsl: each captured header in quotes, those of the answer behind those of the request.
_CLF = re.compile(
    rb'(?P<client_ip>[^ ]+) - - \[(?P<accept_date>[^\]]+)\] "(?P<http_request>[^"]*)" (?P<status_code>-?\d+)'
    rb' \+?(?P<bytes_read>\d+) "" "" (?P<client_port>\d+) (?P<milliseconds>\d{3}) "(?P<frontend_name>[^"]*)"'
    rb' "(?P<backend_name>[^"]*)" "(?P<server_name>[^"]*)"'
    rb" (?P<time_request>[-+\d]+) (?P<time_queue>[-+\d]+) (?P<time_connect>[-+\d]+) (?P<time_response>[-+\d]+)"
    rb" (?P<time_active>[-+\d]+) (?P<termination_state>[^ ]{4})"
    rb" (?P<actconn>\d+) (?P<feconn>\d+) +(?P<beconn>\d+) (?P<srv_conn>\d+) (?P<retries>\+?\d+)"
    rb" (?P<srv_queue>\d+) (?P<backend_queue>\d+)"
    rb' "(?P<captured_request_cookie>[^"]*)" "(?P<captured_response_cookie>[^"]*)"(?P<both>(?: +"[^"]*")*) *',
    re.DOTALL,
)
_QUOTED = re.compile(rb'"([^"]*)"')
_TLS = re.compile(rb"[^ ]+ (?P<ssl_fc_sni>[^ /]*)/(?P<ssl_version>[^ /]*)/(?P<ssl_cipher>[^ /]*)")
_DATE = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d(?:\.\d+)?)(?: \+0000)?")
_LATER_HTTP = re.compile(rb"([^ ]+) (https?)://([^ /?]++)(.*)( HTTP/[23][^ ]*)", re.DOTALL)
_ESCAPE = re.compile(rb"#([0-9A-F]{2})")
_BRACES = re.compile(r"haproxy((?:\s*\{[^{}]*\}){1,2})")
# Only what can be nothing else. An address alone may be the Host header as well as X-Forwarded-For: it has to be named.
_AGENT = re.compile(rb"(?:Mozilla|Opera)/\d.*", re.DOTALL)
_URL = re.compile(rb"[a-z][a-z0-9+.-]*://.*", re.DOTALL)
_HOST = re.compile(rb"(?=[^ ]*[A-Za-z])(?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9-]+(?::\d+)?|localhost(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Captures:
    """Names of the captured headers, of the request's and of the answer's, in the order of the configuration."""

    request: tuple[str, ...] = ()
    response: tuple[str, ...] = ()

    def __call__(self) -> Loader:
        """Make what reads lines with these captures."""
        return Loader(self)


def captures(text: str) -> Captures | None:
    """Read ``haproxy {Host|User-Agent} {Content-Type}``; None for any other text. Raise FormatError for a bad name."""
    match = _BRACES.fullmatch(text.strip())
    if match is None:
        return None
    request, *response = (part.strip("{} \t\n") for part in re.findall(r"\{[^{}]*\}", match[1]))
    return Captures(_named(request, "http_"), _named(response[0], "sent_http_") if response else ())


class Loader:
    """Reads a line as values by the names of HAProxy's documentation."""

    def __init__(self, captures: Captures | None = None) -> None:
        self._captures = captures

    def plain(self, line: bytes) -> object:
        """Return the values by name, None for a line that is no request or is to be stripped first."""
        if b"\0" in line or line[-1:] == b"\r":
            return None
        found = self.load(line)
        return found if isinstance(found, dict) else None

    def load(self, line: bytes) -> object | Unparsed:
        """Return the values by name, or why there are none."""
        match = _LINE.fullmatch(line) or _CLF.fullmatch(line)
        if match is None:
            return Unparsed("format")
        found = {name: _undo(value) for name, value in match.groupdict().items() if value is not None}
        date = _date(found)
        if date is None:
            return Unparsed("time", match.start("accept_date"))
        found["accept_date"] = date
        found |= self._headers(match) if match.re is _LINE else self._headers_in_a_row(match)
        if match["frontend_name"].endswith(b"~"):  # the connection was TLS
            found["scheme"] = b"https"
        tls = _TLS.fullmatch(found.pop("tls", b""))
        return _in_origin_form(found) if tls is None else _in_origin_form(found | tls.groupdict())

    def _headers(self, match: re.Match[bytes]) -> Mapping[str, bytes]:
        first, second = (_values(match[name]) for name in ("first", "second"))
        if self._captures is None:
            return _numbered(first, "capture") | _numbered(second, "response_capture") | _guessed(first)
        request, response = self._captures.request, self._captures.response
        if request and response:
            return _by_name(request, first) | _by_name(response, second)
        return _by_name(request or response, first)

    def _headers_in_a_row(self, match: re.Match[bytes]) -> Mapping[str, bytes]:
        """Return those of a line with ``clf``, where nothing stands between the request's and the answer's."""
        values = [_undo(value) for value in _QUOTED.findall(match["both"])]
        if self._captures is None:
            return _numbered(values, "capture") | _guessed(values)
        return _by_name((*self._captures.request, *self._captures.response), values)


def _date(found: Mapping[str, bytes]) -> bytes | None:
    """Return the time in ISO's form; with ``clf`` its milliseconds stand apart."""
    date = _DATE.fullmatch(found["accept_date"])
    month = times.MONTHS.get(date[2]) if date is not None else None
    if date is None or month is None:
        return None
    apart = b".%b" % found["milliseconds"] if "milliseconds" in found else b""
    return b"%b-%02d-%b %b%b" % (date[3], month, date[1], date[4], apart)


def _in_origin_form(found: dict[str, bytes]) -> dict[str, bytes]:
    """Undo what HAProxy makes of HTTP/2 and 3, which know no absolute form: it writes scheme and authority with it."""
    match = _LATER_HTTP.fullmatch(found["http_request"])
    if match is None:
        return found
    method, scheme, host, target, protocol = match.groups()
    target = target if target[:1] == b"/" else b"/" + target
    return {"http_host": host, **found, "scheme": scheme, "http_request": method + b" " + target + protocol}


def _named(text: str, prefix: str) -> tuple[str, ...]:
    names = tuple(_name(word.strip(), prefix) for word in text.split("|")) if text else ()
    if "" in names:
        raise FormatError(f"haproxy: {{{text}}} names nothing between two bars; write - for a header of no interest")
    return names


def _name(word: str, prefix: str) -> str:
    """Return the label of a header, or of a record's field."""
    label = word.lower().replace("-", "_").removeprefix(prefix)
    if re.fullmatch(r"[a-z0-9_]*", label) is None:
        raise FormatError(f"haproxy: {word!r} is no header's name{did_you_mean(word, FACTS)}")
    return prefix + {"referrer": "referer"}.get(label, label) if label else label


def _values(text: bytes | None) -> Sequence[bytes]:
    return [_undo(value) for value in text.split(b"|")] if text else ()


def _numbered(values: Sequence[bytes], name: str) -> dict[str, bytes]:
    return {f"{name}_{at + 1}": value for at, value in enumerate(values)}


def _by_name(names: Sequence[str], values: Sequence[bytes]) -> dict[str, bytes]:
    return dict(zip(names, values, strict=False))


def _guessed(values: Sequence[bytes]) -> dict[str, bytes]:
    kinds = (("http_user_agent", _AGENT), ("http_referer", _URL), ("http_host", _HOST))
    found: dict[str, bytes] = {}
    for value in values:
        for label, shape in kinds:
            if label not in found and shape.fullmatch(value):
                found[label] = value
                break
    return found


def _undo(value: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), value) if b"#" in value else value
