"""JSON logs of every make, and lines that are nearly JSON."""

from __future__ import annotations

import sys

import orjson
import pytest

from logship.parser import client, formats, record
from logship.records import Record, Unparsed, readable

CADDY = {
    "level": "info",
    "ts": 1760104536.25,
    "logger": "http.log.access.log0",
    "msg": "handled request",
    "request": {
        "remote_ip": "10.0.0.2",
        "client_ip": "203.0.113.7",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "Example.com:443",
        "uri": "/p?a=1",
        "headers": {"User-Agent": ["UA"], "Referer": ["https://r.example/"], "X-Forwarded-For": ["1.1.1.1", "2.2.2.2"]},
    },
    "user_id": "",
    "size": 512,
    "status": 200,
    "resp_headers": {"Content-Type": ["text/html; charset=utf-8"]},
}
TRAEFIK = {
    "ClientAddr": "10.0.0.1:4242",
    "ClientHost": "198.51.100.9",
    "ClientUsername": "-",
    "DownstreamContentSize": 19,
    "DownstreamStatus": 200,
    "RequestHost": "example.com",
    "RequestMethod": "GET",
    "RequestPath": "/a?b=1",
    "RequestProtocol": "HTTP/1.1",
    "RequestScheme": "https",
    "StartUTC": "2025-10-10T13:55:36.123456789Z",
    "request_User-Agent": "UA",
}


def parser(spec, trusted=(), **keywords):
    return record.Parser(formats.compile(spec), client.ClientRule(trusted), **keywords)


def test_caddy_line_gives_its_record():
    """Caddy's nested entry, with what Caddy itself says of the client, fills a record."""
    here = parser("caddy", log_fields=frozenset(("request.proto", "level")))
    found = here.parse(orjson.dumps(CADDY))
    assert found == Record(
        time=1760104536.25,
        client_ip="203.0.113.7",
        host="example.com",
        method="GET",
        path="/p",
        query="a=1",
        status=200,
        bytes=512,
        referrer="https://r.example/",
        user_agent="UA",
        protocol="HTTP/2.0",
        content_type="text/html; charset=utf-8",
        log={"request.proto": "HTTP/2.0", "level": "info"},
    )
    assert here.record(here.outline(orjson.dumps(CADDY))) == found


@pytest.mark.parametrize(
    ("request_", "ip"),
    [({"remote_addr": "203.0.113.7:4711"}, "203.0.113.7"), ({"remote_ip": "203.0.113.8"}, "203.0.113.8")],
)
def test_older_caddy_lines_are_read(request_, ip):
    """remote_addr before 2.5, remote_ip since."""
    entry = CADDY | {"request": {"method": "GET", "uri": "/", **request_}}
    assert parser("caddy").parse(orjson.dumps(entry)).client_ip == ip


@pytest.mark.parametrize(
    "entry",
    [
        {"level": "info", "ts": 1760104536.25, "logger": "admin", "msg": "admin endpoint started"},
        CADDY | {"logger": "http.log.error"},
        CADDY | {"logger": None},
        {"level": "info", "msg": "x"},
    ],
)
def test_other_entries_of_caddy_are_not_access(entry):
    """An error's entry repeats the request: counting it would count the visit twice."""
    assert parser("caddy").parse(orjson.dumps(entry)) == Unparsed("not_access")


def test_traefik_line_gives_its_record():
    """Traefik's flat entry fills a record; ClientHost is the chain when headers are not kept."""
    found = parser("traefik", ["10.0.0.0/8"]).parse(orjson.dumps(TRAEFIK))
    assert (found.client_ip, found.host, found.path, found.query, found.status) == (
        "198.51.100.9",
        "example.com",
        "/a",
        "b=1",
        200,
    )
    assert parser("traefik").parse(orjson.dumps(TRAEFIK)).client_ip == "10.0.0.1"


NGINX = '{"time":"2025-10-10T13:55:36+00:00","remote_addr":"203.0.113.7","request":"GET /p HTTP/1.1","status":200,%s}'


@pytest.mark.parametrize(
    ("rest", "agent"),
    [
        (rb'"user_agent":"F\xC3\xBAtbol \x22x\x22 a\x5Cb \x09"', 'Fútbol "x" a\\b \t'),
        (rb'"user_agent":"a\qb"', r"a\qb"),
        (b'"user_agent":"caf\xe9"', "caf\ufffd"),
        (b'"user_agent":"a\tb"', "a\tb"),
        (rb'"user_agent":"\ud800x"', "\ufffdx"),
        (rb'"rt":-,"up": ,"user_agent":"UA"', "UA"),
        (b'"user_agent":"-"', None),
        (b'"user_agent":null,"agent":"second"', "second"),
        (b'"User-Agent":"UA"', "UA"),
        (b'"userAgent":["a","b"]', "a, b"),
        (b'"user_agent":{"x":1}', None),
        (b'"x":1e999,"ua":true', "True"),
    ],
)
def test_nearly_json_is_mended(rest, agent):
    """nginx's default escaping, odd bytes and missing numbers do not cost the line."""
    found = parser("nginx_json").parse(NGINX.encode() % rest)
    assert isinstance(found, Record)
    assert found.path == "/p"
    assert (readable(found.user_agent) if found.user_agent else None) == agent


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "json"),
        (b"[1]", "json"),
        (b"plain text", "json"),
        (b'{"a":' * 100_000, "json"),
        (b"{}", "not_access"),
        (b'{"level":"info","msg":"starting","time":"2025-10-10T13:55:36Z"}', "not_access"),
        (b'{"request":"GET / HTTP/1.1","time":"yesterday"}', "time"),
        (b'{"request":"GET / HTTP/1.1","status":0}', "status"),
        (b'{"request":"GET / HTTP/1.1","status":"ok"}', "status"),
    ],
)
def test_json_line_that_is_no_request_names_its_reason(line, reason):
    """What is no request is unparsed, whatever else it is."""
    assert parser("nginx_json").parse(line).reason == reason


@pytest.mark.parametrize(
    "time",
    [
        b'"2025-10-10T13:55:36+00:00"',
        b'"10/Oct/2025:13:55:36 +0000"',
        b'"[10/Oct/2025:13:55:36 +0000]"',
        b"1760104536",
        b'"1760104536.0"',
        b"1760104536000",
        b"1760104536000000000",
        b'"2025/10/10 13:55:36"',
    ],
)
def test_time_is_told_by_its_looks(time):
    """ISO, common log format and epochs of every unit are one moment."""
    line = b'{"remote_addr":"203.0.113.7","request":"GET / HTTP/1.1","time":' + time + b"}"
    assert parser("nginx_json").parse(line).time == 1760104536.0


def test_ltsv_line_gives_its_record():
    """LTSV's host is the client, and vhost the host."""
    line = b"time:[10/Oct/2025:13:55:36 +0000]\thost:203.0.113.7\treq:GET /a?b HTTP/1.1\tua:a\\x22b\tvhost:A.example"
    here = parser("ltsv")
    found = here.parse(line)
    assert (found.client_ip, found.host, found.path, found.query, found.user_agent) == (
        "203.0.113.7",
        "a.example",
        "/a",
        "b",
        'a"b',
    )
    assert here.record(here.outline(line)) == found
    assert here.parse(b"no labels") == Unparsed("format")


@pytest.mark.parametrize("label", ["path", "uri", "url", "request_uri"])
def test_a_query_in_what_is_called_a_path_is_one(label):
    """Most people who log JSON keep the query in the path: an asset with a version is no page."""
    line = f'{{"ip":"203.0.113.7","method":"GET","status":200,"{label}":"/style.css?v=3"}}'
    found = parser("nginx_json").parse(line.encode())
    assert (found.path, found.query) == ("/style.css", "v=3")


def test_a_path_beside_its_query_is_as_it_is():
    """nginx has decoded it: a question mark in it was escaped once."""
    line = b'{"ip":"203.0.113.7","method":"GET","status":200,"uri":"/a?b","args":"c=d"}'
    found = parser("nginx_json").parse(line)
    assert (found.path, found.query) == ("/a?b", "c=d")


OURS = {"remoteAddress": "203.0.113.7", "method": "GET", "url": "/p?a=1"}
THEIRS = {"client-ip": "6.6.6.6", "Remote-Addr": "6.6.6.6", "status": "404", "request": "GET /evil HTTP/1.1"}


@pytest.mark.parametrize("inside", ["headers", "query", "params", "cookies", "body", "requestHeaders"])
def test_what_a_visitor_named_is_no_word_of_the_server(inside):
    """Strangers choose the names of headers and parameters: one called Client-IP is no address of theirs."""
    entry = {"time": 1760104536000, "req": {**OURS, inside: THEIRS}, "res": {"statusCode": 200}}
    found = parser("nginx_json").parse(orjson.dumps(entry))
    assert (found.client_ip, found.path, found.query) == ("203.0.113.7", "/p", "a=1")
    assert (found.status, found.time) == (200, 1760104536.0)


def test_headers_count_by_their_very_names():
    """A second spelling of X-Forwarded-For is another header, to which no proxy has added anything."""
    headers = {"host": "example.com", "user-agent": "Mozilla/5.0", "referer": "https://e.org/", "content-type": "a/b"}
    chains = {"http_x_forwarded_for": "6.6.6.6", "x_forwarded_for": "6.6.6.6", "x-forwarded-for": "198.51.100.9"}
    entry = {"req": {**OURS, "headers": headers | chains}, "res": {"headers": {"content-type": "text/html"}}}
    found = parser("nginx_json", ["203.0.113.0/24"]).parse(orjson.dumps(entry))
    assert (found.client_ip, found.host, found.user_agent) == ("198.51.100.9", "example.com", "Mozilla/5.0")
    assert (found.referrer, found.content_type) == ("https://e.org/", "text/html")


def test_a_label_that_is_there_twice_is_believed_in_neither_place():
    """A writer that lets tabs through lets a visitor write labels: `host` at the end is no address."""
    line = b"host:203.0.113.7\treq:GET /p HTTP/1.1\tstatus:200\tua:UA"
    assert parser("ltsv").parse(line).client_ip == "203.0.113.7"
    assert parser("ltsv").parse(line + b"\thost:6.6.6.6").reason == "format"
    assert parser("ltsv").parse(line + rb"\x09host:6.6.6.6").user_agent == "UA\thost:6.6.6.6"


@pytest.mark.parametrize("headers", ["nested", "flat"])
def test_a_header_of_a_new_name_in_each_line_costs_little(headers):
    """Strangers name them: the line's other keys are known, and are not looked at once more (it took seventy times)."""
    parser = record.Parser(formats.compile("nginx_json"), client.ClientRule([]))

    def lines(names):
        for name in names:
            sent = {"User-Agent": "UA", "Host": "example.com", f"X-{name}": "1"}
            written = {"headers": sent} if headers == "nested" else {f"request_{key}": sent[key] for key in sent}
            request = {"method": "GET", "uri": "/p", "remote_ip": "203.0.113.7", **written}
            yield orjson.dumps({"ts": 1760104536.5, "request": request, "status": 200, "duration": 0.1, "size": 5})

    def calls(names):
        counted = 0

        def count(_, event, __):
            nonlocal counted
            counted += event == "call"

        found = list(lines(names))
        sys.setprofile(count)
        try:
            records = [parser.parse(line) for line in found]
        finally:
            sys.setprofile(None)
        assert {(each.path, each.client_ip, each.user_agent) for each in records} == {("/p", "203.0.113.7", agent)}
        return counted

    agent = "UA" if headers == "nested" else None
    calls(["known"])
    assert calls(map(str, range(200))) < 10 * calls(["known"] * 200)
