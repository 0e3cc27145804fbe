"""Listen to one connection: know a plain acceptance at a glance, and leave every other answer to the real parser.

Nearly all answers are one and the same ``202`` that comes whole and says nothing. Parsing it in full costs more than
all else that happens to an event, and for nothing. So `Ear` stands between a transport and the protocol that aiohttp
made for it: an answer that `is_plain` ends there; anything else goes on to that protocol, bytes untouched, and is
parsed as ever. And since after a plain answer mostly comes the next request, that is asked for on the spot: to wake a
task for it would cost as much as to send it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_HEAD = b"HTTP/1.1 202 "
_LENGTH = b"\r\ncontent-length:"
# What makes an answer more than plain: its framing, its connection's end, a drop to be counted, a folded line.
_TELLING = (b"transfer-encoding", b"close", b"upgrade", b"x-plausible-dropped", b"keep-alive:", b"\r\n ", b"\r\n\t")


def is_plain(data: bytes) -> bool:
    """Tell whether these bytes are one whole 202 answer that says no more than that. In doubt, False."""
    return bool(data) and plain_length(data) == len(data)


def plain_length(data: bytes) -> int:
    """Return how many bytes such an answer takes at the beginning of these; 0: there is none."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(_HEAD):
        return 0
    head = data[:end].lower()
    at = head.find(_LENGTH)
    if at < 0 or head.find(_LENGTH, at + 1) >= 0:
        return 0
    for telling in _TELLING:
        if telling in head:
            return 0
    length = head[at + len(_LENGTH) :].partition(b"\r\n")[0].strip()
    whole = end + 4 + int(length) if length.isdigit() and len(length) < 6 else 0
    return whole if whole <= len(data) else 0


class Ear(asyncio.Protocol):
    """The protocol of a transport whose answers are awaited one at a time. ``parser`` takes what is not plain.

    ``hang_up`` closes the transport: what follows an answer unasked would be taken for the next one.
    """

    def __init__(self, parser: asyncio.Protocol, hang_up: Callable[[], None]) -> None:
        self._parser = parser
        self._hang_up = hang_up
        self._answer: asyncio.Future[bool] | None = None
        self._go_on: Callable[[], bool] = _enough
        self._last_plain = b""

    def listen(self, go_on: Callable[[], bool] | None = None) -> asyncio.Future[bool]:
        """Return the future of the next answer. True: plain; False: the parser has it, or the connection is lost.

        After a plain one ``go_on`` may send the next request at once and return True: then the future is for the
        answer to that. What it raises, the future raises: an exception in a callback of the loop would be lost.
        """
        self._go_on = go_on or _enough
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Take bytes of an answer, or what nobody asked for."""
        answer = self._answer
        # Within a second a server's answers are often the same to the letter.
        if answer is None or not (data == self._last_plain or self._accepts(data)):
            self._hear(False)
            self._parser.data_received(data)
            return
        try:
            if not answer.done() and not self._go_on():  # done: whoever awaited it was cancelled
                self._hear(True)
        except Exception as error:
            self._answer = None
            answer.set_exception(error)

    def _accepts(self, data: bytes) -> bool:
        length = plain_length(data)
        if length == len(data):
            self._last_plain = data
        elif length:
            self._hang_up()
        return length > 0

    def eof_received(self) -> bool | None:
        """Pass on that the server will say no more."""
        return self._parser.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end of the connection; whoever awaits an answer learns of it from the parser."""
        self._parser.connection_lost(exc)
        self._hear(False)

    def pause_writing(self) -> None:
        """Pass on that the transport's buffer is full."""
        self._parser.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it has room again."""
        self._parser.resume_writing()

    def _hear(self, plain: bool) -> None:
        """End the waiting for an answer, if anybody waits."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(plain)


def _enough() -> bool:
    return False
