"""Every short way through the sieve ends where the long way ends: parse each line in full, and ask every rule."""

import json
from collections import Counter
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from logship.parser import formats
from logship.parser.client import ClientRule
from logship.parser.record import Parser
from logship.records import Unparsed
from logship.router.table import Rules, Table
from logship.settings.conditions import Not, When
from logship.settings.conditions import Test as Asked
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings
from logship.sieve import strainer as straining
from logship.sieve import verdicts
from logship.sieve.strainer import Strainer
from logship.steps import Steps

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
OLDEST = 1760104536.0  # 2025-10-10T13:55:36Z
PAGEVIEWS = RuleSettings(preset="pageviews")


def when(**tests):
    return When(tuple(Asked(key.replace("__", "."), values) for key, values in tests.items()))


TABLES = {
    "pageviews": (PAGEVIEWS,),
    "downloads and 404s": (RuleSettings(preset="downloads"), RuleSettings(preset="not-found"), PAGEVIEWS),
    "by query": (RuleSettings(name="q", when=when(query=("*id=5*",)), drop="rule"), PAGEVIEWS),
    "sent by query": (RuleSettings(name="q", when=when(query=("*id=5*",)), event="Five"), PAGEVIEWS),
    "sent by url": (RuleSettings(name="u", when=when(url=("**/a?*",)), event="Asked"), PAGEVIEWS),
    "by url": (RuleSettings(name="u", when=when(url=("**/a?*",)), drop="rule"), PAGEVIEWS),
    "by referrer": (RuleSettings(name="r", when=when(referrer=("*spam*",)), drop="rule"), PAGEVIEWS),
    "by address": (RuleSettings(name="i", when=when(client_ip=("203.0.113.0/24",)), drop="rule"), PAGEVIEWS),
    "by agent": (RuleSettings(name="a", when=when(user_agent=("*Firefox*",)), drop="rule"), PAGEVIEWS),
    "by class": (
        RuleSettings(preset="ai-crawlers"),
        RuleSettings(name="b", when=when(bot=("seo",)), drop="seo"),
        PAGEVIEWS,
    ),
    "by host": (RuleSettings(name="h", when=when(host=("evil.example",)), drop="rule"), PAGEVIEWS),
    "by what is not": (RuleSettings(name="n", when=When((Not(when(path=("/a*", "/b.css"))),)), drop="rule"), PAGEVIEWS),
    "by a field of the log": (RuleSettings(name="l", when=when(log__request_time=("9*",)), drop="slow"), PAGEVIEWS),
    "many by what is each line's own": (
        *(RuleSettings(name=f"i{n}", when=when(client_ip=(f"203.0.{n}.0/24",)), drop=f"i{n}") for n in range(112, 115)),
        RuleSettings(name="seen", when=when(referrer=("*google*",)), event="Found", continue_=True),
        *(RuleSettings(name=f"r{n}", when=when(referrer=(f"*spam{n}*", f"*{n}pam*")), drop=f"r{n}") for n in "sx"),
        *(RuleSettings(name=f"l{n}", when=when(log__request_time=(f"{n}*",)), event=f"L{n}") for n in (9, 8)),
        RuleSettings(name="both", when=when(log__request_time=("9*",), referrer=("",)), drop="both"),
        RuleSettings(name="not", when=When((Not(when(client_ip=("198.51.100.0/24", ""))),)), event="Other"),
        PAGEVIEWS,
    ),
    "all of it": (RuleSettings(name="all", event="hit", continue_=True), PAGEVIEWS),
}
JSON = """log_format j escape=json '{"time":"$time_iso8601","ip":"$remote_addr","request":"$request",'
'"status":$status,"ua":"$http_user_agent"}';"""
JSON_OF_PATHS = """log_format p escape=json '{"time":"$time_iso8601","ip":"$remote_addr","method":"$request_method",'
'"path":"$uri","query":"$args","status":$status,"ua":"$http_user_agent"}';"""
LOG_FORMATS = {
    "combined": ("combined", "none"),
    "any wrapper": ("combined", "auto"),
    "nginx_main": ("nginx_main", "auto"),
    "vhost_combined": ("vhost_combined", "auto"),
    "ingress_nginx": ("ingress_nginx", "none"),
    "no quotes": ("$remote_addr $time_iso8601 $request_method $request_uri $status $host $request_time", "auto"),
    "other order": ('"$http_user_agent" "$request" $status $request_time [$time_local] $remote_addr', "none"),
    "json": (JSON, "auto"),
    "json of paths": (JSON_OF_PATHS, "auto"),
}
VALUES = {
    "http_user_agent": (FIREFOX, "curl/8", "GPTBot/1.2", "AhrefsBot/7.0", "-", ""),
    "request": (
        *(
            "GET /a HTTP/1.1",
            "GET /a?id=5 HTTP/1.1",
            "GET /b.css HTTP/1.1",
            "GET /b.CSS?v=2 HTTP/2.0",
            "POST /a HTTP/1.1",
        ),
        *(
            "GET /%62.css HTTP/1.1",
            "GET /x.pdf HTTP/1.1",
            "GET /robots.txt HTTP/1.1",
            "GET http://evil.example/a HTTP/1.1",
        ),
        *("GET /.well-known/b.css HTTP/1.1", "GET /a b HTTP/1.1", "GET /feed", "CONNECT a:1 HTTP/1.1", "-", "", "x"),
        *("OPTIONS * HTTP/1.0", "GET a HTTP/1.1", "GET /caf\udce9.css HTTP/1.1", "get /a HTTP/1.1", "GET  /a HTTP/1.1"),
    ),
    "request_method": ("GET", "POST", 'G"T'),
    "request_uri": ("/a", "/a?id=5", "/b.css", "*", "/x.pdf"),
    "uri": ("/a", "/a?x.css", "/b.css", "/b.css?x", "a"),
    "args": ("id=5", "-", "", "utm_source=x"),
    "status": ("200", "304", "404", "301", "206", "-", "000"),
    "host": ("example.com", "evil.example", "_", "a/b"),
    "clf": ("10/Oct/2025:13:55:36 +0000", "10/Oct/2025:13:55:35 +0000", "31/Nov/2025:13:55:36 +0000"),
    "iso": ("2025-10-10T13:55:36+00:00", "2025-10-10T13:55:35+00:00", "2025-13-10T13:55:36+00:00"),
    "remote_addr": ("203.0.113.7", "198.51.100.9", "2001:db8::1", "unix:", "10.0.0.2, 10.0.0.3"),
    "http_x_forwarded_for": ("-", "198.51.100.9", "6.6.6.6, 198.51.100.10"),
    "http_referer": ("-", "https://www.google.com/", "https://spam.example/"),
    "request_time": ("0.005", "9.1", "-"),
    "remote_user": ("-", "joe", "john doe"),
    "size": ("5", "-", "5-", ""),
}
FITTING = {
    "status": 4,
    "clf": 2,
    "iso": 2,
    "remote_addr": 3,
    "remote_user": 2,
    "size": 2,
    "host": 3,
    "request_method": 2,
}


def fields_of(parser):
    return [piece for piece in parser.format.pieces if not isinstance(piece, bytes)]


def values_of(field):
    return next((VALUES[key] for key in (field.name, field.reader, field.shape) if key in VALUES), ("-", "x"))


@st.composite
def lines(draw, parser):
    """Lines with few values each, so that keys come again; mostly as a server writes them."""
    found = []
    for _ in range(draw(st.integers(1, 40))):
        odd = draw(st.integers(0, 30)) == 0
        parts = []
        for piece in parser.format.pieces:
            if isinstance(piece, bytes):
                parts.append(piece)
                continue
            values = values_of(piece)
            key = next((key for key in (piece.name, piece.reader, piece.shape) if key in FITTING), None)
            text = draw(st.sampled_from(values if odd or key is None else values[: FITTING[key]]))
            parts.append(text.encode("utf-8", "surrogateescape"))
        line = b"".join(parts)
        if odd:
            at = draw(st.integers(0, len(line)))
            damage = draw(st.sampled_from([b"", b'"', b"\\", b"\0", b" ", b"\r", b"\\x22", b","]))
            line = draw(st.sampled_from([b"", b"2025-10-10T13:55:36Z stdout F ", b"<190>Oct 10 13:55:36 web nginx: "]))
            line += b"" if draw(st.booleans()) else b"".join(parts)[:at] + damage + b"".join(parts)[at:]
        found.append(line)
    return found


def shown(deliveries):
    return [(each.destination, each.event, each.time) for each in deliveries]


def by_the_long_way(parser, table, texts, start):
    """Return what a chunk comes to when nothing is remembered and nothing is cut short."""
    survivors, dropped, unparsed, cuts, first, expired = [], Counter(), Counter(), Counter(), None, 0
    for text in texts:
        record = parser.parse(text)
        if isinstance(record, Unparsed):
            unparsed[record.reason] += 1
            first = first or (start, record)
        else:
            decision = table.route(record)
            if decision.reason is not None:
                dropped[decision.reason] += 1
            elif record.time is not None and record.time < OLDEST:
                expired += 1
            else:
                survivors.append((start, shown(decision.deliveries)))
                cuts.update(decision.cuts)
        start += len(text) + 1
    return survivors, dropped, unparsed, cuts, first, expired


def check(rules, format_, wrapper, data, made=lines):
    compiled = Rules(rules, destinations=["plausible"])
    table = Table(compiled, SourceSettings("s", ("/log",), site="https://example.com"))
    parser = Parser(
        formats.compile(format_, wrapper=wrapper),
        ClientRule(data.draw(st.sampled_from([["10.0.0.0/8"], []]))),
        log_fields=compiled.log_fields,
    )
    strainer = Strainer(parser, table)
    texts = data.draw(made(parser))
    sizes, remembered = data.draw(
        st.sampled_from([({"AT_A_TIME": 640}, 8192), ({"AT_A_TIME": 13, "_TOGETHER": 3, "_USUAL": 2}, 4)])
    )
    for start in (0, 1000):  # the second time all is remembered
        with patch.multiple(straining, **sizes), patch.object(verdicts, "_REMEMBERED", remembered):
            sifted = Steps(strainer.steps(b"".join(text + b"\n" for text in texts), start, OLDEST)).at_once()
        survivors = [(offset, shown(deliveries)) for offset, deliveries in sifted.survivors]
        found = (survivors, sifted.dropped, sifted.unparsed, sifted.cuts, sifted.first_unparsed, sifted.expired)
        assert found == by_the_long_way(parser, table, texts, start)
        assert (sifted.lines, sifted.nul_bytes) == (len(texts), b"".join(texts).count(b"\0"))


@given(st.sampled_from(sorted(TABLES)), st.sampled_from(sorted(LOG_FORMATS)), st.data())
def test_what_the_sieve_makes_of_lines_is_what_parser_and_table_make_of_each(rules, format_, data):
    """All at once or one by one, remembered or new: same survivors, same counts, same reasons."""
    check(TABLES[rules], *LOG_FORMATS[format_], data)


def label(*values):
    """Return a value as lines have it nearly always, and others that they may have; None: the label is not there."""
    return (*values, values[0], values[0], None, "", "-", 7, 1.5, True, ["a", "b"], [], {"x": 1}, "\ud800", 'é\n"x')


WHEN = ("2025-10-10T13:55:36Z", "2025-10-10T13:55:35.123456789Z", "2025-10-10T13:55:36.5+00:00", "2025-10-10T25:55:36Z")
TARGETS = ("/a", "/b?x=1", "/style.css", "/a?gone")
AGENTS = (FIREFOX, "curl/8", "Mozilla/5.0 (compatible; Googlebot/2.1)")
ADDRESSES = ("203.0.113.7", "10.0.0.1", "2001:db8::1", "::ffff:203.0.113.9")
LABELLED = {
    "nginx_json": {
        "time": label(*WHEN),
        "remote_addr": label(*ADDRESSES),
        "http_x_forwarded_for": label("-", *ADDRESSES),
        "request": label(*(f"GET {target} HTTP/1.1" for target in TARGETS)),
        "status": label(200, "200", 404, 42),
        "http_referer": label("-", "https://www.google.com/"),
        "http_user_agent": label(*AGENTS),
        "http_sec_purpose": label("-", "prefetch", "prefetch;prerender"),
    },
    "caddy": {
        "ts": label(1760104536.25, 1760104535.75, 1e12, "x"),
        "logger": label("http.log.access.log0", "http.handlers"),
        "request": {
            "remote_ip": label(*ADDRESSES),
            "host": label("example.com", "other.example"),
            "method": label("GET", "POST"),
            "uri": label(*TARGETS),
            "headers": {
                "User-Agent": label(*([agent] for agent in AGENTS)),
                "Referer": label(None, ["https://www.google.com/"], ["a", "b"]),
                "Sec-Purpose": label(None, ["prefetch"]),
            },
        },
        "status": label(200, 404, 42),
        "resp_headers": {"Content-Type": label(["text/html"], ["image/png"])},
    },
    "traefik": {
        "StartUTC": label(*WHEN),
        "ClientAddr": label("203.0.113.7:50123", *ADDRESSES),
        "RequestHost": label("example.com"),
        "RequestAddr": label("example.com:80"),
        "RequestMethod": label("GET", "POST"),
        "RequestPath": label(*TARGETS),
        "DownstreamStatus": label(200, 404, 42),
        "OriginStatus": label(200, 500),
        "request_Referer": label("-", "https://www.google.com/"),
        "request_User-Agent": label(*AGENTS),
        "request_Sec-Purpose": label("-", "prefetch"),
    },
}


@st.composite
def labelled_lines(draw, parser):
    """Lines with labels: mostly as servers write them, all alike; some with labels, values or bytes that are odd."""
    found = []
    for _ in range(draw(st.integers(1, 40))):
        odd = draw(st.integers(0, 12)) == 0
        line = json.dumps(filled(draw, LABELLED[parser.format.name], odd=odd), separators=(",", ":")).encode()
        if odd and draw(st.booleans()):
            at = draw(st.integers(0, len(line)))
            line = (
                line[:at]
                + draw(st.sampled_from([b"", b'"', b"{", b"\\x22", b"\0", b",", b'"status":404,']))
                + line[at:]
            )
        elif odd:
            line = line[: draw(st.integers(0, len(line)))]
        found.append(line)
    return found


def filled(draw, layout, *, odd):
    made = {}
    for name, values in layout.items():
        if isinstance(values, dict):
            made[name] = filled(draw, values, odd=odd)
            continue
        value = draw(st.sampled_from(values if odd else [each for each in values[:4] if each not in ("", 7)]))
        if value is not None:
            made[name] = value
    return made


@given(st.sampled_from(sorted(TABLES)), st.sampled_from(sorted(LABELLED)), st.data())
def test_lines_with_labels_come_to_what_parser_and_table_make_of_each(rules, format_, data):
    """The same for what is loaded as JSON, whatever stands behind a label in one line among forty."""
    check(TABLES[rules], format_, "none", data, labelled_lines)
