"""An API that accepts everything and forgets nothing: each path it was sent, one a line, written before the 202.

python recorder.py FILE prints its port on the first line of standard output. A process of its own, so that it lives
through whatever happens to logship, and knows nothing but what it was sent.
"""

import asyncio
import json
import os
import re
import sys
from urllib.parse import urlsplit

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


async def main(path: str) -> None:
    record = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
                os.write(record, urlsplit(body["url"]).path.encode() + b"\n")
                await asyncio.sleep(0.002)  # accepted, and not answered yet: where a crash hurts
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
