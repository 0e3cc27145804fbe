"""What was accepted is on disk; what cannot be stored is not accepted."""

import sqlite3

import pytest

from logship.receiver import server
from logship.receiver.store import Store, StoreError

GOOD = {"name": "pageview", "url": "https://example.com/", "domain": "example.com"}


async def test_an_accepted_event_is_in_the_file(start, tmp_path):
    """Another process finds it as soon as the 202 is out."""
    api = await start(store_path=tmp_path / "events.db")
    await api.event()
    with sqlite3.connect(tmp_path / "events.db") as other:
        assert other.execute("SELECT site, name FROM arrivals").fetchall() == [("example.com", "pageview")]


async def test_a_store_that_cannot_write_answers_500_and_recovers(start, tmp_path):
    """Nothing is accepted while the file is locked; afterwards the visit is as if nothing had been tried."""
    api = await start(store_path=tmp_path / "events.db")
    await api.event()
    other = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await api.post(GOOD)).status == 500
    other.execute("ROLLBACK")
    other.close()
    await api.event()
    stats = await api.running.stats()
    assert (stats["recorded"], stats["visits"], stats["pageviews"], stats["views_per_visit"]) == (2, 1, 2, 2.0)
    assert stats["answers"] == {"202": 2, "500": 1}


async def test_a_second_receiver_cannot_use_the_same_file(start, tmp_path):
    """Two writers would mix their ids up: the second is told, and may come when the first has gone."""
    path = tmp_path / "events.db"
    async with server.serve(port=0, store_path=path):
        with pytest.raises(StoreError, match="another receiver is using it"):
            await start(store_path=path)
    await start(store_path=path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "cannot be written: Is a directory"),
        (lambda path: path.write_text("no database " * 100), "file is not a database"),
        (lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 99"), "written by a newer logship"),
    ],
)
async def test_an_unusable_file_is_named(tmp_path, make, message):
    """The path and the cause are told, and nothing is left locked."""
    path = tmp_path / "events.db"
    make(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=message) as caught:
            Store(path)
        assert str(path) in str(caught.value)


async def test_a_missing_directory_is_named(tmp_path):
    """The store's directory is not made up."""
    with pytest.raises(StoreError, match=r"events\.db: cannot be written: No such file or directory"):
        Store(tmp_path / "nowhere" / "events.db")


async def test_only_the_owner_may_read_the_file(start, tmp_path):
    """Visitors' data is nobody else's business."""
    await start(store_path=tmp_path / "events.db")
    assert (tmp_path / "events.db").stat().st_mode & 0o777 == 0o600


async def test_a_busy_port_is_a_clear_error(start):
    """The address and the cause are told."""
    api = await start()
    port = int(api.running.url.rpartition(":")[2])
    with pytest.raises(server.ListenError, match=rf"127\.0\.0\.1:{port}: cannot listen: .*in use"):
        await start_on(port)


async def start_on(port: int) -> None:
    async with server.serve(port=port):
        pass
