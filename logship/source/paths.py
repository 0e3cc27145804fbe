"""Which files the configuration means, and what their rotated siblings are called. Looks; opens and decides nothing."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

from logship.errors import LogshipError
from logship.source import content
from logship.source.lines import Cut

_ARCHIVES = ("*.gz",)
"""What is excluded where nothing is written: old logs that a glob finds as well."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One source, as far as following its files goes. ``start_at``: "end" or "beginning"."""

    name: str
    path: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    start_at: str = "end"
    cut: Cut | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A regular file that a source means, under the name it was found by; a link's target is what counts.

    ``id``: device and inode, a hint of who it is, no proof.
    """

    source: Followed
    path: str
    id: tuple[int, int]


@dataclass(slots=True)
class Found:
    """What one scan saw. A path with a trouble is there, perhaps, but nothing is known about it.

    ``linked``: at least one match is a link, so what it means may change far from its own directory.
    """

    matches: list[Match] = field(default_factory=list)
    troubles: dict[str, Followed] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    linked: bool = False


def find(sources: Sequence[Followed]) -> Found:
    """Look for every source's files. A file met twice, by whatever name, is the first source's."""
    found, taken = Found(), set()
    for source in sources:
        for path, literal in _candidates(source, found):
            match = _look(source, path, literal, found)
            if match and match.id not in taken:
                taken.add(match.id)
                found.matches.append(match)
    return found


def owns(source: Followed, path: str) -> bool:
    """Tell whether a source means this path, there or not."""
    patterns = [os.path.abspath(pattern) for pattern in source.path]
    named = path in patterns
    meant = named or any(_regex(each).fullmatch(path) for each in patterns)
    return meant and not _excluded(source, path, named=named)


def is_rotated(name: str, live: str) -> bool:
    """Tell whether a file name is what rotation makes of ``live``: ``.1``, ``-20251010.gz``, ``.old``, and so on.

    The number or date follows the whole name (logrotate's default, and dateext), or stands before the extension
    (its `extension`): there only a date or `.1` is believed, since `shop-1.log` is rather another log than an old one.
    """
    if name.startswith(live) and _AFTER.fullmatch(name, len(live)):
        return True
    stem, dot, extension = live.rpartition(".")
    if not stem or not name.startswith(stem):
        return False
    ending = dot + extension
    names = (name, name.rpartition(".")[0] if name.endswith(_PACKED) else "")
    return any(each.endswith(ending) and _BETWEEN.fullmatch(each, len(stem), len(each) - len(ending)) for each in names)


def is_of(name: str, live: str) -> bool:
    """Tell whether a file name is a log's own, or what rotation makes of it."""
    return name == live or is_rotated(name, live)


def origins(name: str) -> Iterator[str]:
    """Yield what a file may have been called before rotation gave it this name. Check with `is_rotated`."""
    plain = re.sub(r"\.(?:gz|bz2|xz|zst|Z)$", "", name)
    if whole := re.fullmatch(rf"(.+?)(?:{_SUFFIX})", plain):
        yield whole[1]
    if inner := re.fullmatch(rf"(.+?)(?:{_INNER})(\.[^.]+)", plain):
        yield inner[1] + inner[2]


def _candidates(source: Followed, found: Found) -> Iterator[tuple[str, bool]]:
    """Yield each path once, and whether the configuration names it literally."""
    met = set()
    for pattern in map(os.path.abspath, source.path):
        literal = not glob.has_magic(pattern) or os.path.lexists(pattern)
        found.directories.add(_nearest(os.path.dirname(pattern) if literal else _root(pattern)))
        for path in [pattern] if literal else sorted(glob.iglob(pattern, recursive=True)):
            if path not in met and not _excluded(source, path, named=literal):
                met.add(path)
                yield path, literal


def _look(source: Followed, path: str, literal: bool, found: Found) -> Match | None:
    try:
        seen = os.stat(path)
        if stat.S_ISDIR(seen.st_mode) and not literal:
            return None
        content.refuse(path, seen)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, LogshipError):
        found.troubles.setdefault(path, source)
        return None
    found.directories.add(os.path.dirname(path))
    if os.path.islink(path):
        found.linked = True
        found.directories.add(os.path.dirname(os.path.realpath(path)))
    return Match(source, path, (seen.st_dev, seen.st_ino))


def _excluded(source: Followed, path: str, *, named: bool) -> bool:
    """Tell whether a path is not to be followed. The default keeps archives out of globs; who names one means it."""
    name = os.path.basename(path)
    return any(
        bool(_regex(os.path.abspath(each)).fullmatch(path)) if "/" in each else fnmatchcase(name, each)
        for each in source.exclude
        if not (named and each in _ARCHIVES)
    )


def _root(pattern: str) -> str:
    """Return the directory above a pattern's first part with a glob in it."""
    parts = pattern.split("/")
    magic = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:magic]) or "/"


def _nearest(directory: str) -> str:
    """Return the directory, or the nearest one above it that is there: that is where it will be made."""
    while not os.path.isdir(directory) and directory != "/":
        directory = os.path.dirname(directory)
    return directory


@lru_cache(256)
def _regex(pattern: str) -> re.Pattern[str]:
    """Translate a glob as `glob` reads it: ``*`` and ``?`` within a segment, ``**`` across."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\])", pattern)
    known = {"**/": r"(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part) or _class(part) for part in parts), re.DOTALL)


def _class(part: str) -> str:
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inner = part[1:-1].replace("\\", "\\\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner.replace('^', chr(92) + '^')}]"
    return re.escape(part)


_SUFFIX = r"[.\-_]?\d[\d.\-_:T]*|[.\-_](?:old|bak|prev|orig|save)"
_INNER = r"\.\d{1,3}|[.\-_]\d{4}-?\d\d[\d.\-_:T]*"
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".Z")
_AFTER = re.compile(rf"(?:{_SUFFIX})(?:{'|'.join(map(re.escape, _PACKED))})?")
_BETWEEN = re.compile(_INNER)
