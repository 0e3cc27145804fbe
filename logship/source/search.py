"""Find what is not where it was left, before anything starts from zero; then open what lies at the path.

A search is due when a path holds another file than before, when a file was truncated, when saved positions are to be
taken up, and when a sibling has appeared that nobody knows. While it lasts the trail's live file waits, so that what is
older is read first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

import structlog

from logship.errors import LogshipError
from logship.metrics import Metrics
from logship.progress.checkpoint import Position
from logship.progress.fingerprint import HEAD, Fingerprint
from logship.progress.ledger import Ledger
from logship.source import content, paths, siblings
from logship.source import file as files
from logship.source.census import Generation
from logship.source.file import LogFile
from logship.source.openfiles import OpenFiles, is_out_of_descriptors
from logship.source.quest import Quest, Rest
from logship.source.siblings import Id, Sibling
from logship.source.trail import Finished, Lost, Timing, Trail, generation, position, reach_of

_ATTEMPTS = 60
"""Searches, one at each scan, after which a sibling that cannot be read is given up: ten minutes."""

_BEGUN = {"opened": "file.opened", "resumed": "file.resumed", "continued": "file.continued"}
"""What the log says of a file that is read from now on, by what the metrics call it."""

_NONE: frozenset[Id] = frozenset()

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Opened:
    """What lies at a trail's path, where reading starts, and what it proved: a saved position, or an old generation.

    ``moved``: it is no file that we knew, but holds the same. Unless something was rotated, it was put in its place.
    """

    content: content.Content
    id: Id
    offset: int
    saved: Position | None = None
    moved: bool = False

    def generation(self) -> Generation | None:
        """Return what was saved of it. What nobody has read yet explains no copy."""
        if self.saved is None:
            return None
        proof = (self.saved.offset, self.saved.fingerprint, self.saved.anchor)
        return Generation(None if self.moved else self.id, self.saved.fingerprint, proof, plain=True)


class Search:
    """Carries out the searches that are due.

    Args:
        open_files: where generations are entered and left.
        finished: what was read to its end; what is taken up again is removed.
        ledger: told of generations that begin and end.
        metrics: where to count.
        timing: how long to go on searching for a saved file.
        clock: monotonic seconds.
        wall: epoch seconds.
        patient: whether there is a later: if not, what cannot be read now is neither lost nor found.
    """

    def __init__(
        self,
        open_files: OpenFiles,
        finished: Finished,
        *,
        ledger: Ledger,
        metrics: Metrics,
        timing: Timing,
        clock: Callable[[], float],
        wall: Callable[[], float],
        patient: bool,
    ) -> None:
        self._open = open_files
        self._finished = finished
        self._ledger = ledger
        self._metrics = metrics
        self._timing = timing
        self._clock = clock
        self._wall = wall
        self._patient = patient
        self._keys = count(1)

    async def carry_out(self, trails: Iterable[Trail]) -> None:
        """Search for all of them. Directories and siblings are read in a thread; most logs have none."""
        listing = siblings.Listing()
        for trail in trails:
            trail.crowded = not self._open.make_room()
            if trail.crowded:
                continue
            opened = self._open_live(trail)
            if trail.trouble and not trail.lost:
                trail.searching = False
                continue
            began = self._wall()
            if self._is_alone(trail, listing):
                self._conclude(trail, opened, _nothing(trail), began)
                await asyncio.sleep(0)
                continue
            quest = self._quest(trail, opened, listing)
            await asyncio.to_thread(quest.go, listing)
            if opened and opened.moved and quest.has_news:
                quest.forsake()
                self._start_over(trail, opened)
                quest = self._quest(trail, opened, listing)
                await asyncio.to_thread(quest.go, listing)
            self._conclude(trail, opened, quest, began)

    def lose(self, trail: Trail, file: LogFile) -> None:
        """Part with a generation whose bytes are not there any more, and have them searched for."""
        left = position(file, self._ledger, self._wall())
        self._open.leave(file)
        trail.remove(file)
        if left.fingerprint.length:
            trail.lost.append(Lost(left, file, self._clock()))
        else:  # nothing of it was ever seen: wherever it is now, it is unread
            self._ledger.end(file.key)
            (trail.known or {}).pop(file.id, None)
        trail.searching = True

    def truncated(self, trail: Trail, file: LogFile) -> None:
        """Part with what was read: perhaps a copy of it is found. What is there now is another generation."""
        try:
            start = file.begins_here()
        except OSError as error:
            self._open.shut(file)  # opened again by the next sweep, which finds that it is not what it was
            self.fail(trail, error)
            return
        body, gone, live = file.detach(), file.gone, trail.live is file
        log.warning("file.truncated", path=file.path, source=file.source, offset=file.offset, unread_bytes=file.behind)
        self._metrics.file_events.labels("truncated").inc()
        place = trail.files.index(file)
        self.lose(trail, file)
        made = self._begin(trail, file.path, body, start) if body else None
        if made is None:
            return
        made.gone = gone
        trail.files.insert(place, made)
        trail.live = made if live else trail.live
        for lost in trail.lost:
            lost.successor = made if lost.file is file else lost.successor
        self._open.enter(trail, made)

    def abandon(self, trail: Trail, file: LogFile) -> None:
        """Give up the rest of a compressed file that is damaged: nobody can say how much that is."""
        log.error("file.damaged", path=file.path, offset=file.offset, help="what follows in it is lost")
        self._metrics.file_events.labels("damaged").inc()
        self._finished.put(replace(position(file, self._ledger, self._wall()), finished=True))
        trail.close(file)
        self._open.leave(file)
        trail.remove(file)
        self._ledger.end(file.key)

    def fail(self, trail: Trail, error: Exception) -> None:
        """Remember why a log cannot be read, and say so once. It is tried again every second."""
        text = getattr(error, "strerror", None) or str(error)
        if text != trail.trouble:
            log.warning("file.unreadable", path=trail.path, source=trail.source.name, error=text)
        trail.trouble = text
        trail.skip &= is_out_of_descriptors(error)  # what cannot be read now is read in full later

    # What lies at the path.

    def _open_live(self, trail: Trail) -> _Opened | None:
        """Open what lies at the path, and find where to resume. What was saved and is not proved by it is lost."""
        opened = None
        if not trail.live:
            trail.trouble, before = "", trail.trouble
            try:
                opened = self._opened(trail)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except (OSError, LogshipError) as error:
                trail.trouble = before
                self.fail(trail, error)
                return None  # perhaps it is the very file that was saved: not lost before it can be read
        for saved in trail.saved:
            trail.since = min(trail.since or saved.seen, saved.seen)  # what is younger may have come and gone unseen
            # Of an empty file nothing is known but that: there is nothing to search for.
            if saved.fingerprint.length and not (opened and saved is opened.saved):
                trail.lost.append(Lost(saved, since=self._clock()))
        trail.saved = []
        return opened

    def _opened(self, trail: Trail) -> _Opened:
        body = self._open.open(trail.path)
        try:
            return self._placed(trail, body)
        except BaseException:
            body.close()
            raise

    def _placed(self, trail: Trail, body: content.Content) -> _Opened:
        """Find where to read from, in what lies at the path."""
        seen = body.stat()
        there = (seen.st_dev, seen.st_ino)
        itself = [each for each in trail.saved if (each.device, each.inode) == there]
        others = [each for each in trail.saved if each not in itself]
        for saved in [*itself, *self._finished.at(there), *others]:
            same = (saved.device, saved.inode) == there
            empty = same and not saved.fingerprint.length
            if not same and self._lies_beside(trail, saved):
                continue  # it was renamed: what is at the path now is new, however alike
            if empty or files.proves(body, (saved.offset, saved.fingerprint, saved.anchor)):
                return _Opened(body, there, saved.offset, saved, moved=not same)
            if same and not body.packed and files.is_cut(body, seen.st_size, saved.offset, saved.fingerprint):
                return _Opened(body, there, seen.st_size, saved)
        for old in trail.files[-1:]:
            if old.offset and not old.behind and not _renamed(trail, old) and old.prove(body):
                return _Opened(body, there, old.offset, moved=True)
        return _Opened(body, there, files.start_of_last_line(body, seen.st_size) if trail.skip else 0)

    def _lies_beside(self, trail: Trail, saved: Position) -> bool:
        """Tell whether the file that was saved is there under a name that rotation gives."""
        directory, live = os.path.split(trail.real)
        with suppress(OSError, LogshipError), os.scandir(directory or ".") as entries:
            for entry in entries:
                if entry.inode() != saved.inode or not paths.is_rotated(entry.name, live):
                    continue
                body = self._open.open(entry.path)
                try:
                    seen = body.stat()
                    same = (seen.st_dev, seen.st_ino) == (saved.device, saved.inode)
                    return same and files.proves(body, (saved.offset, saved.fingerprint, saved.anchor))
                finally:
                    body.close()
        return False

    def _go_live(self, trail: Trail, opened: _Opened) -> None:
        if opened.id in self._open.by_id:
            opened.content.close()
            return
        saved = opened.saved if opened.saved and opened.saved.offset == opened.offset else None
        reached = saved and _reaches(opened.content, saved)
        file = self._begin(trail, trail.path, opened.content, opened.offset, saved if reached else None)
        if file is None:
            trail.saved += [opened.saved] if opened.saved else []
            return
        if opened.saved:
            self._finished.drop(opened.saved)
            trail.reopen(opened.saved)
        trail.go_live(file)
        trail.skip = False
        self._tell("continued" if opened.moved else "resumed" if opened.saved else "opened", trail, file)

    def _start_over(self, trail: Trail, opened: _Opened) -> None:
        """Take what lies at the path for new, after all: a rotation has left what was read, or its like, beside it."""
        if opened.saved:
            trail.lost.append(Lost(opened.saved, since=self._clock()))
        opened.offset, opened.saved, opened.moved = 0, None, False

    # What is older.

    def _is_alone(self, trail: Trail, listing: siblings.Listing) -> bool:
        """Tell whether a log has no siblings, and misses nothing: then there is nothing to look for."""
        directories = (os.path.dirname(trail.path), *trail.elsewhere)
        return not trail.lost and listing.has_none(listing.real(trail.path), directories)

    def _quest(self, trail: Trail, opened: _Opened | None, listing: siblings.Listing) -> Quest:
        elsewhere = trail.elsewhere | {os.path.dirname(lost.position.path) for lost in trail.lost}
        return Quest(
            path=listing.real(trail.path),
            directories=[os.path.dirname(trail.path), *elsewhere],
            wanted=[one.wanted() for one in trail.lost],
            taken=self._open.ids() | ({opened.id} if opened else set()),
            known=trail.known,
            ours=self._ours(trail, opened, os.path.basename(listing.real(trail.path))),
            named=trail.named,
            rest=_at_rest(trail, opened),
            listed_at=trail.listed_at,
            since=trail.since,
            last=trail.attempts >= _ATTEMPTS,
        )

    def _ours(self, trail: Trail, opened: _Opened | None, name: str) -> list[Generation]:
        """Return the generations of a log of that name that are or were read."""
        resumed = opened.generation() if opened else None
        return [
            *(replace(generation(file), plain=file is trail.live) for file in trail.files),
            *map(replace, trail.closed),  # copies: a quest notes where they are
            *map(_saved_generation, self._finished.before_of(name)),
            *([resumed] if resumed else []),
        ]

    def _conclude(self, trail: Trail, opened: _Opened | None, quest: Quest, listed_at: float) -> None:
        """Take in what a quest has found, oldest first, then the live file."""
        trail.searching = False
        trail.lost, lost = [], trail.lost
        entries: list[tuple[Sibling, Lost | None, content.Content | None]] = []
        entries += [(one, None, quest.opened.get(one.id)) for one in quest.unread]
        for one, wanted in zip(lost, quest.wanted, strict=True):
            one.reached = wanted.reached
            if wanted.found:
                entries.append((wanted.found[1], one, wanted.found[0]))
            elif self._is_hopeless(one, failed=bool(wanted.failed)):
                self._give_up(trail, one)
            else:
                trail.lost.append(one)
        trail.attempts = trail.attempts + 1 if quest.incomplete or quest.failed else 0
        if not quest.failed:
            trail.known = quest.listed
            trail.named = _NONE
            trail.listed_at = listed_at
        for sibling, missed, body in sorted(entries, key=lambda entry: entry[0].age()):
            self._take_in(trail, sibling, missed, body)
        for sibling in quest.unusable:
            log.error("file.skipped", path=sibling.path, reason="it cannot be read, or not be decompressed")
            self._metrics.file_events.labels("skipped").inc()
        if opened:
            self._go_live(trail, opened)
        if not (quest.failed or quest.incomplete):
            trail.rested = (trail.live, trail.live.state) if trail.live else None

    def _take_in(self, trail: Trail, sibling: Sibling, lost: Lost | None, body: content.Content | None) -> None:
        """Read an old generation: where it was left, or from its beginning when nobody has read it."""
        if self._open.has(sibling.id):
            if body:
                body.close()
            return
        file = self._begin_old(trail, sibling, lost, body)
        if file is None:  # renamed or unreadable: the next search asks for it again
            trail.lost += [lost] if lost else []
            trail.known = {id_: head for id_, head in (trail.known or {}).items() if id_ != sibling.id}
            trail.named |= {sibling.id}
            trail.attempts += 1
            return
        if lost:
            trail.reopen(lost.position)
        file.gone = "rotated"
        trail.add(file, lost.successor if lost else _younger(trail, sibling))
        self._tell("resumed" if lost else "opened", trail, file)

    def _begin_old(
        self, trail: Trail, sibling: Sibling, lost: Lost | None, body: content.Content | None
    ) -> LogFile | None:
        try:
            body = body or content.open_any(sibling.path)
            if lost and lost.file:
                lost.file.adopt(body)
        except (OSError, LogshipError):
            if body:
                body.close()
            return None
        if lost and lost.file:
            lost.file.path = sibling.path
            return lost.file
        reached = lost.position if lost and lost.reached else None
        return self._begin(trail, sibling.path, body, lost.position.offset if lost else 0, reached)

    def _is_hopeless(self, lost: Lost, *, failed: bool) -> bool:
        """Tell whether to stop searching: a copy is there at once or never, but a saved file may be mounted again."""
        if lost.file and not failed:
            return True
        return self._patient and self._clock() - lost.since >= self._timing.linger

    def _give_up(self, trail: Trail, lost: Lost) -> None:
        file, saved = lost.file, lost.position
        if file is None:
            log.error(
                "file.vanished",
                path=saved.path,
                offset=saved.offset,
                help="what was not read yet is lost; keep more rotated files",
            )
            self._metrics.file_events.labels("vanished").inc()
            return
        self._ledger.end(file.key)
        self._metrics.bytes_lost.labels(file.source, "truncated").inc(file.behind)
        if file.behind:
            log.error(
                "file.bytes_lost",
                path=trail.path,
                bytes=file.behind,
                help="truncated before they were read; rotate by renaming (create)",
            )

    def _begin(
        self, trail: Trail, path: str, body: content.Content, offset: int, reached: Position | None = None
    ) -> LogFile | None:
        """Begin a generation. None: it could be opened, but not read. ``reached``: whose reach was proved."""
        try:
            file = LogFile(next(self._keys), trail.source.name, path, body, offset, trail.source.cut)
        except OSError as error:
            body.close()
            self.fail(trail, error)
            return None
        if reached is not None and reached.reach is not None and reached.reach_anchor is not None:
            self._ledger.begin(file.key, offset, reached.reach)
            file.reached(reached.reach.end, reached.reach_anchor)
        else:
            self._ledger.begin(file.key, offset)
        return file

    def _tell(self, event: str, trail: Trail, file: LogFile) -> None:
        self._open.enter(trail, file)
        self._metrics.file_events.labels(event).inc()
        more = {} if file.path == trail.path else {"of": trail.path}
        log.info(_BEGUN[event], path=file.path, offset=file.offset, unread_bytes=file.behind, **more)


def _nothing(trail: Trail) -> Quest:
    """Return the quest for a log that is alone: it has found nothing."""
    return Quest(trail.path, [], wanted=[], taken=set(), known=None, ours=[], named=_NONE)


def _reaches(body: content.Content, saved: Position) -> bool:
    """Tell whether what was saved of lines beyond the offset holds."""
    proof = reach_of(saved)
    try:
        return proof is not None and files.proves(body, proof)
    except OSError:
        return False


def _renamed(trail: Trail, old: LogFile) -> bool:
    """Tell whether an old generation lies under another name: then what is at the path now is new, however alike.

    A link's target keeps its name when the link is swapped, and so does a file that overlayfs has copied up.
    """
    return bool(old.links) and old.path not in (trail.path, trail.real) and not os.path.islink(trail.path)


def _younger(trail: Trail, sibling: Sibling) -> LogFile | None:
    """Return the first generation that nobody has read of yet and that was written to after the sibling."""
    unread = (each for each in trail.files if each.size and not each.offset)
    return next((each for each in unread if each.written > sibling.mtime_ns), None)


def _at_rest(trail: Trail, opened: _Opened | None) -> Rest | None:
    """Return the live log, if it lies where it lay at the last listing, or where it was left."""
    if opened:
        saved = opened.saved
        same = saved is not None and saved.fingerprint.length and (saved.device, saved.inode) == opened.id
        return Rest(opened.id, opened.offset) if saved and same and saved.offset == opened.offset else None
    if trail.live is None or trail.rested is None or trail.live is not trail.rested[0]:
        return None
    return Rest(trail.live.id, trail.live.offset, trail.rested[1])


def _saved_generation(finished: Position) -> Generation:
    there, proof = (finished.device, finished.inode), (finished.offset, finished.fingerprint, finished.anchor)
    return Generation(there, finished.fingerprint, proof, size=finished.offset, latest=int(finished.seen * 1e9))


class Whereabouts:
    """Where finished files are now, in the directories where they were. One that lies as it did is not read again."""

    def __init__(self) -> None:
        self._proved: dict[tuple[Id, Fingerprint], tuple[int, int]] = {}  # size and time (ns) of the last write

    def look(self, finished: Iterable[Position]) -> list[tuple[Position, Sibling | None]]:
        """Return where they are; None: nowhere. What cannot be told is left out. Reads, so call it in a thread."""
        listing, before, self._proved = siblings.Listing(), self._proved, {}
        found: list[tuple[Position, Sibling | None]] = []
        for each in finished:
            with suppress(OSError):
                there = listing.with_inode(each.inode, [os.path.dirname(each.path)])
                found.append((each, next((one for one in there if self._is_still(each, one, before)), None)))
        return found

    def _is_still(
        self, finished: Position, sibling: Sibling, before: Mapping[tuple[Id, Fingerprint], tuple[int, int]]
    ) -> bool:
        whose, state = (sibling.id, finished.fingerprint), (sibling.size, sibling.mtime_ns)
        still = before.get(whose) == state or _is_still(finished, sibling)
        if still:
            self._proved[whose] = state
        return still


def _is_still(finished: Position, sibling: Sibling) -> bool:
    """Tell whether a file with that inode is the one that was finished."""
    try:
        head = siblings.head(sibling.path, HEAD)
    except LogshipError:
        return False
    return finished.fingerprint.matches(head) and bool(finished.fingerprint.length or not sibling.size)
