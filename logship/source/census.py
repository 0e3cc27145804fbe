"""Which new siblings are copies of what was read. What is no copy was rotated while nobody looked, and is read.

Two generations may hold the very same bytes, so that a new file begins as one that was read proves nothing. But a
generation lies in one place: while its file is there as it was written, another plain file that holds the same is
another generation, and so is a second compressed one. Only where the live log has not moved since the last listing can
nothing have been rotated, and then all that begins alike is a copy.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from logship import compressed
from logship.progress.fingerprint import HEAD, Fingerprint
from logship.source import content
from logship.source.content import UnusableFileError
from logship.source.file import Proof, proves
from logship.source.siblings import Id, Sibling

_AFFORDABLE = 16 * 1024 * 1024
"""Decompressed bytes that are looked through to prove a copy. Of a longer one the head, a KiB, is to be enough."""


@dataclass(slots=True, eq=False)
class Generation:
    """One that was read, or was there before we were.

    Attributes:
        id: where it was seen last; None: nobody knows.
        fingerprint: of its head.
        head: the head itself, as far as it is known.
        proof: of what was read of it; None: not known.
        size: where it ends; None: it is open still, so what is added to it is read there.
        latest: the time (ns) of the last write of what was moved here from another disk; None: any.
        plain, packed: whether it is there as it was written, and compressed: one file each, and no other.
        met: a new sibling is a copy of it.
        doubtful: it is looked for, and was not found because something could not be read.
        path: where it lies, if it is news; what is compressed beside it has that name, and a suffix.
    """

    id: Id | None
    fingerprint: Fingerprint
    proof: Proof | None = None
    head: bytes = b""
    size: int | None = None
    latest: int | None = None
    plain: bool = False
    packed: bool = False
    met: bool = False
    doubtful: bool = False
    path: str = ""

    def begins(self, head: bytes) -> bool:
        """Tell whether a file with this head begins as the generation does, as far as either goes."""
        return self.fingerprint.matches(head) or self.head.startswith(head)


class Census:
    """Says of one sibling after the other whether it is news.

    Args:
        generations: those that are known.
        old: siblings that were judged before.
        heads: the first bytes of all siblings as they lie there, by id.
        held: files that are open, and so no others have their inodes.
        at_rest: whether the live log lies where it lay at the last listing.
    """

    def __init__(
        self,
        generations: Iterable[Generation],
        old: Iterable[Sibling],
        heads: Mapping[Id, bytes],
        *,
        held: set[Id],
        at_rest: bool,
    ) -> None:
        self._generations = [each for each in generations if each.fingerprint.length > 0]
        self._old = list(old)
        self._heads = heads
        self._held = held
        self._at_rest = at_rest

    def is_copy(self, sibling: Sibling) -> bool:
        """Tell whether a sibling is a copy of a generation, which then has this copy and no other. See `is_news`."""
        body = content.open_any(sibling.path)
        try:
            found = self._original(sibling, body, body.pread(HEAD, 0))
            if found:
                found.met = True
                _lay(found, body)
            return found is not None
        finally:
            body.close()

    def is_news(self, sibling: Sibling) -> bool:
        """Tell whether a sibling holds what nobody has read: then it is a generation, too.

        Raises:
            OSError: it cannot be read at present.
            UnusableFileError: it cannot be decompressed here.
        """
        if self.is_copy(sibling):
            return False
        body = content.open_any(sibling.path)
        try:
            found = Generation(sibling.id, Fingerprint.of(body.pread(HEAD, 0)), path=sibling.path)
            _lay(found, body)
        finally:
            body.close()
        self._generations.append(found)
        return found.fingerprint.length > 0

    def _original(self, sibling: Sibling, body: content.Content, head: bytes) -> Generation | None:
        """Return the generation that a sibling is a copy of: one that it proves in full, or else one it begins as.

        OSError: perhaps it is the one that is looked for, and could not be read a moment ago.
        """
        alike = [each for each in self._generations if each.begins(head)]
        if any(each.doubtful for each in alike):
            raise BlockingIOError(errno.EAGAIN, "something like it is looked for", sibling.path)
        if self._at_rest or not alike:
            return next(iter(alike), None)
        self._place()
        alike = [each for each in alike if _is_wanting(each, sibling, body)]
        whole = (each for each in alike if _is_whole(each, body))
        return next(whole, None) or next((each for each in alike if _may_be_part(each, body)), None)

    def _place(self) -> None:
        """Find where the generations lie, and the copies of them that were met before."""
        old, self._old = self._old, []
        for sibling in [each for each in old if not self._lies(each)]:
            try:
                body = content.open_any(sibling.path)
            except (OSError, UnusableFileError):
                continue
            try:
                found = self._original(sibling, body, body.pread(HEAD, 0))
                if found:
                    _lay(found, body)
            except OSError:
                continue
            finally:
                body.close()

    def _lies(self, sibling: Sibling) -> bool:
        """Tell whether a sibling is a generation where it was seen last, and note that it is there."""
        head = self._heads[sibling.id]
        packed = bool(compressed.kind(head))
        for each in self._generations:
            still = sibling.id in self._held or (each.proof if packed else each.fingerprint.matches(head))
            if each.id == sibling.id and still:
                each.packed |= packed
                each.plain |= not packed
                return True
        return False


def _lay(generation: Generation, body: content.Content) -> None:
    generation.packed |= body.packed
    generation.plain |= not body.packed


def _is_wanting(generation: Generation, sibling: Sibling, body: content.Content) -> bool:
    """Tell whether there may be a copy of a generation that has not been met yet.

    Compression makes another kind of file. A plain copy of what is gone came from another disk, its time and all.
    """
    if body.packed or generation.packed:
        return body.packed and not generation.packed and sibling.path.startswith(generation.path)
    return not generation.plain and (generation.latest is None or sibling.mtime_ns <= generation.latest)


def _is_whole(generation: Generation, body: content.Content) -> bool:
    """Tell whether a copy holds all that was read of a generation, and no more than was in it."""
    if generation.proof is None or not _is_affordable(generation.proof, body):
        return False
    return proves(body, generation.proof) and not (generation.size is not None and body.pread(1, generation.size))


def _may_be_part(generation: Generation, body: content.Content) -> bool:
    """Tell whether a copy may have been made before all was written: then it ends before the generation does.

    Where nobody knows what a generation held, its head has to be enough.
    """
    if generation.proof is None or not _is_affordable(generation.proof, body):
        return True
    return generation.proof[0] > 0 and not body.pread(1, generation.proof[0] - 1)


def _is_affordable(proof: Proof, body: content.Content) -> bool:
    return not body.packed or proof[0] <= _AFFORDABLE
