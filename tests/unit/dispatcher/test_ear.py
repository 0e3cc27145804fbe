"""What is known at a glance, and what goes to the real parser."""

import asyncio

import pytest

from logship.dispatcher.ear import Ear, is_plain

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


class Parser(asyncio.Protocol):
    """Remembers what was left to it."""

    def __init__(self) -> None:
        self.heard = b""
        self.hung_up = False

    def hang_up(self) -> None:
        self.hung_up = True

    def data_received(self, data: bytes) -> None:
        self.heard += data


async def test_after_a_plain_answer_the_next_request_follows_on_the_spot():
    """The future is for the last of them; nothing of a plain answer reaches the parser."""
    parser, left = Parser(), [True, True, False]
    ear = Ear(parser, parser.hang_up)
    answer = ear.listen(lambda: left.pop(0))
    for _ in range(2):
        ear.data_received(NGINX)
        assert not answer.done()
    ear.data_received(NGINX)
    assert answer.result() is True
    assert (left, parser.heard) == ([], b"")


async def test_an_answer_that_says_more_ends_the_streak_and_goes_to_the_parser():
    """Bytes untouched, and nothing is sent before it is understood."""
    parser = Parser()
    ear = Ear(parser, parser.hang_up)
    answer = ear.listen(lambda: True)
    ear.data_received(NGINX)
    ear.data_received(NGINX.replace(b"202", b"503"))
    assert answer.result() is False
    assert parser.heard == NGINX.replace(b"202", b"503")


@pytest.mark.parametrize("surplus", [NGINX, NGINX[:9], b"\0", b"\r\n"])
async def test_what_follows_an_acceptance_unasked_ends_the_connection(surplus: bytes):
    """It was accepted all the same; but what follows would be taken for the answer to the next request."""
    parser, asked = Parser(), []
    ear = Ear(parser, parser.hang_up)
    answer = ear.listen(lambda: bool(asked.append(parser.hung_up)))
    ear.data_received(NGINX + surplus)
    assert answer.result() is True
    assert (asked, parser.heard) == ([True], b"")


async def test_nothing_is_sent_for_one_who_no_longer_waits():
    """A lane that was cancelled asked for no further event."""
    ear = Ear(Parser(), print)
    sent = []
    answer = ear.listen(lambda: bool(sent.append(1)))
    answer.cancel()
    ear.data_received(NGINX)
    assert not sent


async def test_a_bug_in_going_on_reaches_the_one_who_waits():
    """An exception in a callback of the loop would leave the lane waiting for ever."""
    ear = Ear(Parser(), print)
    answer = ear.listen(lambda: 1 // 0 > 0)
    ear.data_received(NGINX)
    assert isinstance(answer.exception(), ZeroDivisionError)


async def test_a_connection_that_is_lost_ends_the_waiting():
    """The parser knows why."""
    ear = Ear(Parser(), print)
    answer = ear.listen()
    ear.connection_lost(None)
    assert answer.result() is False
