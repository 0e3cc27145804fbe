"""Names, strings and mappings become formats; what cannot be used is refused with the reason."""

from __future__ import annotations

import re
import time

import pytest

from logship.parser import client, formats, layout, record
from logship.records import Record

LINE = b'203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET /p?a=1 HTTP/1.1" 200 512 "-" "UA"'
COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
APACHE = r"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\""


def parse(spec, line, trusted=(), field="x_forwarded_for", **keywords):
    return record.Parser(formats.compile(spec), client.ClientRule(trusted, field), **keywords).parse(line)


@pytest.mark.parametrize(
    "spec",
    [
        "combined",
        COMBINED,
        COMBINED.replace("$status", "${status}"),
        f"log_format main '{COMBINED}';",
        f"log_format main escape=default\n  '{COMBINED[:40]}' # a comment\n  '{COMBINED[40:]}';\n",
        f"'{COMBINED[:40]}'\n'{COMBINED[40:]}'",
        'log_format main "{}"'.format(COMBINED.replace('"', '\\"')),
        APACHE,
        APACHE.replace("\\", ""),
        f'LogFormat "{APACHE}" combined',
        f'"{APACHE}"',
        'LogFormat \'%a %l %u %t "%!200,304r" %400,200>s %B "%{Referer}i" "%{User-Agent}i"\' mine',
    ],
)
def test_every_spelling_of_combined_reads_a_combined_line(spec):
    """The string alone, quoted pieces and the whole directive, of nginx and of Apache, mean the same."""
    found = parse(spec, LINE)
    assert found == parse("combined", LINE)
    assert isinstance(found, Record)


@pytest.mark.parametrize(
    ("spec", "line", "expected"),
    [
        (
            'log_format j escape=json \'{"t":"$msec","ip":"$remote_addr","r":"$request","ua":"$http_user_agent"}\';',
            rb'{"t":"1760104536.5","ip":"203.0.113.7","r":"GET /\"x HTTP/1.1","ua":"a\u001f\\b\n\ud83d\ude00\ud800"}',
            {"time": 1760104536.5, "path": '/"x', "user_agent": "a\x1f\\b\n\U0001f600\ufffd"},
        ),
        (
            'log_format n escape=none \'$remote_addr [$time_local] "$request" $status "$http_user_agent"\';',
            rb'203.0.113.7 [10/Oct/2025:13:55:36 +0000] "GET /\x41 HTTP/1.1" 200 "a\"',
            {"path": r"/\x41", "user_agent": "a\\"},
        ),
        (
            "$remote_addr|$time_iso8601|$scheme://$host$request_uri|$request_method|$status|$http_user_agent",
            b"203.0.113.7|2025-10-10T13:55:36+00:00|https://Example.com/a?b|GET|200|Mozilla/5.0 (X11)",
            {"scheme": "https", "host": "example.com", "path": "/a", "query": "b", "user_agent": "Mozilla/5.0 (X11)"},
        ),
        (
            "$remote_addr:$remote_port $time_iso8601 $request_method $uri$is_args$args $status",
            b"2001:db8::1:5123 2025-10-10T13:55:36Z GET /a?b=1 404",
            {"client_ip": "2001:db8::1", "path": "/a", "query": "b=1", "status": 404},
        ),
        (
            '%v:%p %a %u %t "%m %U%q %H" %>s %b "%{User-agent}i"',
            b'[::1]:80 203.0.113.7 - [10/Oct/2025:13:55:36 +0000] "GET /a? HTTP/1.1" 200 - "UA"',
            {"host": "::1", "path": "/a", "query": "", "protocol": "HTTP/1.1", "bytes": None},
        ),
        ('%{sec}t %h "%r" %>s', b'1760104536 203.0.113.7 "GET / HTTP/1.1" 200', {"time": 1760104536.0}),
        ('%{msec}t %h "%r" %>s', b'1760104536123 203.0.113.7 "GET / HTTP/1.1" 200', {"time": 1760104536.123}),
        ("%h %{%Y-%m-%dT%H:%M:%S%z}t %>s", b"203.0.113.7 2025-10-10T13:55:36+0545 200", {"time": 1760083836.0}),
        (
            '%h [%{%d/%b/%Y %T}t.%{msec_frac}t %{%z}t] "%r"',
            b'203.0.113.7 [10/Oct/2025 13:55:36.250 +0000] "GET / HTTP/1.1"',
            {"time": 1760104536.25, "status": None},
        ),
        ('%h %t "%r" %<s %>s', b'203.0.113.7 [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 302 200', {"status": 200}),
        ('%h 100%% %t "%r"', b'203.0.113.7 100% [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1"', {"path": "/"}),
        ("$remote_addr", b"203.0.113.7", {"client_ip": "203.0.113.7", "time": None, "status": None}),
        (
            '$http_x_forwarded_for - $remote_user [$time_local] "$request" $status',
            b'6.6.6.6, 203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200',
            {"client_ip": "203.0.113.7"},
        ),
        (
            {"regex": r'^(?P<client_ip>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d+)'},
            rb'203.0.113.7 [2025-10-10 13:55:36] "GET /\x41?q HTTP/1.1" 200 and more',
            {"time": 1760104536.0, "path": "/A", "query": "q", "status": 200},
        ),
        (
            {"json": {"client_ip": "http.ip", "method": "http.verb", "target": "url", "status": "code", "time": "ts"}},
            b'{"http":{"ip":"203.0.113.7","verb":"GET"},"url":"/a?b","code":"200","ts":1760104536123}',
            {"client_ip": "203.0.113.7", "method": "GET", "path": "/a", "query": "b", "time": 1760104536.123},
        ),
        (
            {"json": {"client_ip": "ip", "path": "uri", "query": "args"}},
            b'{"ip":"203.0.113.7","uri":"/a?b","args":"?c=d"}',
            {"path": "/a?b", "query": "c=d"},
        ),
        (
            {"regex": r"^(?P<client_ip>\S+) (?P<path>[^? ]*)(?P<query>\?\S*)?$"},
            b"203.0.113.7 /a?b=c",
            {"path": "/a", "query": "b=c"},
        ),
    ],
)
def test_format_reads_its_lines(spec, line, expected):
    """A user's own format gives the fields that it holds."""
    found = parse(spec, line)
    assert isinstance(found, Record)
    for name, value in expected.items():
        assert getattr(found, name) == value, name


APACHES = ' %t "%r" %>s "%{User-Agent}i"'
NGINXS = ' [$time_local] "$request" $status "$http_user_agent"'


@pytest.mark.parametrize(
    ("spec", "head", "name"),
    [
        ("%h cost=$price" + APACHES, b"203.0.113.7 cost=$price", "remote_host"),
        (f"LogFormat '%h $remote_addr{APACHES}'", b"203.0.113.7 $remote_addr", "remote_host"),
        ("100%! $remote_addr" + NGINXS, b"100%! 203.0.113.7", "remote_addr"),
        ("%d $remote_addr" + NGINXS, b"%d 203.0.113.7", "remote_addr"),
        (f"log_format x '%h $remote_addr{NGINXS}';", b"%h 203.0.113.7", "remote_addr"),
    ],
)
def test_a_servers_format_is_not_taken_for_the_others(spec, head, name):
    """A word with a dollar is text to Apache, and a percent sign is text to nginx."""
    line = head + b' [10/Oct/2025:13:55:36 +0000] "GET /p HTTP/1.1" 200 "UA"'
    found = parse(spec, line, log_fields=frozenset((name,)))
    assert (found.client_ip, found.path, found.user_agent) == ("203.0.113.7", "/p", "UA")
    assert found.log == {name: "203.0.113.7"}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("%h $remote_addr %t", "can be read as nginx's .* and as Apache's .*give the whole directive"),
        ("combind", r'\'combind\' is no known format \(did you mean "combined"\?\); known are combined, common'),
        ("auto", "decided by the log's first lines"),
        ("hello world", "neither a format's name nor a format string of nginx"),
        ('$remote_user [$time_local] "$request"', "does not hold the client's address.*remote_addr.*%h"),
        ("%t %r", "does not hold the client's address"),
        ("$remote_addr$status", "ambiguous: nothing stands between remote_addr and status; put a blank or quotes"),
        ("$remote_addr-$http_foo", "ambiguous: '-' between remote_addr and http_foo may be part of either"),
        ("$remote_addr $http_user_agent $request", "ambiguous: http_user_agent and request may both hold blanks"),
        ("log_format x escape=html '$remote_addr';", "escape=html: nginx knows escape=default"),
        ("log_format x '$remote_addr", "a quote is opened and never closed"),
        ("${} $remote_addr", "names no variable"),
        ('LogFormat "%h %r', r'expected LogFormat "..." \[name\]'),
        ("%h %Z", "'%Z'|%Z is no directive of mod_log_config"),
        ("%h 100% ", "is no directive of mod_log_config"),
        ("%h %{%H:%M}t", "holds no whole moment"),
        ("%h %{%c}t", "%c cannot be read back"),
        ({"regex": "(?P<client_ip>"}, r"regex: missing \).*RE2 syntax"),
        ({"regex": r"(?P<client_ip>\d+)(?=x)"}, "regex: invalid perl operator"),
        ({"regex": "x"}, "no named groups"),
        ({"regex": "(?P<host>x)"}, "does not hold the client's address"),
        ({"json": {"clientip": "x"}}, r'unknown field \'clientip\' \(did you mean "client_ip"\?\)'),
        ({"json": {"client_ip": "x"}}, "none of request, target, path, method is given"),
        ({"json": {"request": "x"}}, "does not hold the client's address"),
        ({"jsn": {}}, "'jsn': expected {json: {field: key}} or {regex: pattern}"),
        ({}, "expected {json: {field: key}} or {regex: pattern}"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(spec, text):
    """An error says what we got and what to do."""
    with pytest.raises(formats.FormatError, match=text):
        formats.compile(spec)


def test_unknown_wrapper_is_refused():
    """A misspelt wrapper says what is known."""
    with pytest.raises(formats.FormatError, match=r"wrapper 'dcoker'.*did you mean \"docker\""):
        formats.compile("combined", wrapper="dcoker")


def test_client_field_names_any_field_of_the_format():
    """The field of the proxies' word may be any header that the format logs."""
    spec = COMBINED + ' "$http_cf_connecting_ip"'
    line = LINE.replace(b"203.0.113.7", b"172.70.1.1") + b' "198.51.100.9"'
    for field in ("http_cf_connecting_ip", "cf_connecting_ip"):
        assert parse(spec, line, ["cloudflare"], field).client_ip == "198.51.100.9"


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ("combined", "http_x_real_ip", "the format has no field 'http_x_real_ip'; it has remote_addr, remote_user,"),
        (
            COMBINED + ' "$http_x_real_ip"',
            "X-Real-IP",
            "no field 'X-Real-IP' (did you mean \"http_x_real_ip\"?); it has",
        ),
        ({"regex": "(?P<client_ip>a)(?P<xff>b)"}, "xf", "no field 'xf' (did you mean \"xff\"?); it has client_ip, xff"),
    ],
)
def test_a_client_field_that_the_format_lacks_is_told(spec, field, told):
    """With what it has, and what was likely meant."""
    with pytest.raises(formats.FormatError, match=re.escape(told)):
        formats.require_field(formats.compile(spec), field)


@pytest.mark.parametrize("field", ["http_x_real_ip", "X-Real-IP", "forwarded"])
def test_a_line_without_the_field_of_the_proxies_is_read_all_the_same(field):
    """A log that switches its format must not end the daemon: nobody vouches for the visitor, and that is all."""
    assert parse("combined", LINE, ["203.0.113.0/24"], field).client_ip is None
    assert parse("combined", LINE, ["192.0.2.0/24"], field).client_ip == "203.0.113.7"


@pytest.mark.parametrize(
    ("spec", "line", "name", "value"),
    [
        (COMBINED + " rt=$request_time", LINE + b" rt=0.1", "request_time", "0.1"),
        (COMBINED + " [$my_var]", LINE + b" [a b]", "my_var", "a b"),
        (
            COMBINED + " $upstream_addr",
            LINE + b" 10.0.0.1:80, 10.0.0.2:80 : unix:/x",
            "upstream_addr",
            "10.0.0.1:80, 10.0.0.2:80 : unix:/x",
        ),
        (APACHE + " %D", LINE + b" 33", "duration_us", "33"),
        (APACHE + " %{X-Foo-Bar}i", LINE + b" x", "http_x_foo_bar", "x"),
        (APACHE + " %{X-Foo}o", LINE + b" x", "sent_http_x_foo", "x"),
        (APACHE + " %{session}C", LINE + b" x", "cookie_session", "x"),
        (APACHE + " %{UNIQUE_ID}e", LINE + b" x", "env_unique_id", "x"),
        ({"regex": r"^(?P<client_ip>\S+) .* (?P<bytes>\d+) (?P<rest>\S+)"}, LINE, "rest", '"-"'),
    ],
)
def test_other_fields_are_kept_under_their_names(spec, line, name, value):
    """A field that a record does not have is log.NAME."""
    assert parse(spec, line, log_fields=frozenset((name,))).log == {name: value}


@pytest.mark.parametrize(
    "spec", ["combined", "vhost_combined", "ingress_nginx", "nginx_json", "$remote_addr $http_x $upstream_addr"]
)
def test_lines_made_to_backtrack_do_not_stall(spec):
    """Ten times the line takes about ten times as long, not a hundred: strangers write parts of every line."""
    here = record.Parser(formats.compile(spec), client.ClientRule([]))
    for part in (b"a, ", b" [10/Oct/2025:13:55:36 +0000] ", b"\\", b"- - ", b'"" ', b" : ", b'\\"', b'{"a":-,'):
        for head in (b"", b"203.0.113.7 - ", b"{"):
            here.parse(head + part * 4)
            short = _seconds(here, head + part * (3_000 // len(part)))
            long = head + part * (30_000 // len(part))
            assert any(_seconds(here, long) < 0.05 + 40 * short for _ in range(5))  # others want the processor, too


def _seconds(parser, line):
    begun = time.process_time()
    parser.parse(line)
    return time.process_time() - begun


@pytest.mark.parametrize(
    "spec", [COMBINED, APACHE, "nginx_main", "ingress_nginx", "vhost_combined", "traefik", "haproxy"]
)
def test_debians_python_understands_every_expression(spec):
    """Under 3.11.2 a group of words, repeated possessively, matched nothing (gh-106052), and no line was a request."""
    format_ = formats.compile(spec)
    assert b"++)*+" not in layout.expression(format_.pieces, format_.escape)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://[2001:DB8:0:0::1]:8080/a", "2001:db8::1"),
        ("http://[2001:db8::1]/a", "2001:db8::1"),
        ("http://[2001:db8:zz::1]/a", "2001:db8:zz::1"),
        ("http://EXAMPLE.com.:80/a", "example.com"),
    ],
)
def test_a_host_has_one_spelling(target, host):
    """Two spellings of one host would be two sites, and a visitor of each another one."""
    assert parse("combined", LINE.replace(b"/p?a=1", target.encode())).host == host


@pytest.mark.parametrize(
    ("spec", "line", "name", "value"),
    [
        ('%h %{SSL_PROTOCOL}x %{HTTPS}x "%r"', b'203.0.113.7 TLSv1.3 on "GET /p HTTP/1.1"', "ssl_protocol", "TLSv1.3"),
        ('%h %{cipher}c "%r"', b'203.0.113.7 AES256 "GET /p HTTP/1.1"', "ssl_cipher", "AES256"),
        ('%h "%r" %^FB', b'203.0.113.7 "GET /p HTTP/1.1" 351', "first_byte_us", "351"),
        ('%h "%r" %^FB', b'203.0.113.7 "GET /p HTTP/1.1" -', "first_byte_us", None),
    ],
)  # fmt: skip
def test_fields_of_apaches_other_modules_are_read(spec, line, name, value):
    """Red Hat's ssl_request_log is written with mod_ssl's."""
    here = record.Parser(formats.compile(spec), client.ClientRule([]), log_fields=frozenset((name,)))
    found = here.parse(line)
    assert (found.client_ip, found.path, found.log.get(name)) == ("203.0.113.7", "/p", value)


def test_seconds_and_their_fraction_are_one_time():
    """Apache cannot combine them in one directive: its manual says to write two."""
    found = parse('%h [%{sec}t.%{usec_frac}t] "%r"', b'203.0.113.7 [1760104536.250000] "GET /p HTTP/1.1"')
    assert found.time == 1760104536.25
    assert parse('%h [%{sec}t] "%r"', b'203.0.113.7 [1760104536] "GET /p HTTP/1.1"').time == 1760104536.0


def test_what_apache_logs_at_times_alone_is_not_believed_before_what_it_logs_always():
    """The first User-Agent of the format is that of errors only: every other visitor was a machine without a name."""
    here = record.Parser(
        formats.compile('%h %t "%400,501{User-Agent}i" "%r" %s %>s "%{User-Agent}i"'), client.ClientRule([])
    )
    read = here.parse(b'203.0.113.7 [10/Oct/2025:13:55:36 +0000] "-" "GET /p HTTP/1.1" 301 200 "Firefox"')
    assert (read.user_agent, read.status) == ("Firefox", 200)
