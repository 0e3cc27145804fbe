"""Watermarks on disk: versioned, checked, atomic, fsynced, with one owner at a time. Knows files, not their meaning.

A save writes a complete new generation beside the old one, makes it durable, and only then gives it the name; the old
generation lives on under a second name. So whatever a crash, a full disk or a power cut interrupts, one generation is
whole. What is found damaged is set aside and not believed: an offset that is wrong loses lines, one that is old only
sends some twice. The state directory and its files are described in docs/state.md.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from logship import durable
from logship.errors import StateError
from logship.progress.fingerprint import Anchor, Fingerprint
from logship.progress.ledger import Reach

VERSION = 1
NEWEST = "checkpoint.json"
PREVIOUS = "checkpoint.previous.json"
LOCK = "lock"
DAMAGED_KEPT = 5

_NEW = "checkpoint.new"  # being written
_KEPT = "checkpoint.kept"  # second name of the newest generation, on its way to becoming PREVIOUS
_DAMAGED = "checkpoint.damaged-"

# `seen` moves while a file lies quiet. It only has to tell days apart, and an idle machine's disk may sleep.
_SEEN_GRAIN = 3600.0

# What file systems without hard links answer (FAT, SMB, some FUSE), and Linux for a file that belongs to another user.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading of one file resumes, and what proves that it is the same file. ``seen``: epoch seconds.

    ``reach`` tells what is settled beyond the offset, and is used only where ``reach_anchor`` matches at its end.
    """

    source: str
    path: str
    device: int
    inode: int
    offset: int
    fingerprint: Fingerprint
    anchor: Anchor
    seen: float
    finished: bool = False
    reach: Reach | None = None
    reach_anchor: Anchor | None = None


@dataclass(frozen=True, slots=True)
class _Generation:
    positions: tuple[Position, ...] = ()
    sources: frozenset[str] = frozenset()


class _DamagedError(Exception):
    """A generation that does not prove itself, and why."""


class Checkpoint:
    """The saved positions, held by one process. ``recovered`` says what was used in place of a damaged generation."""

    def __init__(self, directory: Path, lock: _Lock | None, loaded: _Loaded) -> None:
        self.recovered = loaded.recovered
        self._directory = directory
        self._lock = lock
        self._generation = loaded.generation
        self._newest_is_whole = loaded.newest_is_whole
        self._written = _identity(directory / NEWEST) if loaded.newest_is_whole else None
        self._lines: dict[int, bytes] = {}  # of the positions in the generation, as they were written
        self._mutex = threading.Lock()  # a save whose awaiter was cancelled goes on in its thread

    @classmethod
    def open(cls, state_dir: Path, *, read_only: bool = False) -> Checkpoint:
        """Take the lock, and load the newest generation that proves itself.

        Args:
            state_dir: made with mode 0700 if it is not there.
            read_only: look without the lock, and change nothing; a directory that is not there is empty.

        Raises:
            StateError: held by another process, open to everyone, not usable, or written by a newer version.
        """
        lock = None if read_only else _Lock(state_dir)
        try:
            return cls(state_dir, lock, _load(state_dir, set_aside=not read_only))
        except BaseException:
            if lock:
                lock.release()
            raise

    @property
    def positions(self) -> tuple[Position, ...]:
        """What was loaded, or saved last."""
        return self._generation.positions

    @property
    def sources(self) -> frozenset[str]:
        """Names of all sources that were ever seen."""
        return self._generation.sources

    def save(self, positions: Iterable[Position], sources: Iterable[str]) -> None:
        """Make these the newest generation on disk; nothing is written when nothing changed.

        Blocks for two fsyncs. On OSError the generations on disk are as they were, and the next save may succeed.
        """
        generation = _Generation(tuple(positions), frozenset(sources))
        with self._mutex:
            if self._lock is None:
                raise ValueError("this checkpoint was opened read-only, or closed")
            self._lock.renew()
            if self._is_saved(generation):
                return
            lines = [self._lines.get(id(each)) or _canonical(_plain(each)) for each in generation.positions]
            self._write(_encode(lines, generation.sources))
            self._generation, self._newest_is_whole = generation, True
            # By identity: of a thousand logs most lie still, and are told of by the very same values as before.
            self._lines = dict(zip(map(id, generation.positions), lines, strict=True))
            self._written = _identity(self._directory / NEWEST)

    def close(self) -> None:
        """Let go of the state directory. What was not saved is not saved."""
        with self._mutex:
            if self._lock:
                self._lock.release()
            self._lock = None

    def _is_saved(self, generation: _Generation) -> bool:
        """Tell whether the file that we wrote says this already, and is still there: people clean up directories."""
        written = self._written is not None and self._written == _identity(self._directory / NEWEST)
        return written and _same(self._generation, generation)

    def _write(self, data: bytes) -> None:
        newest, previous, new, kept = (self._directory / name for name in (NEWEST, PREVIOUS, _NEW, _KEPT))
        try:
            _remove(new, kept)
            _write_durably(new, data)
            if self._newest_is_whole:
                _keep(newest, kept, previous)
            os.rename(new, newest)
            durable.sync_directory(self._directory)
        finally:
            _remove(new, kept)


_Identity = tuple[int, int, int, int]


def _identity(path: Path) -> _Identity | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _same(old: _Generation, new: _Generation) -> bool:
    """Tell whether nothing changed that is worth a write."""
    if old.sources != new.sources or len(old.positions) != len(new.positions):
        return False
    return all(
        before is now or before == now or _is_as_good(before, now)
        for before, now in zip(old.positions, new.positions, strict=True)
    )


def _is_as_good(before: Position, now: Position) -> bool:
    """Tell whether all that is new is when the file was seen last, and that not by much."""
    return abs(now.seen - before.seen) < _SEEN_GRAIN and replace(now, seen=before.seen) == before


# Writing


def _remove(*paths: Path) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        durable.write(descriptor, data)
    finally:
        os.close(descriptor)


def _keep(newest: Path, kept: Path, previous: Path) -> None:
    """Give the newest generation its second name, in place of the one before it."""
    with suppress(FileNotFoundError):  # somebody removed it: then the one before it stays
        try:
            os.link(newest, kept)
            os.rename(kept, previous)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.rename(newest, previous)  # it has no first name for a moment; loading knows


# Loading


@dataclass(frozen=True, slots=True)
class _Loaded:
    generation: _Generation
    recovered: str | None
    newest_is_whole: bool


def _load(directory: Path, *, set_aside: bool) -> _Loaded:
    damaged = False
    for name in (NEWEST, PREVIOUS):
        path = directory / name
        try:
            generation = _decode(_read(path))
        except FileNotFoundError:
            continue  # never written, or a save without hard links was cut short: the other one is the newest then
        except _DamagedError as error:
            damaged = True
            kept_as = _set_aside(path) if set_aside else None
            log.warning("checkpoint.damaged", path=str(path), cause=str(error), kept_as=kept_as)
        else:
            return _Loaded(generation, "previous" if damaged else None, name == NEWEST)
    return _Loaded(_Generation(), "empty" if damaged else None, newest_is_whole=False)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise StateError(
            f"{path} cannot be read: {error.strerror}; run this as the user that logship runs as"
        ) from error


def _set_aside(path: Path) -> str | None:
    """Keep the last few damaged files for whoever wants to know; None if the disk does not let us."""
    try:
        names = (each.name.removeprefix(_DAMAGED) for each in path.parent.glob(_DAMAGED + "*"))
        older = sorted(int(name) for name in names if name.isdecimal())
        kept = path.with_name(f"{_DAMAGED}{(older or [0])[-1] + 1}")
        os.rename(path, kept)
        _remove(*(path.with_name(f"{_DAMAGED}{number}") for number in older[: 1 - DAMAGED_KEPT]))
    except OSError:
        return None
    return kept.name


# The document


def _encode(positions: Sequence[bytes], sources: Iterable[str]) -> bytes:
    """Write the body in its canonical form, and the checksum of just that in front of it."""
    rest = _canonical({"sources": sorted(sources), "version": VERSION})
    body = b'{"positions":[%s],%s' % (b",".join(positions), rest[1:])
    return b'{"checksum":"%s",%s\n' % (_checksum(body).encode(), body[1:])


def _decode(data: bytes) -> _Generation:
    document = _parse(data)
    version, checksum = document.get("version"), document.pop("checksum", None)
    if isinstance(version, int) and version > VERSION:
        raise StateError(
            f"the checkpoint was written by a newer logship (version {version}, this one knows {VERSION}): "
            "run that one again, or choose another state_dir; the file is untouched"
        )
    if checksum != _checksum(_canonical(document)):
        raise _DamagedError("its checksum does not match")
    try:
        return _Generation(tuple(_position(each) for each in document["positions"]), frozenset(document["sources"]))
    except (KeyError, TypeError) as error:
        raise _DamagedError(f"its body is not a checkpoint: {error!r}") from None


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise _DamagedError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _DamagedError("not a JSON object")
    return document


def _canonical(document: dict[str, Any]) -> bytes:
    # ASCII: a byte of a path that is not UTF-8 is a lone surrogate, which JSON can only carry as an escape.
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _checksum(body: bytes) -> str:
    return "sha256:" + sha256(body).hexdigest()


_PLAIN = ("source", "path", "device", "inode", "offset", "seen", "finished")


def _plain(position: Position) -> dict[str, Any]:
    written = {name: getattr(position, name) for name in _PLAIN}
    written |= {"fingerprint": _proof(position.fingerprint), "anchor": _proof(position.anchor)}
    if position.reach is None or position.reach_anchor is None:
        return written
    reach = {"end": position.reach.end, "open": position.reach.open, "anchor": _proof(position.reach_anchor)}
    return written | {"reach": reach}


def _proof(proof: Fingerprint | Anchor) -> dict[str, Any]:
    return {"length": proof.length, "digest": proof.digest}


def _position(written: dict[str, Any]) -> Position:
    """Read what this version knows; a later release may say more under the same version."""
    fingerprint, reach = written["fingerprint"], written.get("reach")
    return Position(
        **{name: written[name] for name in _PLAIN},
        fingerprint=Fingerprint(fingerprint["length"], fingerprint["digest"]),
        anchor=_anchor(written["anchor"]),
        reach=Reach(reach["end"], tuple(reach["open"])) if reach else None,
        reach_anchor=_anchor(reach["anchor"]) if reach else None,
    )


def _anchor(written: dict[str, Any]) -> Anchor:
    return Anchor(written["length"], written["digest"])


# The lock


class _Lock:
    """The right to write into a state directory: a lock that the kernel gives back however its process ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = _take(directory)

    def renew(self) -> None:
        """Take the lock anew if its file is gone: else a second process could take one, and both would write."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._descriptor), os.stat(self._directory / LOCK)):
                return
        try:
            descriptor = _take(self._directory)
        except StateError as error:
            cause = error.__cause__
            number = cause.errno if isinstance(cause, OSError) and cause.errno else errno.EBUSY
            raise OSError(number, str(error)) from error
        os.close(self._descriptor)
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def _take(directory: Path) -> int:
    try:
        _prepare(directory)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(
            f"state directory {directory} cannot be used: {error.strerror} ({error.filename}); "
            f"it must belong to the user that logship runs as (uid {os.geteuid()})"
        ) from error
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        _sign(descriptor)
    except OSError as error:
        message = _refusal(directory, descriptor, error)
        os.close(descriptor)
        raise StateError(message) from error
    return descriptor


def _prepare(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = os.stat(directory).st_mode
    # The group may write: it is how Kubernetes gives a volume to a user that is not root (fsGroup).
    if mode & 0o002:
        raise StateError(
            f"state directory {directory} can be written to by everyone (mode {mode & 0o7777:04o}); "
            "run `chmod o-w` on it, or choose as state_dir a directory inside it, which logship then makes for itself"
        )


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk must not keep us from starting
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def _refusal(directory: Path, descriptor: int, error: OSError) -> str:
    if error.errno not in (errno.EAGAIN, errno.EACCES):
        return f"state directory {directory} cannot be locked: {error.strerror}; choose one on a local disk"
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC).isoformat(timespec="seconds")
    holder = f"logship, pid {pid} (since {since})" if pid.isdecimal() else "another process"
    return f"state directory {directory} is held by {holder}; stop it or choose another state_dir"
