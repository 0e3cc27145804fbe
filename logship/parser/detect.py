"""Tell a log's format from its first lines. Looks at lines that others have read, and takes nothing away.

Every candidate parses the sample; the one that explains most lines wins, and of two that explain as many, the one that
learns more from them. What cannot be told apart is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from logship.parser import formats, record, wrappers
from logship.parser.client import ClientRule
from logship.parser.formats import LogFormat
from logship.records import Record, Unparsed

# apache_json is guessed by the same spellings as nginx_json, and classic ELB's lines are the end of ALB's.
CANDIDATES = tuple(name for name in formats.NAMED if name != "apache_json")
_SAMPLE = 50
_ENOUGH = 0.5  # a format that explains fewer lines is none: better to ask than to count half of the visits
_NO_EVIDENCE = frozenset(("blank", "partial", "not_access"))
_FIELDS = tuple(field.name for field in fields(Record) if field.name != "log")


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found. ``confidence`` is the share of lines explained; ``rivals`` explain as many as well."""

    format: LogFormat | None
    name: str
    confidence: float
    rivals: tuple[str, ...]
    wrapper: str


@dataclass(frozen=True, slots=True)
class _Fit:
    name: str
    explained: float
    learned: int


def detect(lines: Sequence[bytes], *, wrapper: str = "auto") -> Detection:
    """Return the format that explains the lines best; its ``format`` is None when none explains half of them."""
    sample = [line for line in map(record.strip, lines) if line.strip()][:_SAMPLE]
    kind = _wrapper(sample) if wrapper == "auto" else wrapper
    fits = [_fit(name, kind, sample) for name in CANDIDATES]
    best = max(fits, key=lambda fit: (fit.explained, fit.learned))
    if not sample or best.explained < _ENOUGH:
        return Detection(None, "", best.explained, (), kind)
    rivals = (fit.name for fit in fits if fit.name != best.name)
    equal = {fit.name for fit in fits if (fit.explained, fit.learned) == (best.explained, best.learned)}
    format_ = formats.compile(best.name, wrapper=kind)
    return Detection(format_, best.name, best.explained, tuple(name for name in rivals if name in equal), kind)


def _wrapper(sample: Sequence[bytes]) -> str:
    """Return what surrounds most of the lines."""
    counts = Counter(_kind(line) for line in sample)
    return counts.most_common(1)[0][0] if counts else "none"


def _kind(line: bytes) -> str:
    if wrappers.unwrap("auto")(line) is line:
        return "none"
    return next(kind for kind in ("docker", "cri", "syslog") if _wraps(kind, line))


def _wraps(kind: str, line: bytes) -> bool:
    inner = wrappers.unwrap(kind)(line)
    return not isinstance(inner, Unparsed) or inner.reason == "partial"


def _fit(name: str, kind: str, sample: Sequence[bytes]) -> _Fit:
    parser = _parser(name, kind)
    found = [parser.parse(line) for line in sample]
    records = [item for item in found if isinstance(item, Record)]
    unexplained = sum(isinstance(item, Unparsed) and item.reason not in _NO_EVIDENCE for item in found)
    learned = sum(getattr(item, field) is not None for item in records for field in _FIELDS)
    return _Fit(name, len(records) / (len(records) + unexplained) if records else 0.0, learned)


@lru_cache(64)
def _parser(name: str, kind: str) -> record.Parser:
    return record.Parser(formats.compile(name, wrapper=kind), ClientRule(()))
