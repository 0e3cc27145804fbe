"""What a log's generations were left at, and what is remembered of those that are finished."""

from dataclasses import replace

import pytest

from logship.progress.checkpoint import Position
from logship.progress.fingerprint import Anchor, Fingerprint
from logship.progress.ledger import Ledger
from logship.source import content, search, siblings
from logship.source.file import LogFile
from logship.source.search import Whereabouts
from logship.source.trail import Finished, position


def left(path, inode=1, *, data=b"", offset=None):
    end = len(data) if offset is None else offset
    return Position("s", str(path), 7, inode, end, Fingerprint.of(data), Anchor.of(data), 1000.0, finished=True)


def test_finished_files_are_found_by_inode():
    """Those that were saved come first; an inode may have been used again."""
    finished, saved, own, other = Finished(), left("/l/a.1"), left("/l/b.1", offset=9), left("/l/c.1", 2)
    assert not finished
    finished.put(own)
    finished.put(other)
    finished.put(saved, saved=True)
    assert finished.at((7, 1)) == [saved, own]
    assert list(finished) == [saved, own, other]
    moved = replace(own, path="/l/b.2")
    finished.renew(own, moved)
    finished.drop(saved)
    assert list(finished) == [moved, other]
    finished.drop(moved)
    finished.drop(other)
    assert not finished
    assert finished.at((7, 1)) == []


def test_finished_files_are_found_by_the_name_of_their_log():
    """Its own name, and whatever rotation makes of it; as they are called now."""
    finished = Finished()
    names = [
        "access.log",
        "access.log.1",
        "access-20250101.log.gz",
        "access.1.log",
        "access2.log",
        "a.log.1",
        "error.log",
    ]
    saved = {name: left(f"/l/{name}", inode) for inode, name in enumerate(names)}
    for each in saved.values():
        finished.put(each, saved=True)
    finished.put(left("/l/access.log.7", 70))

    def of(live):
        return {each.path for each in finished.before_of(live)}

    assert of("access.log") == {f"/l/{name}" for name in names[:4]}
    assert of("a.log") == {"/l/a.log.1"}
    assert of("none.log") == set()
    finished.drop(saved["access.log"])
    finished.renew(saved["access.log.1"], replace(saved["access.log.1"], path="/l/access.log.2"))
    assert of("access.log") == {"/l/access.log.2", "/l/access-20250101.log.gz", "/l/access.1.log"}


def test_a_finished_file_is_read_again_only_when_it_was_written_to(tmp_path, monkeypatch):
    """A thousand of them are looked at every ten seconds."""
    log, read = tmp_path / "access.log.1", []
    real = siblings.head
    monkeypatch.setattr(search.siblings, "head", lambda path, *what: (read.append(path), real(path, *what))[1])
    log.write_bytes(b"a line\n")
    whereabouts, finished = Whereabouts(), left(log, log.stat().st_ino, data=b"a line\n")
    for _ in range(3):
        ((_, there),) = whereabouts.look([finished])
        assert there is not None
        assert there.path == str(log)
    assert len(read) == 1
    log.write_bytes(b"other lines\n")
    assert whereabouts.look([finished]) == [(finished, None)]
    assert len(read) == 2


@pytest.fixture
def followed(tmp_path):
    """Open a log of one line, and begin it in a ledger."""
    path = tmp_path / "access.log"
    path.write_bytes(b"first\n")
    ledger, file = Ledger(), LogFile(1, "s", str(path), content.open_plain(str(path)))
    ledger.begin(1, 0)
    yield ledger, file, path
    file.close()


def read(ledger, file, *parts):
    chunk = file.read()
    return ledger.open(1, chunk.start, chunk.end, parts)


def test_the_position_of_a_log_at_rest_is_told_again(followed):
    """The very same value; but when it was seen is not a minute late."""
    ledger, file, _ = followed
    read(ledger, file)
    first = position(file, ledger, 100.0)
    assert position(file, ledger, 159.0, first) is first
    assert position(file, ledger, 161.0, first) == replace(first, seen=161.0)
    assert position(file, ledger, 30.0, first) == replace(first, seen=30.0)


def test_the_position_of_a_log_that_was_read_is_told_anew(followed):
    """Also where its lines are not settled, or it has another name or source."""
    ledger, file, path = followed
    before = position(file, ledger, 100.0)
    (span,) = read(ledger, file, (0, 1))
    held = position(file, ledger, 100.0, before)
    assert held == position(file, ledger, 100.0)
    assert held.reach is not None
    ledger.settle([span])
    settled = position(file, ledger, 100.0, held)
    assert (settled.offset, settled.reach) == (6, None)
    with path.open("ab") as writer:
        writer.write(b"second\n")
    file.look()
    read(ledger, file)
    after = position(file, ledger, 100.0, settled)
    assert after == position(file, ledger, 100.0)
    file.path = "/elsewhere"
    assert position(file, ledger, 100.0, after).path == "/elsewhere"
    file.assign("other", None)
    assert position(file, ledger, 100.0, after).source == "other"
