"""Ledger and checkpoint together: a life of reads, answers, saves, faults, truncations and crashes."""

from __future__ import annotations

import errno
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.progress.checkpoint import Checkpoint, Position
from logship.progress.fingerprint import Anchor, Fingerprint
from logship.progress.ledger import Ledger, Reach
from logship.records import Span

CALLS = ("open", "write", "fsync", "close", "link", "rename", "unlink", "stat")


@dataclass
class World:
    """What really happened to one log file, whoever remembers it: line starts, and which of them are settled."""

    path: str
    generation: int = 1
    settled: dict[int, bool] = field(default_factory=dict)  # start of line: is it settled?
    saved: int = 0  # offset of the last save that returned
    promised: frozenset[int] = frozenset()  # starts of the lines that this save knew to be settled

    def first_unsettled(self) -> int | None:
        return min((start for start, settled in self.settled.items() if not settled), default=None)


class Life:
    """One process after another over the same state directory and the same files."""

    def __init__(self, dice: random.Random, state: Path, files: int) -> None:
        self.dice, self.state = dice, state
        self.worlds = [World(f"/var/log/{number}.log") for number in range(files)]
        self.serials = count(1)
        self.start()

    def start(self) -> None:
        self.checkpoint = Checkpoint.open(self.state)
        assert self.checkpoint.recovered is None
        self.ledger = Ledger()
        self.files: dict[int, World] = {}
        self.out: list[tuple[Span, int]] = []  # (span, generation of its world)
        for world in self.worlds:
            self.begin(world, *self.resumed(world))

    def resumed(self, world: World) -> tuple[int, Reach | None]:
        known = [each for each in self.checkpoint.positions if each.path == world.path]
        if not known or known[0].inode != world.generation:  # the proof fails: another generation, from its start
            return 0, None
        offset, first = known[0].offset, world.first_unsettled()
        assert offset >= world.saved, "what a save promised is kept"
        assert first is None or offset <= first, "the offset never passes a line that is not settled"
        assert offset == 0 or offset in world.settled or offset == self.end_of(world)
        return offset, known[0].reach

    def end_of(self, world: World) -> int:
        return max((start + length(start) for start in world.settled), default=0)

    def begin(self, world: World, offset: int, reach: Reach | None = None) -> None:
        file = next(self.serials)
        self.files[file] = world
        self.ledger.begin(file, offset, reach)

    # The steps

    def read(self) -> None:
        file = self.dice.choice(list(self.files))
        world, start = self.files[file], self.ledger.read_to(file)
        lines, at = [], start
        for _ in range(self.dice.randrange(1, 8)):
            lines.append(at)
            at += length(at)
        found = [line for line in lines if line * 31 % 10 < 4]  # the rules are the same as before
        known, ends = self.ledger.known(file), [*found[1:], at]
        again = [line for line, end in zip(found, ends, strict=False) if not (known and known.settles(line, end))]
        assert all(world.settled[line] for line in set(found) - set(again)), "what is left out is settled"
        assert not world.promised.intersection(again), "what a save knew to be settled is left out"
        survivors = [(line, 1 + line % 2) for line in again]
        spans = self.ledger.open(file, start, at, survivors)
        kept = set(again)
        for line in lines:
            world.settled[line] = world.settled.get(line, False) or line not in kept
        self.out += [(span, world.generation) for span in spans for _ in range(span.parts)]

    def answer(self) -> None:
        if not self.out:
            return
        span, generation = self.out.pop(self.dice.randrange(len(self.out)))
        self.ledger.settle([span])
        world = self.files.get(span.file)
        if world and world.generation == generation and not span.parts:
            world.settled[span.start] = True

    def truncate(self) -> None:
        """The file is another one now; late answers to its old lines are still to come."""
        file = self.dice.choice(list(self.files))
        world = self.files.pop(file)
        world.generation, world.settled, world.saved = world.generation + 1, {}, 0
        world.promised = frozenset()
        self.ledger.end(file)
        self.begin(world, 0)

    def save(self) -> None:
        self.checkpoint.save(self.positions(), ["s"])
        for file, world in self.files.items():
            world.saved = self.ledger.watermark(file)
            reach = self.ledger.reach(file)
            world.promised = frozenset(line for line in world.settled if reach.settles(line, line + 1))

    def save_with_a_fault(self) -> None:
        def fault() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with at_call(self.dice.randrange(1, 20), fault), suppress(OSError):
            self.save()

    def crash(self) -> None:
        self.checkpoint.close()  # as the kernel does
        self.start()

    def crash_while_saving(self) -> None:
        number = self.dice.randrange(1, 20)
        child = os.fork()
        if not child:
            with at_call(number, lambda: os._exit(0)):
                self.checkpoint.save(self.positions(), ["s"])
            os._exit(0)
        os.waitpid(child, 0)
        self.crash()

    def stop(self) -> None:
        """Everything is answered, saved, and resumed at the very end."""
        while self.out:
            self.answer()
        self.save()
        self.checkpoint.close()
        with closing(Checkpoint.open(self.state)) as last:
            assert {each.path: each.offset for each in last.positions} == {
                world.path: self.ledger.read_to(file) for file, world in self.files.items()
            }

    def positions(self) -> list[Position]:
        return [
            Position(
                source="s",
                path=world.path,
                device=1,
                inode=world.generation,
                offset=self.ledger.watermark(file),
                fingerprint=Fingerprint.of(world.path.encode()),
                anchor=Anchor.of(b""),
                seen=1.0,
                reach=self.ledger.reach(file),
                reach_anchor=Anchor.of(b""),
            )
            for file, world in self.files.items()
        ]


def length(start: int) -> int:
    """Lines of a file are as long after a restart as before it."""
    return 1 + start * 7919 % 13


@contextmanager
def at_call(number: int, fault: Callable[[], None]) -> Iterator[None]:
    """Let ``fault`` happen before the ``number``-th system call."""
    calls, os_close = count(1), os.close

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            if next(calls) == number and real is not os_close:  # a close that fails leaks only in this test
                fault()
            return real(*args, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(getattr(os, name)))
        yield


STEPS = {
    Life.read: 30,
    Life.answer: 60,
    Life.save: 10,
    Life.save_with_a_fault: 5,
    Life.truncate: 1,
    Life.crash: 3,
    Life.crash_while_saving: 2,
}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), files=st.integers(1, 3), steps=st.integers(10, 150))
def test_resumed_offset_never_passes_an_unsettled_line(seed: int, files: int, steps: int):
    """However it reads, settles, saves and crashes: nothing is skipped, and nothing that a save promised is undone.

    What a save knew of lines beyond the offset holds likewise: none of them is sent again, and none was not settled.
    """
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        life = Life(dice, Path(place), files)
        for step in dice.choices(list(STEPS), weights=list(STEPS.values()), k=steps):
            step(life)
        life.stop()
