"""The checkpoint: whatever is saved comes back, and a power cut finds one whole generation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import closing
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.errors import StateError
from logship.progress import checkpoint
from logship.progress.checkpoint import NEWEST, PREVIOUS, Checkpoint, Position
from logship.progress.fingerprint import Anchor, Fingerprint
from logship.progress.ledger import Reach

PATHS = st.binary(min_size=1, max_size=60).filter(lambda name: b"\0" not in name).map(os.fsdecode)
SOURCES = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), PATHS)
SIZES = st.integers(0, 2**64)
POSITIONS = st.builds(
    Position,
    source=SOURCES,
    path=PATHS,
    device=SIZES,
    inode=SIZES,
    offset=SIZES,
    fingerprint=st.binary(max_size=1100).map(Fingerprint.of),
    anchor=st.binary(max_size=300).map(Anchor.of),
    seen=st.floats(0, 1e12),
    finished=st.booleans(),
) | st.builds(
    Position,
    *(SOURCES, PATHS, SIZES, SIZES, SIZES),
    fingerprint=st.binary(max_size=1100).map(Fingerprint.of),
    anchor=st.binary(max_size=300).map(Anchor.of),
    seen=st.floats(0, 1e12),
    reach=st.builds(Reach, SIZES, st.lists(SIZES, max_size=9).map(sorted).map(tuple)),
    reach_anchor=st.binary(max_size=300).map(Anchor.of),
)
GENERATIONS = st.tuples(st.lists(POSITIONS, max_size=5), st.frozensets(SOURCES, max_size=4))


@settings(max_examples=80, deadline=None)
@given(history=st.lists(GENERATIONS, min_size=1, max_size=4))
def test_whatever_is_saved_comes_back(history: list[tuple[list[Position], frozenset[str]]]):
    """Names with any bytes, huge offsets, any history of saves: the last one is loaded, the one before it is whole."""
    with tempfile.TemporaryDirectory() as place:
        state = Path(place)
        with closing(Checkpoint.open(state)) as held:
            for positions, sources in history:
                held.save(positions, sources)
        found = Checkpoint.open(state, read_only=True)
        assert (list(found.positions), found.sources, found.recovered) == (*history[-1], None)
        (state / NEWEST).write_bytes(b"")
        found = Checkpoint.open(state, read_only=True)
        assert (list(found.positions), found.sources) in [*history[:-1], ([], frozenset())]
        assert (found.recovered == "empty") == (not (state / PREVIOUS).exists())


@settings(max_examples=150, deadline=None)
@given(junk=st.binary(max_size=400), at=st.integers(0, 1000), swallow=st.integers(0, 1000))
def test_no_damage_is_believed(junk: bytes, at: int, swallow: int):
    """Bytes replaced, put in or cut out anywhere: the same values, the previous ones, or a refusal; never others."""
    old, new = (Position("s", "/x", 1, 2, offset, Fingerprint.of(b"x"), Anchor.of(b"y"), 1.0) for offset in (10, 20))
    with tempfile.TemporaryDirectory() as place:
        state = Path(place)
        with closing(Checkpoint.open(state)) as held:
            held.save([old], ["s"])
            held.save([new], ["s"])
        whole = (state / NEWEST).read_bytes()
        (state / NEWEST).write_bytes(whole[: at % len(whole)] + junk + whole[at % len(whole) + swallow :])
        try:
            found = Checkpoint.open(state, read_only=True)
        except StateError:
            return
        assert found.positions == ((old,) if found.recovered else (new,))


# A power cut: what was not synced may be there or not, each change of a name on its own.


class Disk:
    """Records what a save does to a directory, and tells what a power cut may leave of it."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.names = {each.name: each.read_bytes() for each in directory.iterdir()}  # durable
        self.pending: list[Callable[[dict[str, bytes]], None]] = []
        self.states: list[dict[str, bytes]] = []
        self.synced: set[str] = set()
        self.opened: dict[int, str] = {}
        for name in ("open", "fsync", "link", "rename", "unlink"):
            patch.setattr(os, name, self.recorded(name, getattr(os, name)))

    def recorded(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            result = real(*args, **more)
            getattr(self, name)(*args, result)
            self.states.extend(self.possible())
            return result

        return call

    def open(self, path: Path, flags: int, *rest: object) -> None:
        descriptor = rest[-1]
        assert isinstance(descriptor, int)
        self.opened[descriptor] = Path(path).name
        if flags & os.O_CREAT:
            self.pending.append(lambda names: names.__setitem__(Path(path).name, b""))

    def fsync(self, descriptor: int, _result: object) -> None:
        name = self.opened[descriptor]
        if name == self.directory.name:
            for change in self.pending:
                change(self.names)
            self.pending.clear()
        else:
            self.synced.add(name)

    def link(self, source: Path, target: Path, _result: object) -> None:
        self.move(source, target)

    def rename(self, source: Path, target: Path, _result: object) -> None:
        self.move(source, target, leaves=False)

    def move(self, source: Path, target: Path, leaves: bool = True) -> None:
        # Data that was never synced may be missing wherever its name goes.
        known = source.name in self.synced or source.name in self.names
        data = Path(target).read_bytes() if known else b""
        if source.name in self.synced:
            self.synced.add(target.name)

        def change(names: dict[str, bytes]) -> None:
            names[target.name] = data
            if not leaves:
                names.pop(source.name, None)

        self.pending.append(change)

    def unlink(self, path: Path, _result: object) -> None:
        self.pending.append(lambda names: names.pop(Path(path).name, None))

    def possible(self) -> list[dict[str, bytes]]:
        """Every state that the disk may be in after a power cut now."""
        found = []
        for size in range(len(self.pending) + 1):
            for chosen in combinations(self.pending, size):
                names = dict(self.names)
                for change in chosen:
                    change(names)
                found.append(names)
        return found


def test_power_cut_finds_a_whole_generation(tmp_path: Path):
    """At any moment, with any of the unsynced changes of names lost: the old or the new generation, never a mix."""
    state = tmp_path / "state"

    def position(offset: int) -> Position:
        return Position("s", "/x", 1, 2, offset, Fingerprint.of(b"x"), Anchor.of(b"y"), 1.0)

    with closing(Checkpoint.open(state)) as held:
        held.save([position(1)], ["s"])
        held.save([position(2)], ["s"])
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(state, patch)
            held.save([position(3)], ["s"])
        after = disk.names
    assert len(disk.states) > 20
    assert read(after, tmp_path / "after") == [3], "once save has returned, the new generation is durable"
    seen = set()
    for number, names in enumerate(disk.states):
        (offset,) = read(names, tmp_path / str(number))
        seen.add(offset)
    assert seen == {2, 3}


def read(names: dict[str, bytes], place: Path) -> list[int]:
    place.mkdir()
    for name, data in names.items():
        (place / name).write_bytes(data)
    found = Checkpoint.open(place, read_only=True)
    assert found.recovered is None
    return [each.offset for each in found.positions]


def test_power_cut_model_notices_a_missing_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The test above would fail if the data were not synced before its name."""

    def write_carelessly(path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, data)
        os.close(descriptor)

    monkeypatch.setattr(checkpoint, "_write_durably", write_carelessly)
    with pytest.raises(AssertionError):
        test_power_cut_finds_a_whole_generation(tmp_path)
