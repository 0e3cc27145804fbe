import errno
import json
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count, product
from pathlib import Path

import pytest

from logship.errors import StateError
from logship.progress import checkpoint
from logship.progress.checkpoint import LOCK, NEWEST, PREVIOUS, VERSION, Checkpoint, Position
from logship.progress.fingerprint import Anchor, Fingerprint

HEAD = b"203.0.113.7 - - [10/Oct/2025:13:55:36 +0000]\n"


def position(offset: int, path: str = "/var/log/nginx/access.log") -> Position:
    before = b"line\n" * (offset % 50)
    return Position("shop", path, 2049, 77, offset, Fingerprint.of(HEAD), Anchor.of(before), 1760000000.25)


def save(directory: Path, *generations: int) -> None:
    with closing(Checkpoint.open(directory)) as held:
        for offset in generations:
            held.save([position(offset)], ["shop"])


def offsets(directory: Path) -> list[int]:
    return [each.offset for each in Checkpoint.open(directory, read_only=True).positions]


def leftovers(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()} - {NEWEST, PREVIOUS, LOCK}


def open_descriptors() -> set[str]:
    return {each for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


# What is saved is loaded


def test_saved_positions_and_sources_come_back(state: Path):
    """Everything that a position says survives a restart, bytes of a path that are not UTF-8 too."""
    odd = replace(position(1 << 62, os.fsdecode(b'/var/log/\xff\n"b\\\xc3\xa9.log')), finished=True)
    with closing(Checkpoint.open(state)) as held:
        assert (held.positions, held.sources, held.recovered) == ((), frozenset(), None)
        held.save([position(7), odd], ["shop", "gone"])
        assert (held.positions, held.sources) == ((position(7), odd), {"shop", "gone"})
    with closing(Checkpoint.open(state)) as again:
        assert (again.positions, again.sources, again.recovered) == ((position(7), odd), {"shop", "gone"}, None)
    assert os.fsencode(again.positions[1].path) == b'/var/log/\xff\n"b\\\xc3\xa9.log'


def test_positions_that_lie_still_are_saved_as_before(state: Path):
    """Their very values are told again, beside others that are new; the file is the same as if all were new."""
    still, kept = position(1, "/a"), position(2, "/b")
    generations = [[still, kept], [still, position(3, "/c"), kept], [position(4, "/d"), still], [still]]
    with closing(Checkpoint.open(state)) as held:
        for each in generations:
            held.save(each, ["shop"])
            written = (state / NEWEST).read_bytes()
            assert Checkpoint.open(state, read_only=True).positions == tuple(each)
            with closing(Checkpoint.open(state.with_name("afresh"))) as other:
                other.save([replace(one) for one in each], ["shop"])
            assert (state.with_name("afresh") / NEWEST).read_bytes() == written


def test_state_is_private(state: Path):
    """The directory is made 0700 and its files 0600: paths of logs are nobody's business."""
    save(state, 1, 2)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in state.iterdir()} == {0o600}


def test_the_previous_generation_is_kept(state: Path):
    """After two saves both generations are whole, and nothing else lies about."""
    save(state, 1, 2)
    assert offsets(state) == [2]
    (state / NEWEST).unlink()
    assert offsets(state) == [1]
    assert leftovers(state) == set()


def test_nothing_changed_is_not_written(state: Path):
    """Saving the same again touches no file, after a restart neither."""
    save(state, 1)
    before = (state / NEWEST).stat()
    with closing(Checkpoint.open(state)) as held:
        held.save([position(1)], ["shop"])
        held.save(iter([replace(position(1), seen=position(1).seen + 60)]), iter(["shop"]))
    assert (state / NEWEST).stat() == before
    assert not (state / PREVIOUS).exists()


@pytest.mark.parametrize(
    ("positions", "sources"),
    [
        ([replace(position(1), seen=position(1).seen + 7200)], ["shop"]),
        ([replace(position(1), finished=True)], ["shop"]),
        ([replace(position(1), anchor=Anchor.of(b"x"))], ["shop"]),
        ([], ["shop"]),
        ([position(1), position(1)], ["shop"]),
        ([position(1)], []),
    ],
)
def test_any_change_is_written(state: Path, positions: list[Position], sources: list[str]):
    """A proof, a source or a file that comes or goes is a change; the time last seen is one after an hour."""
    save(state, 1)
    with closing(Checkpoint.open(state)) as held:
        held.save(positions, sources)
    again = Checkpoint.open(state, read_only=True)
    assert (list(again.positions), again.sources) == (positions, frozenset(sources))


def test_generation_that_somebody_deleted_is_written_again(state: Path):
    """The same positions are saved again when their file is gone."""
    with closing(Checkpoint.open(state)) as held:
        held.save([position(1)], ["shop"])
        (state / NEWEST).unlink()
        held.save([position(1)], ["shop"])
    assert offsets(state) == [1]


def test_reading_needs_no_lock_and_changes_nothing(state: Path):
    """`status` and `offsets list` look while a daemon writes, and leave damaged files where they are."""
    assert Checkpoint.open(state, read_only=True).positions == ()
    assert not state.exists()
    with closing(Checkpoint.open(state)) as held:
        held.save([position(1)], ["shop"])
        assert offsets(state) == [1]
        (state / NEWEST).write_bytes(b"")
        assert Checkpoint.open(state, read_only=True).recovered == "empty"
    assert (state / NEWEST).read_bytes() == b""
    reader = Checkpoint.open(state, read_only=True)
    with pytest.raises(ValueError, match="read-only"):
        reader.save([], [])
    reader.close()


def test_closed_checkpoint_saves_no_more(state: Path):
    """Once the lock is given back, somebody else may write; we may not. Closing twice is harmless."""
    held = Checkpoint.open(state)
    held.close()
    held.close()
    with pytest.raises(ValueError, match="closed"):
        held.save([position(1)], [])


@pytest.mark.parametrize("hard_links", [True, False])
def test_readers_never_see_a_half_save(state: Path, hard_links: bool, monkeypatch: pytest.MonkeyPatch):
    """While one saves, others always read a whole generation."""
    if not hard_links:
        monkeypatch.setattr(os, "link", fail(errno.EPERM))
    with closing(Checkpoint.open(state)) as held:
        held.save([position(0)], ["shop"])
        writer = threading.Thread(target=lambda: [held.save([position(at)], ["shop"]) for at in range(1, 150)])
        writer.start()
        while writer.is_alive():
            reader = Checkpoint.open(state, read_only=True)
            assert len(reader.positions) == 1
            assert reader.recovered is None
        writer.join()


# One owner at a time


def test_held_directory_names_its_holder(state: Path):
    """A second logship is told who holds the directory, since when, and what to do."""
    with closing(Checkpoint.open(state)), pytest.raises(StateError) as caught:
        Checkpoint.open(state)
    text = str(caught.value)
    assert text.startswith(f"state directory {state} is held by logship, pid {os.getpid()} (since 20")
    assert text.endswith("; stop it or choose another state_dir")
    Checkpoint.open(state).close()


def test_lock_ends_with_its_process(state: Path):
    """kill -9 leaves no lock behind."""

    def hold_and_die() -> None:
        Checkpoint.open(state)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(hold_and_die) == -signal.SIGKILL
    Checkpoint.open(state).close()


def test_refused_open_leaks_nothing(state: Path):
    """However often opening is refused, no descriptor stays open and no lock is held."""
    save(state, 1)
    (state / NEWEST).write_text('{"version": 99}')
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(StateError, match="newer logship"):
            Checkpoint.open(state)
    assert open_descriptors() == before


def test_directory_open_to_everyone_is_refused(state: Path):
    """Where everybody may write, nobody's offsets can be believed; the text says what to do."""
    state.mkdir()
    state.chmod(0o1777)
    with pytest.raises(StateError, match=r"written to by everyone \(mode 1777\); run `chmod o-w`"):
        Checkpoint.open(state)
    assert list(state.iterdir()) == []
    Checkpoint.open(state / "inside").close()


def test_directory_of_the_group_is_accepted(state: Path):
    """Kubernetes gives a volume to a user that is not root by its group (fsGroup)."""
    state.mkdir()
    state.chmod(0o2775)
    Checkpoint.open(state).close()


@pytest.mark.parametrize("place", ["file", "file/below", "dangling"])
def test_unusable_directory_is_a_state_error(tmp_path: Path, place: str):
    """What cannot be a directory is named, with the system's reason."""
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "x")
    with pytest.raises(StateError, match=r"state directory .* cannot be used: .*must belong to the user"):
        Checkpoint.open(tmp_path / place)


def test_state_directory_may_be_a_link(tmp_path: Path):
    """systemd's DynamicUser makes the state directory a symbolic link."""
    (tmp_path / "private").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "private")
    save(tmp_path / "state", 1)
    assert offsets(tmp_path / "private") == [1]


def test_lock_is_never_taken_through_a_link(state: Path, tmp_path: Path):
    """A planted link in place of the lock file must not empty what it points to."""
    state.mkdir()
    (tmp_path / "victim").write_text("precious")
    (state / LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(StateError, match="cannot be used"):
        Checkpoint.open(state)
    assert (tmp_path / "victim").read_text() == "precious"


def test_file_system_without_locks_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch):
    """Without locks two daemons could send everything twice."""
    monkeypatch.setattr(checkpoint, "flock", fail(errno.ENOLCK))
    before = open_descriptors()
    with pytest.raises(StateError, match=r"cannot be locked: .*; choose one on a local disk"):
        Checkpoint.open(state)
    assert open_descriptors() == before


def test_start_on_a_full_disk(state: Path, monkeypatch: pytest.MonkeyPatch):
    """The holder's pid that does not fit on the disk is no reason not to start."""
    save(state, 1)
    monkeypatch.setattr(os, "pwrite", fail(errno.ENOSPC))
    with closing(Checkpoint.open(state)) as held:
        assert held.positions == (position(1),)
        with pytest.raises(StateError, match="is held by another process; stop it"):
            Checkpoint.open(state)


def test_removed_directory_is_made_again(state: Path):
    """A state directory that vanished while running is there again after the next save, and held."""
    with closing(Checkpoint.open(state)) as held:
        held.save([position(1)], ["shop"])
        before = len(open_descriptors())
        shutil.rmtree(state)
        held.save([position(1)], ["shop"])
        assert len(open_descriptors()) == before
        assert offsets(state) == [1]
        with pytest.raises(StateError, match="held by logship"):
            Checkpoint.open(state)


def test_directory_that_another_took_is_not_written(state: Path):
    """When our lock file was removed and another logship took the directory, its state is left alone."""
    with closing(Checkpoint.open(state)) as ours:
        ours.save([position(1)], ["shop"])
        (state / LOCK).unlink()
        with closing(Checkpoint.open(state)) as theirs:
            theirs.save([position(2)], ["shop"])
            with pytest.raises(OSError, match="held by logship"):
                ours.save([position(3)], ["shop"])
            assert offsets(state) == [2]
        ours.save([position(3)], ["shop"])
    assert offsets(state) == [3]


# Damage


DAMAGES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "nuls": lambda data: bytes(len(data)),
    "nuls at the end": lambda data: data[:-40] + bytes(40),
    "bad json": lambda data: b"{" + data,
    "deep json": lambda data: b"[" * 200_000,
    "no object": lambda data: b"[1]",
    "bad checksum": lambda data: data.replace(b'"offset":2', b'"offset":9'),
    "no checksum": lambda data: data.replace(b'"checksum"', b'"checksun"'),
    "not text": lambda data: bytes(range(256)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_newest_gives_way_to_the_previous(state: Path, damage: Callable[[bytes], bytes]):
    """An offset is not believed unless its generation is whole; what was found is kept aside."""
    save(state, 1, 2)
    found = damage((state / NEWEST).read_bytes())
    (state / NEWEST).write_bytes(found)
    with closing(Checkpoint.open(state)) as held:
        assert (held.positions, held.recovered) == ((position(1),), "previous")
        assert (state / "checkpoint.damaged-1").read_bytes() == found
        assert offsets(state) == [1]
        held.save([position(3)], ["shop"])
    (state / NEWEST).unlink()
    assert offsets(state) == [1], "the previous whole generation was kept"


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_both_damaged_start_empty(state: Path, damage: Callable[[bytes], bytes]):
    """With no whole generation left it starts empty, says so, and keeps both files for a look."""
    save(state, 1, 2)
    for name in (NEWEST, PREVIOUS):
        (state / name).write_bytes(b"%s%s" % (damage((state / NEWEST).read_bytes()), name.encode()))
    with closing(Checkpoint.open(state)) as held:
        assert (held.positions, held.sources, held.recovered) == ((), frozenset(), "empty")
        held.save([position(3)], ["shop"])
    assert offsets(state) == [3]
    assert leftovers(state) == {"checkpoint.damaged-1", "checkpoint.damaged-2"}


def test_damaged_only_generation_starts_empty(state: Path):
    """The very first generation has no previous one."""
    save(state, 1)
    (state / NEWEST).write_bytes(b"\0" * 100)
    with closing(Checkpoint.open(state)) as held:
        assert (held.positions, held.recovered) == ((), "empty")


def test_body_of_another_shape_is_damaged(state: Path):
    """A matching checksum does not make a checkpoint of any object."""
    save(state, 1)
    body = checkpoint._canonical({"version": VERSION, "positions": [{"path": "/x"}], "sources": []})
    (state / NEWEST).write_text(json.dumps(json.loads(body) | {"checksum": checkpoint._checksum(body)}))
    assert Checkpoint.open(state, read_only=True).recovered == "empty"


def test_later_release_may_add_fields(state: Path):
    """What a newer release says beyond what we know, under the same version, is passed over."""
    save(state, 1)
    document = json.loads((state / NEWEST).read_text())
    del document["checksum"]
    document["positions"][0]["colour"] = document["colour"] = "red"
    body = checkpoint._canonical(document)
    (state / NEWEST).write_text(json.dumps(document | {"checksum": checkpoint._checksum(body)}))
    assert Checkpoint.open(state, read_only=True).positions == (position(1),)


def test_few_damaged_files_are_kept(state: Path):
    """A disk that damages the state every day does not fill up with it: the last five stay."""
    for day in range(1, 9):
        save(state, 1)
        (state / NEWEST).write_bytes(b"day %d" % day)
        Checkpoint.open(state).close()
    assert leftovers(state) == {f"checkpoint.damaged-{day}" for day in range(4, 9)}
    assert (state / "checkpoint.damaged-8").read_bytes() == b"day 8"


def test_damaged_file_that_cannot_be_set_aside_does_not_replace_the_previous(
    state: Path, monkeypatch: pytest.MonkeyPatch
):
    """A newest generation that stays damaged on disk is never kept as the previous one."""
    save(state, 1, 2)
    (state / NEWEST).write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail(errno.EROFS))
        held = Checkpoint.open(state)
    assert (held.positions, held.recovered) == ((position(1),), "previous")
    held.save([position(3)], ["shop"])
    held.close()
    (state / NEWEST).write_bytes(b"")
    assert offsets(state) == [1]


@pytest.mark.parametrize("which", [NEWEST, PREVIOUS])
def test_state_of_a_newer_version_is_refused_and_untouched(state: Path, which: str):
    """A downgrade never overwrites what it cannot read, whether the newer version's checksum is ours or not."""
    save(state, 1, 2)
    newer = (state / NEWEST).read_text().replace(f'"version":{VERSION}', f'"version":{VERSION + 1}')
    if which == PREVIOUS:
        (state / NEWEST).unlink()
    (state / which).write_text(newer)
    for read_only in (False, True):
        with pytest.raises(StateError, match=rf"newer logship \(version {VERSION + 1}, this one knows {VERSION}\)"):
            Checkpoint.open(state, read_only=read_only)
    assert (state / which).read_text() == newer
    assert leftovers(state) == set()


def test_unreadable_checkpoint_is_refused(state: Path):
    """What cannot be read is not damaged: nothing is decided about it."""
    state.mkdir()
    (state / NEWEST).mkdir()
    with pytest.raises(StateError, match="cannot be read: Is a directory"):
        Checkpoint.open(state)


def test_every_truncation_is_noticed(state: Path):
    """Cut anywhere, the newest generation gives way; only its line end may be missing."""
    save(state, 1, 2)
    whole = (state / NEWEST).read_bytes()
    for length in range(len(whole) - 1):
        (state / NEWEST).write_bytes(whole[:length])
        assert offsets(state) == [1], length
    (state / NEWEST).write_bytes(whole[:-1])
    assert offsets(state) == [2]


def test_every_flipped_byte_is_noticed(state: Path):
    """A flipped byte is never believed: the previous generation is used, or all values are the same.

    One place cannot be told from a newer version's file: the digit of the version. There we refuse, and lose nothing.
    """
    save(state, 1, 2)
    whole = (state / NEWEST).read_bytes()
    refused = set()
    for at, bits in product(range(len(whole)), (0x01, 0x02, 0x20, 0xFF)):
        (state / NEWEST).write_bytes(whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :])
        try:
            found = Checkpoint.open(state, read_only=True)
        except StateError:
            refused.add(at)
        else:
            assert found.positions == (position(1 if found.recovered else 2),), (at, bits)
    assert refused == {whole.index(b'"version":1') + len(b'"version":')}


# Faults and crashes at every step


CALLS = ("open", "write", "fsync", "close", "link", "rename", "unlink", "stat", "fstat")


def fail(number: int) -> Callable[..., None]:
    def failing(*_args: object, **_more: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


def errno_of(work: Callable[[], None]) -> int | None:
    try:
        work()
    except OSError as error:
        return error.errno
    return None


@contextmanager
def at_call(number: int, fault: Callable[[str, Callable[..., object], tuple[object, ...]], object]) -> Iterator[None]:
    """Let ``fault`` take the place of the ``number``-th system call."""
    calls = count(1)
    real = {name: getattr(os, name) for name in CALLS}

    def wrap(name: str) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            if next(calls) == number:
                return fault(name, real[name], args)
            return real[name](*args, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(name))
        yield


def in_child(work: Callable[[], None]) -> int:
    """Do it in a forked process, and return its exit code (0: it came to its end)."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            os._exit(99)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_after(name: str, real: Callable[..., object], args: tuple[object, ...]) -> None:
    try:
        real(*args)
    finally:
        os._exit(42)


def die_half_way(name: str, real: Callable[..., object], args: tuple[object, ...]) -> None:
    if name == "write":
        real(args[0], args[1][: len(args[1]) // 2])  # type: ignore[index]
    os._exit(42)


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("die", [die_after, die_half_way])
def test_crash_at_any_system_call_leaves_one_whole_generation(state: Path, die: Callable[..., None], hard_links: bool):
    """Killed after (or in the middle of) each system call of a save, the old or the new state is there, undamaged."""
    save(state, 1, 2)
    seen = set()
    for number in count(1):
        (old,) = offsets(state)

        def work(number: int = number, old: int = old) -> None:
            if not hard_links:
                os.link = fail(errno.EPERM)  # type: ignore[assignment]
            held = Checkpoint.open(state)
            with at_call(number, die):
                held.save([position(old + 1)], ["shop"])

        code = in_child(work)
        assert code in (0, 42)
        with closing(Checkpoint.open(state)) as after:
            assert after.recovered is None
            assert after.positions in ((position(old),), (position(old + 1),))
            seen.add(after.positions[0].offset - old)
            after.save([position(old + 1)], ["shop"])
            after.save([position(old + 2)], ["shop"])
        assert leftovers(state) == set()
        if code == 0:
            break
    assert number > 10, "system calls were counted"
    assert {0, 1} <= seen


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_fault_at_any_system_call_is_survived(
    state: Path, error: int, hard_links: bool, monkeypatch: pytest.MonkeyPatch
):
    """Whatever fails, OSError says so, a whole generation stays, nothing leaks, and the next save works."""
    if not hard_links:
        monkeypatch.setattr(os, "link", fail(errno.EPERM))
    failed = []

    def fault(name: str, real: Callable[..., object], args: tuple[object, ...]) -> None:
        failed.append(name)
        if name == "close":
            real(*args)  # Linux lets go of the descriptor even when it reports an error
        fail(error)()

    with closing(Checkpoint.open(state)) as held:
        held.save([position(1)], ["shop"])
        held.save([position(2)], ["shop"])
        for number in count(1):
            (old,), before, failures = offsets(state), open_descriptors(), len(failed)
            with at_call(number, fault):
                raised = errno_of(lambda old=old: held.save([position(old + 1)], ["shop"]))
            if len(failed) == failures:
                break
            # Only the cleaning may fail in silence.
            assert raised == (None if failed[-1] == "unlink" else error)
            assert offsets(state) in ([old], [old + 1])
            assert open_descriptors() == before
            assert leftovers(state) == set() or failed[-1] == "unlink"
            held.save([position(old + 2)], ["shop"])
            assert offsets(state) == [old + 2]
            assert leftovers(state) == set()
    assert {"open", "write", "fsync", "close", "rename"} <= set(failed)


def test_short_writes_are_completed(state: Path, monkeypatch: pytest.MonkeyPatch):
    """The system may write less than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    save(state, 1)
    assert offsets(state) == [1]


def test_directory_that_cannot_be_synced_is_accepted(state: Path, monkeypatch: pytest.MonkeyPatch):
    """Some file systems answer EINVAL to the fsync of a directory: there is nothing to sync."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    save(state, 1, 2)
    assert offsets(state) == [2]


def test_two_saves_at_once_do_not_mix(state: Path):
    """A save whose awaiter was cancelled goes on in its thread while the last save begins."""
    with closing(Checkpoint.open(state)) as held:

        def save_often(base: int) -> int:
            for at in range(40):
                held.save([position(base + at)], ["shop"])
            return base + at

        with ThreadPoolExecutor(2) as threads:
            last = list(threads.map(save_often, [1000, 2000]))
        assert held.positions[0].offset in last
        assert offsets(state) == [held.positions[0].offset]
    assert leftovers(state) == set()


def test_state_of_the_first_release_is_understood(tmp_path: Path):
    """E24: a checkpoint as 0.1 wrote it, kept as it was: an upgrade resumes where that one stopped, and back again."""
    written = Path(__file__).parents[2] / "cases" / "state-0.1"
    state = tmp_path / "state"
    shutil.copytree(written, state)
    state.chmod(0o700)
    head = b'203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n'
    shop = Position(
        "shop", "/var/log/nginx/shop.log", 2049, 77, len(head), Fingerprint.of(head), Anchor.of(head), 1760000000.25
    )
    nothing = Fingerprint.of(b""), Anchor.of(b"")
    old = Position("shop", "/var/log/nginx/caf\udce9.log.1", 2049, 78, 0, *nothing, 1760000000.25, finished=True)
    with closing(Checkpoint.open(state)) as held:
        assert (held.recovered, held.sources) == (None, {"shop", "blog"})
        assert held.positions == (shop, old)
        held.save([*held.positions, position(5)], held.sources)
        held.save(held.positions[:2], held.sources)
    assert (state / NEWEST).read_bytes() == (written / NEWEST).read_bytes(), "what it writes, the first one reads"
