"""Events wake at once; when they fail, that is said, and time alone wakes."""

import asyncio
import errno
import os

import pytest

from logship.source.watch import EVERYTHING, Wakeup


@pytest.fixture
def wakeup():
    with Wakeup() as made:
        yield made


async def test_a_write_to_a_quiet_file_wakes_at_once(wakeup, tmp_path):
    """One event a look: armed once, it tells once, however much is written."""
    path = tmp_path / "a.log"
    path.touch()
    with path.open() as reader, path.open("a", buffering=1) as writer:
        assert wakeup.watch_file("token", reader.fileno())
        for _ in range(100):
            writer.write("line\n")
        assert await wakeup.wait(30) == {"token"}
        assert await wakeup.wait(0.02) is None
        assert wakeup.watch_file("token", reader.fileno())
        writer.write("more\n")
        assert await wakeup.wait(30) == {"token"}


async def test_a_renamed_file_stays_watched(wakeup, tmp_path):
    """What is watched is the open file, not its name."""
    path = tmp_path / "a.log"
    path.touch()
    with path.open() as reader, path.open("a") as writer:
        path.rename(tmp_path / "a.log.1")
        assert wakeup.watch_file("token", reader.fileno())
        writer.write("line\n")
        writer.flush()
        assert await wakeup.wait(30) == {"token"}


@pytest.mark.parametrize("happening", ["create", "rename", "delete", "leave"])
async def test_directory_events(wakeup, tmp_path, happening):
    """What comes, goes or is renamed in a directory wakes with the directory's path; a write does not."""
    path = tmp_path / "a.log"
    path.touch()
    (tmp_path / "below").mkdir()
    wakeup.watch_directories([str(tmp_path)])
    path.write_text("a write")
    assert await wakeup.wait(0.02) is None
    act = {
        "create": (tmp_path / "new").touch,
        "rename": lambda: path.rename(tmp_path / "a.log.1"),
        "delete": path.unlink,
        "leave": lambda: path.rename(tmp_path / "below" / "a.log"),
    }
    act[happening]()
    assert await wakeup.wait(30) == {str(tmp_path)}


async def test_a_directory_made_again_is_watched_again(wakeup, tmp_path):
    """The watch of a removed directory tells of its end, and is renewed when asked for."""
    directory = tmp_path / "logs"
    directory.mkdir()
    wakeup.watch_directories([str(directory)])
    directory.rmdir()
    assert await wakeup.wait(30) == {str(directory)}
    wakeup.watch_directories([str(directory)])
    assert not wakeup.degraded
    directory.mkdir()
    wakeup.watch_directories([str(directory)])
    (directory / "a.log").touch()
    assert await wakeup.wait(30) == {str(directory)}


async def test_a_flood_of_files_is_one_event(wakeup, tmp_path):
    """Ten thousand files in a watched directory wake once, until somebody has looked."""
    wakeup.watch_directories([str(tmp_path)])
    for number in range(10_000):
        os.close(os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY))
    assert await wakeup.wait(30) == {str(tmp_path)}
    assert await wakeup.wait(0.02) is None


async def test_forgotten_watches_tell_nothing(wakeup, tmp_path):
    """Neither a file that was closed nor a directory that is no longer wanted."""
    path = tmp_path / "a.log"
    path.touch()
    with path.open() as reader:
        wakeup.watch_file("token", reader.fileno())
        wakeup.watch_directories([str(tmp_path)])
        wakeup.forget("token")
        wakeup.watch_directories([])
        path.write_text("line\n")
        path.unlink()
        assert await wakeup.wait(0.05) is None


async def test_nudge_wakes_at_once(wakeup):
    """From the loop's own thread, to look everywhere or at something."""
    wakeup.nudge()
    assert await wakeup.wait(30) == {EVERYTHING}
    wakeup.nudge("one", "two")
    assert await wakeup.wait(30) == {"one", "two"}


class Failing:
    """A descriptor that does not do what it should."""

    def __init__(self, error=None, alive=True):
        self.error, self.alive, self.callbacks = error, alive, []

    def add_callback(self, path, mask, callback, id_):
        if self.error:
            raise self.error
        self.callbacks.append(callback)
        return len(self.callbacks)

    def is_alive(self):
        return self.alive

    def remove_callbacks(self, callbacks):
        pass

    def stop(self):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
async def test_no_watches_left(tmp_path, number):
    """Polling carries on, the flag says why, and the kernel is asked again after a while."""
    now = [0.0]
    descriptor = Failing(OSError(number, "inotify limit reached"))
    wakeup = Wakeup(descriptor=lambda: descriptor, clock=lambda: now[0])
    wakeup.watch_directories([str(tmp_path)])
    assert wakeup.degraded
    assert "limit reached" in wakeup.cause
    assert await wakeup.wait(0.01) is None
    descriptor.error = None
    wakeup.watch_directories([str(tmp_path)])
    assert wakeup.degraded
    now[0] += 31
    wakeup.watch_directories([str(tmp_path)])
    assert not wakeup.degraded


async def test_watchdog_not_installed(tmp_path):
    """An import that fails is a degraded watch, not a crash."""

    def missing():
        raise ImportError("No module named 'watchdog'")

    wakeup = Wakeup(descriptor=missing)
    wakeup.watch_directories([str(tmp_path)])
    assert "watchdog" in wakeup.cause


async def test_a_thread_that_died(tmp_path):
    """A dead thread tells nothing more; it is noticed at the next arming."""
    descriptor = Failing()
    wakeup = Wakeup(descriptor=lambda: descriptor)
    wakeup.watch_directories([str(tmp_path)])
    assert not wakeup.degraded
    descriptor.alive = False
    wakeup.watch_directories([str(tmp_path)])
    assert wakeup.degraded


async def test_overflow_means_look_everywhere(tmp_path):
    """When the kernel has dropped events, everything is looked at, and armed anew on a new descriptor."""
    made = []

    def descriptor():
        made.append(Failing())
        return made[-1]

    wakeup = Wakeup(descriptor=descriptor)
    wakeup.watch_directories([str(tmp_path)])
    await asyncio.to_thread(made[0].callbacks[0].on_queue_overflow)
    assert await wakeup.wait(30) == {EVERYTHING}
    wakeup.watch_directories([str(tmp_path)])
    assert len(made) == 2
    assert made[1].callbacks


async def test_events_not_wanted():
    """Polling by choice is not degraded."""
    wakeup = Wakeup(events=False)
    wakeup.watch_directories(["/"])
    assert not wakeup.degraded
    assert await wakeup.wait(0.01) is None
