"""Memory under a backlog that cannot be delivered: a big log, a slow receiver, and logship's resident set over time.

    python -m tests.bench.memory [--megabytes N] [--seconds N] [--delay SECONDS]

The log file is the queue, so the answer must not depend on how much of it waits: flat, and at most 64 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import job, programs
from tests.bench.target import free_port

GOAL = 64_000_000  # bytes
_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_BLOCK = 50_000  # lines that are made up; the log repeats them


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was seen: events taken by the receiver, and the resident set in bytes, sampled ten times a second."""

    size: int
    seconds: float
    events: int
    samples: list[int]
    peak: int

    @property
    def growth(self) -> int:
        """Bytes by which the last quarter's mean lies above the second quarter's (the first is the start)."""
        quarter = max(1, len(self.samples) // 4)
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return round(sum(last) / len(last) - sum(second) / len(second))

    def __str__(self) -> str:
        return (
            f"{self.size / 1e6:,.0f} MB of backlog, {self.events:,} events in {self.seconds:.0f} s: "
            f"peak RSS {self.peak / 1e6:.1f} MB, growth {self.growth / 1e6:+.2f} MB"
        )


async def measure(root: Path, size: int, seconds: float, delay: float) -> Backlog:
    """Let logship work on a log of about ``size`` bytes, each answer taking ``delay`` seconds, for ``seconds``."""
    log = root / "access.log"
    written = _fill(log, size)
    async with _slow_receiver(delay) as receiver:
        config = root / "logship.yaml"
        config.write_text(
            f"state_dir: {root}/state\n"
            f"admin: {{listen: '127.0.0.1:{free_port()}'}}\n"
            f"grace_period: 1s\n"
            f"destinations: {{slow: {{url: 'http://127.0.0.1:{receiver.port}'}}}}\n"
            f"sources: [{{path: '{log}', site: https://example.com, format: combined, start_at: beginning}}]\n"
        )
        with (root / "output").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(str(programs.LOGSHIP), "run", "-c", str(config)),
                stdout=output,
                stderr=output,
                env=programs.ENVIRONMENT,
            )
        try:
            samples = [await _sample(process) for _ in range(round(seconds * 10))]
            peak = programs.peak_rss(process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"logship ended with {process.returncode}:\n{(root / 'output').read_text()[-3000:]}")
    return Backlog(written, seconds, receiver.events, samples, peak)


def _fill(log: Path, size: int) -> int:
    """Write a block of made-up lines as often as it takes."""
    block = log.with_suffix(".block")
    length = job.write(block, min(_BLOCK, max(1, size // 230))).size
    text = block.read_bytes()
    with log.open("wb") as file:
        for _ in range(max(1, round(size / length))):
            file.write(text)
    block.unlink()
    return log.stat().st_size


@dataclass(slots=True)
class _Receiver:
    port: int
    events: int = 0


@asynccontextmanager
async def _slow_receiver(delay: float) -> AsyncIterator[_Receiver]:
    """Answer every request with 202, ``delay`` seconds after it came."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                await asyncio.sleep(delay)
                receiver.events += 1
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    receiver = _Receiver(server.sockets[0].getsockname()[1])
    try:
        yield receiver
    finally:
        server.close()


async def _sample(process: asyncio.subprocess.Process) -> int:
    await asyncio.sleep(0.1)
    try:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        raise RuntimeError(f"logship is gone, exit code {process.returncode}") from None
    return pages * 4096


def main() -> int:
    """Measure, print, and fail above the goal."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--delay", type=float, default=0.02)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logship-bench-") as scratch:
        seen = asyncio.run(measure(Path(scratch), options.megabytes * 1_000_000, options.seconds, options.delay))
    print(seen)
    return 0 if seen.peak <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
