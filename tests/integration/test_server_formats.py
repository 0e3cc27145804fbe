"""Real nginx, Apache, HAProxy and Caddy log nasty requests in each of their formats: we read what was sent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from logship.parser import client, detect, formats, record
from logship.records import Record, Unparsed, raw, readable

BROWSER = b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
FROM = b"https://example.org/a?b=%20c"


@dataclass(frozen=True)
class Request:
    """The bytes of a request's parts, as they go over the wire."""

    target: bytes = b"/p?a=1"
    agent: bytes = BROWSER
    referrer: bytes = FROM
    forwarded: bytes = b"198.51.100.9, 127.0.0.1"
    method: bytes = b"GET"
    host: bytes = b"example.com"

    def __bytes__(self) -> bytes:
        lines = [self.method + b" " + self.target + b" HTTP/1.1", b"Host: " + self.host, b"User-Agent: " + self.agent]
        lines += [b"Referer: " + self.referrer, b"X-Forwarded-For: " + self.forwarded, b"Connection: close", b"", b""]
        return b"\r\n".join(lines)


REQUESTS = {
    "plain": Request(),
    "quotes": Request(agent=BROWSER + rb' "quoted" \"back\slashed\" \x41 \n'),
    "a quote at the end": Request(agent=BROWSER + b'"', referrer=FROM + b'"'),
    "signs": Request(agent=BROWSER + b" {a|b}; [c] #22 #; 'd' %20 %2520 $e @f+g", referrer=FROM + b"{}|#[]"),
    "looks like the end of a line": Request(agent=BROWSER + b'" 200 5 "-" "x'),
    "umlaut": Request(agent=BROWSER + " Füchschen \N{FOX FACE}".encode()),
    "no UTF-8": Request(agent=BROWSER + b" caf\xe9"),
    "a tab": Request(agent=BROWSER + b"\tTab"),
    "two slashes": Request(b"//double//slash"),
    "percent": Request(b"/caf%C3%A9/%zz%?q=%22%5C%7B"),
    "quote in the target": Request(b"/a\"b\\c?d={e}|f'g"),
    "raw UTF-8 in the target": Request("/café?ü".encode()),
    "raw bytes in the target": Request(b"/caf\xe9"),
    "a blank in the target": Request(b"/a b"),
    "a mark and nothing": Request(b"/p?"),
    "absolute": Request(b"http://example.com/absolute?a"),
    "for another host": Request(b"http://elsewhere.example/probe"),
    "asterisk": Request(b"*", method=b"OPTIONS"),
    "authority": Request(b"example.com:443", method=b"CONNECT"),
    "long": Request(b"/" + b"x" * 300 + b"?" + b"y" * 300),
    "missing": Request(b"/missing"),
    "odd method": Request(method=b"FOO-BAR"),
    "host with a port": Request(host=b"Example.COM:8080"),
}  # fmt: skip
NO_REQUESTS = [
    b"GET /nine\r\n\r\n",
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"hello\r\n\r\n",
    b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
]


def ask_all(server: Any, wait_until: Callable[..., Any]) -> dict[str, tuple[int, bytes]]:
    """Send every request; return the status of each answer, and its line. Not every server logs what it refuses."""
    logged = {}
    for name, request in REQUESTS.items():
        answer, lines = lines_of(server, bytes(request), wait_until)
        status = int(answer.split(b" ", 2)[1])
        unlogged = status == 400 or name == "asterisk"  # Go answers `OPTIONS *` itself
        assert len(lines) == 1 or (unlogged and not lines), (name, answer, lines)
        if lines:
            logged[name] = status, lines[0]
    return logged


def lines_of(server: Any, request: bytes, wait_until: Callable[..., Any]) -> tuple[bytes, list[bytes]]:
    """Send a request, and after it one whose line is easily found; return the answer, and the lines before that one."""
    before = server.log.stat().st_size if server.log.exists() else 0
    answer = server.send(request)
    server.send(bytes(Request(b"/the-next")))
    wait_until(lambda: server.log.exists() and _ends_with_the_next(server.log.read_bytes()[before:]), "the next line")
    return answer, server.log.read_bytes()[before:].splitlines()[:-1]


def _ends_with_the_next(data: bytes) -> bool:
    return data.endswith(b"\n") and b"/the-next" in data.splitlines()[-1]


def assert_read(
    spec: Any, logged: dict[str, tuple[int, bytes]], *, holds: str, lossy: bool = False, wrapper: str = "auto"
) -> None:
    """Compare what is read of each line with what was sent. ``holds``: names of the fields that the format has."""
    parser = record.Parser(formats.compile(spec, wrapper=wrapper), client.ClientRule([]))
    for name, (status, line) in logged.items():
        found, request = parser.parse(line), REQUESTS[name]
        assert isinstance(found, Record), f"{name}: {found} {line!r}"
        assert found.status == status or status == 0, f"{name}: {line!r}"
        assert found.client_ip == "127.0.0.1"
        if status in (200, 404):  # a request that was refused need not be logged as it was
            for field, expected in _expected(request).items():
                if field in holds.split():
                    got = getattr(found, field)
                    assert _same(got, expected, lossy=lossy), f"{name}: {field} is {got!r}, not {expected!r}: {line!r}"


def _expected(request: Request) -> dict[str, bytes | None]:
    target = request.target.removeprefix(b"http://example.com").removeprefix(b"http://elsewhere.example")
    path, mark, query = target.partition(b"?")
    return {
        "method": request.method,
        "path": None if request.method == b"CONNECT" else path,
        "query": query if mark else None,
        "user_agent": request.agent,
        "referrer": request.referrer,
        "host": b"elsewhere.example" if b"elsewhere" in request.target else b"example.com",
    }


def _same(got: str | None, expected: bytes | None, *, lossy: bool) -> bool:
    if got is None or expected is None:
        return got is expected
    if lossy:
        return readable(got) == expected.decode("utf-8", "replace")
    return raw(got) == expected


def send_what_is_no_request(server: Any, spec: Any, wait_until: Callable[..., Any], wrapper: str = "auto") -> None:
    """What is no request is either not logged, or has no path, or was answered as an error."""
    parser = record.Parser(formats.compile(spec, wrapper=wrapper), client.ClientRule([]))
    for request in NO_REQUESTS:
        for line in lines_of(server, request, wait_until)[1]:
            found = parser.parse(line)
            assert isinstance(found, Unparsed) or found.path is None or found.status == 400 or found.path == "/nine", (
                line
            )


ALL = "method path query user_agent referrer"
NGINX_FORMATS = {
    "combined": ("combined", "", "combined", ALL),
    "json": (
        "mine",
        (
            'log_format mine escape=json \'{"t":"$msec","remote_addr":"$remote_addr","request":"$request",'
            '"status":"$status","http_referer":"$http_referer","ua":"$http_user_agent","host":"$host"}\';'
        ),
        "nginx_json",
        ALL + " host",
    ),
    "json, escaped as text": (
        "mine",
        (
            'log_format mine \'{"time":"$time_iso8601","remote_addr":"$remote_addr","request":"$request",'
            '"status":$status,"http_referer":"$http_referer","http_user_agent":"$http_user_agent","host":"$host"}\';'
        ),
        "nginx_json",
        ALL + " host",
    ),
    "parts": (
        "mine",
        (
            'log_format mine \'$remote_addr [$time_iso8601] "$request_method" "$request_uri" $status "$http_referer" \''
            " '\"$http_user_agent\" $host';"
        ),
        None,
        ALL + " host",
    ),
    "tabs": (
        "mine",
        "log_format mine '$msec\t$remote_addr\t$http_host\t$request\t$status\t$http_referer\t$http_user_agent';",
        None,
        ALL,
    ),
    "ltsv": (
        "mine",
        (
            "log_format mine 'time:$time_local\thost:$remote_addr\tvhost:$host\treq:$request\tstatus:$status\t'"
            " 'referer:$http_referer\tua:$http_user_agent';"
        ),
        "ltsv",
        ALL + " host",
    ),
}


@pytest.mark.parametrize("name", NGINX_FORMATS)
def test_nginx(name: str, servers: Any, wait_until: Callable[..., Any]) -> None:
    """Whatever the escaping, the bytes that were sent are read."""
    log_format, declaration, spec, holds = NGINX_FORMATS[name]
    server = servers.nginx(log_format, declaration)
    logged = ask_all(server, wait_until)
    assert_read(spec or declaration, logged, holds=holds)
    send_what_is_no_request(server, spec or declaration, wait_until)


APACHE_JSON = (
    '"{\\"time\\":\\"%{%Y-%m-%dT%H:%M:%S%z}t\\",\\"clientip\\":\\"%h\\",\\"vhost\\":\\"%v\\",\\"request\\":\\"%r\\",'
    '\\"status\\":\\"%>s\\",\\"bytes\\":\\"%B\\",\\"agent\\":\\"%{User-Agent}i\\",\\"referer\\":\\"%{Referer}i\\"}"'
)


@pytest.mark.parametrize(
    ("log_format", "spec"),
    [
        ("combined", "combined"),
        ("vhost_combined", "vhost_combined"),
        (APACHE_JSON, "apache_json"),
        (
            '"%a %{msec}t \\"%m %U%q %H\\" %>s \\"%{User-Agent}i\\" \\"%{Referer}i\\" %{Host}i"',
            r'%a %{msec}t "%m %U%q %H" %>s "%{User-Agent}i" "%{Referer}i" %{Host}i',
        ),
        (
            '"%{c}a %{sec}t.%{usec_frac}t %^FB \\"%r\\" %>s \\"%{User-Agent}i\\" \\"%{Referer}i\\""',
            r'%{c}a %{sec}t.%{usec_frac}t %^FB "%r" %>s "%{User-Agent}i" "%{Referer}i"',
        ),
    ],
    ids=["combined", "vhost_combined", "json", "own", "two times"],
)
def test_apache(log_format: str, spec: str, servers: Any, wait_until: Callable[..., Any]) -> None:
    """Apache's backslashes are undone, in text and in JSON."""
    server = servers.apache(log_format)
    logged = ask_all(server, wait_until)
    assert_read(spec, logged, holds=ALL if "%U" not in spec else "method user_agent referrer")
    send_what_is_no_request(server, spec, wait_until)


HAPROXY = "haproxy {Host|User-Agent|Referer|X-Forwarded-For}"


@pytest.mark.parametrize("option", ["httplog", "httplog clf"])
@pytest.mark.parametrize(("syslog", "wrapper"), [("raw", "none"), ("rfc3164", "syslog"), ("rfc5424", "auto")])
@pytest.mark.parametrize("spec", ["haproxy", HAPROXY], ids=["bare", "named"])
def test_haproxy(
    syslog: str, wrapper: str, spec: str, option: str, servers: Any, wait_until: Callable[..., Any]
) -> None:
    """Captured headers are read by name, and by their looks; syslog's header goes."""
    server = servers.haproxy(syslog, option)
    logged = ask_all(server, wait_until)
    assert_read(spec, logged, holds=ALL + " host", wrapper=wrapper)
    send_what_is_no_request(server, spec, wait_until, wrapper)
    assert detect.detect([line for _, line in logged.values()]).name == "haproxy"


def test_haproxy_with_http_2(servers: Any, wait_until: Callable[..., Any]) -> None:
    """HAProxy writes HTTP/2's requests in absolute form; they are ordinary ones."""
    server = servers.haproxy()
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    url = f"http://127.0.0.1:{server.second_port}/two?a=b"
    command = [curl, "-s", "--http2-prior-knowledge", "-H", "Host: Example.com", "-A", BROWSER.decode(), url]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    wait_until(lambda: server.log.read_bytes().endswith(b"\n"), "a line")
    found = record.Parser(formats.compile(HAPROXY), client.ClientRule([])).parse(server.log.read_bytes().strip())
    assert isinstance(found, Record)
    assert (found.host, found.path, found.query, found.absolute) == ("example.com", "/two", "a=b", False)
    assert (found.protocol, found.user_agent) == ("HTTP/2.0", BROWSER.decode())


def test_caddy(servers: Any, wait_until: Callable[..., Any]) -> None:
    """Caddy writes JSON: a byte that is no UTF-8 is lost before we see it, all else is as it was sent."""
    server = servers.caddy()
    logged = ask_all(server, wait_until)
    assert_read("caddy", logged, holds=ALL + " host", lossy=True)
    send_what_is_no_request(server, "caddy", wait_until)
    assert detect.detect([line for _, line in logged.values()]).name == "caddy"
