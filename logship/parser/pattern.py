"""Take lines apart by the user's own regular expression, run by RE2: no pattern and no stranger's line can stall it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import re2

from logship.parser import columns, escapes, times
from logship.parser.columns import Outline, Raw
from logship.parser.fields import FACTS, Field, FormatError
from logship.parser.textline import take
from logship.records import Unparsed


def fields(pattern: str) -> tuple[Field, ...]:
    """Return the named groups of a pattern as fields. Raises FormatError."""
    groups = [name.decode() for name in _compiled(pattern).groupindex]
    if not groups:
        raise FormatError("regex: no named groups; write (?P<client_ip>...), (?P<request>...) and so on", "regex")
    return tuple(Field(name, name if name in FACTS else "", reader="any") for name in groups)


class Reader:
    """Reads lines of one expression, which may match anywhere in a line; ``^`` and ``$`` bind it."""

    def __init__(self, pattern: str, chain: str, logs: Sequence[str]) -> None:
        compiled = _compiled(pattern)
        self._groups = tuple(compiled.groupindex.values())
        self.columns = columns.choose(fields(pattern), chain, logs)
        self.key_names = self.columns.key_names
        self._search = compiled.search

    def outline(self, line: bytes) -> Outline | None:
        """Return None: there is no faster way than `read`."""
        return None

    def read(self, line: bytes) -> Outline | Unparsed:
        """Return the parts of a line, or why it is none of this format."""
        match = self._search(line)
        if match is None:
            return Unparsed("format")
        raws: list[Raw] = [match.group(number) for number in self._groups]
        found = take(self.columns, [raw and escapes.undo(raw) for raw in raws], times.any_of)
        return found if isinstance(found, tuple) else Unparsed(found)


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise FormatError(f"regex: {text} (RE2 syntax: no look-around and no back-references)", "regex") from None
