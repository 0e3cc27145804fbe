"""Names for sources that were given none, made from their paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count

from logship.settings.source import SourceSettings


def named(sources: Iterable[SourceSettings]) -> Iterator[SourceSettings]:
    """Yield the sources, each with a name: its own, or the shortest one made from its path that is still free."""
    sources = tuple(sources)
    taken = {source.name for source in sources}
    for source in sources:
        candidates = _candidates(source.path[0]) if source.path else iter((source.where,))
        name = source.name or next(name for name in candidates if name not in taken)
        taken.add(name)
        yield replace(source, name=name)


def _candidates(path: str) -> Iterator[str]:
    """Yield names for a path, the shortest first: ``access``, ``nginx-access``, ``access-2``, ..."""
    words = [re.sub(r"\{[^}]*\}?|\[[^]]*\]?|[*?]", "", part) for part in path.split("/")]
    words[-1] = words[-1].removesuffix(".log")
    *parents, stem = [word for word in (word.strip("._-") for word in words) if word] or ["source"]
    yield stem
    yield from (f"{parent}-{stem}" for parent in parents[-1:])
    yield from (f"{stem}-{number}" for number in count(2))
