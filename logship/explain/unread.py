"""Say what may be wrong with lines that were not understood: which known format fits them, or comes nearest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from logship.explain.survey import Misfit
from logship.parser import detect, formats
from logship.parser.client import ClientRule
from logship.parser.record import Parser
from logship.records import Record, Unparsed

_TRIED = 10  # lines that each format is tried on
_MOST_KEYS = 30  # that are listed
_NEAR = 2 / 3  # of a line, with a quote in it: what fits no further has only found words and blanks


@dataclass(frozen=True, slots=True)
class Nearest:
    """A known format; ``fits`` of the lines tried are in it. ``position`` is where it stops fitting the first other."""

    name: str
    fits: int
    tried: int
    position: int


def nearest(misfits: Sequence[Misfit], current: Sequence[str]) -> Nearest | None:
    """Return the known format that gets furthest through the lines; None when none but the current ones gets anywhere.

    ``current`` are the names of the formats that they were read in.
    """
    texts = [misfit.text for misfit in misfits[:_TRIED]]
    if not texts:
        return None
    wrapper = detect.detect(texts).wrapper
    tried = [_try(name, wrapper, texts) for name in detect.CANDIDATES if name not in current]
    best = max(tried, key=lambda each: (each.fits, each.position))
    near = best.position > len(texts[0]) * _NEAR and b'"' in texts[0][: best.position]
    return best if best.fits or near else None


def keys(misfits: Sequence[Misfit]) -> tuple[str, ...]:
    """Return the keys that all lines have, dotted inside, where they are JSON objects; else none."""
    found = [_keys(misfit.text) for misfit in misfits[:_TRIED]]
    return tuple(key for key in found[0] if all(key in other for other in found))[:_MOST_KEYS] if found else ()


def _keys(text: bytes) -> tuple[str, ...]:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ()
    return tuple(_dotted(line)) if isinstance(line, dict) else ()


def _dotted(line: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in line.items():
        if isinstance(value, dict) and not above.count("."):
            yield from _dotted(value, f"{above}{key}.")
        else:
            yield above + key


def _try(name: str, wrapper: str, texts: Sequence[bytes]) -> Nearest:
    parser = Parser(formats.compile(name, wrapper=wrapper), ClientRule(()))
    found = [parser.parse(text) for text in texts]
    broken = [each.position for each in found if isinstance(each, Unparsed)]
    read = [text for each, text in zip(found, texts, strict=True) if isinstance(each, Record)]
    fits = sum(detect.bears_signs(name, text, wrapper) for text in read)
    return Nearest(name, fits, len(texts), broken[0] if broken else len(texts[0]))
