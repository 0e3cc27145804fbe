"""Random lives of a log against a toy model: what was written arrives once, in order, whatever happens to the file."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import errno
import gzip
import lzma
import os
import random
import shutil
import subprocess
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logship.metrics import Metrics
from logship.progress.ledger import Ledger
from logship.records import Span
from logship.source.survey import Survey
from logship.source.tailer import Followed, Tailer
from logship.source.watch import Wakeup

EPOCH = 1_700_000_000.0
PACKERS = {
    ".gz": lambda data: gzip.compress(data, 1),
    ".bz2": lambda data: bz2.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
}
if shutil.which("zstd"):
    PACKERS[".zst"] = lambda data: subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


class Life(RuleBasedStateMachine):
    """One log, its writer, its rotations, and a follower that may be stopped and started.

    The model is a list: every line that was ended, in order. Delivered must always be a prefix of it, and all of it
    after enough looks. Truncation happens only after everything was copied (copytruncate with the writer at rest), and
    a deletion only while the follower has the file open; so nothing may be lost, and without kills nothing doubled.
    """

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="follow-"))
        self.log = self.directory / "access.log"
        self.log.touch()
        self.serial = 0
        self.written: list[str] = []
        self.read: list[str] = []
        self.half = ""
        self.now = 1000.0
        self.rotations = 0
        self.writer = self.log.open("a")
        self.stamp(self.log)
        self.tailer: Tailer | None = None
        self.open([], set())
        self.look()

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
            self.tailer.close()
            shutil.rmtree(self.directory)

    def open(self, positions: list, seen: set[str]) -> None:
        self.ledger = Ledger()
        pattern = str(self.log) + "*" if self.rotations % 2 else str(self.log)
        self.tailer = Tailer(
            [Followed("s", (pattern,), tuple(f"*{each}" for each in PACKERS), "beginning")],
            positions=positions,
            seen=seen,
            metrics=Metrics(),
            ledger=self.ledger,
            wakeup=self.wakeup(),
            clock=lambda: self.now,
            wall=lambda: self.now + EPOCH,
        )

    def wakeup(self) -> Wakeup:
        return Wakeup(events=False)

    def stamp(self, path: Path) -> None:
        """Let time pass, and give a file the time at which it was written to."""
        self.now += 3
        os.utime(path, (self.now + EPOCH, self.now + EPOCH))

    # What the web server does.

    @rule(count=st.integers(1, 30), width=st.sampled_from([10, 80, 300, 20_000]))
    def write(self, count: int, width: int) -> None:
        for _ in range(count):
            self.serial += 1
            line = f"{self.half}{self.serial} " + "x" * width
            self.writer.write(line[len(self.half) :] + "\n")
            self.written.append(line)
            self.half = ""
        self.writer.flush()
        self.stamp(self.log)

    @precondition(lambda self: not self.half)
    @rule()
    def write_half(self) -> None:
        self.serial += 1
        self.half = f"half {self.serial} "
        self.writer.write(self.half)
        self.writer.flush()
        self.stamp(self.log)

    def reopen(self) -> None:
        self.writer.close()
        self.writer = self.log.open("a")
        self.stamp(self.log)

    # What logrotate and people do. A server ends its line before it reopens its log.

    def end_line(self) -> None:
        if self.half:
            self.write(1, 10)

    def shift(self, suffix: str = "") -> Path:
        for at in range(30, 0, -1):
            for each in ("", *PACKERS):
                old = self.log.with_name(f"access.log.{at}{each}")
                if old.exists():
                    old.rename(self.log.with_name(f"access.log.{at + 1}{each}"))
        return self.log.with_name(f"access.log.1{suffix}")

    @rule(compress=st.sampled_from(["", "", *PACKERS]))
    def rename_and_create(self, compress: str) -> None:
        self.end_line()
        self.rotations += 1
        if compress:
            for old in self.log.parent.glob("access.log.[0-9]"):
                if old.stat().st_size:
                    times = old.stat().st_mtime_ns
                    packed = Path(f"{old}{compress}")
                    packed.write_bytes(PACKERS[compress](old.read_bytes()))
                    os.utime(packed, ns=(times, times))
                old.unlink()
        self.log.rename(self.shift())
        self.reopen()

    @rule()
    def copytruncate(self) -> None:
        self.end_line()
        if not self.log.stat().st_size:
            return
        copy = self.shift()
        shutil.copy(self.log, copy)
        self.stamp(copy)
        os.truncate(self.log, 0)
        self.stamp(self.log)

    @rule()
    def delete_and_create(self) -> None:
        """Rotation without keeping: only fair while the follower has it open."""
        self.end_line()
        self.look()
        self.write(2, 10)
        self.log.unlink()
        self.reopen()
        self.look()

    @rule()
    def move_away(self) -> None:
        """olddir, below the log's own directory."""
        self.end_line()
        old = self.directory / "old"
        old.mkdir(exist_ok=True)
        self.rotations += 1
        self.log.rename(old / f"access.log-202501{self.rotations:04d}")
        self.reopen()

    # What the follower does.

    @rule()
    def look(self) -> None:
        asyncio.run(self.tailer.look())
        self.take()

    @rule(chunks=st.integers(0, 3))
    def look_and_read_a_little(self, chunks: int) -> None:
        asyncio.run(self.tailer.look())
        self.take(chunks)

    def take(self, limit: int = 10_000) -> None:
        for _ in range(limit):
            chunk = self.tailer.take()
            if chunk:
                self.ledger.open(chunk.file, chunk.start, chunk.end, [])
                self.read += [line.decode() for line in chunk.data.splitlines()]
            elif not self.tailer._queue:
                return

    @rule(seconds=st.sampled_from([1, 30, 61, 700]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        positions, seen = self.tailer.positions(), set(self.tailer.sources)
        self.tailer.close()
        self.open(positions, seen)

    @invariant()
    def in_order_and_once(self) -> None:
        if hasattr(self, "read"):
            assert self.read == self.written[: len(self.read)], (self.read[-5:], len(self.read))

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "tailer"):
            assert len(self.tailer.positions()) < 100

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(3):
            self.now += 1
            self.look()
        assert self.read == self.written


class TwinLife(Life):
    """The same, where all lines are alike, and so most generations hold what another one holds.

    A log that was cut is looked at before it is written to again: grown back to the very same bytes, nobody could tell.
    Nor could anybody where an inode is used again for the same bytes, so that each is kept in use; and nothing is
    deleted, since what comes next would look like a copy of it.
    """

    delete_and_create = None

    @initialize()
    def begin(self) -> None:
        self.kept: list[BinaryIO] = []
        super().begin()

    def teardown(self) -> None:
        for each in getattr(self, "kept", []):
            each.close()
        super().teardown()

    def stamp(self, path: Path) -> None:
        super().stamp(path)
        self.kept.append(path.open("rb"))

    @rule(count=st.sampled_from([1, 1, 2, 30]), width=st.sampled_from([10, 80]))
    def write(self, count: int, width: int) -> None:
        lines = [f"{self.half}{'x' * width}", *[f"{'x' * width}"] * (count - 1)]
        self.writer.write("".join(f"{line}\n" for line in lines)[len(self.half) :])
        self.written += lines
        self.half = ""
        self.writer.flush()
        self.stamp(self.log)

    @rule()
    def copytruncate(self) -> None:
        super().copytruncate()
        self.look()

    @rule()
    def in_order_and_once(self) -> None:
        assert Counter(self.read) <= Counter(self.written)

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(3):
            self.now += 1
            self.look()
        assert Counter(self.read) == Counter(self.written)


class Deaf(Wakeup):
    """Events that are trusted, and never come."""

    works = True

    def is_armed(self, token: str) -> bool:
        return True

    def watch_file(self, token: str, fd: int) -> bool:
        return True

    def watch_directories(self, paths: Iterable[str]) -> None:
        pass


class RestingLife(Life):
    """The same, where logs are left alone as long as they rest, and no event tells of anything: time alone finds it."""

    def wakeup(self) -> Wakeup:
        return Deaf()

    def open(self, positions: list, seen: set[str]) -> None:
        super().open(positions, seen)
        self.tailer._survey = Survey(trust=set)

    @rule()
    def look(self) -> None:
        """Let pass what it takes until all is looked at that rests, and every directory."""
        self.now += 11
        asyncio.run(self.tailer._notice(set()))
        self.take()


class FaultyLife(Life):
    """The same, where two system calls in a hundred fail: perhaps out of order, but nothing lost, nothing doubled."""

    @rule(seed=st.integers(0, 2**32))
    def look_at_a_faulty_disk(self, seed: int) -> None:
        with faults(random.Random(seed)):
            super().look()

    @rule()
    def delete_and_create(self) -> None:
        self.everything_arrives()
        super().delete_and_create()

    @rule(seconds=st.sampled_from([1, 30, 61, 700]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds / 100  # a search that fails for a minute may give up

    @invariant()
    def in_order_and_once(self) -> None:
        if hasattr(self, "read"):
            assert len(set(self.read)) == len(self.read)

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(8):
            self.now += 1
            self.look()
        assert sorted(self.read) == sorted(self.written)


class HardLife(Life):
    """The same, with kills and with truncations that leave no copy.

    After a kill only lines that were read since the checkpoint may come twice; of a truncated file only those may be
    missing that nobody had read. All others arrive, once.
    """

    @initialize()
    def begin(self) -> None:
        self.may_miss: set[str] = set()
        self.may_repeat: set[str] = set()
        self.in_live: list[str] = []
        self.held: deque[tuple[Span, list[str]]] = deque()
        super().begin()
        self.save()

    @rule()
    def save(self) -> None:
        """Save a checkpoint: what is not settled is not in it."""
        self.checkpoint = self.tailer.positions(), set(self.tailer.sources)
        self.safe = {line for line in self.read if line not in self.unsettled()}

    def unsettled(self) -> set[str]:
        return {line for _, lines in self.held for line in lines}

    @rule()
    def kill(self) -> None:
        self.may_repeat |= set(self.read) - self.safe
        self.held.clear()
        self.tailer.close()
        self.open(*self.checkpoint)

    @rule()
    def restart(self) -> None:
        """Stop after the grace period: what is not settled by then may come twice."""
        self.may_repeat |= self.unsettled()
        self.held.clear()
        super().restart()
        self.save()

    @rule(count=st.integers(1, 5))
    def settle(self, count: int) -> None:
        for span, _ in [self.held.popleft() for _ in range(min(count, len(self.held)))]:
            self.ledger.settle([span])

    def take(self, limit: int = 10_000) -> None:
        for _ in range(limit):
            chunk = self.tailer.take()
            if chunk:
                lines = [line.decode() for line in chunk.data.splitlines()]
                spans = self.ledger.open(chunk.file, chunk.start, chunk.end, [(chunk.start, 1)] if lines else [])
                self.held += [(span, lines) for span in spans]
                self.read += lines
            elif not self.tailer._queue:
                return

    # What happens to the file.

    @rule(count=st.integers(1, 30), width=st.sampled_from([10, 80, 300, 20_000]))
    def write(self, count: int, width: int) -> None:
        before = len(self.written)
        super().write(count, width)
        self.in_live += self.written[before:]

    def reopen(self) -> None:
        super().reopen()
        self.in_live = []

    @rule()
    def copytruncate(self) -> None:
        super().copytruncate()
        if not self.log.stat().st_size:
            self.in_live = []

    @rule(keep=st.sampled_from([0, 0, 5, 100, 1000]))
    def truncate(self, keep: int) -> None:
        """Cut it without a copy. What is left may come twice, if it grows past where it was before anybody looks."""
        self.end_line()
        data = self.log.read_bytes()[:keep]
        kept = data[: data.rfind(b"\n") + 1]
        os.truncate(self.log, len(kept))
        self.stamp(self.log)
        left = {line.decode() for line in kept.splitlines()}
        gone = [line for line in self.in_live if line not in left]
        self.may_miss |= set(gone) - set(self.read)
        self.may_repeat |= left
        self.in_live = [line for line in self.in_live if line in left]

    @rule()
    def replace(self) -> None:
        """Put a new file in its place: the old one is there for those only who have it open."""
        self.end_line()
        self.may_miss |= set(self.in_live) - set(self.read)
        new = self.directory / "new"
        new.touch()
        new.rename(self.log)
        self.reopen()

    @rule()
    def delete_and_create(self) -> None:
        self.end_line()
        self.may_miss |= set(self.in_live) - set(self.read)
        self.log.unlink()
        self.reopen()

    # What must hold.

    @invariant()
    def in_order_and_once(self) -> None:
        if hasattr(self, "read"):
            again = {line for line, times in Counter(self.read).items() if times > 1}
            assert again <= self.may_repeat, again - self.may_repeat

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(3):
            self.now += 1
            self.look()
        missing = set(self.written) - set(self.read)
        assert missing <= self.may_miss, missing - self.may_miss
        assert set(self.read) <= set(self.written)


class RestingHardLife(RestingLife, HardLife):
    """Both: what nobody can know without an event may be missed, but for no other reason than that it was gone."""


@contextlib.contextmanager
def faults(chance: random.Random) -> Iterator[None]:
    """Let what the follower asks of the file system fail now and then."""
    real = {name: getattr(os, name) for name in ("open", "pread", "stat", "lstat", "fstat", "scandir")}

    def failing(name: str):
        def call(*args, **more):
            if chance.random() < 0.02:
                raise OSError(chance.choice([errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE]), f"injected: {name}")
            return real[name](*args, **more)

        return call

    try:
        for name in real:
            setattr(os, name, failing(name))
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


LIVES = int(os.environ.get("LOGSHIP_LIVES", "1"))
"""How many times as many lives as usual: `make faults` has the time."""

Life.TestCase.settings = settings(
    derandomize=LIVES == 1,
    max_examples=25 * LIVES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FaultyLife.TestCase.settings = settings(Life.TestCase.settings, max_examples=12 * LIVES)
TwinLife.TestCase.settings = settings(Life.TestCase.settings, max_examples=20 * LIVES)
HardLife.TestCase.settings = settings(Life.TestCase.settings, max_examples=20 * LIVES)
RestingLife.TestCase.settings = settings(Life.TestCase.settings, max_examples=12 * LIVES)
RestingHardLife.TestCase.settings = settings(Life.TestCase.settings, max_examples=12 * LIVES)
TestLife = Life.TestCase
TestFaultyLife = FaultyLife.TestCase
TestTwinLife = TwinLife.TestCase
TestHardLife = HardLife.TestCase
TestRestingLife = RestingLife.TestCase
TestRestingHardLife = RestingHardLife.TestCase
