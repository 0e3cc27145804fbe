"""Work a backlog off on two cores: a second process sifts chunks while this one sends the events of those before.

The border is `Sieve.sift`: a chunk goes over, what it came to comes back, and is taken in the order of reading. The
second process is a fork of this one, so it has the plan already and shares its memory. It opens nothing, sends
nothing and remembers nothing that matters: it may end at any instant, and what it has not answered is sifted here. It
exists only while there is a backlog; following live logs takes one process, and no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import marshal
import os
import signal
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, cast

import structlog

from logship.parser.detect import Detection
from logship.records import Chunk, Delivery, Event, Unparsed
from logship.sieve.sieve import Sieve
from logship.sieve.sifted import Sifted
from logship.steps import Steps

log = structlog.get_logger(__name__)

# Two thirds of a second of work for one process: less is done before a second one has warmed up.
BACKLOG = 16 * 1024 * 1024
# Where reading has caught up, chunks are small: not worth the way there and back.
_SMALL = 32 * 1024
# A chunk being sifted, one that waits for it, and one whose events are being queued.
_AHEAD = 2
_CHUNKS_BETWEEN_LOOKS = 16
_LOOK_AGAIN = 5.0  # seconds
# While an API or a rate holds us back, the processor rests, and to sift faster would be of no use.
_BUSY = 0.6
_IDLE = 0.3
# A chunk takes it a fiftieth of a second. Who has not answered by then never will, and is killed.
_PATIENCE = 10.0  # seconds
_LENGTH = struct.Struct("<I")

Take = Callable[[Chunk, Sifted], Awaitable[None]]


class Sifting:
    """Sift chunks in the order they come: here, or in a second process while much is ``behind`` and this one is busy.

    ``sieves`` returns those of the plan at hand, by source; ``behind`` the bytes that wait to be read; ``now`` epoch
    seconds; ``prepare`` loads what takes long to load: it is called in a thread, before the first chunk.
    """

    def __init__(
        self,
        sieves: Callable[[], Mapping[str, Sieve]],
        behind: Callable[[], int],
        now: Callable[[], float],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._prepare = prepare
        self._sieves = sieves
        self._behind = behind
        self._now = now
        self._alone = len(os.sched_getaffinity(0)) < 2
        self._second: SecondProcess | None = None
        self._chunks_until_look = 0
        self._looked = time.monotonic(), time.process_time()

    async def feed(self, chunks: AsyncIterator[Chunk], take: Take) -> None:
        """Await ``take`` for every chunk with what it came to, one after the other, until the chunks end."""
        pending: asyncio.Queue[_Asked] = asyncio.Queue(_AHEAD)
        try:
            async with asyncio.TaskGroup() as tasks:
                taking = tasks.create_task(self._take_in_turn(pending, take), name="take")
                async for chunk in chunks:
                    if self._prepare:
                        await asyncio.to_thread(self._prepare)
                        self._prepare = None
                    second = self._second_for(chunk)
                    if second is not None:
                        await pending.put((chunk, second, second.sift(chunk, self._now())))
                    else:
                        await pending.join()
                        await take(chunk, await self._sift(chunk))
                await pending.join()
                taking.cancel()
        finally:
            self.renew()

    def renew(self) -> None:
        """Let the second process end with what it has: it has the plan of the moment when it was made."""
        if self._second is not None:
            self._second.close()
            self._second = None

    async def _take_in_turn(self, pending: asyncio.Queue[_Asked], take: Take) -> None:
        while True:
            chunk, second, answer = await pending.get()
            await take(chunk, await self._answer(second, answer) or await self._sift(chunk))
            pending.task_done()

    async def _answer(self, second: SecondProcess, answer: Awaitable[Sifted]) -> Sifted | None:
        """Wait for an answer. None: there will be none."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await answer
        except TimeoutError:
            self._alone = True  # whatever made it hang may do so again
            second.kill()
            log.warning("backlog.hung", seconds=_PATIENCE, pid=second.pid, help="killed; one process does it, slower")
        except ConnectionError:
            pass
        return None

    async def _sift(self, chunk: Chunk) -> Sifted:
        """Sift here, a step at a time: signals, answers and the admin port have their turn in between."""
        work = Steps(self._sieves()[chunk.source].steps(chunk, self._now()))
        for _ in work:
            await asyncio.sleep(0)
        return work.result

    def _second_for(self, chunk: Chunk) -> SecondProcess | None:
        """Return the second process, if there is one or should be, and this chunk is worth the way."""
        if self._second is not None and self._second.gone:
            self._second = None
        # To find out a file's format may take a look at its beginning, which only this process has open.
        if self._sieves()[chunk.source].parser(chunk.path) is None or len(chunk.data) < _SMALL:
            return None
        if self._second is None and self._is_due():
            self._begin()
        if self._second is None or chunk.source not in self._second.sources:
            return None
        return self._second

    def _is_due(self) -> bool:
        if self._alone:
            return False
        self._chunks_until_look -= 1
        if self._chunks_until_look >= 0:
            return False
        self._chunks_until_look = _CHUNKS_BETWEEN_LOOKS
        return self._load() >= _BUSY and self._behind() >= BACKLOG

    def _load(self) -> float:
        """Return the share of one core that this process has used since it was asked for last."""
        before, self._looked = self._looked, (time.monotonic(), time.process_time())
        return (self._looked[1] - before[1]) / max(self._looked[0] - before[0], 1e-6)

    def _begin(self) -> None:
        sieves = {name: sieve for name, sieve in self._sieves().items() if not sieve.remembers}
        if not sieves:
            return
        try:
            self._second = SecondProcess(sieves)
        except OSError as error:  # no process or descriptor is to be had
            self._alone = True
            log.warning("backlog.alone", error=os.strerror(error.errno or 0), help="one process does it, more slowly")
            return
        self._look_later(self._second)

    def _look_later(self, second: SecondProcess) -> None:
        """End a second process that is not needed any more: what it would do, this one has the time for."""

        def look() -> None:
            if self._second is second:
                self.renew() if self._load() < _IDLE else self._look_later(second)

        self._load()
        asyncio.get_running_loop().call_later(_LOOK_AGAIN, look)


class SecondProcess(asyncio.Protocol):
    """A fork that sifts. Answers come in the order of the questions; a lost one is a ConnectionError.

    Raises OSError when it cannot be made.
    """

    def __init__(self, sieves: Mapping[str, Sieve]) -> None:
        self.sources = frozenset(sieves)
        self.gone = False
        self._answers: deque[asyncio.Future[Sifted]] = deque()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._closing = False
        ours, theirs = socket.socketpair()
        try:
            self.pid = _fork(theirs, sieves)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        loop = asyncio.get_running_loop()
        self._opening = asyncio.ensure_future(loop.create_unix_connection(lambda: self, sock=ours))
        self._opening.add_done_callback(self._opened)

    def sift(self, chunk: Chunk, now: float) -> asyncio.Future[Sifted]:
        """Return the future of what a chunk comes to."""
        answer: asyncio.Future[Sifted] = asyncio.get_running_loop().create_future()
        if self.gone:
            answer.set_exception(ConnectionResetError())
            return answer
        self._answers.append(answer)
        self._send(marshal.dumps((now, _CHUNK_FIELDS(chunk))))
        return answer

    def close(self) -> None:
        """Ask nothing more. What was asked is answered still, within some time."""
        if not self._closing:
            asyncio.get_running_loop().call_later(_PATIENCE, self.kill)
        self._closing = True
        if self._transport is not None and not self.gone:
            self._transport.write_eof()

    def kill(self) -> None:
        """End it at once. It is a child that nobody has waited for, so its number is its own still."""
        if not self.gone:
            os.kill(self.pid, signal.SIGKILL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what was asked meanwhile."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no instances of it
        unsent, self._unsent = self._unsent, []
        for frame in unsent:
            self._send(frame)
        if self._closing:
            self.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes of an answer."""
        received = self._received
        received += data
        while len(received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
            if len(received) < end:
                break
            with memoryview(received) as view:
                packed = marshal.loads(view[_LENGTH.size : end])  # noqa: S302 - written by our own fork
            del received[:end]
            sifted = unpack(packed)
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(sifted)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was not answered, and let the operating system forget the process."""
        self.gone = True
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(ConnectionResetError())
        self._answers.clear()
        asyncio.get_running_loop().run_in_executor(None, _reap, self.pid)

    def _opened(self, opening: asyncio.Future[Any]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self.connection_lost(None)

    def _send(self, frame: bytes) -> None:
        if self._transport is None:
            self._unsent.append(frame)
        else:
            self._transport.writelines((_LENGTH.pack(len(frame)), frame))


_Asked = tuple[Chunk, SecondProcess, Awaitable[Sifted]]

_CHUNK_FIELDS = attrgetter(*(field.name for field in fields(Chunk)))
_EVENT_FIELDS = attrgetter(*(field.name for field in fields(Event)))


def pack(sifted: Sifted) -> tuple[Any, ...]:
    """Return what `unpack` makes the same of, in types that marshal writes."""
    survivors = [
        (offset, [(each.destination, each.time, _EVENT_FIELDS(each.event)) for each in deliveries])
        for offset, deliveries in sifted.survivors
    ]
    first, found = sifted.first_unparsed, sifted.detected
    return (
        survivors,
        (sifted.lines, sifted.expired, sifted.nul_bytes),
        tuple(dict(counts) for counts in (sifted.unparsed, sifted.dropped, sifted.cuts)),
        first and (first[0], first[1].reason, first[1].position),
        found and (found.name, found.confidence, found.rivals, found.wrapper),
    )


def unpack(packed: tuple[Any, ...]) -> Sifted:
    """Return what was packed. A detected format comes without what reads it: that is of use over there alone."""
    survivors, (lines, expired, nul_bytes), (unparsed, dropped, cuts), first, found = packed
    return Sifted(
        survivors=[
            (offset, [Delivery(destination, Event(*event), time) for destination, time, event in deliveries])
            for offset, deliveries in survivors
        ],
        lines=lines,
        expired=expired,
        nul_bytes=nul_bytes,
        unparsed=Counter(unparsed),
        dropped=Counter(dropped),
        cuts=Counter(cuts),
        first_unparsed=first and (first[0], Unparsed(first[1], first[2])),
        detected=found and Detection(None, *found),
    )


def _fork(theirs: socket.socket, sieves: Mapping[str, Sieve]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _be_second(theirs, sieves)
        status = 0
    finally:
        os._exit(status)  # nothing of the parent's is ours to clean up


def _be_second(theirs: socket.socket, sieves: Mapping[str, Sieve]) -> None:
    """Answer until the parent hangs up, however it ends. Signals to the group are the parent's affair."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Above all the lock of the state directory: whoever holds a copy of it, holds it.
    os.closerange(3, theirs.fileno())
    os.closerange(theirs.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    gc.freeze()  # to look through what we share would be to write into it, and so to copy it
    with theirs.makefile("rwb") as stream:
        while len(length := stream.read(_LENGTH.size)) == _LENGTH.size:
            now, chunk = marshal.loads(stream.read(_LENGTH.unpack(length)[0]))  # noqa: S302 - written by our parent
            chunk = Chunk(*chunk)
            answer = marshal.dumps(pack(sieves[chunk.source].sift(chunk, now)))
            stream.write(_LENGTH.pack(len(answer)))
            stream.write(answer)
            stream.flush()


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
