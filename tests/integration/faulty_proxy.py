"""A proxy between logship and an API that breaks what it carries, and writes down what it was given.

python faulty_proxy.py PORT FILE forwards to PORT on loopback, and prints its own port. Each request becomes a line of
FILE, written before anything is forwarded: when (epoch seconds), what is done to it, and the path of its event. What is
done while standard input last said ``on`` is a matter of chance:

    forwarded   request and answer go through, perhaps slowly or in pieces
    cut         the request goes through, its answer does not: the event is counted, and nobody is told
    stalled     likewise, and the connection stays open and says nothing
    refused     the connection is closed before anything is forwarded
    answered    with 500, 502, 503, 429 or something that is no HTTP, and nothing is forwarded

A second line, ``unheard``, says of a request that its answer was written, and that no other request came after it on
this connection: perhaps nobody was there to hear it.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import sys
import time
from urllib.parse import urlsplit

FATES = ("forwarded", "cut", "stalled", "refused", "answered")
CHANCES = (90, 3, 1, 3, 3)
ANSWERS = (
    b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
)


class Proxy:
    def __init__(self, target: int, record: str) -> None:
        self.target = target
        self.record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.faulty = False
        self.chance = random.Random(4)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = ""  # of the request that was answered last
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                path = urlsplit(json.loads(body)["url"]).path
                if not await self.carry_one(head + body, path, writer):
                    path = ""
                    break
        if path:
            os.write(self.record, f"{time.time():.3f} unheard {path}\n".encode())
        writer.close()

    async def carry_one(self, request: bytes, path: str, writer: asyncio.StreamWriter) -> bool:
        """Return whether the connection goes on."""
        fate = self.chance.choices(FATES, CHANCES)[0] if self.faulty else "forwarded"
        os.write(self.record, f"{time.time():.3f} {fate} {path}\n".encode())
        if fate == "refused":
            return False
        if fate == "answered":
            writer.write(self.chance.choice(ANSWERS))
            await writer.drain()
            return True
        answer = await self.ask(request)
        if fate == "stalled":
            await asyncio.sleep(30)
        if fate != "forwarded":
            return False
        at = self.chance.randrange(1, len(answer)) if self.faulty else len(answer)
        writer.write(answer[:at])
        await writer.drain()
        await asyncio.sleep(self.chance.choice((0, 0, 0.01)) if self.faulty else 0)
        writer.write(answer[at:])
        await writer.drain()
        return True

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            return head + await reader.readexactly(int(length[1]) if length else 0)
        finally:
            writer.close()


async def main(target: int, record: str) -> None:
    proxy = Proxy(target, record)
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while order := await loop.run_in_executor(None, sys.stdin.readline):
        proxy.faulty = order.strip() == "on"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
