"""One log's search for what is not where it was left, and for what came and went unseen. Runs in a thread.

A quest is asked with everything it needs and answers in its own fields; it changes nothing of the log. A file is
ours only by content: `unread` are siblings that are neither what was listed before, nor a copy of a generation that was
read (see `census`), nor what the search has just found.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass, field

from logship.progress.fingerprint import HEAD, Fingerprint
from logship.source import siblings
from logship.source.census import Census, Generation
from logship.source.content import Content, UnusableFileError, open_any
from logship.source.file import Proof, proves
from logship.source.siblings import Id, Listing, Sibling

HISTORY = Fingerprint(-1, "")
"""Of a sibling that could not be read when listed first, and was there before we were: it is none of ours."""

_CLOCKS = 1_000_000_000  # ns: file times lag the wall clock by a tick, and remote ones by more


@dataclass(slots=True)
class Wanted:
    """What is looked for: a proof, the inode it had, and when it was last seen in its place (epoch seconds).

    ``reach`` is what has to be proved besides for ``reached`` to be true of what was found.
    """

    proof: Proof
    id: Id
    seen: float
    reach: Proof | None = None
    reached: bool = False
    found: tuple[Content, Sibling] | None = None
    failed: str = ""

    def generation(self) -> Generation:
        """Return what is known of it now. Not found whole, there may be a copy of a part: cut before all was copied."""
        offset, fingerprint, _ = self.proof
        if self.found:
            return Generation(self.found[1].id, fingerprint, self.proof)
        return Generation(None, fingerprint, self.proof, size=offset, doubtful=bool(self.failed))


@dataclass(frozen=True, slots=True)
class Rest:
    """A log that was read up to ``offset``, where its bytes stand still. ``state``: size and time (ns), when listed."""

    id: Id
    offset: int
    state: tuple[int, int] | None = None

    def holds(self, now: os.stat_result) -> bool:
        """Tell whether it is still there, and has at most grown: what was cut may have been copied before."""
        grown = now.st_size > self.state[0] if self.state else now.st_size >= self.offset
        same = self.state == (now.st_size, now.st_mtime_ns)
        return self.id == (now.st_dev, now.st_ino) and (same or (grown and self.offset > 0))


@dataclass(slots=True)
class Quest:
    """The question and, after `go`, the answer.

    Attributes:
        path: the log's.
        directories: where siblings may lie, beside the log's own directory and those below it.
        wanted: generations that are missing; each is ``found``, or ``failed`` when nothing could be proved, or neither.
        taken: files that are open already.
        known: siblings of the last listing, by id; None at the first.
        ours: generations that were read, beside those that are wanted.
        rest: the live log at the last listing, or as it was left; None: it has moved since.
        listed_at: when that was (epoch seconds).
        since: at the first listing: what was written later than that (epoch seconds) came while we were looking.
        last: do not put off again what cannot be read.
        named: ids of siblings that the configuration follows by name, and which nobody has read.
        listed: the siblings now, for the next quest.
        unread: what is to be read from its beginning, oldest first.
        opened: what of that could be opened, and begun to decompress: that may take longer than a loop can wait.
        unusable: what would be, if it could be decompressed, or read at all.
        incomplete: something that is new could not be read.
    """

    path: str
    directories: list[str]
    wanted: list[Wanted]
    taken: set[Id]
    known: dict[Id, Fingerprint] | None
    ours: list[Generation]
    named: frozenset[Id]
    rest: Rest | None = None
    listed_at: float | None = None
    since: float | None = None
    last: bool = False
    listed: dict[Id, Fingerprint] = field(default_factory=dict)
    unread: list[Sibling] = field(default_factory=list)
    opened: dict[Id, Content] = field(default_factory=dict)
    unusable: list[Sibling] = field(default_factory=list)
    incomplete: bool = False
    failed: str = ""
    _heads: dict[Id, bytes] = field(default_factory=dict)

    def go(self, listing: Listing) -> None:
        """Search. Never raises OSError: what could not be read is told as failed."""
        try:
            own = os.path.dirname(self.path)
            self.directories = [*dict.fromkeys([own, *self.directories, *listing.below(own)])]
            there = listing.siblings(self.path, self.directories)
        except OSError as error:
            self.failed = str(error)
            for each in self.wanted:
                each.failed = self.failed
            return
        # First those whose inode is there; then the longest: what holds much holds what is short and alike, too.
        inodes = {each.id for each in there}
        for each in sorted(self.wanted, key=lambda each: (each.id not in inodes, -each.proof[0])):
            self._look_for(each, there, listing)
        self._list(there)
        self._judge(there)
        for sibling in self.unread:
            self._open(sibling)

    @property
    def has_news(self) -> bool:
        """Whether the log was rotated: something is unread, or a copy was made of what was read."""
        return bool(self.unread) or any(each.met for each in self.ours)

    def forsake(self) -> None:
        """Close what was found, to ask again with what is known now."""
        for each in self.wanted:
            if each.found:
                each.found[0].close()
        for body in self.opened.values():
            body.close()

    def _look_for(self, wanted: Wanted, there: list[Sibling], listing: Listing) -> None:
        candidates = {each.id: each for each in there}
        try:
            candidates |= {each.id: each for each in listing.with_inode(wanted.id[1], self.directories)}
            wanted.found = siblings.search(
                lambda body: proves(body, wanted.proof),
                candidates.values(),
                wanted.id[1],
                self.taken,
                wanted.seen - _CLOCKS / 1e9,
            )
        except OSError as error:
            wanted.failed = str(error)
        if wanted.found:
            self.taken.add(wanted.found[1].id)
            wanted.reached = _reaches(wanted.found[0], wanted)

    def _list(self, there: list[Sibling]) -> None:
        """List what is there. What is new and cannot be read is left out, so that the next quest asks for it again."""
        for each in there:
            try:
                self._heads[each.id] = siblings.head(each.path, HEAD, unpack=False)
                self.listed[each.id] = Fingerprint.of(self._heads[each.id])
            except (OSError, UnusableFileError):
                self._list_unreadable(each)

    def _list_unreadable(self, each: Sibling) -> None:
        if self.known is None and each.id not in self.named and each.mtime_ns < self._reference():
            self.listed[each.id] = HISTORY
        elif self.known and each.id in self.known:
            self.listed[each.id] = self.known[each.id]
        elif each.size and each.id not in self.taken:
            self._postpone(each)

    def _postpone(self, each: Sibling) -> None:
        """Leave it to the next quest; or, at the last attempt, be content with telling of it."""
        if self.last:
            self.listed[each.id] = HISTORY
            self.unusable.append(each)
        else:
            self.listed.pop(each.id, None)
            self.incomplete = True

    def _judge(self, there: list[Sibling]) -> None:
        """Find what is unread among what is new."""
        readable = [each for each in there if each.size and each.id in self._heads]
        new = [each for each in readable if each.id not in self.taken and (each.id in self.named or self._is_new(each))]
        if not new:
            return
        census = Census(
            [*self.ours, *(each.generation() for each in self.wanted), *self._history()],
            [each for each in readable if each not in new],
            self._heads,
            held=self.taken,
            at_rest=self._is_at_rest(),
        )
        # What was read is looked for among the compressed; then what was not, and last what is being made of that.
        copies = [each for each in new if each.packed and self._is_copy(each, census)]
        rest = sorted((each for each in new if each not in copies), key=lambda each: each.packed)
        self.unread = sorted((each for each in rest if self._is_unread(each, census)), key=Sibling.age)

    def _open(self, each: Sibling) -> None:
        with suppress(OSError, UnusableFileError):  # whoever wants to read it meets that again
            body = open_any(each.path)
            try:
                body.pread(HEAD, 0)
            except BaseException:
                body.close()
                raise
            self.opened[each.id] = body

    def _is_copy(self, each: Sibling, census: Census) -> bool:
        try:
            return census.is_copy(each)
        except (OSError, UnusableFileError):
            return False

    def _is_unread(self, each: Sibling, census: Census) -> bool:
        try:
            return census.is_news(each)
        except UnusableFileError:
            self.unusable.append(each)
        except OSError:  # perhaps it is being compressed at this moment
            self._postpone(each)
        return False

    def _history(self) -> list[Generation]:
        """Return what was listed before, and is none of ours: it may be compressed one day."""
        ours = {each.id for each in self.ours}
        latest = None if self.listed_at is None else int(self.listed_at * 1e9)
        known = (self.known or {}).items()
        return [Generation(id_, print_, latest=latest) for id_, print_ in known if id_ not in ours]

    def _is_at_rest(self) -> bool:
        """Tell whether the live log lies where it lay at the last listing: then nothing can have been rotated."""
        try:
            return self.rest is not None and self.rest.holds(os.stat(self.path))
        except OSError:
            return False

    def _is_new(self, each: Sibling) -> bool:
        """Tell whether it came since the last listing; at the first: since what is missing was last written to."""
        if self.known is not None:
            before = self.known.get(each.id)
            same = before and before.length and before.matches(self._heads[each.id])
            return not same and before != HISTORY  # an inode may be used again; what was empty may be anything
        return each.mtime_ns >= self._reference()

    def _reference(self) -> float:
        """Return the time (ns) after which siblings were written that nobody has read."""
        found = [wanted.found[1].mtime_ns for wanted in self.wanted if wanted.found]
        seen = [] if found else [wanted.seen for wanted in self.wanted]
        since = math.inf if self.since is None else self.since * 1e9 - _CLOCKS
        return min(max(found, default=math.inf), max(seen, default=math.inf) * 1e9 - _CLOCKS, since)


def _reaches(found: Content, wanted: Wanted) -> bool:
    """Tell whether it holds what lies further on. A compressed file is unpacked up to there, and once more to here."""
    if wanted.reach is None:
        return False
    try:
        return proves(found, wanted.reach) and proves(found, wanted.proof)
    except OSError:
        return False
