"""What is known at a glance, and what goes to the real parser."""

import pytest

from logship.dispatcher.ear import is_plain

NGINX = (
    b"HTTP/1.1 202 Accepted\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
)


def test_an_ordinary_acceptance_is_plain():
    """Status 202, whole, with its length."""
    assert is_plain(NGINX)


@pytest.mark.parametrize(
    "answer",
    [
        NGINX[:-1],
        NGINX + b"x",
        NGINX[:60],
        b"",
        b"ok",
        NGINX.replace(b"202", b"200"),
        NGINX.replace(b"1.1", b"1.0"),
        NGINX.replace(b"keep-alive", b"close"),
        NGINX.replace(b"Connection: keep-alive", b"Keep-Alive: timeout=2"),
        NGINX.replace(b"Server: nginx", b"X-Plausible-Dropped: 1"),
        NGINX.replace(b"Server: nginx", b"Transfer-Encoding: chunked"),
        NGINX.replace(b"Server: nginx", b"Upgrade: h2c"),
        NGINX.replace(b"Server: nginx", b"Content-Length: 2"),
        NGINX.replace(b"Server: nginx\r\n", b"Server: nginx\r\n folded\r\n"),
        NGINX.replace(b"Content-Length: 2\r\n", b""),
        NGINX.replace(b"Length: 2", b"Length: +2"),
        NGINX.replace(b"Length: 2", b"Length: 2, 2"),
        NGINX.replace(b"Length: 2", b"Length: " + b"9" * 30),
        b"HTTP/1.1 100 Continue\r\n\r\n" + NGINX,
    ],
)
def test_whatever_says_more_or_less_goes_to_the_parser(answer):
    """Cut, too long, another status, a connection's end, a drop to count, another framing, a folded line."""
    assert not is_plain(answer)
