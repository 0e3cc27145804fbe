"""The fast way to an outline and the general one agree, on any line of any format."""

from __future__ import annotations

from itertools import compress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.parser import client, formats, record, wrappers
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
        if sheet is not None:
            _agree_on(parser, lines, sheet)
            assert all(parser.block.fits(lines))

    check()


def _agree_on(parser, lines, sheet):
    lines = lines if sheet.fits is None else list(compress(lines, sheet.fits))
    outlines = [sheet.outline(at) for at in range(len(lines))]
    assert [parser.record(outline) for outline in outlines] == [parser.parse(line) for line in lines]
    assert list(sheet.keys) == [key for key, _, _ in outlines] == [parser.outline(line)[0] for line in lines]
    assert [*sheet.agents] == [agent for _, agent, _ in outlines]


HEADS = {
    "cri": (
        "2025-10-10T13:55:36.1Z stdout F ",
        "2025-10-10T13:55:36+02:00 stderr F ",
        "2025-10-10T13:55:36Z stdout F:x ",
    ),
    "syslog": ("<190>Oct 10 13:55:36 web nginx: ", "Oct  9 13:55:36 nginx[7]: ", "2025-10-10T13:55:36Z a: nginx: "),
    "syslog 5424": ("<190>1 2025-10-10T13:55:36Z web nginx 7 - - ", '<190>1 - - - - - [a b="c] d\\""] \xef\xbb\xbf'),
    "bare": ("", "2025-10-10T13:55:36Z ", "Oct 10 ", "2"),
    "broken": ("2025-10-10T13:55:36Z stdout P ", "2025-10-10T13:55:36Z stdout F", "<190>1 x ", '{"log":"', "\0", "3"),
}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(["auto", "cri", "syslog", "docker"]))
def test_many_lines_are_unwrapped_as_each_is(data, kind):
    """Lines of one writer, and lines of several, hold at once what each holds."""
    heads = [head for name in data.draw(st.sets(st.sampled_from(sorted(HEADS)), min_size=1)) for head in HEADS[name]]
    line = st.tuples(
        st.sampled_from(heads), st.sampled_from(["", "x", "a: b", '203.0.113.7 - - "GET / HTTP/1.1"', " "])
    )
    lines = [(head + text).encode("latin-1") for head, text in data.draw(st.lists(line, min_size=1, max_size=6))]
    found, each = wrappers.unwrap_all(kind)(lines), list(map(wrappers.unwrap(kind), lines))
    if found is not None:
        assert list(found) == each
    elif not any(b"\0" in line for line in lines):
        assert any(isinstance(inner, Unparsed) for inner in each)


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


ENTRIES = {
    "nginx_json": {
        "time_iso8601": (
            "2025-10-10T13:55:36+00:00",
            "2025-10-10T13:55:37.123+00:00",
            "2025-13-10T13:55:37+00:00",
            5,
            None,
        ),
        "remote_addr": ("203.0.113.7", "10.0.0.2", ""),
        "request": ("GET /p?q=1 HTTP/1.1", "GET / HTTP/1.1", "", "-", 'GET /"x" HTTP/1.1', "GET /caf\u00e9 HTTP/1.1"),
        "status": (200, "404", "000", 200.0, True, None, 99),
        "body_bytes_sent": (512, "512", None),
        "http_user_agent": ("Mozilla/5.0", "-", "", 'odd "one"', ["a", "b"]),
        "sent_http_content_type": ("text/html", None, ["text/html"]),
    },
    "caddy": {
        "ts": (1760104536.5, 1760104536.123456, 1760104536, 0.5, -1.5, 1e12, "2025-10-10T13:55:36Z", None),
        "logger": ("http.log.access", "http.log.access.log0", "http.log.error", "tls", None),
        "request": {
            "client_ip": ("203.0.113.7", None),
            "remote_ip": ("10.0.0.2",),
            "method": ("GET", "POST", 5),
            "host": ("example.com", "Example.COM:80"),
            "uri": ("/", "/p?q", ""),
            "headers": {"User-Agent": (["Mozilla/5.0"], ["a", "b"], [], None), "Referer": (["https://a/"], None)},
        },
        "status": (200, 404),
        "resp_headers": {"Content-Type": (["text/html"], None)},
    },
    "traefik": {
        "ClientAddr": ("203.0.113.7:50123",),
        "ClientHost": ("203.0.113.7", "198.51.100.9"),
        "DownstreamStatus": (200, 404),
        "RequestMethod": ("GET",),
        "RequestPath": ("/", "/p?q", None),
        "StartUTC": ("2025-10-10T13:55:36.123456789Z", "2025-10-10T13:55:36.1Z", "2025-02-30T13:55:36.1Z", "x", None),
        "request_User-Agent": ("Mozilla/5.0", None),
    },
    "map": {"a": {"ip": ("203.0.113.7",), "request": ("GET / HTTP/1.1", "")}, "t": (1760104536, "x"), "s": ("200",)},
}


def _entries(shape, usually):
    """Objects of a shape; ``usually`` with the first values, and with all labels."""

    def value(of):
        if isinstance(of, dict):
            return _entries(of, usually)
        return st.sampled_from([*([of[0]] * 30 if usually else []), *of])

    return st.fixed_dictionaries(
        {label: value(of) for label, of in shape.items()},
        optional={label: st.sampled_from([None, 1, "x", {"a": 1}]) for label in ("x", "msg")} if not usually else {},
    ).map(lambda found: {label: of for label, of in found.items() if of is not None or len(label) % 2})


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(ENTRIES)), st.booleans(), st.data())
def test_a_block_of_json_lines_holds_what_parse_says_of_each(name, usually, data):
    """What is taken at once is what is taken one by one: labels that lack, other types, lines that are none."""
    parser = JSON[name]
    lines = [
        orjson.dumps(each) for each in data.draw(st.lists(_entries(ENTRIES[name], usually), min_size=12, max_size=20))
    ]
    for at in data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=2)):
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = (
            lines[at][:cut] + data.draw(st.sampled_from([b"", b"\\x22", b"\xff", b"\0", b"}", b'"'])) + lines[at][cut:]
        )
    sheet = parser.block.sheet(lines)
    if sheet is not None:
        _agree_on(parser, lines, sheet)


REGEXES = {
    name: record.Parser(formats.compile({"regex": spec}), client.ClientRule([]))
    for name, spec in {
        "plain": r'^(?P<client_ip>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d+|-)'
        r'(?: "(?P<user_agent>[^"]*)")?$',
        "last": r"^(?P<user_agent>\w+) (?P<client_ip>[\d.]+) (?P<request>.*)",
        "choice": r"^(?P<client_ip>\S+) (?P<request>.*) (?P<status>\d+)? ?(?P<time>\S*)$",
    }.items()
}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(REGEXES)),
    st.lists(
        st.sampled_from(
            [
                '203.0.113.7 [2025-10-10T13:55:36Z] "GET / HTTP/1.1" 200 "Mozilla/5.0"',
                '203.0.113.7 [2025-10-10T13:55:37Z] "GET /a HTTP/1.1" 404',
                '203.0.113.7 [2025-13-10T13:55:37Z] "GET /a HTTP/1.1" 404',
                '203.0.113.7 [2025-10-10T13:55:36Z] "GET / HTTP/1.1" 99 "x"',
                "Mozilla 203.0.113.7 GET / HTTP/1.1",
                "curl\v1 203.0.113.7 GET /",
                "203.0.113.7 GET / HTTP/1.1 200 1760104536",
            ]
        ),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_both_engines_agree(name, lines, data):
    """A line that Python's engine takes apart holds what RE2 finds in it."""
    parser, lines = REGEXES[name], [line.encode() for line in lines]
    for at in data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=1)):
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = (
            lines[at][:cut]
            + data.draw(st.sampled_from([b"\\x22", b"\v", b"\n", b"\r", b"\xff", b'"']))
            + lines[at][cut:]
        )
    for line in lines:
        _agree(parser, line)
    assert (parser.block is None) == (name == "choice")
    sheet = parser.block and parser.block.sheet(lines)
    if sheet:
        _agree_on(parser, lines, sheet)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_regex_formats_never_raise(line):
    """A user's own expression meets any bytes."""
    parser = record.Parser(
        formats.compile({"regex": r"^(?P<client_ip>\S+) (?P<request>.*) (?P<status>\d+)? ?(?P<time>\S*)$"}),
        client.ClientRule([]),
    )
    assert isinstance(parser.parse(line), Record | Unparsed)
