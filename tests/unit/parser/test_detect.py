"""A log's first lines tell its format."""

from __future__ import annotations

import pytest

from logship.parser import detect

COMBINED = b'203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET /p HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11)"'
COMMON = COMBINED[: COMBINED.index(b' "-"')]
LINES = {
    "combined": COMBINED,
    "common": COMMON,
    "vhost_combined": b"www.example.com:443 " + COMBINED,
    "vhost_common": b"www.example.com " + COMMON,
    "nginx_main": COMBINED + b' "198.51.100.9"',
    "ingress_nginx": COMBINED + b" 462 0.050 [default-web-80] [] 10.0.50.80:9000 19437 0.049 200 752178adb17130",
    "nginx_json": b'{"time":1760104536,"remote_addr":"203.0.113.7","request":"GET / HTTP/1.1","status":200}',
    "caddy": b'{"ts":1760104536,"logger":"http.log.access","request":{"remote_ip":"1.1.1.1",'
    b'"method":"GET","uri":"/"},"status":200}',
    "traefik": b'{"ClientAddr":"10.0.0.1:42","DownstreamStatus":200,"RequestMethod":"GET","RequestPath":"/"}',
    "icecast": COMBINED + b" 33",
    "envoy": b'[2016-04-15T20:17:00.310Z] "GET / HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "ua" "cc21" "host" "10.0.2"',
    "alb": b"https 2018-07-02T22:23:00.186641Z app/lb 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "
    b'"GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE TLSv1.2 arn:x "Root=1-5" "www.example.com"',
    "elb": b"2015-05-13T23:39:43.945958Z lb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "
    b'"GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -',
    "s3": b'79a59 bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59 3E57 REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - 1'
    b' - 7 - "-" "S3Console/0.4" - s9lz SigV4',
    "ltsv": b"time:[10/Oct/2025:13:55:36 +0000]\thost:203.0.113.7\treq:GET / HTTP/1.1\tstatus:200",
}


@pytest.mark.parametrize("name", LINES)
def test_one_line_tells_its_format(name):
    """Each format explains its own lines and no other does as well."""
    found = detect.detect([LINES[name]])
    assert (found.name, found.confidence, found.rivals, found.wrapper) == (name, 1.0, (), "none")
    assert found.format.name == name


@pytest.mark.parametrize(
    ("prefix", "kind"), [(b"2025-10-10T13:55:36Z stdout F ", "cri"), (b"<190>Oct 10 13:55:36 web nginx: ", "syslog")]
)
def test_wrapper_is_told_as_well(prefix, kind):
    """The format inside of a wrapper is found, and the format found takes the wrapper off."""
    found = detect.detect([prefix + COMBINED])
    assert (found.name, found.wrapper, found.format.wrapper) == ("combined", kind, kind)


def test_odd_lines_among_good_ones_do_not_mislead():
    """Blank, cut and foreign lines lower the confidence only."""
    found = detect.detect([b"", COMBINED, COMBINED[:50], b"hello", COMBINED, COMBINED, b"\0\0"])
    assert found.name == "combined"
    assert found.confidence == 0.6


@pytest.mark.parametrize(("before", "after"), [(3, 40), (20, 20), (40, 3)])
def test_a_file_that_goes_on_in_another_format_begins_in_its_first(before, after):
    """Most lines are not what the first ones are: whoever reads on finds the other one where it begins."""
    found = detect.detect([COMBINED] * before + [COMBINED + b' "-"'] * after)
    assert (found.name, found.rivals) == ("combined", ())


@pytest.mark.parametrize("lines", [[], [b""], [b"hello world"], [b"{}"], [COMBINED[:40]], [COMBINED, b"x", b"y", b"z"]])
def test_nothing_is_better_than_a_guess(lines):
    """Without a format that explains half of the lines there is none."""
    found = detect.detect(lines)
    assert found.format is None
    assert found.name == ""
