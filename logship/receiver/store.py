"""Keep arrivals and visits in SQLite. What `add` returned for is on disk; many callers share one commit.

While one batch is being written in a thread, the next one collects: under load a commit carries hundreds of events,
when it is quiet an event waits for nothing but its own. Readers have connections of their own and see whole
batches, ids ascending without gaps to come, so polling by id misses nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import structlog

from logship.errors import LogshipError
from logship.receiver.values import Arrival, Visit

log = structlog.get_logger(__name__)

_SCHEMA_VERSION = 1
_PATIENCE = 0.5  # seconds to wait for someone who locked the file; everything else waits as well
_T = TypeVar("_T")

_ARRIVAL_COLUMNS = [column.name for column in fields(Arrival)]
_VISIT_COLUMNS = list(Visit._fields)
_arrival_row = attrgetter(*_ARRIVAL_COLUMNS)


def _insert(table: str, columns: list[str]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_INSERT_ARRIVAL = _insert("arrivals", _ARRIVAL_COLUMNS)
_INSERT_VISIT = _insert("visits", _VISIT_COLUMNS)
_SCHEMA = f"""
CREATE TABLE arrivals (id INTEGER PRIMARY KEY, {", ".join(_ARRIVAL_COLUMNS[1:])});
CREATE INDEX arrivals_by_time ON arrivals (time);
CREATE TABLE visits (id INTEGER PRIMARY KEY, {", ".join(_VISIT_COLUMNS[1:])});
CREATE INDEX visits_by_last ON visits (last);
PRAGMA user_version = {_SCHEMA_VERSION};
"""


class StoreError(LogshipError):
    """The store cannot be used: not writable, in use, not a database, or written by a newer version."""


class NotWrittenError(LogshipError):
    """An arrival could not be written, and nothing of it was."""


class _Batch:
    """What one commit will write, and who waits for it."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.visits: dict[int, Visit] = {}
        self.written = asyncio.Event()
        self.error: Exception | None = None


class _Reader:
    """A connection of which one query at a time makes use."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.turn = asyncio.Lock()


class Store:
    """The database of one receiver; without a path a temporary one. Only one process may write to a file."""

    def __init__(self, path: Path | None) -> None:
        self._is_lasting = path is not None
        with ExitStack() as held:
            place = path or held.enter_context(_temporary())
            held.callback(os.close, _lock(place))
            self._writing = held.enter_context(closing(_connect(place, self._is_lasting)))
            self._reader = _Reader(held.enter_context(closing(_connect(place, self._is_lasting))))
            self._counter = _Reader(held.enter_context(closing(_connect(place, self._is_lasting))))
            self._held = held.pop_all()
        self._threads = ThreadPoolExecutor(3, "store")  # one for each connection
        self._last_arrival = _highest(self._writing, "arrivals")
        self._last_visit = _highest(self._writing, "visits")
        self._batch = _Batch()
        self._wanted = asyncio.Event()
        self._closing = False
        self._is_failing = False
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Store:
        """Start writing."""
        self._flusher = asyncio.create_task(self._flush_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is waiting, then close."""
        assert self._flusher is not None
        self._closing = True
        self._wanted.set()
        await self._flusher
        self._threads.shutdown()
        self._held.close()

    def next_visit(self) -> int:
        """Return the id of the next visit: ascending, never used twice."""
        self._last_visit += 1
        return self._last_visit

    async def add(self, arrival: Arrival, visit: Visit | None = None) -> None:
        """Write an arrival and its visit's new state; return when they are committed.

        The arrival gets its id here, in the order of writing, so that no reader ever sees a later one first.

        Raises:
            NotWrittenError: it could not be written, and nothing of it was.
        """
        batch = self._batch
        self._last_arrival += 1
        arrival.id = self._last_arrival
        batch.arrivals.append(arrival)
        if visit is not None:
            batch.visits[visit.id] = visit
        self._wanted.set()
        await batch.written.wait()
        if batch.error is not None:
            raise NotWrittenError(str(batch.error)) from batch.error

    async def read(self, query: Callable[[sqlite3.Connection], _T], *, at_length: bool = False) -> _T:
        """Return what a function reads from the database; it runs in a thread and must not write.

        What may take seconds is read ``at_length``: it holds up others like it, and nobody else.
        """
        reader = self._counter if at_length else self._reader
        async with reader.turn:
            return await asyncio.get_running_loop().run_in_executor(self._threads, query, reader.connection)

    def open_visits(self, since: int) -> list[Visit]:
        """Return the visits that were alive at a time, oldest first: a restart goes on with them."""
        rows = self._writing.execute("SELECT * FROM visits WHERE last >= ? ORDER BY last", (since,))
        return [Visit(*row) for row in rows]

    async def _flush_forever(self) -> None:
        while not self._closing or self._batch.arrivals:
            await self._wanted.wait()
            self._wanted.clear()
            batch, self._batch = self._batch, _Batch()
            batch.error = await self._write(batch)
            self._tell(batch)
            batch.written.set()

    async def _write(self, batch: _Batch) -> Exception | None:
        # Rows are put in from this thread, since each would cost a writing thread its turn at the interpreter; only
        # a commit that waits for the disk is worth a thread.
        try:
            self._writing.executemany(_INSERT_ARRIVAL, map(_arrival_row, batch.arrivals))
            self._writing.executemany(_INSERT_VISIT, batch.visits.values())
            await self._commit()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            with suppress(sqlite3.Error):
                self._writing.rollback()
            return error
        return None

    async def _commit(self) -> None:
        if self._is_lasting:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._writing.commit)
        else:
            self._writing.commit()

    def _tell(self, batch: _Batch) -> None:
        if batch.error is not None and not self._is_failing:
            log.error("store.not_written", events=len(batch.arrivals), error=str(batch.error))
        if batch.error is None and self._is_failing:
            log.info("store.written_again", events=len(batch.arrivals))
        self._is_failing = batch.error is not None


class Wanted(NamedTuple):
    """Which arrivals: those of one site, and either the dropped or the recorded ones. By default all."""

    site: str = ""
    dropped: bool | None = None


_WANTED = "(:site = '' OR site = :site) AND (:dropped IS NULL OR (dropped <> '') = :dropped)"
_LOOKED_THROUGH = 100_000
"""How many arrivals are searched for the newest ones that are wanted: a page asks every second, of whatever store."""

_LAST = f"""SELECT * FROM arrivals WHERE id > (SELECT max(id) FROM arrivals) - {_LOOKED_THROUGH} AND {_WANTED}
            ORDER BY id DESC LIMIT :limit"""  # noqa: S608
_AFTER = f"SELECT * FROM arrivals WHERE id > :after AND {_WANTED} ORDER BY id LIMIT :limit"  # noqa: S608


def last_events(connection: sqlite3.Connection, count: int, wanted: Wanted = Wanted()) -> list[sqlite3.Row]:  # noqa: B008 - a value
    """Return the wanted arrivals with the highest ids, oldest first."""
    return connection.execute(_LAST, {"limit": count, **wanted._asdict()}).fetchall()[::-1]


def events_after(
    connection: sqlite3.Connection,
    after: int,
    limit: int,
    wanted: Wanted = Wanted(),  # noqa: B008 - a value
) -> list[sqlite3.Row]:
    """Return the wanted arrivals with a higher id, oldest first."""
    return connection.execute(_AFTER, {"after": after, "limit": limit, **wanted._asdict()}).fetchall()


def _lock(path: Path) -> int:
    # A file beside the store, since closing another descriptor of the store itself would drop SQLite's own locks.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; is the directory there, and ours?") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(f"{path}: another receiver is using it; stop that one, or name another file") from error
    return lock


@contextmanager
def _temporary() -> Iterator[Path]:
    # A file rather than memory: memory stays bounded however long a demonstration runs, and readers hold no writer up.
    try:
        with TemporaryDirectory(prefix="logship-receive-", ignore_cleanup_errors=True) as directory:
            yield Path(directory, "events.db")
    except FileNotFoundError as error:
        raise StoreError("no temporary directory can be written; set TMPDIR, or name a file with --store") from error


def _connect(path: Path, is_lasting: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=_PATIENCE)
    connection.row_factory = sqlite3.Row
    try:
        _prepare(connection, "FULL" if is_lasting else "OFF")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: cannot be used as a store: {error}") from error
    return connection


def _prepare(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.executescript(
        f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -16384;"
    )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError("it was written by a newer logship; upgrade, or name another file")
    if version == 0:
        connection.executescript(_SCHEMA)


def _highest(connection: sqlite3.Connection, table: str) -> int:
    found: Any = connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]  # noqa: S608
    return int(found or 0)
