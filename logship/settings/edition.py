"""The files a configuration is made of: its own, and those it names. Says which of them were edited.

Files are compared by content, so it does not matter how that changed: by an edit in place, an editor's rename, or a
swapped link. A file that cannot be read at the moment was not edited: editors remove files before they put them back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from logship.environment import Variables
from logship.settings import loader

_LARGEST = 4 << 20  # bytes; neither a configuration nor a list of spammers is read beyond that

Contents = dict[Path, str]
"""A hash of each file that could be read."""


class Edition:
    """The files of one configuration: `look` at them, and compare two looks by `edits`."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._read: str | None = None
        self._named: dict[Path, str] = {}

    def look(self, before: Mapping[Path, str] | None = None) -> Contents:
        """Return what the files hold; for one that cannot be read, what it held ``before``."""
        text = _hash(self._config)
        if text not in (None, self._read):
            self._read, self._named = text, dict(_named(self._config))
        hashes = {path: _hash(path) for path in (self._config, *self._named)}
        return {**(before or {}), **{path: found for path, found in hashes.items() if found is not None}}

    def edits(self, before: Mapping[Path, str], after: Mapping[Path, str]) -> list[str]:
        """Return a sentence for each named file whose content has changed."""
        return [
            f"{where}: {path} was edited"
            for path, where in self._named.items()
            if path in before and before[path] != after.get(path)
        ]


def _named(config: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that a configuration names, with the key that names it, however faulty the configuration is."""
    variables = Variables()
    found = loader.read_file(config, variables)[0]
    yield from ((path, f"${{{name}}}") for path, name in variables.asked.items())
    if found.referrer_spam is not None:
        yield found.referrer_spam, "referrer_spam"
    for each in found.destinations:
        if each.tls.ca_file is not None:
            yield each.tls.ca_file, f"destination {each.name}: tls.ca_file"


def _hash(path: Path) -> str | None:
    try:
        if not path.is_file():
            return None  # opening a pipe would wait for a writer
        with path.open("rb") as file:
            return hashlib.sha256(file.read(_LARGEST)).hexdigest()
    except OSError:
        return None
