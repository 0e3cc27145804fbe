"""Lines as the world writes them: each becomes the record that it should, by both ways, or is named unparsed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from logship.parser import client, formats, record
from logship.records import Record, Unparsed, readable

UA = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
TIME = "10/Oct/2025:13:55:36 +0000"
GOOD = {"client_ip": "203.0.113.7", "time": "2025-10-10T13:55:36+00:00", "method": "GET", "path": "/p", "query": None}
GOOD |= {"status": 200, "referrer": None, "user_agent": UA, "absolute": False, "host": None}


def combined(
    ip="203.0.113.7", user="-", time=TIME, request="GET /p HTTP/1.1", status="200", size="512", ref="-", ua=UA
):
    """Return a combined line; any part may be odd."""
    return f'{ip} - {user} [{time}] "{request}" {status} {size} "{ref}" "{ua}"'.encode("utf-8", "surrogateescape")


COMBINED = {
    "nginx escapes a quote as \\x22": (combined(ua=r"Mozilla/5.0 \x22odd\x22"), {"user_agent": 'Mozilla/5.0 "odd"'}),
    "escaped bytes are one character": (combined(ua=r"F\xC3\xBAtbol"), {"user_agent": "Fútbol"}),
    "a field boundary imitated": (
        combined(ref=r"https://r.example/?q=\" \"x"),
        {"referrer": 'https://r.example/?q=" "x'},
    ),
    "fields injected by the user agent": (
        combined(ua=r"M a\" 404 9 \"https://evil\" \"b"),
        {"user_agent": 'M a" 404 9 "https://evil" "b'},
    ),
    "Apache's letters": (combined(ua=r"a\tb\\c"), {"user_agent": "a\tb\\c"}),
    "a backslash that escapes nothing": (combined(ua=r"a\qb"), {"user_agent": r"a\qb"}),
    "empty request line": (combined(request="", status="400"), {"method": None, "path": None, "status": 400}),
    "request line is a dash": (combined(request="-", status="408"), {"method": None, "path": None, "status": 408}),
    "binary request line": (combined(request=r"\x16\x03 \x01\xFC / \x22 \x00HTTP/1.1"), {"method": None, "path": None}),
    "single word": (combined(request="MGLNDD_192.0.2.10_443"), {"method": None, "path": None}),
    "raw blank in the target": (combined(request="GET /my file.html HTTP/1.1"), {"path": "/my file.html"}),
    "HTTP/0.9": (combined(request="GET /old"), {"path": "/old", "protocol": None}),
    "absolute form": (
        combined(request="GET http://u@Example.COM:80/page?x=1 HTTP/1.1"),
        {"path": "/page", "query": "x=1", "host": "example.com", "absolute": True, "scheme": "http"},
    ),
    "absolute form without a path": (
        combined(request="GET http://a.example?x HTTP/1.1"),
        {"path": "/", "query": "x", "host": "a.example", "absolute": True},
    ),
    "authority form": (combined(request="CONNECT example.com:443 HTTP/1.1"), {"method": "CONNECT", "path": None}),
    "asterisk form": (combined(request="OPTIONS * HTTP/1.1"), {"method": "OPTIONS", "path": "*"}),
    "HTTP/2 preface": (combined(request="PRI * HTTP/2.0"), {"method": "PRI", "path": "*"}),
    "double slash": (combined(request="GET //blog//post HTTP/1.1"), {"path": "//blog//post"}),
    "lone question mark": (combined(request="GET /p? HTTP/1.1"), {"query": ""}),
    "a second question mark": (combined(request="GET /p?a?b HTTP/1.1"), {"query": "a?b"}),
    "invalid percent escapes": (
        combined(request="GET /%E4%B8%AD/%zz?q=%20a+b HTTP/1.1"),
        {"path": "/%E4%B8%AD/%zz", "query": "q=%20a+b"},
    ),
    "target without a slash": (combined(request="GET index.html HTTP/1.1"), {"path": None}),
    "Latin-1 in the target": (combined(request="GET /caf\udce9 HTTP/1.1"), {"path": "/caf\ufffd"}),
    "IPv6": (combined(ip="2001:DB8:0::1"), {"client_ip": "2001:db8::1"}),
    "scoped IPv6": (combined(ip="fe80::1%eth0"), {"client_ip": "fe80::1"}),
    "IPv4 with a port": (combined(ip="203.0.113.7:42918"), {}),
    "mapped IPv4": (combined(ip="::ffff:203.0.113.7"), {}),
    "unix socket": (combined(ip="unix:"), {"client_ip": None}),
    "host name instead of an address": (combined(ip="pc7.example.net"), {"client_ip": None}),
    "first field holds several addresses": (combined(ip="198.51.100.9, 203.0.113.7"), {}),
    "Apache's empty user": (combined(user='""'), {"user": ""}),
    "user with a blank": (combined(user="john doe"), {"user": "john doe"}),
    "user that imitates a time": (combined(user=f"x [{TIME}] y"), {"user": f"x [{TIME}] y"}),
    "size is a dash": (combined(status="304", size="-"), {"status": 304, "bytes": None}),
    "client went away": (combined(status="499", size="0"), {"status": 499, "bytes": 0}),
    "quarter-hour offset": (combined(time="10/Oct/2025:13:55:36 +0545"), {"time": "2025-10-10T08:10:36+00:00"}),
    "leap second": (combined(time="31/Dec/2016:23:59:60 +0000"), {"time": "2017-01-01T00:00:00+00:00"}),
    "empty user agent": (combined(ua=""), {"user_agent": None}),
    "NULs before the line": (b"\0" * 80 + combined(), {}),
    "NULs in the middle": (combined().replace(b"GET", b"G\0ET"), {}),
    "carriage return": (combined() + b"\r", {}),
}
UNPARSED = {
    "impossible date": (combined(time="29/Feb/2025:13:55:36 +0000"), "time", 17),
    "impossible offset": (combined(time="10/Oct/2025:13:55:36 +2400"), "time", 17),
    "cut in the user agent": (combined()[:-20], "format", len(combined()) - 20),
    "one field more": (combined() + b' "x"', "format", None),
    "status 000": (combined(status="000"), "status", 63),
    "status is a dash": (combined(status="-"), "status", 63),
    "empty": (b"", "blank", 0),
    "blanks": (b" \t ", "blank", 0),
    "NULs alone": (b"\0" * 100, "blank", 0),
    "nginx error log": (
        b'2025/10/10 13:55:36 [error] 31#31: *3 open() "/srv/favicon.ico" failed, client: 203.0.113.7',
        "format",
        None,
    ),
}


def parser(format_, trusted=(), **keywords):
    return record.Parser(formats.compile(format_), client.ClientRule(trusted), **keywords)


def _told(found: Record) -> dict[str, object]:
    told = {name: getattr(found, name) for name in Record.__slots__}
    told["time"] = None if found.time is None else datetime.fromtimestamp(found.time, UTC).isoformat()
    return {name: readable(value) if isinstance(value, str) else value for name, value in told.items()}


@pytest.mark.parametrize("why", COMBINED)
def test_combined_line_gives_its_record(why):
    """An odd line of the combined format gives every field right."""
    line, expected = COMBINED[why]
    found = parser("combined").parse(line)
    assert isinstance(found, Record)
    told = _told(found)
    for name, value in (GOOD | expected).items():
        assert told[name] == value, name


@pytest.mark.parametrize("why", UNPARSED)
def test_line_that_is_no_request_names_its_reason(why):
    """What is no request is unparsed, with the reason and the place where the match broke."""
    line, reason, position = UNPARSED[why]
    found = parser("combined").parse(line)
    assert isinstance(found, Unparsed)
    assert found.reason == reason
    assert position is None or found.position == position


@pytest.mark.parametrize("line", [line for line, _ in COMBINED.values()] + [line for line, *_ in UNPARSED.values()])
def test_outline_agrees_with_parse(line):
    """The fast way gives the same record or leaves the line to parse."""
    here = parser("combined")
    outline = here.outline(line)
    assert outline is None or here.record(outline) == here.parse(line)


def test_ordinary_lines_take_the_fast_way():
    """A line without escapes has an outline in each of the common formats."""
    tail = b" 462 0.050 [default-web-80] [] 10.0.50.80:9000 19437 0.049 200 752178adb17130b291aefd8c386279e7"
    lines = {
        "combined": combined(),
        "nginx_main": combined() + b' "198.51.100.9"',
        "vhost_combined": b"www.example.com:443 " + combined(),
        "ingress_nginx": combined() + tail,
        "common": combined().rpartition(b' "-"')[0],
        "vhost_common": b"www.example.com " + combined().rpartition(b' "-"')[0],
    }
    for name, line in lines.items():
        assert parser(name).outline(line) is not None, name


def test_glimpse_holds_what_the_key_decides():
    """A glimpse has the decided fields and the user agent; equal keys have equal ones."""
    here = parser("combined")
    first, second = here.outline(combined()), here.outline(combined(ip="198.51.100.1", size="7", ua="other"))
    assert first[0] == second[0]
    assert here.decided == {"method", "path", "query", "protocol", "host", "scheme", "absolute", "status"}
    assert here.glimpse(second) == Record(method="GET", path="/p", status=200, user_agent="other", protocol="HTTP/1.1")


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("198.51.100.9", "198.51.100.9"),
        ("unknown, 198.51.100.9:5123", "198.51.100.9"),
        ("6.6.6.6, 198.51.100.9, 10.1.1.1", "198.51.100.9"),
        ("-", None),
    ],
)
def test_nginx_main_walks_the_last_field(chain, expected):
    """The X-Forwarded-For of nginx's main format is walked from the right, for a trusted peer."""
    found = parser("nginx_main", ["10.0.0.0/8"]).parse(combined(ip="10.0.0.2") + f' "{chain}"'.encode())
    assert found.client_ip == expected


@pytest.mark.parametrize(
    ("vhost", "host"),
    [
        ("Straße.example:443", "xn--strae-oqa.example"),  # as browsers have it, and not strasse.example
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        ("\u202e.example", "\u202e.example"),
        ("www.example.com:443", "www.example.com"),
        ("[2001:db8::80]:8443", "2001:db8::80"),
        ("xn--bcher-kva.example:80", "xn--bcher-kva.example"),
        ("_:80", None),
        ("-", None),
        ("WWW.Example.com.", "www.example.com"),
    ],
)
def test_vhost_is_the_host(vhost, host):
    """A virtual host loses its port, brackets, capitals and last dot."""
    assert parser("vhost_combined").parse(vhost.encode() + b" " + combined()).host == host


def test_log_fields_are_those_asked_for():
    """Only the plan's log.NAME fields are collected, by both ways; an absent one is left out."""
    line = combined() + b" 462 0.050 [default-web-80] [] 10.0.50.80:9000 19437 0.049 200 752178adb1"
    here = parser("ingress_nginx", log_fields=frozenset(("request_time", "proxy_alternative_upstream_name", "nowhere")))
    assert here.parse(line).log == {"request_time": "0.050"}
    assert here.record(here.outline(line)).log == {"request_time": "0.050"}
