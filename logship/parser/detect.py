"""Tell a log's format from its first lines. Looks at lines that others have read, and takes nothing away.

A format has signs that every line of its bears: brackets, a number of quotes, a first word. What bears them is tried in
earnest: the candidate that explains most lines wins, and of two that explain the same lines the one that learns more
from them. What cannot be told apart is named, and left to whoever knows the server. Only candidates whose signs are
there are ever compiled: to compile them all would take longer than the rest of a start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from logship.parser import formats, record, w3c, wrappers
from logship.parser.client import ClientRule
from logship.parser.formats import LogFormat
from logship.records import Record, Unparsed
from logship.steps import Steps

PLAINLY = 3  # lines in a row that do not fit: one or two of them may be broken
_SAMPLE = 50
_ENOUGH = 0.5  # a format that explains fewer lines is none: better to ask than to count half of the visits
_NO_EVIDENCE = frozenset(("blank", "partial", "not_access", "directive"))
_FIELDS = tuple(field.name for field in fields(Record) if field.name != "log")
_GUESSED = frozenset(("nginx_json",))  # learns what another format knows: it wins only where nothing else fits


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found. ``confidence`` is the share of lines explained; of ``rivals``, which fit equally, none is."""

    format: LogFormat | None
    name: str
    confidence: float
    rivals: tuple[str, ...]
    wrapper: str


@dataclass(frozen=True, slots=True)
class _Fit:
    name: str
    lines: frozenset[int]  # those it explains, by number
    explained: float
    learned: int

    @property
    def merit(self) -> tuple[float, int, bool]:
        return self.explained, self.learned, self.name not in _GUESSED


def detect(lines: Sequence[bytes], *, wrapper: str = "auto") -> Detection:
    """Return the format that explains the lines best; its ``format`` is None when none explains half of them."""
    return Steps(steps(lines, wrapper=wrapper)).at_once()


def steps(lines: Sequence[bytes], *, wrapper: str = "auto") -> Generator[None, None, Detection]:
    """Do what `detect` does, a step at a time: to compile a candidate and to try it takes milliseconds each."""
    bare = [line for line in map(record.strip, lines) if line.strip()][:_SAMPLE]
    kind = _wrapper(bare) if wrapper == "auto" else wrapper
    sample = [inner for line in bare if isinstance(inner := wrappers.unwrap(kind)(line), bytes)]
    fits = yield from _fits(sample)
    found = _best(fits, kind)
    late = max((min(fit.lines) for fit in fits if fit.lines and fit.name in (found.name, *found.rivals)), default=0)
    if late < PLAINLY:
        return found
    first = _best((yield from _fits(sample[:late])), kind)  # the file may have begun in another format
    return found if first.format is None or first.name == found.name else first


def turn(parser: record.Parser, lines: Sequence[bytes]) -> int:
    """Return from which line on none is of a parser's format; the number of lines where it is too few to tell."""
    at = len(lines)
    while at and isinstance(parser.parse(lines[at - 1]), Unparsed):
        at -= 1
    return at if len(lines) - at >= PLAINLY else len(lines)


def _fits(sample: Sequence[bytes]) -> Generator[None, None, list[_Fit]]:
    """Try the candidates whose signs the lines bear, a step for each."""
    fits: list[_Fit] = []
    for name, bears_signs in _SIGNS.items():
        if any(map(bears_signs, sample)):
            yield
            parser = _parser(name)
            yield
            fits.append(_fit(name, parser, sample))
    yield
    return fits


def _best(fits: Sequence[_Fit], wrapper: str) -> Detection:
    best = max(fits, key=lambda fit: fit.merit, default=None)
    if best is None or best.explained < _ENOUGH:
        return Detection(None, "", best.explained if best is not None else 0.0, (), wrapper)
    rivals = tuple(fit.name for fit in fits if _equals(fit, best))
    if len(rivals) > 1:
        return Detection(None, "", best.explained, rivals, wrapper)
    return Detection(formats.compile(best.name, wrapper=wrapper), best.name, best.explained, (), wrapper)


def _equals(fit: _Fit, best: _Fit) -> bool:
    """Tell whether one is as good as the other: as many lines, be they others, and of the same lines as much."""
    return fit.merit == best.merit or (fit.explained == best.explained and fit.lines != best.lines)


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


def _fit(name: str, parser: record.Parser, sample: Sequence[bytes]) -> _Fit:
    found = list(map(parser.parse, sample))
    records = {at: item for at, item in enumerate(found) if isinstance(item, Record)}
    unexplained = sum(isinstance(item, Unparsed) and item.reason not in _NO_EVIDENCE for item in found)
    learned = sum(getattr(item, field) is not None for item in records.values() for field in _FIELDS)
    if not records:  # a new file of a quiet server may hold but its columns' names
        return _Fit(name, frozenset(), float(name in _PER_FILE and not unexplained), 0)
    explained = len(records) / (len(records) + unexplained)
    return _Fit(name, frozenset(records), explained, learned)


def _parser(name: str) -> record.Parser:
    return _fresh_parser(name) if name in _PER_FILE else _kept_parser(name)


def _fresh_parser(name: str) -> record.Parser:
    return record.Parser(formats.compile(name, wrapper="none"), ClientRule(()))


_kept_parser = lru_cache(64)(_fresh_parser)
_PER_FILE = frozenset(("w3c", "cloudfront"))  # their parsers remember what they have read

# Signs: what the lines of a format cannot be without. They only save trying, so one may be borne by others' lines.


def _is_clf(words: range, quotes: int, ends: bytes, *, dash: bool = False, has: bytes = b"") -> Callable[[bytes], bool]:
    """Return the sign of formats that put words before a time in brackets, and then values in quotes.

    Args:
        words: how many there are before the bracket.
        quotes: how many there are at least.
        ends: the bytes that a line may end with.
        dash: whether the second word is one.
        has: what the line holds.
    """

    def bears_signs(line: bytes) -> bool:
        before, bracket, _ = line.partition(b" [")
        return (
            bracket != b""
            and before.count(b" ") + 1 in words
            and (b" - " in before + b" ") >= dash
            and line.count(b'"') >= quotes
            and line[-1:] in ends
            and has in line
        )

    return bears_signs


def _begins(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda line: line.startswith(heads)


def _is_json(*labels: bytes) -> Callable[[bytes], bool]:
    return lambda line: line[:1] == b"{" and all(label in line for label in labels)


def _is_traefik(line: bytes) -> bool:
    return b'"RequestMethod"' in line if line[:1] == b"{" else line.endswith(b"ms")


def _is_haproxy(line: bytes) -> bool:
    before, bracket, after = line.partition(b" [")
    if before.endswith(b" - -"):
        return b' "" "" ' in after  # with clf
    return bracket != b"" and b" " not in before and b":" in before and line.count(b"/") >= 12


def _is_envoy(line: bytes) -> bool:
    return b'"response_flags"' in line if line[:1] == b"{" else line[:1] == b"["


def _is_w3c(line: bytes) -> bool:
    return line.startswith(w3c.FIELDS) and b"x-edge-" not in line


def _is_cloudfront(line: bytes) -> bool:
    return line.startswith(w3c.FIELDS) and b"x-edge-" in line


_MANY = range(3, 100)  # a user's name may hold blanks, and a first field several addresses
_NUMBER, _QUOTE = b"0123456789-", b'"'
_SIGNS: Mapping[str, Callable[[bytes], bool]] = {
    "combined": _is_clf(_MANY, 6, _QUOTE, dash=True),
    "common": _is_clf(_MANY, 2, _NUMBER, dash=True),
    "vhost_combined": _is_clf(range(4, 100), 6, _QUOTE),
    "vhost_common": _is_clf(range(4, 100), 2, _NUMBER),
    "nginx_main": _is_clf(_MANY, 8, _QUOTE, dash=True),
    "ingress_nginx": _is_clf(_MANY, 6, b"0123456789abcdef-", dash=True, has=b"] ["),
    "icecast": _is_clf(_MANY, 6, _NUMBER, dash=True),
    "gandi": _is_clf(range(4, 100), 6, _QUOTE, has=b' s) "'),
    "ovh": lambda line: _is_clf(range(3, 4), 6, _QUOTE)(line) and b"." in line.split(b" ", 2)[1],
    "s3": _is_clf(range(2, 3), 6, bytes(range(33, 127))),
    "envoy": _is_envoy,
    "alb": _begins(b"http ", b"https ", b"h2 ", b"grpcs ", b"ws ", b"wss "),
    "elb": lambda line: line[4:5] == b"-" and line[10:11] == b"T" and line.count(b'"') >= 4,
    "haproxy": _is_haproxy,
    "bunny": lambda line: line.count(b"|") >= 11,
    "ltsv": lambda line: line[:1] != b"#" and b":" in line.partition(b"\t")[0] and b"\t" in line,
    "w3c": _is_w3c,
    "cloudfront": _is_cloudfront,
    "traefik": _is_traefik,
    "caddy": _is_json(b'"request"', b'"uri"'),
    "nginx_json": _is_json(),
}


def bears_signs(name: str, line: bytes, wrapper: str) -> bool:
    """Tell whether a line holds what no line of a candidate is without."""
    inner = wrappers.unwrap(wrapper)(record.strip(line))
    return isinstance(inner, bytes) and _SIGNS[name](inner)


# apache_json is guessed by the same spellings as nginx_json, and iis is another name of w3c.
CANDIDATES = tuple(_SIGNS)
