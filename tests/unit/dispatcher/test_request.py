"""An event becomes the very bytes of a request, and what explain shows of it."""

import json
from typing import Any

import pytest

from logship.dispatcher import request
from logship.errors import ConfigError
from logship.language.notations import Secret
from logship.records import Event
from logship.settings.destination import DestinationSettings

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0"


def event(**fields: Any) -> Event:
    given = {"name": "pageview", "domain": "example.com", "url": "https://example.com/p", "user_agent": AGENT}
    return Event(**(given | {"client_ip": "203.0.113.7"} | fields))


def parts(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], Any]:
    head, _, body = data.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return line, [tuple(header.split(b": ", 1)) for header in headers], json.loads(body)  # type: ignore[misc]


def test_request_is_laid_out_as_the_contract_shows() -> None:
    """Host, User-Agent, address headers, then what never changes; the body holds only what is set."""
    body = b'{"name":"pageview","domain":"example.com","url":"https://example.com/p"}'
    assert request.render(event(), DestinationSettings()) == (
        b"POST /api/event HTTP/1.1\r\nHost: plausible.io\r\nUser-Agent: " + AGENT.encode() + b"\r\n"
        b"X-Forwarded-For: 203.0.113.7\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        b"Content-Length: 72\r\n\r\n" + body
    )


def test_describe_shows_what_explain_promises() -> None:
    """The object that explain --json prints for one request."""
    assert request.describe(event(), DestinationSettings()) == {
        "destination": "plausible",
        "url": "https://plausible.io/api/event",
        "headers": {"User-Agent": AGENT, "X-Forwarded-For": "203.0.113.7", "Content-Type": "application/json"},
        "body": {"name": "pageview", "domain": "example.com", "url": "https://example.com/p"},
    }


def test_body_holds_everything_that_is_set_in_this_order() -> None:
    """An optional part is there when it is set, and never null."""
    full = event(
        referrer="https://a.example/",
        props={"path": "/p"},
        revenue={"currency": "EUR", "amount": "12.50"},
        interactive=False,
    )
    body = parts(request.render(full, DestinationSettings()))[2]
    assert list(body) == ["name", "domain", "url", "referrer", "props", "revenue", "interactive"]
    assert body["interactive"] is False
    assert body["revenue"] == {"currency": "EUR", "amount": "12.50"}


def test_every_ip_header_carries_the_address() -> None:
    """A self-hosted Plausible behind a CDN needs two of them."""
    settings = DestinationSettings(ip_headers=("X-Forwarded-For", "X-Plausible-IP"))
    headers = dict(parts(request.render(event(), settings))[1])
    assert headers[b"X-Forwarded-For"] == headers[b"X-Plausible-IP"] == b"203.0.113.7"


def test_without_an_ip_header_no_address_is_sent() -> None:
    """It must not run into the header before it."""
    headers = dict(parts(request.render(event(), DestinationSettings(ip_headers=())))[1])
    assert headers[b"User-Agent"] == AGENT.encode()
    assert b"203.0.113.7" not in request.render(event(), DestinationSettings(ip_headers=()))


def test_what_is_remembered_of_requests_is_bounded() -> None:
    """A stranger may write a new User-Agent, path and referrer into each request, a megabyte long."""
    render = request.renderer(DestinationSettings())
    for n in range(3000):
        odd = event(user_agent=f"UA {n}", url=f"https://example.com/{n}", referrer=f"https://a.example/{n}")
        assert render(odd) == request.render(odd, DestinationSettings())
    long = "x" * 1_000_000
    render(event(url=long, referrer=long, user_agent=long))
    for kept in (request._fronts, request._ends):
        assert len(kept) <= 1024
        assert max(map(len, kept.values())) < 1000


@pytest.mark.parametrize("evil", ["x\r\nX-Evil: 1", "x\nY: 2", "x\r\n\r\nGET / HTTP/1.1", "\x00x\x07\x1f\x7f", "\tx "])
@pytest.mark.parametrize("field", ["user_agent", "client_ip", "name", "domain", "url", "referrer"])
def test_no_value_of_an_event_can_split_a_request(field: str, evil: str) -> None:
    """Control characters are taken out of headers, and JSON escapes them in the body."""
    line, headers, body = parts(data := request.render(event(**{field: evil}), DestinationSettings()))
    assert line == b"POST /api/event HTTP/1.1"
    assert [name for name, _ in headers] == [
        *(b"Host", b"User-Agent", b"X-Forwarded-For", b"Content-Type", b"Accept", b"Content-Length")
    ]
    assert data.count(b"\r\n\r\n") == 1
    assert not any(byte < 32 or byte == 127 for name, value in headers for byte in name + value)
    assert body.get(field, evil) == evil


def test_bytes_of_a_user_agent_arrive_as_they_were_in_the_log() -> None:
    """A Latin-1 User-Agent is part of who the visitor is: Plausible must see the very bytes."""
    agent = b"Mozilla caf\xe9 \xc3\xa9".decode("utf-8", "surrogateescape")
    data = request.render(event(user_agent=agent), DestinationSettings())
    assert b"User-Agent: Mozilla caf\xe9 \xc3\xa9\r\n" in data
    assert request.describe(event(user_agent=agent), DestinationSettings())["headers"]["User-Agent"] == (  # type: ignore[index]
        "Mozilla caf\ufffd \u00e9"
    )


def test_half_a_surrogate_pair_does_not_stop_an_event() -> None:
    """JSON logs can hold \\ud800 alone, which no encoder accepts."""
    odd = event(user_agent="a\ud800b", url="https://example.com/\ud800", props={"\ud800": "\udc00x\udce9"})
    body = parts(request.render(odd, DestinationSettings()))[2]
    assert body["url"] == "https://example.com/?"
    assert request.describe(odd, DestinationSettings())["body"] == body


def test_an_endless_user_agent_is_bounded() -> None:
    """A header longer than servers accept would cost the event."""
    headers = dict(parts(request.render(event(user_agent="x" * 100_000), DestinationSettings()))[1])
    assert len(headers[b"User-Agent"]) == 4096


def test_an_empty_user_agent_is_sent_empty() -> None:
    """Left out, a proxy could put its own there, and it would become the visitor."""
    assert b"\r\nUser-Agent: \r\n" in request.render(event(user_agent=""), DestinationSettings())


def test_static_extras_are_sent_and_secrets_are_not_shown() -> None:
    """Credentials, and whatever came from the environment, are masked where people look."""
    settings = DestinationSettings(
        headers={"X-Site": "a", "Authorization": "Bearer t0p", "X-Env": Secret("s3cret"), "X-Api-Key": "k"}
    )
    data = request.render(event(), settings)
    assert b"\r\nX-Site: a\r\nAuthorization: Bearer t0p\r\nX-Env: s3cret\r\nX-Api-Key: k\r\n\r\n" in data
    shown = request.describe(event(), settings)["headers"]
    assert isinstance(shown, dict)
    assert [shown[name] for name in settings.headers] == ["a", "***", "***", "***"]


def test_host_and_accept_may_be_chosen() -> None:
    """A destination reached by its address still wants its name."""
    settings = DestinationSettings(url="http://10.0.0.5:8000/api/event", headers={"host": "stats.example"})
    headers = parts(request.render(event(), settings))[1]
    assert [value for name, value in headers if name.lower() == b"host"] == [b"stats.example"]


@pytest.mark.parametrize(
    "name", ["Content-Length", "Transfer-Encoding", "user-agent", "X-Forwarded-For", "a b", "", "é"]
)
def test_a_header_that_is_not_ours_to_set_is_a_configuration_error(name: str) -> None:
    """What frames the request or says who the visitor is cannot be a constant."""
    with pytest.raises(ConfigError, match=r"destinations\.plausible\.headers\."):
        request.renderer(DestinationSettings(headers={name: "x"}))


@pytest.mark.parametrize("name", ["Content-Length", "user-agent", "X-Plausible-IP-Type", "a b", ""])
def test_a_header_of_the_request_itself_carries_no_address(name: str) -> None:
    """An address in place of the User-Agent makes every visitor one; in place of the length it breaks the request."""
    with pytest.raises(ConfigError, match=r"destinations\.plausible\.ip_headers"):
        request.renderer(DestinationSettings(ip_headers=(name,)))


def test_a_header_value_from_the_configuration_cannot_split_a_request() -> None:
    """The environment may hold a trailing line feed."""
    data = request.render(event(), DestinationSettings(headers={"X-Token": "abc\r\nX-Evil: 1\n"}))
    assert b"\r\nX-Token: abcX-Evil: 1\r\n\r\n" in data


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("https://plausible.io/api/event", b"POST /api/event HTTP/1.1", b"plausible.io"),
        ("https://stats.example:8443/x/y?k=v", b"POST /x/y?k=v HTTP/1.1", b"stats.example:8443"),
        ("http://[2001:db8::1]:80/api/event", b"POST /api/event HTTP/1.1", b"[2001:db8::1]"),
        ("https://bücher.example/api/event", b"POST /api/event HTTP/1.1", b"xn--bcher-kva.example"),
        ("https://example.com/a b/é", b"POST /a%20b/%C3%A9 HTTP/1.1", b"example.com"),
    ],
)
def test_request_line_and_host_follow_the_url(url: str, line: bytes, host: bytes) -> None:
    """Ports that go without saying go unsaid; names and paths are ASCII on the wire."""
    got, headers, _ = parts(request.render(event(), DestinationSettings(url=url)))
    assert got == line
    assert headers[0] == (b"Host", host)


def test_credentials_in_a_url_become_a_header_and_are_never_shown() -> None:
    """A Plausible behind basic authentication."""
    settings = DestinationSettings(url="https://me:p%40ss@stats.example/api/event")
    assert b"\r\nAuthorization: Basic bWU6cEBzcw==\r\n" in request.render(event(), settings)
    shown = json.dumps(request.describe(event(), settings))
    assert "p%40ss" not in shown
    assert "bWU6" not in shown
    assert "https://stats.example/api/event" in shown


def test_a_plain_proxy_gets_the_absolute_form_and_its_credentials() -> None:
    """For http the proxy reads the request; for https it only tunnels, and must learn nothing."""
    plain = DestinationSettings(url="http://stats.example/api/event", proxy="http://me:pw@proxy.example:3128")
    line, headers, _ = parts(request.render(event(), plain))
    assert line == b"POST http://stats.example/api/event HTTP/1.1"
    assert (b"Proxy-Authorization", b"Basic bWU6cHc=") in headers
    tunnelled = DestinationSettings(url="https://stats.example/api/event", proxy="http://me:pw@proxy.example:3128")
    line, headers, _ = parts(request.render(event(), tunnelled))
    assert line == b"POST /api/event HTTP/1.1"
    assert b"Proxy-Authorization" not in dict(headers)
