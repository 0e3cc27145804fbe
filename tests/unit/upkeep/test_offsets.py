import gzip
import os
from contextlib import closing
from pathlib import Path

import pytest

from logship.errors import LogshipError, StateError
from logship.parser import wrappers
from logship.progress.checkpoint import NEWEST, PREVIOUS, Checkpoint
from logship.source.paths import Followed
from logship.upkeep import offsets
from logship.upkeep.offsets import BEGINNING, CUT, END, MISSING, OTHER, SAME, UNREADABLE

LINES = [b"%05d some log line\n" % number for number in range(200)]
WIDTH = len(LINES[0])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(LINES))
    return path


def followed(*paths: Path, name="shop", **more) -> Followed:
    return Followed(name, tuple(map(str, paths)), ("*.gz",), **more)


def move(path, where, *, positions=(), sources=None):
    return offsets.move(positions, sources or [followed(path)], str(path), where, now=1000.0)


def at(path, where, **more):
    return move(path, where, **more).position


# list


def test_a_position_knows_its_file(log):
    """The file that was read is told by its content, and how much of it is left."""
    place = offsets.look(at(log, 100 * WIDTH))
    assert (place.state, place.size, place.behind) == (SAME, 200 * WIDTH, 100 * WIDTH)


def test_growth_is_no_change(log):
    """A file that has grown is still the one."""
    position = at(log, END)
    with log.open("ab") as file:
        file.write(b"more\n")
    place = offsets.look(position)
    assert (place.state, place.behind) == (SAME, 5)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda log: log.write_bytes(b"x" * 10_000), OTHER),
        (lambda log: log.write_bytes(b"".join(LINES[:99]) + b"y" * 10_000), OTHER),
        (lambda log: os.truncate(log, 60 * WIDTH), CUT),
        (lambda log: log.unlink(), MISSING),
        (lambda log: (log.unlink(), log.mkdir()), UNREADABLE),
        (lambda log: (log.unlink(), os.mkfifo(log)), UNREADABLE),
        (lambda log: log.rename(log.with_name("access.log.1")), MISSING),
    ],
    ids=["overwritten", "overwritten before the offset", "cut", "removed", "directory", "fifo", "rotated"],
)
def test_what_is_not_the_file_is_called_by_its_name(log, change, state):
    """Another file, a cut one, none and an unreadable one are different things; none raises."""
    position = at(log, 100 * WIDTH)
    change(log)
    place = offsets.look(position)
    assert place.state == state
    assert place.behind == (0 if state == CUT else None)
    assert bool(place.error) == (state == UNREADABLE)


def test_a_compressed_file_is_proved_by_what_is_in_it(log):
    """Its size unpacked would cost reading all of it, so it is not told."""
    position = at(log, 100 * WIDTH)
    log.unlink()
    log.write_bytes(gzip.compress(b"".join(LINES)))
    place = offsets.look(position)
    assert (place.state, place.size, place.behind) == (SAME, None, None)


# set


@pytest.mark.parametrize(
    ("where", "offset"),
    [(BEGINNING, 0), (END, 200 * WIDTH), (0, 0), (7 * WIDTH, 7 * WIDTH), (200 * WIDTH, 200 * WIDTH)],
)
def test_a_position_is_made_of_the_file_as_it_is(log, where, offset):
    """Whatever the way to say it, what is made proves itself."""
    moved = move(log, where)
    assert (moved.position.offset, moved.size, moved.before) == (offset, 200 * WIDTH, None)
    assert (moved.position.device, moved.position.inode) == (log.stat().st_dev, log.stat().st_ino)
    assert (moved.position.source, moved.position.path, moved.position.seen) == ("shop", str(log), 1000.0)
    assert offsets.look(moved.position).state == SAME


def test_end_is_before_a_line_that_is_being_written(log):
    """What has no line end yet will be whole one day, and is new then."""
    with log.open("ab") as file:
        file.write(b"half a li")
    assert at(log, END).offset == 200 * WIDTH


@pytest.mark.parametrize(
    ("offset", "nearest"),
    [
        (WIDTH + 1, f"{WIDTH} and {2 * WIDTH}"),
        (1, f"0 and {WIDTH}"),
        (2 * WIDTH - 1, f"{WIDTH} and {2 * WIDTH}"),
        (200 * WIDTH + 3, f"{200 * WIDTH}, and none after it"),
    ],
)
def test_an_offset_inside_a_line_is_refused_with_the_nearest_starts(log, offset, nearest):
    """Half a line is no line; the error says which numbers would do."""
    with log.open("ab") as file:
        file.write(b"half a line")
    with pytest.raises(
        LogshipError, match=f"{offset} is inside a line of .*access.log; the nearest lines start at {nearest}$"
    ):
        move(log, offset)


def test_the_nearest_starts_of_a_very_long_line_are_found(tmp_path):
    """A line may be longer than what is read at a time."""
    path = tmp_path / "long.log"
    path.write_bytes(b"first\n" + b"x" * 300_000 + b"\nlast\n")
    with pytest.raises(LogshipError, match=r"the nearest lines start at 6 and 300007$"):
        move(path, 200_000)


def test_an_offset_beyond_the_end_is_refused(log):
    """Nothing stands there that could prove it."""
    with pytest.raises(LogshipError, match=f"holds {200 * WIDTH} bytes, {201 * WIDTH} is beyond; end is {200 * WIDTH}"):
        move(log, 201 * WIDTH)


def test_a_line_that_a_container_runtime_split_is_one_line(tmp_path):
    """An offset between the parts of a CRI line would cut a request in two."""
    path = tmp_path / "0.log"
    stamp = b"2025-10-10T13:55:36.000000000Z stdout "
    parts = [stamp + b"F whole\n", stamp + b"P first \n", stamp + b"F second\n"]
    path.write_bytes(b"".join(parts))
    start, inside, end = len(parts[0]), len(parts[0] + parts[1]), len(b"".join(parts))
    source = followed(path, cut=wrappers.cut("cri"))
    assert at(path, start, sources=[source]).offset == start
    with pytest.raises(LogshipError, match=f"the nearest lines start at {start} and {end}$"):
        move(path, inside, sources=[source])
    path.write_bytes(b"".join(parts[:2]))
    assert at(path, END, sources=[source]).offset == start


def test_set_replaces_the_position_of_the_same_file(log):
    """One file, one position; what it was before is told."""
    first = at(log, 10 * WIDTH)
    moved = move(log, BEGINNING, positions=[first])
    assert (moved.positions, moved.before, moved.older) == ((moved.position,), 10 * WIDTH, 0)


def test_set_takes_up_a_file_that_was_finished(log):
    """A rotated file that was read to its end can be read once more."""
    rotated = log.rename(log.with_name("access.log.1"))
    finished = at(rotated, END, sources=[followed(log)])
    moved = move(rotated, BEGINNING, positions=[finished], sources=[followed(log)])
    assert [each.offset for each in moved.positions] == [0]
    assert (moved.position.source, moved.position.finished) == ("shop", False)


def test_positions_of_older_generations_stay(log):
    """A file that was rotated while logship was stopped still has unread lines."""
    older = at(log, 10 * WIDTH)
    log.rename(log.with_name("access.log.1"))
    log.write_bytes(b"a new one\n")
    moved = move(log, END, positions=[older])
    assert moved.positions == (moved.position, older)
    assert (moved.before, moved.older) == (None, 1)


def test_the_copy_that_copytruncate_made_keeps_its_position(log):
    """The old generation had the inode that the new one has now: content decides, not the inode."""
    older = at(log, 10 * WIDTH)
    log.write_bytes(b"after the truncation\n")
    assert move(log, END, positions=[older]).positions[1:] == (older,)


def test_a_log_that_looks_alike_keeps_its_position(log, tmp_path):
    """Two vhosts may have logs of equal content."""
    twin = tmp_path / "twin.log"
    twin.write_bytes(log.read_bytes())
    sources = [followed(log, twin)]
    other = at(twin, 5 * WIDTH, sources=sources)
    assert move(log, BEGINNING, positions=[other], sources=sources).positions[1:] == (other,)


def test_a_path_may_be_given_as_resolved_or_as_configured(log, tmp_path, monkeypatch):
    """A link, its target and a relative path all mean the file that the configuration names."""
    link = tmp_path / "current.log"
    link.symlink_to(log)
    sources = [followed(link)]
    monkeypatch.chdir(tmp_path)
    for path in (link, log, "current.log", "./access.log"):
        assert offsets.move([], sources, str(path), END, now=0.0).position.path == str(link)


def test_an_unknown_path_is_refused_with_what_is_known(log, tmp_path):
    """The error names what may have been meant."""
    with pytest.raises(LogshipError) as error:
        offsets.move([], [followed(log)], str(tmp_path / "acess.log"), END, now=0.0)
    assert "belongs to no source" in str(error.value)
    assert f"(did you mean {log}?); known: {log}" in str(error.value)


def test_a_file_that_is_not_there_cannot_be_set(log):
    """A position is made of a file."""
    log.unlink()
    with pytest.raises(LogshipError, match="cannot be read: No such file"):
        move(log, BEGINNING)


def test_a_path_that_is_not_utf8_is_told_readably(tmp_path):
    """Bytes in a file name are no reason to fall over."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.log"))
    path.write_bytes(b"one\ntwo\n")
    with pytest.raises(LogshipError, match="caf\ufffd"):
        move(path, 5)


# reset


def test_reset_forgets_the_paths_that_were_asked_for(log, tmp_path):
    """The others stay as they are."""
    other = tmp_path / "other.log"
    other.write_bytes(b"x\n")
    positions = [at(log, END), at(other, END)]
    assert offsets.forget(positions, [str(log)]) == ([positions[1]], [positions[0]])


def test_reset_of_an_unknown_path_says_what_is_known(log, tmp_path):
    """As with set; where nothing is known that is said."""
    with pytest.raises(LogshipError, match=f"no source.*known: {log}$"):
        offsets.forget([at(log, END)], [str(tmp_path / "zzz")])
    with pytest.raises(LogshipError, match="neither has any other file"):
        offsets.forget([], [str(log)])


def test_what_the_next_start_does_is_told(log, tmp_path):
    """It depends on whether the source was seen before, on start_at, and on what is there."""
    position = at(log, 10 * WIDTH)
    source = followed(log)
    assert "from its beginning, as source shop was followed" in offsets.expectation(position, [source], {"shop"})
    assert "from its end (start_at: end)" in offsets.expectation(position, [source], ())
    from_start = followed(log, start_at="beginning")
    assert "from its beginning (start_at: beginning)" in offsets.expectation(position, [from_start], ())
    assert f"the {190 * WIDTH} bytes that were not read" in offsets.expectation(position, [], {"shop"})
    log.unlink()
    assert offsets.expectation(position, [], ()) == "it is not read any more: no source names this path"
    assert "when a file is there again" in offsets.expectation(position, [source], {"shop"})


# the checkpoint


def test_a_held_state_directory_is_refused(tmp_path):
    """While a daemon runs its memory is the truth, and it would write over ours."""
    holder = f"held by logship, pid {os.getpid()}"
    with closing(Checkpoint.open(tmp_path)), pytest.raises(StateError, match=holder), offsets.held(tmp_path, ()):
        pass


def test_no_state_directory_is_made(tmp_path):
    """A slip in the configuration leaves no trace."""
    with pytest.raises(StateError, match="not there"), offsets.held(tmp_path / "state", ()):
        pass
    assert not (tmp_path / "state").exists()


def test_a_lost_checkpoint_still_means_reading_from_the_beginning(tmp_path):
    """Opening sets damaged generations aside: the next start must not take every file for a new one."""
    for name in (NEWEST, PREVIOUS):
        (tmp_path / name).write_bytes(b"damaged")
    with offsets.held(tmp_path, ["shop"]):
        pass
    with closing(Checkpoint.open(tmp_path)) as checkpoint:
        assert (checkpoint.sources, checkpoint.recovered) == ({"shop"}, None)


def test_a_disk_that_refuses_leaves_the_checkpoint(log, tmp_path):
    """Told as an error, and nothing has changed."""
    state = tmp_path / "state"
    state.mkdir()
    with offsets.held(state, ()) as checkpoint:
        offsets.save(checkpoint, [at(log, END)])
        (state / "checkpoint.new").mkdir()
        with pytest.raises(StateError, match="as it was"):
            offsets.save(checkpoint, [])
    assert len(Checkpoint.open(state, read_only=True).positions) == 1
