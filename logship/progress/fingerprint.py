"""Proof that these bytes are the file we left. Hashes of bytes that others have read; opens no file itself.

A path names whatever lies there today, and an inode is given to the next file. So an offset is used only when the
file's head still hashes to its `Fingerprint`, and the bytes just before the offset to its `Anchor`: two logs may begin
alike, and one that was truncated and has grown back keeps its head's look, but hardly both at one offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

HEAD = 1024
"""Bytes of a file's head that are hashed: several access log lines, hence several time stamps."""

BEFORE = 256
"""Bytes before an offset that are hashed: mostly the whole last line that was settled."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a file's first ``length`` bytes. Of an empty file: it matches every file, and proves nothing."""

    length: int
    digest: str

    @classmethod
    def of(cls, head: bytes) -> Fingerprint:
        """Hash the first `HEAD` bytes, or what there is of them: a one-line file can be followed at once."""
        return cls(min(len(head), HEAD), _digest(head[:HEAD]))

    def matches(self, head: bytes) -> bool:
        """Tell whether a file with this head may be the same: it is at least as long, and begins alike."""
        return len(head) >= self.length and _digest(head[: self.length]) == self.digest

    def grown(self, head: bytes) -> Fingerprint:
        """Return a fingerprint over more of the head if there is more and it matches, else the same one."""
        more = self.length < HEAD and len(head) > self.length
        return Fingerprint.of(head) if more and self.matches(head) else self


@dataclass(frozen=True, slots=True)
class Anchor:
    """The hash of the ``length`` bytes just before an offset. Before offset 0: it matches always."""

    length: int
    digest: str

    @classmethod
    def of(cls, before: bytes) -> Anchor:
        """Hash the last `BEFORE` bytes of what stands before the offset, or what there is of them."""
        tail = before[-BEFORE:]
        return cls(len(tail), _digest(tail))

    def matches(self, before: bytes) -> bool:
        """Tell whether what stands before the offset ends in the same bytes. Too few of them: False."""
        return len(before) >= self.length and _digest(before[len(before) - self.length :]) == self.digest


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
