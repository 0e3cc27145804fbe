"""Lines from the documentation of those who write them, or in the layout that it describes, and what they say."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logship.parser import client, detect, formats, record
from logship.records import Record, Unparsed

CASES = Path(__file__).parents[2] / "cases" / "documented_lines.jsonl"
DOCUMENTED = {
    each["case"]: (each["format"], each["text"], each["record"])
    for each in map(json.loads, CASES.open(encoding="utf-8"))
}


def read(spec: str, text: str, **keywords: object) -> Record | Unparsed:
    """Return what the last line says to one who has read those before."""
    parser = record.Parser(formats.compile(spec), client.ClientRule([]), **keywords)  # type: ignore[arg-type]
    found = [parser.parse(line) for line in text.encode().split(b"\n")]
    assert all(isinstance(each, Unparsed) and each.reason == "directive" for each in found[:-1])
    return found[-1]


@pytest.mark.parametrize("case", DOCUMENTED)
def test_documented_line_is_read(case: str) -> None:
    """A line says what the documentation says of it."""
    name, text, expected = DOCUMENTED[case]
    found = read(name, text)
    assert isinstance(found, Record)
    for field, value in expected.items():
        got = getattr(found, field)
        if field == "time":
            got = datetime.fromtimestamp(got, UTC).isoformat(timespec="microseconds")[: len(str(value))]
        assert got == value, field


@pytest.mark.parametrize("case", DOCUMENTED)
def test_documented_line_tells_its_format(case: str) -> None:
    """Detection names each format by one line of it, and by no other name."""
    name, text, _ = DOCUMENTED[case]
    found = detect.detect(text.encode().split(b"\n"))
    assert found.rivals == ()
    assert found.name == {"iis": "w3c"}.get(name, name)


@pytest.mark.parametrize(
    ("spec", "case", "name", "value"),
    [
        ("haproxy", "haproxy", "backend_name", "static"),
        ("haproxy", "haproxy", "time_active", "109"),
        ("haproxy", "haproxy, proxy", "capture_3", "http://fr.f416.mail."),
        ("haproxy", "haproxy, proxy", "response_capture_2", "864"),
        ("haproxy {Host}", "haproxy", "http_host", "1wt.eu"),
        ("haproxy {Host|X-Id|Referer} {X-A|Content-Length}", "haproxy, proxy", "sent_http_content_length", "864"),
        ("iis", "iis", "time_taken", "31"),
        ("w3c", "w3c, quoted", "sc_substatus", " w/ blanks "),
        ("cloudfront", "cloudfront", "x_edge_location", "LAX1"),
        ("cloudfront", "cloudfront", "http_host", "d111111abcdef8.cloudfront.net"),
        ("bunny", "bunny", "country_code", "DE"),
        ("bunny", "bunny", "cache_status", "HIT"),
        ("traefik", "traefik, common", "RouterName", "web@docker"),
        ("caddy", "caddy", "resp_headers.Server", "Caddy"),
        ("caddy", "caddy", "request.tls.server_name", "example.com"),
        ("gandi", "gandi", "duration_s", "0"),
        ("alb", "alb", "target_status", "200"),
        ("s3", "s3", "operation", "REST.GET.VERSIONING"),
        ("gandi", "gandi, nobody", "duration_s", "12"),
        ("envoy", "envoy", "upstream_host", "tcp://10.0.2.1:80"),
        ("envoy", "envoy, istio", "response_code_details", "via_upstream"),
        ("envoy", "envoy, istio", "route_name", "default"),
        ("envoy", "envoy, istio, json", "response_code_details", "via_upstream"),
        ("envoy", "envoy, gateway", "x-request-id", "b2d5"),
        ("haproxy", "haproxy, clf", "frontend_name", "web~"),
        ("haproxy", "haproxy, clf", "capture_4", "1.2.3.4, 5.6.7.8"),
        ("haproxy {Host|User-Agent|Referer|X-Forwarded-For} {Server}", "haproxy, clf", "termination_state", "LR--"),
        ("haproxy {Host|User-Agent|Referer|X-Id} {Server}", "haproxy, clf", "http_x_id", "1.2.3.4, 5.6.7.8"),
    ],
)
def test_other_fields_have_names(spec: str, case: str, name: str, value: str) -> None:
    """What a record has no field for is log.NAME."""
    found = read(spec, DOCUMENTED[case][1], log_fields=frozenset((name,)))
    assert isinstance(found, Record)
    assert found.log == {name: value}


def test_named_captures_of_haproxy_are_what_they_are_called() -> None:
    """The order is the configuration's, so only it can say what a header is; one of no interest is a dash."""
    line = DOCUMENTED["haproxy"][1].replace("{1wt.eu} {}", "{odd agent|-|198.51.100.9|https://e.org/} {text/html}")
    found = read("haproxy {User-Agent|-|X-Forwarded-For|referrer} {Content-Type}", line)
    assert isinstance(found, Record)
    assert (found.user_agent, found.referrer, found.content_type, found.host) == (
        "odd agent",
        "https://e.org/",
        "text/html",
        None,
    )


@pytest.mark.parametrize(
    ("captured", "expected"),
    [
        ("{example.com|Mozilla/5.0 (X11) #22q#22#7C|https://e.org/}", ("example.com", 'Mozilla/5.0 (X11) "q"|', "https://e.org/")),
        ("{198.51.100.9|text/html|nginx/1.18|1234|gzip}", (None, None, None)),
        ("{|||}", (None, None, None)),
        ("{localhost:8080} {example.org}", ("localhost", None, None)),
    ],
)  # fmt: skip
def test_unnamed_captures_of_haproxy_are_believed_where_they_are_plain(
    captured: str, expected: tuple[str | None, ...]
) -> None:
    """A browser's name, a URL and a host name show themselves; an address may be any header, and is none."""
    found = read("haproxy", DOCUMENTED["haproxy"][1].replace("{1wt.eu} {}", captured))
    assert isinstance(found, Record)
    assert (found.host, found.user_agent, found.referrer) == expected


def test_haproxy_writes_later_http_in_absolute_form() -> None:
    """HTTP/2 has no absolute form: its authority is the host, and no attempt at a proxy."""
    found = read(
        "haproxy", DOCUMENTED["haproxy, denied"][1].replace("/cgi?a HTTP/1.0", "https://Example.com:443?a HTTP/2.0")
    )
    assert isinstance(found, Record)
    assert (found.host, found.path, found.query, found.scheme, found.absolute) == (
        "example.com",
        "/",
        "a",
        "https",
        False,
    )


@pytest.mark.parametrize("name", ["alb", "elb"])
def test_a_balancer_writes_every_target_in_absolute_form(name: str) -> None:
    """Without `site` every line was dropped as a proxy probe, and with one those for each other host."""
    found = read(name, DOCUMENTED[name][1])
    assert isinstance(found, Record)
    assert found.host is not None
    assert found.scheme == "https"
    assert found.absolute is False


@pytest.mark.parametrize(("case", "end"), [("haproxy", -12), ("haproxy, clf", 60)])
def test_a_request_that_syslog_cut_off_is_no_request(case: str, end: int) -> None:
    """A line longer than the syslog's limit ends within the URL: a visit to half a page is none."""
    assert read("haproxy", DOCUMENTED[case][1][:end]) == Unparsed("format")


def test_captures_in_a_row_are_named_through_to_the_answer() -> None:
    """With `clf` no braces part the request's headers from the answer's: the names' numbers do."""
    line = DOCUMENTED["haproxy, clf"][1].removesuffix('""') + '"text/html"'
    found = read("haproxy {-|User-Agent|-|X-Forwarded-For} {Content-Type}", line)
    assert isinstance(found, Record)
    assert (found.host, found.referrer, found.content_type) == (None, None, "text/html")
    assert found.user_agent == 'Mozilla/5.0 (X11; "q" \\ b) {x|y}'


@pytest.mark.parametrize("case", ["envoy", "envoy, istio"])
def test_a_quote_in_envoys_text_never_makes_an_address(case: str) -> None:
    """Envoy escapes nothing: who writes quotes into X-Forwarded-For must not choose the address that is believed."""
    line = DOCUMENTED[case][1]
    chain = "10.0.35.28" if case == "envoy" else "203.0.113.9,10.44.1.23"
    assert read("envoy", line.replace(chain, f'6.6.6.6" "Mozilla/5.0, {chain}')) == Unparsed("format")


def test_a_backslash_in_envoys_text_is_one() -> None:
    """What is not escaped is not undone: the visitor sent these very characters."""
    found = read("envoy", DOCUMENTED["envoy"][1].replace("nsq2http", r"Mozilla \x41 \n"))
    assert isinstance(found, Record)
    assert found.user_agent == r"Mozilla \x41 \n"


def test_a_tcp_connection_in_envoys_text_is_no_request() -> None:
    """A mesh passes on other traffic as well, and logs it in the same layout."""
    line = DOCUMENTED["envoy, istio"][1].replace("GET /status/418?a=1 HTTP/1.1", "- - -").replace("418 -", "0 -", 1)
    assert read("envoy", line) == Unparsed("not_access")


def test_envoy_finds_the_visitor_behind_a_balancer() -> None:
    """Istio's text has the peer, and the chain in front of it is walked from the right."""
    rule = client.ClientRule(["10.44.0.0/16"])
    found = record.Parser(formats.compile("envoy"), rule).parse(DOCUMENTED["envoy, istio"][1].encode())
    assert isinstance(found, Record)
    assert found.client_ip == "203.0.113.9"


def test_fields_may_change_in_the_middle_of_a_file() -> None:
    """The last `#Fields:` holds, whatever the file began with."""
    text = (
        "#Fields: date time c-ip cs-method cs-uri-stem sc-status\r\n2025-10-10 13:55:36 203.0.113.7 GET /a 200\r\n"
        "#Software: x\r\n#Fields: c-ip sc-status cs-method cs-uri-stem\r\n"
        "203.0.113.8 404 GET /b\r\n203.0.113.8 404 GET\r\n"
    )
    parser = record.Parser(formats.compile("w3c"), client.ClientRule([]))
    found = [parser.parse(line) for line in text.encode().split(b"\n")[:-1]]
    assert [(each.client_ip, each.path, each.status) for each in found if isinstance(each, Record)] == [
        ("203.0.113.7", "/a", 200),
        ("203.0.113.8", "/b", 404),
    ]
    assert found[-1] == Unparsed("format")


def test_a_line_before_any_fields_is_not_guessed_at() -> None:
    """Whose columns nobody has named says nothing; they can be named in the configuration."""
    line = b"2025-10-10 13:55:36 203.0.113.7 GET /a 200"
    assert record.Parser(formats.compile("w3c"), client.ClientRule([])).parse(line) == Unparsed("no_fields")
    named = formats.compile("#Fields: date time c-ip cs-method cs-uri-stem sc-status")
    found = record.Parser(named, client.ClientRule([])).parse(line)
    assert isinstance(found, Record)
    assert found.path == "/a"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("#Fields: date time cs-method cs-uri-stem", "does not hold the client's address"),
        ("#Fields: date time c-ip sc-status", "neither cs-uri-stem nor cs-uri"),
        ("haproxy {Host||Referer}", "names nothing between two bars"),
        ("haproxy {Ho st}", "'Ho st' is no header's name"),
    ],
)
def test_what_names_columns_wrongly_is_refused(spec: str, text: str) -> None:
    """With the reason."""
    with pytest.raises(formats.FormatError, match=text):
        formats.compile(spec)


@pytest.mark.parametrize(
    "line",
    [
        (
            '{"@timestamp":"2025-10-10T13:55:36Z","client":{"ip":"203.0.113.7"},"http":{"request":{"method":"GET",'
            '"referrer":"https://e.org/"},"response":{"status_code":200,"body":{"bytes":5}},"version":"1.1"},'
            '"url":{"path":"/p","query":"a=b","domain":"Example.com"},"user_agent":{"original":"UA"}}'
        ),
        (
            '{"time":1760104536,"request":{"headers":{"User-Agent":"UA","Referer":"https://e.org/","Host":"example.com"},'
            '"method":"GET","uri":"/p?a=b","client_ip":"203.0.113.7"},"response":{"status":200,"bytes":5}}'
        ),
        (
            '{"http.request.method":"GET","url.original":"/p?a=b","client.ip":"203.0.113.7","http.response.status_code":200,'
            '"user_agent.original":"UA","http.request.referrer":"https://e.org/","timestamp":"2025-10-10T13:55:36Z",'
            '"url.domain":"example.com","http.response.bytes":5}'
        ),
    ],
)
def test_guessed_keys_may_be_inside_of_objects(line: str) -> None:
    """A key is known by its own spelling, whatever it is inside of."""
    found = read("nginx_json", line)
    assert isinstance(found, Record)
    assert (found.time, found.client_ip, found.host, found.method, found.path) == (
        1760104536.0,
        "203.0.113.7",
        "example.com",
        "GET",
        "/p",
    )
    assert (found.status, found.bytes, found.referrer, found.user_agent) == (200, 5, "https://e.org/", "UA")
    assert found.query == "a=b"


@pytest.mark.parametrize("name", ["alb", "elb", "bunny", "cloudfront", "gandi", "ovh", "vhost_combined", "caddy"])
def test_a_format_with_hosts_needs_no_site(name: str) -> None:
    """Where each line names its host, `site` may be left out."""
    assert "host" in formats.compile(name).facts


def test_a_referrer_of_bunnys_that_looks_like_the_rest_is_none() -> None:
    """The visitor's own word must not choose the host; bars alone are fine."""
    line = DOCUMENTED["bunny"][1]
    found = read("bunny", line.replace("|-|", "|https://e.org/?family=A|B|"))
    assert isinstance(found, Record)
    assert found.referrer == "https://e.org/?family=A|B"
    assert read("bunny", line.replace("|-|", "|x|https://evil.example/x|WA|")) == Unparsed("format")


def test_traefiks_client_may_be_a_chain() -> None:
    """The common format has X-Forwarded-For where the peer should be, with all its addresses."""
    line = DOCUMENTED["traefik, common"][1].replace("192.0.2.7", "6.6.6.6, 198.51.100.9,10.0.0.7")
    rule = client.ClientRule(["10.0.0.0/8"])
    found = record.Parser(formats.compile("traefik"), rule).parse(line.encode())
    assert isinstance(found, Record)
    assert found.client_ip == "198.51.100.9"


_LONG = 40_000  # tried at each of as many places, it would take minutes


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "haproxy",
            b"10.0.1.2:33317 [06/Feb/2009:12:14:14.655] in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0"
            b' "GET http://' + b"a" * _LONG + b"/" + b" " * _LONG + b' HTTP/1.1"',
        ),
        (
            "bunny",
            b"HIT|200|1760104536123|512|123|203.0.113.7|-|https://" + b"a" * _LONG + b"|" * _LONG + b"|DE|ua|no_id|DE",
        ),
    ],
)
def test_a_host_of_any_length_is_read_once(name: str, line: bytes) -> None:
    """What a visitor writes for a host cannot stall whoever reads its line."""
    parser = record.Parser(formats.compile(name), client.ClientRule([]))
    assert isinstance(parser.parse(line), Record | Unparsed)


def test_labels_that_strangers_make_are_not_remembered() -> None:
    """Each bar in a captured header is another label; a hundred kilobytes for each line would be kept."""
    parser = record.Parser(formats.compile("haproxy"), client.ClientRule([]))
    line = DOCUMENTED["haproxy"][1].encode()
    kept = _kept(lambda: [parser.parse(line.replace(b"1wt.eu", b"|" * number)) for number in range(2000, 2020)])
    assert kept < 1_000_000


def _kept(work: Callable[[], object]) -> int:
    """Return how many bytes are still there when something was done."""
    tracemalloc.start()
    try:
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
