"""A request rendered in a random format is read back; no bytes whatever upset any named format."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.parser import client, detect, formats, record
from logship.parser.fields import Field
from logship.records import Record, Unparsed, raw

CASES = [json.loads(line) for line in (Path(__file__).parents[1] / "cases" / "documented_lines.jsonl").open()]
LINES = {each["format"]: each["text"].encode().split(b"\n") for each in CASES}
TIME = 1760104536.0


def parser(spec: object, wrapper: str = "auto") -> record.Parser:
    return record.Parser(formats.compile(spec, wrapper=wrapper), client.ClientRule([]))  # type: ignore[arg-type]


def agree(here: record.Parser, line: bytes) -> Record | Unparsed:
    """Read a line by both ways, which have to agree where the short one has an answer."""
    outline = here.outline(line)
    found = here.parse(line)
    assert outline is None or here.record(outline) == found
    return found


# --- any bytes


@st.composite
def damaged(draw: st.DrawFn, lines: list[bytes]) -> list[bytes]:
    """Lines of a format with some bytes put in, taken out or changed."""
    result = []
    for line in lines:
        for _ in range(draw(st.integers(0, 3))):
            at, gone = draw(st.integers(0, len(line))), draw(st.integers(0, 4))
            line = line[:at] + draw(st.sampled_from(_ODD) | st.binary(max_size=3)) + line[at + gone :]
        result.append(line)
    return result


_ODD = [b"", b'"', b" ", b"\t", b"|", b"#", b"%", b"+", b"\\", b"{", b"}", b"[", b"]", b":", b"/", b"\0", b"\xff", b"-"]


@pytest.mark.parametrize("name", formats.NAMED)
def test_no_bytes_upset_a_named_format(name: str) -> None:
    """Its own lines, damaged, and lines of any other bytes give a Record or a reason, by both ways alike."""
    own = LINES.get(name, LINES["ovh"])
    strategy = damaged(own) | st.lists(st.binary(max_size=60), max_size=3)

    @settings(max_examples=30, deadline=None)
    @given(strategy)
    def check(lines: list[bytes]) -> None:
        here = parser(name)
        for line in lines:
            assert isinstance(agree(here, line), Record | Unparsed)

    check()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(LINES)).flatmap(lambda name: damaged(LINES[name])) | st.lists(st.binary(max_size=40)))
def test_no_bytes_upset_detection(lines: list[bytes]) -> None:
    """It finds a format or none, and never both."""
    found = detect.detect(lines)
    assert (found.format is None) == (found.name == "")
    assert found.format is None or found.rivals == ()


# --- there and back

VALUES = st.binary(min_size=1, max_size=12).filter(lambda value: not re.search(rb"[\x00-\x1f\x7f]", value))
AGENTS = st.builds(lambda text: b"Mozilla/5.0 (" + text + b") x", VALUES)
TARGETS = st.builds(
    lambda path, query: b"/" + path + query,
    VALUES.filter(lambda value: b"?" not in value),
    st.just(b"") | st.builds(lambda text: b"?" + text, VALUES),
)
REQUESTS = st.fixed_dictionaries(
    {
        "target": TARGETS,
        "agent": AGENTS,
        "referrer": st.builds(lambda text: b"https://e.org/" + text, VALUES),
        "address": st.sampled_from([b"203.0.113.7", b"2001:db8::1"]),
        "status": st.integers(100, 599),
        "size": st.integers(0, 10**9),
    }
)


def escaped_by_nginx(value: bytes) -> bytes:
    return re.sub(rb'[\x00-\x1f"\\\x7f-\xff]', lambda match: b"\\x%02X" % match[0][0], value)


def escaped_by_apache(value: bytes) -> bytes:
    return re.sub(rb'["\\\x7f-\xff]', lambda m: b"\\" + m[0] if m[0] in b'"\\' else b"\\x%02x" % m[0][0], value)


def escaped_as_json(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


# What each family calls the parts of a request, how it writes them, and what may stand between.
NGINX = {
    "$remote_addr": "address",
    "$time_iso8601": b"2025-10-10T13:55:36+00:00",
    '"$request"': "request",
    "$status": "status",
    "$body_bytes_sent": "size",
    '"$http_referer"': "referrer",
    '"$http_user_agent"': "agent",
    "[$time_local]": b"[10/Oct/2025:13:55:36 +0000]",
    "$my_own": b"own",
    "$upstream_addr": b"10.0.0.1:80, 10.0.0.2:80",
    "rt=$request_time": b"rt=0.001",
}
APACHE = {
    "%a": "address",
    "%{sec}t": b"1760104536",
    '"%r"': "request",
    "%>s": "status",
    "%B": "size",
    '"%{Referer}i"': "referrer",
    '"%{User-Agent}i"': "agent",
    "%t": b"[10/Oct/2025:13:55:36 +0000]",
    "%{X-Own}i": b"own",
    "%D": b"33",
    "%v:%p": b"example.com:443",
}
FAMILIES = [
    (NGINX, escaped_by_nginx, "{}"),
    (NGINX, escaped_as_json, "log_format x escape=json '{}';"),
    (APACHE, escaped_by_apache, "{}"),
]


@st.composite
def a_format(draw: st.DrawFn) -> tuple[str, object, list[tuple[str, object]], str]:
    """A format of some parts in any order, with one thing between them."""
    table, escape, whole = draw(st.sampled_from(FAMILIES))
    names = list(table)
    needed = [names[0], *draw(st.permutations(names[1:7])), *draw(st.lists(st.sampled_from(names[7:]), unique=True))]
    order = draw(st.permutations(needed))
    between = draw(st.sampled_from([" ", "|", "\t", " - ", ";"]))
    return whole.replace("{}", between.join(order)), escape, [(name, table[name]) for name in order], between


@settings(max_examples=120, deadline=None)
@given(a_format(), REQUESTS)
def test_a_request_rendered_in_a_random_format_is_read_back(chosen, request) -> None:
    """Whatever the order and what stands between, what was sent is what is read."""
    spec, escape, parts, between = chosen
    values = {
        "address": request["address"],
        "request": b"GET " + request["target"] + b" HTTP/1.1",
        "status": b"%d" % request["status"],
        "size": b"%d" % request["size"],
        "referrer": request["referrer"],
        "agent": request["agent"],
    }
    line = between.encode().join(
        value if isinstance(value, bytes) else _quoted(name, escape(values[value])) for name, value in parts
    )
    found = agree(parser(spec, "none"), line)
    assert isinstance(found, Record), (spec, line)
    path, mark, query = request["target"].partition(b"?")
    assert (found.method, raw(found.path or "")) == ("GET", path)
    assert (None if found.query is None else raw(found.query)) == (query if mark else None)
    assert raw(found.user_agent or "") == request["agent"]
    assert raw(found.referrer or "") == request["referrer"]
    assert (found.client_ip, found.status, found.bytes) == (
        request["address"].decode(),
        request["status"],
        request["size"],
    )
    assert found.time == TIME


def _quoted(name: str, value: bytes) -> bytes:
    return b'"' + value + b'"' if name.startswith('"') else value


@settings(max_examples=60, deadline=None)
@given(REQUESTS)
def test_a_request_logged_by_haproxy_is_read_back(request) -> None:
    """With everything that HAProxy escapes, in captures and in the request."""

    def escaped(value: bytes, special: bytes) -> bytes:
        return re.sub(b"[" + re.escape(b'#"' + special) + rb"\x00-\x1f\x7f-\xff]", lambda m: b"#%02X" % m[0][0], value)

    line = b'%b:41000 [10/Oct/2025:13:55:36.000] web~ b/s 0/0/0/0/0 %d %d - - ---- 1/1/0/0/0 0/0 {%b|%b} "%b"' % (
        request["address"],
        request["status"],
        request["size"],
        escaped(request["agent"], b"{|}"),
        escaped(request["referrer"], b"{|}"),
        escaped(b"GET " + request["target"] + b" HTTP/1.1", b""),
    )
    found = agree(parser("haproxy {User-Agent|Referer}"), line)
    assert isinstance(found, Record)
    path, _, query = request["target"].partition(b"?")
    assert (raw(found.path or ""), raw(found.query or "")) == (path, query)
    assert (raw(found.user_agent or ""), raw(found.referrer or "")) == (request["agent"], request["referrer"])
    assert (found.client_ip, found.time, found.scheme) == (request["address"].decode(), TIME, "https")


def test_every_field_of_the_random_formats_is_known() -> None:
    """A misspelt one would be kept as log.NAME and prove nothing."""
    for table in (NGINX, APACHE):
        for name, value in table.items():
            if isinstance(value, str):
                pieces = formats.compile(f"{next(iter(table))} {name}").pieces
                assert [piece for piece in pieces if isinstance(piece, Field)][-1].fact
