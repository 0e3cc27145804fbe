"""The live stream of decisions for `logship tap`: some of the lines that are being read, and what became of each.

Asked for at a socket in the state directory, which only the daemon's user and root can reach; health, metrics and the
page, which anyone on the machine can read, show no line. While nobody looks it costs a look at an empty list for each
chunk. While somebody does, a few lines of a chunk are decided once more by the long way: nothing is counted or sent,
and who reads slowly misses lines, so that the daemon never waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from logship.admin.decisions import Judge
from logship.parser import wrappers
from logship.records import Chunk, readable

log = structlog.get_logger(__name__)

SOCKET = "tap.sock"
MOST_ONLOOKERS = 4
MOST_A_SECOND = 100

_PATIENCE = 5.0  # seconds for saying what is wanted
_WISH = 4096  # bytes of it
_BACKLOG = 64 * 1024  # bytes that may wait for an onlooker to read: some hundred lines
_STUCK = 30.0  # seconds without reading, after which the place is for another
_LOOKED_AT = 50  # lines that are decided for each one that may be shown, where only some are wanted


@dataclass(frozen=True, slots=True)
class Wish:
    """What an onlooker wants to see. None: whatever there is."""

    rate: float = 10.0
    source: str | None = None
    result: str | None = None
    reason: str | None = None

    @classmethod
    def read(cls, line: bytes) -> Wish:
        """Read a JSON object. Raise ValueError when it is none, or asks for what there is not."""
        asked = orjson.loads(line)
        if not isinstance(asked, dict) or not all(isinstance(asked.get(key), str | None) for key in _WORDS):
            raise ValueError("a JSON object with rate, source, result and reason is wanted")
        rate = asked.get("rate") or cls().rate
        if not isinstance(rate, int | float) or not 0 < rate <= MOST_A_SECOND:
            raise ValueError(f"rate is a number of lines a second, at most {MOST_A_SECOND}")
        return cls(float(rate), *(asked.get(key) for key in _WORDS))

    def fits(self, decision: Mapping[str, Any]) -> bool:
        """Tell whether a decision is wanted."""
        return self.result in (None, decision["result"]) and self.reason in (None, decision["reason"])


_WORDS = ("source", "result", "reason")


class Tap:
    """Shows decisions to those who listen. `show` is called for each chunk while `listened` is true."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._onlookers: list[_Onlooker] = []

    @property
    def listened(self) -> bool:
        """Whether anybody looks."""
        return bool(self._onlookers)

    def show(self, chunk: Chunk, judge: Judge) -> None:
        """Show some lines of a chunk to each onlooker that wants some of its source."""
        lines: list[tuple[int, bytes]] = []
        for onlooker in [each for each in self._onlookers if each.wish.source in (None, chunk.source)]:
            if not onlooker.may_see(self._clock()):
                onlooker.miss(chunk)
                continue
            lines = lines or list(wrappers.lines(judge.parser.format.wrapper, chunk.data))
            onlooker.see(chunk, lines, judge)

    @contextlib.asynccontextmanager
    async def serve(self, state_dir: Path) -> AsyncIterator[None]:
        """Listen in the state directory while the context lasts. A file system without sockets only costs the tap."""
        try:
            listening = _listen(state_dir)
        except OSError as error:
            log.warning("tap.unavailable", error=error.strerror, help="logship tap will not work, all else will")
            yield
            return
        server = await asyncio.start_unix_server(self._welcome, sock=listening, limit=_WISH)
        try:
            yield
        finally:
            server.close()
            for onlooker in [*self._onlookers]:
                onlooker.leave()
            with contextlib.suppress(OSError):
                (state_dir / SOCKET).unlink()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onlooker = None
        try:
            wish = Wish.read(await asyncio.wait_for(reader.readline(), _PATIENCE))
            onlooker = self._admit(_Onlooker(writer, wish, self._clock()))
            while await reader.read(_WISH):  # until it hangs up
                pass
        except ValueError as error:
            writer.write(orjson.dumps({"error": str(error)}) + b"\n")
        except (OSError, TimeoutError):
            pass
        finally:
            if onlooker is not None:
                self._onlookers.remove(onlooker)
            writer.close()

    def _admit(self, onlooker: _Onlooker) -> _Onlooker:
        if len(self._onlookers) >= MOST_ONLOOKERS:
            raise ValueError(f"{MOST_ONLOOKERS} are looking already; end one of them")
        self._onlookers.append(onlooker)
        return onlooker


class _Onlooker:
    """One who looks: what it wants, and how much it may still be shown."""

    def __init__(self, writer: asyncio.StreamWriter, wish: Wish, now: float) -> None:
        self.wish = wish
        self._writer = writer
        self._allowed = self._burst = max(1.0, wish.rate)
        self._at = self._read_at = now
        self._passed = 0

    def may_see(self, now: float) -> bool:
        """Tell whether the rate allows a line, and the reader has kept up."""
        self._allowed = min(self._burst, self._allowed + (now - self._at) * self.wish.rate)
        self._at = now
        return self._allowed >= 1 and not self._is_behind(now)

    def miss(self, chunk: Chunk) -> None:
        """Count the lines of a chunk that is not shown."""
        self._passed += chunk.data.count(b"\n")

    def see(self, chunk: Chunk, lines: Sequence[tuple[int, bytes]], judge: Judge) -> None:
        """Show as many of the lines as the rate allows, spread over the chunk."""
        shown_to = 0
        for number, offset, decision in self._wanted(chunk.start, lines, judge):
            self._allowed -= 1
            self._passed += number + 1 - shown_to
            shown_to = number + 1
            self._write({"source": chunk.source, "path": readable(chunk.path), "offset": offset} | decision)
        self._passed += len(lines) - shown_to

    def leave(self) -> None:
        """Hang up."""
        self._writer.close()

    def _is_behind(self, now: float) -> bool:
        """Tell whether what was written is not read yet; after a while, make room for another."""
        transport = self._writer.transport
        if transport.get_write_buffer_size() < _BACKLOG:
            self._read_at = now
            return False
        if now - self._read_at > _STUCK:
            transport.abort()
        return True

    def _wanted(
        self, start: int, lines: Sequence[tuple[int, bytes]], judge: Judge
    ) -> Iterator[tuple[int, int, dict[str, Any]]]:
        allowed = int(self._allowed)
        candidates = allowed * (1 if self.wish.result is self.wish.reason is None else _LOOKED_AT)
        step = max(1, -(-len(lines) // candidates))
        for number in range(step - 1, len(lines), step):
            offset, line = lines[number]
            decision = judge.tell(line, start + offset)
            if self.wish.fits(decision):
                yield number, start + offset, decision
                allowed -= 1
                if not allowed:
                    return

    def _write(self, decision: Mapping[str, Any]) -> None:
        """Write a decision, with the number of lines that it stands for."""
        self._writer.write(orjson.dumps({**decision, "of": self._passed}) + b"\n")
        self._passed = 0


def _listen(state_dir: Path) -> socket.socket:
    """Make the socket anew: whoever left one there is gone, since the state directory's lock is ours."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # Linux makes the file with this mode
        with contextlib.suppress(FileNotFoundError):
            (state_dir / SOCKET).unlink()
        with address(state_dir) as name:
            listening.bind(name)
    except OSError:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def address(state_dir: Path) -> Iterator[str]:
    """Return a name of the socket that fits in the 107 bytes of an address, however deep the directory lies."""
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)
