"""One source's chunks of bytes in, the deliveries of the few surviving lines out, each file in its own format.

Here is found out in which format a file is, once, and noticed where it plainly goes on in another one. What a format's
lines come to is the `Strainer`'s affair; files in the same format share one, and with it all that it remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial

from logship.parser import detect, w3c, wrappers
from logship.parser.client import ClientRule
from logship.parser.formats import LogFormat
from logship.parser.record import Parser
from logship.records import Chunk, Unparsed
from logship.router.scrutiny import Scrutiny
from logship.router.table import Table
from logship.sieve.sifted import Sifted, Sifting
from logship.sieve.strainer import AT_A_TIME, Otherwise, Strainer, nothing_else
from logship.steps import Steps

_SAMPLE_LINES = 50  # what detection looks at; a file that mixes formats shows it within fewer
_FILES = 1024  # whose formats are remembered; one that is forgotten is looked at once more

LookBack = Callable[[int, int, int], bytes]
"""Reads bytes of a followed file: its FileKey, an offset, how many. OSError when it cannot."""


@dataclass(slots=True)
class _Known:
    """What reads a file's lines, and up to where it has read them."""

    strainer: Strainer
    file: int
    end: int


class Sieve:
    """Sift the chunks of one source; with no format given, each of its files in the format found in it.

    A format whose lines say how the next are to be read (W3C) has to see a file whole: ``look_back`` reads what was
    before the place where reading begins.
    """

    def __init__(
        self,
        table: Table | Scrutiny,
        client: ClientRule,
        format_: LogFormat | None = None,
        *,
        log_fields: frozenset[str] = frozenset(),
        max_event_age: float | None = None,
        look_back: LookBack | None = None,
    ) -> None:
        self._table = table
        self._client = client
        self._log_fields = log_fields
        self._max_event_age = max_event_age
        self._look_back = look_back
        self._format = format_
        self._fixed = self._strainer(format_) if format_ is not None and not format_.per_file else None
        self._found: dict[tuple[str, str], Strainer] = {}  # by format and wrapper: files in the same one share it
        self._by_path: dict[str, _Known] = {}

    def sift(self, chunk: Chunk, now: float) -> Sifted:
        """Turn a chunk into deliveries and counts. ``now`` is wall time (epoch seconds), for ``max_event_age``."""
        return Steps(self.steps(chunk, now)).at_once()

    def steps(self, chunk: Chunk, now: float) -> Sifting:
        """Do what `sift` does in steps of some milliseconds, however new all is that the chunk holds.

        The next chunk's first step comes after this one's last.
        """
        oldest = now - self._max_event_age if self._max_event_age is not None else None
        strainer = self._fixed or self._known(chunk)
        if strainer is None:
            return (yield from self._sift_anew(chunk, oldest, None)) or (yield from _undetected(chunk))
        if self._format is not None:
            return (yield from strainer.steps(chunk.data, chunk.start, oldest))
        return (yield from self._sift_in(strainer, chunk, oldest, partial(self._sift_anew, chunk, oldest)))

    def parser(self, path: str) -> Parser | None:
        """Return what reads the lines of a file; None while no format was found in it."""
        if self._fixed is not None:
            return self._fixed.parser
        return self._by_path[path].strainer.parser if path in self._by_path else None

    @property
    def remembers(self) -> bool:
        """Whether what a chunk comes to depends on the chunks before it: then one process has to see them all."""
        if isinstance(self._table, Scrutiny):
            return True
        formats = (
            [self._format]
            if self._format is not None
            else [known.strainer.parser.format for known in self._by_path.values()]
        )
        return any(each.per_file for each in formats)

    def _known(self, chunk: Chunk) -> Strainer | None:
        """Return what reads a file; one that has not seen all of a file that explains itself is of no use."""
        known = self._by_path.get(chunk.path)
        format_ = self._format if known is None else known.strainer.parser.format
        if format_ is None:
            return None
        if known is None or (format_.per_file and (known.file, known.end) != (chunk.file, chunk.start)):
            known = self._enter(chunk, format_)
        known.end = chunk.end
        return known.strainer

    def _enter(self, chunk: Chunk, format_: LogFormat) -> _Known:
        """Know a file's format from now on."""
        if len(self._by_path) >= _FILES:
            self._by_path.pop(next(iter(self._by_path)))
        strainer = self._strainer_of(format_)
        for line in self._directives(chunk) if format_.per_file else ():
            strainer.parser.parse(line)
        known = self._by_path[chunk.path] = _Known(strainer, chunk.file, chunk.end)
        return known

    def _sift_in(self, strainer: Strainer, chunk: Chunk, oldest: float | None, otherwise: Otherwise) -> Sifting:
        """Sift a chunk in its file's format, up to where it plainly goes on in another one."""
        at = _turn(strainer.parser, chunk.data)
        if at is None:
            return (yield from strainer.steps(chunk.data, chunk.start, oldest, otherwise))
        before = yield from strainer.steps(chunk.data[:at], chunk.start, oldest)
        rest = replace(chunk, data=chunk.data[at:], start=chunk.start + at)
        after = yield from self._sift_anew(rest, oldest, strainer.parser.format)
        return before.add(after or (yield from strainer.steps(rest.data, rest.start, oldest)))

    def _sift_anew(
        self, chunk: Chunk, oldest: float | None, known: LogFormat | None
    ) -> Generator[None, None, Sifted | None]:
        """Find out the format of a file seen for the first time, or that plainly is no longer in the known one."""
        lines = chunk.data.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
        found = yield from detect.steps([*self._directives(chunk), *lines])
        if found.rivals and known is None:
            sifted = yield from _undetected(chunk)
        elif found.format is None or found.format == known:
            return None
        else:
            strainer = self._enter(chunk, found.format).strainer
            yield
            sifted = yield from (
                self._sift_in(strainer, chunk, oldest, nothing_else)
                if known is None
                else strainer.steps(chunk.data, chunk.start, oldest)
            )
        sifted.detected = sifted.detected or found
        return sifted

    def _directives(self, chunk: Chunk) -> list[bytes]:
        """Return the lines before a chunk that say how its lines are to be read."""
        if not chunk.start or self._look_back is None:
            return []
        return w3c.directives(partial(self._look_back, chunk.file), chunk.start)

    def _strainer_of(self, format_: LogFormat) -> Strainer:
        if format_.per_file:
            return self._strainer(format_)
        key = format_.name, format_.wrapper
        if key not in self._found:
            self._found[key] = self._strainer(format_)
        return self._found[key]

    def _strainer(self, format_: LogFormat) -> Strainer:
        return Strainer(Parser(format_, self._client, log_fields=self._log_fields), self._table)


def _turn(parser: Parser, data: bytes) -> int | None:
    """Return where the lines begin of which none is in a parser's format; None where the last is, or all are not.

    A line that says how the next are to be read (W3C) is not read twice.
    """
    end = len(data) - data.endswith(b"\n")
    last = data[data.rfind(b"\n", 0, end) + 1 : end]
    if parser.format.per_file or not last or parser.outline(last) is not None:
        return None
    lines = data[:end].split(b"\n")
    at = detect.turn(parser, lines)
    return sum(map(len, lines[:at])) + at if 0 < at < len(lines) else None


def _undetected(chunk: Chunk) -> Sifting:
    """Count every line of a chunk in which no format could be found."""
    sifted = Sifted(nul_bytes=chunk.data.count(b"\0"))
    for starts, lines in wrappers.some_at_a_time("none", chunk.data, chunk.start, AT_A_TIME):
        sifted.lines += len(lines)
        for start, line in zip(starts, lines, strict=True):
            sifted.unparsed_at(start, Unparsed("format" if line.strip() else "blank"))
        yield
    return sifted
