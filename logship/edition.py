"""What a configuration is made of on the disk: its own text, and that of the files it names. Applies nothing.

A file counts by its content, so it does not matter how that came to change: an edit in place, an editor's rename, a
swapped link. What cannot be read at the moment is no edit: editors take files away before they put them back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from logship.environment import Variables
from logship.settings import loader

_LARGEST = 4 << 20  # bytes that are looked at: neither a configuration nor a list of spammers is read beyond that

Contents = dict[Path, str]
"""A hash of each file that could be read."""


class Edition:
    """The files of one configuration: `look` at them, and `tell` what was edited."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._read: str | None = None
        self._named: dict[Path, str] = {}

    def look(self, before: Mapping[Path, str] | None = None) -> Contents:
        """Return what the files hold; of one that cannot be read, what it held ``before``."""
        text = _hash(self._config)
        if text not in (None, self._read):
            self._read, self._named = text, dict(_named(self._config))
        hashes = {path: _hash(path) for path in (self._config, *self._named)}
        return {**(before or {}), **{path: found for path, found in hashes.items() if found is not None}}

    def tell(self, before: Mapping[Path, str], after: Mapping[Path, str]) -> list[str]:
        """Return a sentence for each named file that holds something else than ``before``."""
        return [
            f"{where}: {path} was edited"
            for path, where in self._named.items()
            if path in before and before[path] != after.get(path)
        ]


def _named(config: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that a configuration names, with the place; however faulty the configuration is."""
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
            return None  # to open a pipe would wait for a writer
        with path.open("rb") as file:
            return hashlib.sha256(file.read(_LARGEST)).hexdigest()
    except OSError:
        return None
