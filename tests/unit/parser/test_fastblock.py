"""Many lines at once: columns are taken only when every line has its quotes and blanks where the format has them."""

from __future__ import annotations

import pytest

from logship.parser import client, formats, record
from logship.records import Unparsed

UA = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
TAIL = b" 462 0.050 [default-web-80] [] 10.0.50.80:9000 19437 0.049 200 752178adb17130b291aefd8c386279e7"


def combined(head="203.0.113.7 - -", time="10/Oct/2025:13:55:36 +0000", request="GET /p HTTP/1.1", end="200 512"):
    return f'{head} [{time}] "{request}" {end} "-" "{UA}"'.encode()


def parser(format_="combined", wrapper="none"):
    return record.Parser(formats.compile(format_, wrapper=wrapper), client.ClientRule(()))


PLAIN = {
    "combined": combined(),
    "nginx_main": combined() + b' "198.51.100.9"',
    "vhost_combined": b"www.example.com:443 " + combined(),
    "ingress_nginx": combined() + TAIL,
    "common": combined().rpartition(b' "-"')[0],
    "vhost_common": b"www.example.com " + combined().rpartition(b' "-"')[0],
    "$remote_addr $time_iso8601 $request_method $request_uri $status": b"1.1.1.1 2025-10-10T13:55:36Z GET /p 200",
    '"$http_user_agent" "$request" [$time_local] $msec "$remote_addr"': (
        b'"x" "GET /p HTTP/1.1" [10/Oct/2025:13:55:36 +0000] 1760104536.5 "1.1.1.1"'
    ),
}


@pytest.mark.parametrize("format_", PLAIN)
@pytest.mark.parametrize("wrapper", ["none", "auto"])
def test_plain_lines_of_quoted_formats_make_a_block(format_, wrapper):
    """The fast way is really taken, behind a wrapper that may be there as well."""
    here = parser(format_, wrapper)
    lines = [PLAIN[format_]] * 3
    sheet = here.block.sheet(lines)
    assert sheet is not None
    assert here.record(sheet.outline(2)) == here.parse(lines[2])
    assert [*sheet.keys] == [sheet.outline(0)[0]] * 3


ODD = {
    "a blank too many here, one too few there": (combined("1.1.1.1 - john doe"), combined("1.1.1.1 -")),
    "the same after the request": (combined(end="200 5 x"), combined(end="200")),
    "a quote too many here, one too few there": (combined(request='GET /" HTTP/1.1'), combined().replace(b'" "', b" ")),
    "a day that is none": (combined(time="31/Nov/2025:13:55:36 +0000"), combined()),
    "a zone that is none, after one": (combined(), combined(time="10/Oct/2025:13:55:36 +9900")),
    "no status": (combined(end="000 5"), combined()),
    "no size": (combined(end="200 5-"), combined()),
    "another word where the format has a dash": (combined("203.0.113.7 x -"), combined()),
    "another text between quotes": (combined().replace(b'" "Moz', b'"x"Moz'), combined()),
    "an empty line": (b"", combined()),
}


@pytest.mark.parametrize("why", ODD)
def test_a_block_with_an_odd_line_is_refused(why):
    """What one line has too much never makes up for what another lacks."""
    here, lines = parser(), [combined(), *ODD[why], combined()]
    assert any(isinstance(here.parse(line), Unparsed) for line in lines)
    assert here.block.sheet(lines) is None


def test_words_that_may_be_anything_are_counted_line_by_line():
    """Where no other check would tell, the counts do."""
    here = parser('$remote_addr "$request" $one $two "$status"')
    fits, more, less = (b'1.1.1.1 "GET / HTTP/1.1" %b "200"' % words for words in (b"a b", b"a b c", b"a"))
    assert here.block.sheet([fits, fits]) is not None
    assert here.block.sheet([more, less]) is None


def test_lines_with_escapes_are_told_beforehand():
    """An escape that is not of one kind, or a hole, in one line leaves the other lines their block."""
    lines = [
        combined(),
        combined(request="GET /\\t HTTP/1.1"),
        combined() + b"\0",
        combined(request='GET "/" HTTP/1.1'),
        combined(),
    ]
    here = parser()
    assert [*here.block.fits(lines)] == [1, 0, 0, 0, 1]
    assert here.block.sheet([lines[0], lines[4]]) is not None


def test_wrapped_lines_and_bare_ones_make_one_block():
    """Each line is unwrapped by itself where they are not all alike."""
    lines = [
        combined(),
        b"2025-10-10T13:55:36Z stdout F " + combined(),
        b"<190>Oct 10 13:55:36 web nginx: " + combined(),
    ]
    here = parser(wrapper="auto")
    sheet = here.block.sheet(lines)
    assert [here.record(sheet.outline(at)) for at in range(3)] == [here.parse(lines[0])] * 3


@pytest.mark.parametrize("format_", ["w3c", "s3", {"regex": r"(?P<client_ip>\S+) (?P<request>.*)"}])
def test_other_formats_have_no_block(format_):
    """Lines that explain the next, that may match in two ways, or are of unknown length are taken one by one."""
    assert parser(format_).block is None


JSON_LINES = {
    "nginx_json": b'{"time": "2025-10-10T13:55:36Z", "remote_addr": "1.1.1.1", "request": "GET / HTTP/1.1",'
    b' "status": 200}',
    "caddy": b'{"ts":1760104536.5,"request":{"client_ip":"1.1.1.1","method":"GET","host":"example.com","uri":"/",'
    b'"headers":{"User-Agent":["Mozilla/5.0"]}},"status":200}',
    "traefik": b'{"ClientHost":"1.1.1.1","RequestPath":"/","StartUTC":"2025-10-10T13:55:36.123456789Z",'
    b'"OriginStatus":200}',
    "ltsv": b"time:[10/Oct/2025:13:55:36 +0000]\thost:1.1.1.1\treq:GET / HTTP/1.1\tstatus:200",
}


@pytest.mark.parametrize("format_", JSON_LINES)
def test_lines_with_labels_make_a_block_without_those_that_are_no_requests(format_):
    """An application's own lines among them cost the others nothing."""
    here = parser(format_, "auto")
    lines = [JSON_LINES[format_]] * 20 + [b'{"level":"info","msg":"started"}', b"started"] + [JSON_LINES[format_]] * 3
    sheet = here.block.sheet(lines)
    assert [*sheet.fits] == [1] * 20 + [0] * 2 + [1] * 3
    assert here.record(sheet.outline(22)) == here.parse(lines[0])
    assert [*sheet.keys] == [sheet.outline(0)[0]] * 23


def test_lines_without_braces_hide_no_object_inside_of_another_line():
    """As many braces as lines do not mean one in each: what is inside is found whatever text stands between."""
    here = parser("nginx_json", "none")
    entry = JSON_LINES["nginx_json"].replace(b"}", b', "request_headers": {"User-Agent": "Mozilla/5.0"}}')
    lines = [entry, b"started"] * 20
    sheet = here.block.some(lines)
    found = [here.parse(entry)] * 20 if sheet is None else [here.record(sheet.outline(at)) for at in range(20)]
    assert {each.user_agent for each in found} == {"Mozilla/5.0"}


def test_values_with_escapes_make_a_block():
    """A quote in a User-Agent is no reason to look at its line alone, however the server writes it."""
    here = parser()
    lines = [combined().replace(b"X11", odd) for odd in (b"X11", rb"\x22", rb"\"", rb"\\", rb"\\\"\xc3\xa9")]
    sheet = here.block.sheet(lines)
    assert [here.record(sheet.outline(at)) for at in range(len(lines))] == [here.parse(line) for line in lines]
    assert sheet.agents[4].count(b'\\"\xc3\xa9') == 1
