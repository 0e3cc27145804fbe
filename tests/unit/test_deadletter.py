import errno
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from logship import deadletter
from logship.deadletter import DeadLetters
from logship.records import Event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dead-letter.jsonl"


def entry(serial: int = 1) -> dict[str, object]:
    return {
        "time": "2025-10-10T13:55:36+00:00",
        "destination": "plausible",
        "status": 400,
        "detail": '{"errors":{"url":["is invalid"]}}',
        "event": {"name": "pageview", "domain": "example.com", "url": f"https://example.com/{serial}"},
        "source": {"path": "/var/log/nginx/access.log", "offset": 1 << 40},
    }


def fail(number: int) -> Callable[..., None]:
    def failing(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


def test_what_was_appended_is_read(path: Path):
    """Entries come back whole and in order; each is one line of JSON."""
    letters = DeadLetters(path)
    letters.append(entry(1))
    letters.append_many([entry(2), entry(3)])
    letters.append_many([])
    found = deadletter.read(path)
    assert list(found) == [entry(1), entry(2), entry(3)]
    assert (found.torn, found.size, letters.size) == (0, path.stat().st_size, path.stat().st_size)
    assert [json.loads(line) for line in path.read_text().splitlines()] == list(found)


def test_file_is_private(path: Path):
    """Refused events hold visitors' addresses: mode 0600."""
    DeadLetters(path).append(entry())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_file_is_no_letters(path: Path):
    """Before the first refusal there is nothing to read, and no file is made for it."""
    found = deadletter.read(path)
    assert (list(found), found.torn, found.size, DeadLetters(path).size) == ([], 0, 0, 0)
    assert not path.exists()


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_line_torn_by_a_crash_spoils_no_other(path: Path, kept: int):
    """Half a line is ended before the next entry, and reading counts it."""
    letters = DeadLetters(path)
    letters.append(entry(1))
    letters.append(entry(2))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + kept] if kept > 0 else whole[:kept])
    letters.append(entry(3))
    found = deadletter.read(path)
    complete = [entry(2)] if kept < 0 else []  # only its line end was missing
    assert list(found) == [entry(1), *complete, entry(3)]
    assert found.torn == (0 if complete else 1)


def test_reading_skips_and_counts_what_is_no_entry(path: Path):
    """NULs from a power cut, bytes that are not text, and JSON that is no object do not stop the list."""
    DeadLetters(path).append(entry(1))
    with path.open("ab") as file:
        file.write(b"\0\0\0\n\xff\n[1]\n\n" + b"[" * 100_000 + b"\n")
    DeadLetters(path).append(entry(2))
    found = deadletter.read(path)
    assert list(found) == [entry(1), entry(2)]
    assert found.torn == 4
    assert len(list(found)) == 2
    assert found.torn == 4, "reading again counts anew"


@pytest.mark.parametrize("call", ["open", "fstat", "write", "fsync"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_failed_append_leaves_no_trace(path: Path, call: str, error: int, monkeypatch: pytest.MonkeyPatch):
    """When it cannot be written, OSError says so, the file is as before, nothing leaks, and the next one works."""
    letters = DeadLetters(path)
    letters.append(entry(1))
    before, descriptors = path.read_bytes(), len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail(error))
        with pytest.raises(OSError, match=os.strerror(error)):
            letters.append_many([entry(2), entry(3)])
    assert path.read_bytes() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    letters.append(entry(2))
    assert list(deadletter.read(path)) == [entry(1), entry(2)]


def test_half_written_entry_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk that fills up in the middle of an entry keeps none of it."""
    letters = DeadLetters(path)
    letters.append(entry(1))
    real, calls = os.write, []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(data)
        return real(descriptor, data[:30]) if len(calls) == 1 else fail(errno.ENOSPC)()  # type: ignore[func-returns-value]

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space left"):
            letters.append(entry(2))
    assert len(calls) == 2
    assert list(deadletter.read(path)) == [entry(1)]
    assert path.read_bytes().endswith(b"}\n")


def test_missing_directory_is_an_os_error(tmp_path: Path):
    """The caller keeps the event and tries again: it works once the directory is back."""
    letters = DeadLetters(tmp_path / "state" / "dead-letter.jsonl")
    with pytest.raises(FileNotFoundError):
        letters.append(entry())
    (tmp_path / "state").mkdir()
    letters.append(entry())
    assert len(list(deadletter.read(letters.path))) == 1


def test_file_moved_away_is_made_again(path: Path, tmp_path: Path):
    """An operator may move the file away while the daemon runs; what comes next is not appended to the moved one."""
    letters = DeadLetters(path)
    letters.append(entry(1))
    path.rename(tmp_path / "taken.jsonl")
    letters.append(entry(2))
    assert list(deadletter.read(tmp_path / "taken.jsonl")) == [entry(1)]
    assert list(deadletter.read(path)) == [entry(2)]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("not \udcff UTF-8", "not \udcff UTF-8"),
        ("a\nb\u2028c\0", "a\nb\u2028c\0"),
        (1 << 70, 1 << 70),
        (float("nan"), None),
        (Path("/x"), "/x"),
        (
            Event(
                "pageview",
                "example.com",
                "https://example.com/\udcff",
                "curl",
                "203.0.113.7",
                props=MappingProxyType({"k": "v"}),
            ),
            {
                "name": "pageview",
                "domain": "example.com",
                "url": "https://example.com/\udcff",
                "user_agent": "curl",
                "client_ip": "203.0.113.7",
                "referrer": None,
                "props": {"k": "v"},
                "revenue": None,
                "interactive": None,
            },
        ),
    ],
    ids=["bytes", "controls", "big", "nan", "path", "event"],
)
def test_no_value_is_too_odd_to_be_kept(path: Path, value: object, found: object):
    """A refused event is kept whatever is in it, on one line."""
    DeadLetters(path).append({"detail": value})
    assert list(deadletter.read(path)) == [{"detail": found}]
    assert path.read_bytes().count(b"\n") == 1


def test_threads_do_not_mix_their_lines(path: Path):
    """Several destinations append at the same time."""
    letters = DeadLetters(path)
    threads = [
        threading.Thread(target=lambda base=base: [letters.append(entry(base + at)) for at in range(25)])
        for base in (0, 100, 200, 300)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = deadletter.read(path)
    assert sorted(str(each["event"]) for each in found) == sorted(
        str(entry(base + at)["event"]) for base in (0, 100, 200, 300) for at in range(25)
    )
    assert found.torn == 0


def test_a_large_file_is_renamed_and_none_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files stay of a size that tools can open; the numbers tell their order, and `size` counts them all."""
    monkeypatch.setattr(deadletter, "ROTATE_AT", 3 * len(deadletter._encode(entry(1))))
    letters = DeadLetters(path)
    for number in range(40):
        letters.append(entry(number))
    older = deadletter.older(path.parent)
    assert [each.name for each in older] == [f"dead-letter.{number}.jsonl" for number in range(1, 14)]
    files = [*older, path]
    assert [each for file in files for each in deadletter.read(file)] == [entry(number) for number in range(40)]
    assert letters.size == sum(each.stat().st_size for each in files)


def test_a_file_that_cannot_be_renamed_grows_on(path: Path, monkeypatch: pytest.MonkeyPatch):
    """A tidy directory is no reason to hold up an event."""
    monkeypatch.setattr(deadletter, "ROTATE_AT", 1)
    letters = DeadLetters(path)
    letters.append(entry(1))
    monkeypatch.setattr(os, "rename", fail(errno.EACCES))
    letters.append(entry(2))
    assert list(deadletter.read(path)) == [entry(1), entry(2)]


def test_threads_that_rotate_lose_no_line(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever holds the lock of a file that was renamed meanwhile still appends to a file that is read."""
    monkeypatch.setattr(deadletter, "ROTATE_AT", 500)
    letters = DeadLetters(path)
    threads = [
        threading.Thread(target=lambda base=base: [letters.append(entry(base + at)) for at in range(50)])
        for base in (0, 100, 200, 300)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = [*deadletter.older(path.parent), path]
    found = [str(each["event"]) for file in files for each in deadletter.read(file)]
    assert sorted(found) == sorted(str(entry(base + at)["event"]) for base in (0, 100, 200, 300) for at in range(50))
    assert len(files) > 20


def test_a_size_that_cannot_be_had_is_no_error(tmp_path: Path):
    """It is one figure among many: without it /metrics would fail just when the disk is broken."""
    (tmp_path / "state").touch()
    assert DeadLetters(tmp_path / "state" / "dead-letter.jsonl").size == 0


def test_of_a_directory_that_is_not_there_nothing_is_old(tmp_path: Path):
    """Asked for before the first refusal."""
    assert deadletter.older(tmp_path / "none") == []
