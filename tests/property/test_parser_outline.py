"""The fast way to an outline and the general one agree, on any line of any format."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.parser import client, formats, record
from logship.records import Record, Unparsed

LOG_FORMATS = {
    "pipes": "$remote_addr|$time_iso8601|$request|$status|$body_bytes_sent|$http_user_agent|$host",
    "tabs": "$msec\t$remote_addr\t$host\t$request_method\t$request_uri\t$status\t$bytes_sent\t$http_user_agent",
    "quoted parts": '$http_x_forwarded_for [$time_local] "$request_method $request_uri $server_protocol" $status'
    ' "$http_user_agent"',
    "touching": '$remote_addr "$scheme://$host$request_uri" $status [$time_iso8601] "$http_user_agent" $request_time',
    "args": '$remote_addr $time_iso8601 $request_method $uri$is_args$args $status "$http_user_agent" $upstream_addr',
    "json": 'log_format j escape=json \'{"time":"$time_iso8601","ip":"$remote_addr","request":"$request",\'\n'
    '\'"status":$status,"size":"$body_bytes_sent","ua":"$http_user_agent","user":"$remote_user"}\';',
    "none": 'log_format n escape=none \'$remote_addr $time_iso8601 "$request" $status "$http_user_agent"\';',
    "last user agent": '$remote_addr [$time_local] "$request" $status $body_bytes_sent $http_user_agent',
    "apache": '%v:%p %a %l %u %t "%m %U%q %H" %>s %b %D "%{User-agent}i" %{X-Forwarded-For}i',
    "apache seconds": '%{sec}t %h "%r" %>s %b "%{Referer}i" "%{User-agent}i"',
    "apache strftime": '%h %{%F %T}t.%{msec_frac}t "%r" %>s "%{User-agent}i"',
}
NAMES = ("combined", "common", "vhost_combined", "vhost_common", "nginx_main", "ingress_nginx", *LOG_FORMATS)
TEXTS = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                "-",
                "/",
                "a b",
                '""',
                "a, b",
                "[",
                "]",
                "203.0.113.7",
                "GET / HTTP/1.1",
                "Mozilla/5.0 (X11) Firefox/1.0",
            ),
            *(
                "GET /p?q=1 HTTP/1.1",
                "GET http://Example.COM:80/x HTTP/1.0",
                "200",
                "2025-10-10T13:55:36+00:00",
                "unix:",
            ),
            *(
                "\\x22",
                '\\"',
                "\\",
                "| 200 |",
                "_",
                "Example.com:80",
                "10.0.0.1, 10.0.0.2",
                "x : y",
                "caf\udce9",
                "\t",
                "\r",
            ),
        ]
    ),
    st.text(alphabet=st.characters(max_codepoint=255), max_size=8),
)
SANE = {
    "remote_addr": st.sampled_from(
        ["203.0.113.7", "2001:db8::1", "10.0.0.2", "unix:", "10.0.0.2:80", "1.1.1.1, 10.0.0.2"]
    ),
    "clf": st.sampled_from(["10/Oct/2025:13:55:36 +0000", "10/Oct/2025:13:55:37 +0000", "10/Oct/2025:13:55:60 +0545"]),
    "iso": st.sampled_from(["2025-10-10T13:55:36+00:00", "2025-10-10T13:55:36"]),
    "seconds": st.sampled_from(["1760104536.123", "1760104536"]),
    "strftime": st.just("2025-10-10 13:55:36.123"),
    "status": st.sampled_from(["200", "404"]),
    "size": st.sampled_from(["0", "512", "-", "1" * 30]),
    "request": st.sampled_from(
        ["GET /p?q=1 HTTP/1.1", "GET / HTTP/1.1", "CONNECT a:1 HTTP/1.1", "-", "", "GET /a b HTTP/2.0"]
    ),
    "target": st.sampled_from(["/", "/p?q", "*", "/a%20b"]),
    "path": st.sampled_from(["/", "/p"]),
    "question": st.sampled_from(["", "?", "?a=b"]),
    "mark": st.sampled_from(["", "?"]),
    "name": st.sampled_from(["http", "https"]),
    "number": st.sampled_from(["1", "0.050", "-"]),
    "host": st.sampled_from(["example.com", "Example.COM:80", "_", "[::1]", "[::1]:80"]),
    "user": st.sampled_from(["-", "joe", '""', "john doe"]),
    "wide": st.sampled_from(["Mozilla/5.0", "Mozilla/5.0 (X11) Firefox/1.0", "", "-"]),
    "": st.sampled_from(["-", "x", "GET", "1.1.1.1, 2.2.2.2"]),
}
ODD = {
    "clf": st.sampled_from(["29/Feb/2025:13:55:36 +0000", "x"]),
    "iso": st.sampled_from(["2025-13-10T13:55:36+00:00", "x"]),
    "status": st.sampled_from(["000", "-", "99", "2000"]),
}


def _value(field, table, default):
    found = (
        table[key] for key in (field.name, field.reader or "?", field.fact or "?", field.shape, "") if key in table
    )
    return next(found, default)


PARSERS = {
    name: record.Parser(
        formats.compile(LOG_FORMATS.get(name, name)),
        client.ClientRule(["10.0.0.0/8", "private"]),
        log_fields=frozenset(("request_time", "http_x_forwarded_for", "upstream_addr")),
    )
    for name in NAMES
}


@st.composite
def rendered(draw, name):
    """A line as a server might have written it, mostly escaped as it should be, then perhaps damaged."""
    pieces = PARSERS[name].format.pieces
    odd = draw(st.sets(st.integers(0, len(pieces)), max_size=2))
    escaping = draw(st.booleans())
    parts = []
    for at, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            parts.append(piece)
            continue
        strategy = _value(piece, ODD, TEXTS) | TEXTS if at in odd else _value(piece, SANE, TEXTS)
        raw = draw(strategy).encode("utf-8", "surrogateescape")
        escaped = raw.replace(b"\\", b"\\x5C").replace(b'"', b"\\x22")
        parts.append(escaped if escaping and raw != b'""' else raw)
    line = b"".join(parts)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(line)))
        line = (
            line[:at]
            + draw(st.sampled_from([b"", b" ", b'"', b"\\", b"\0", b"\xff", b"[", b"]", b",", b"\r"]))
            + line[at + 1 :]
        )
    return (
        draw(st.sampled_from([b"", b"", b"", b"2025-10-10T13:55:36Z stdout F ", b"<190>Oct 10 13:55:36 web nginx: "]))
        + line
    )


def _agree(parser: record.Parser, line: bytes) -> None:
    parsed = parser.parse(line)
    outline = parser.outline(line)
    if outline is None:
        return
    assert isinstance(parsed, Record)
    assert parser.record(outline) == parsed
    glimpse = parser.glimpse(outline)
    assert glimpse.user_agent == parsed.user_agent
    for name in parser.decided:
        assert getattr(glimpse, name) == getattr(parsed, name)


@pytest.mark.parametrize("name", NAMES)
def test_outline_and_parse_agree_on_rendered_lines(name):
    """Whatever a server or a stranger wrote, an outline holds exactly what parse says."""

    @settings(max_examples=60, deadline=None)
    @given(rendered(name))
    def check(line):
        _agree(PARSERS[name], line)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_a_block_of_lines_holds_what_parse_says_of_each(name):
    """Many lines at once give the records that they give one by one, or are left to be taken one by one."""
    parser = PARSERS[name]
    if parser.block is None:
        return

    @given(st.lists(rendered(name).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=5), st.booleans())
    def check(lines, only_plain):
        if only_plain:
            lines = [line for line in lines if parser.outline(line) is not None] or lines
        sheet = parser.block.sheet(lines)
        if sheet is None:
            return
        outlines = [sheet.outline(at) for at in range(len(lines))]
        assert [parser.record(outline) for outline in outlines] == [parser.parse(line) for line in lines]
        assert list(sheet.keys) == [key for key, _, _ in outlines] == [parser.outline(line)[0] for line in lines]
        assert [*sheet.agents] == [agent for _, agent, _ in outlines]
        assert all(parser.block.fits(lines))

    check()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=80))
def test_parse_never_raises(name, line):
    """Any bytes give a Record or a reason."""
    assert isinstance(PARSERS[name].parse(line), Record | Unparsed)
    _agree(PARSERS[name], line)


JSON = {
    name: record.Parser(
        formats.compile(spec), client.ClientRule(["10.0.0.0/8"]), log_fields=frozenset(("x", "request.tls"))
    )
    for name, spec in {
        "nginx_json": "nginx_json",
        "caddy": "caddy",
        "traefik": "traefik",
        "map": {"json": {"client_ip": "a.ip", "request": "a.request", "time": "t", "status": "s"}},
    }.items()
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.lists(TEXTS, max_size=2)
KEYS = st.sampled_from(
    [
        *(
            "time",
            "status",
            "remote_addr",
            "request",
            "request_uri",
            "host",
            "user_agent",
            "method",
            "uri",
            "ts",
            "size",
        ),
        *("logger", "a", "t", "s", "x", "ClientAddr", "RequestPath", "RequestMethod", "DownstreamStatus", "StartUTC"),
        *("client_ip", "remote_ip", "headers", "User-Agent", "ip", "a.ip", "log", "stream"),
    ]
)
OBJECTS = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=6), max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(JSON)),
    st.dictionaries(KEYS, OBJECTS, max_size=8),
    st.integers(0, 200),
    st.binary(max_size=1),
)
def test_json_outline_and_parse_agree(name, found, at, byte):
    """A JSON line, whole or damaged, never raises, and its outline holds what parse says."""
    try:
        line = orjson.dumps(found)
    except orjson.JSONEncodeError:
        return
    _agree(JSON[name], line)
    _agree(JSON[name], line[:at] + byte + line[at + 1 :])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_regex_formats_never_raise(line):
    """A user's own expression meets any bytes."""
    parser = record.Parser(
        formats.compile({"regex": r"^(?P<client_ip>\S+) (?P<request>.*) (?P<status>\d+)? ?(?P<time>\S*)$"}),
        client.ClientRule([]),
    )
    assert isinstance(parser.parse(line), Record | Unparsed)
