"""Warn of rotations and mounts on this machine that lose lines, or hide edits of the configuration.

Reads logrotate's configuration and the mounts; pure functions of their text judge.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from logship.errors import Problem
from logship.settings.root import Settings
from logship.source import mounts

LOGROTATE = Path("/etc/logrotate.conf")
MOUNTINFO = "/proc/self/mountinfo"

_LARGEST = 1 << 20  # bytes of a configuration file of logrotate
_REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs", "virtiofs"))


def warnings(settings: Settings, *, logrotate: Path = LOGROTATE, mountinfo: str = MOUNTINFO) -> Iterator[Problem]:
    """Yield warnings. What cannot be read is not judged."""
    rotations = list(rotations_of(_texts(logrotate)))
    kinds = mounts.mounted(mountinfo)
    yield from _of_config(Path(settings.file), kinds)
    yield from _of_state(settings.state_dir, kinds)
    for source in settings.sources:
        for index, pattern in enumerate(source.path):
            where = f"{source.where}.path[{index}]"
            paths = sorted(glob.glob(pattern, recursive=True)) or [pattern]
            messages = dict.fromkeys(
                text for path in paths for text in (*_of_rotation(path, rotations), *_of_log(path, kinds))
            )
            yield from (Problem(where, text, warning=True) for text in messages)


# Rotation


@dataclass(frozen=True, slots=True)
class Rotation:
    """One entry of logrotate: the paths it is for, and those of its directives that matter here."""

    file: str
    patterns: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    words: dict[str, str] = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Tell whether the entry is for a path. As logrotate's globs do, ``*`` does not cross a directory."""
        return any(
            each.count("/") == path.count("/") and fnmatch(path, each) for each in map(os.path.normpath, self.patterns)
        )

    def with_directive(self, words: list[str]) -> Rotation:
        """Return the entry with one more directive; ``noX`` takes ``X`` back."""
        name = words[0]
        if name in _FLAGS:
            return replace(self, flags=self.flags | {name})
        if name.startswith("no") and name[2:] in _FLAGS:
            return replace(self, flags=self.flags - {name[2:]})
        if name in _WORDS and len(words) > 1:
            return replace(self, words={**self.words, name: words[1]})
        return self


_FLAGS = frozenset(("copytruncate", "copy", "shred"))
_WORDS = frozenset(("rotate", "olddir"))
_SCRIPTS = frozenset(("prerotate", "postrotate", "firstaction", "lastaction", "preremove"))


def rotations_of(files: Iterable[tuple[str, str]]) -> Iterator[Rotation]:
    """Yield the entries of logrotate's files, given as (name, text). Directives between entries hold for later ones."""
    general = Rotation("")
    for name, text in files:
        entry: Rotation | None = None
        paths: list[str] = []
        for words in _directives(text):
            if words[-1] == "{":
                entry, paths = replace(general, file=name, patterns=(*paths, *words[:-1])), []
            elif words[0] == "}":
                if entry is not None:
                    yield entry
                entry = None
            elif entry is not None:
                entry = entry.with_directive(words)
            elif words[0].startswith("/"):
                paths += words
            else:
                general = general.with_directive(words)


def _directives(text: str) -> Iterator[list[str]]:
    """Yield the words of each line, braces apart; scripts are skipped, and a line that cannot be split."""
    script = False
    for line in text.splitlines():
        first = line.split(maxsplit=1)[:1]
        if script:
            script = first != ["endscript"]
            continue
        if first and first[0] in _SCRIPTS:
            script = True
            continue
        for piece in re.split(r"(?<=\{)|(?=\})|(?<=\})", line):
            try:
                words = shlex.split(piece.replace("{", " { ").replace("=", " ", 1), comments=True)
            except ValueError:
                continue
            if words:
                yield words


def _of_rotation(path: str, rotations: Iterable[Rotation]) -> Iterator[str]:
    entry = next((each for each in rotations if each.covers(path)), None)
    if entry is None:
        return
    place = f"{entry.file} rotates {path}"
    if entry.flags & {"copytruncate", "copy"}:
        yield (
            f"{place} by copying: lines written between copy and truncation are lost to everybody; rotate by renaming "
            "(create, and a postrotate that has the web server reopen its log)"
        )
    if entry.words.get("rotate") == "0":
        yield f"{place} by removing it: what is not read by then is lost when logship is stopped; keep some (rotate 7)"
    if "shred" in entry.flags:
        yield f"{place} with shred, which overwrites what may not be read yet; take it out"
    if (elsewhere := entry.words.get("olddir")) and not elsewhere.startswith("."):
        yield (
            f"{place} into {elsewhere}, where logship does not look for what it has not read when it starts; "
            "take olddir out"
        )


def _texts(main: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of logrotate's configuration in the order in which it reads them."""
    before, *after = re.split(r"^[ \t]*include[ \t]+(\S+).*$", _read(main), maxsplit=1, flags=re.MULTILINE)
    yield str(main), before
    if after:
        included = Path(after[0])
        files = sorted(included.iterdir()) if included.is_dir() and os.access(included, os.R_OK) else [included]
        yield from ((str(file), _read(file)) for file in files if file.is_file())
        yield str(main), after[1]


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""


# Mounts


def _of_config(file: Path, kinds: Mapping[str, str]) -> Iterator[Problem]:
    if str(file.absolute()) in kinds:
        message = (
            f"{file} is mounted by itself: an edit that replaces the file is never seen; mount its directory instead"
        )
        yield Problem("", message, warning=True)


def _of_state(state_dir: Path, kinds: Mapping[str, str]) -> Iterator[Problem]:
    kind = mounts.kind(str(state_dir.absolute()), kinds)
    if kind in ("tmpfs", "ramfs"):
        message = f"{state_dir} is on a {kind}: after a reboot nobody knows what was sent; choose a directory on a disk"
        yield Problem("state_dir", message, warning=True)


def _of_log(path: str, kinds: Mapping[str, str]) -> Iterator[str]:
    if path in kinds:
        yield f"{path} is mounted by itself: after a rotation it is still the old file; mount its directory instead"
    elif (kind := mounts.kind(path, kinds)) in _REMOTE:
        yield (
            f"{path} is on {kind}, which tells nobody of changes made elsewhere: lines are found by looking, "
            "seconds later"
        )
