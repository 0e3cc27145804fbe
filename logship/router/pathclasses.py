"""Classes of paths that rules cannot tell apart: a site has any number of paths, but its rules make few classes.

A rule sees a path only through its conditions, so paths on which every condition agrees have the same fate. What
becomes of one request becomes of all others with a path of that class, if they agree in everything else rules see.
"""

from __future__ import annotations

from collections.abc import Iterable

from logship import memo
from logship.records import Record
from logship.router.conditions import Condition
from logship.router.site import Site

_PATH = frozenset(("path",))
_PATHS = 1024  # that are remembered: one path is asked for with many queries
_LONGEST = 300  # characters of one


class PathClasses:
    """The classes of paths that some conditions make."""

    def __init__(self, conditions: Iterable[Condition], site: Site) -> None:
        leaves = [leaf for condition in conditions for leaf in condition.leaves() if "path" in leaf.reads]
        self._asks = [leaf.predicate(site) for leaf in leaves if leaf.reads == _PATH]
        # What sees a path together with something else, as `url` does, tells nothing while that is unknown.
        self._others = [leaf.reads for leaf in leaves if leaf.reads != _PATH]
        self._asked = Record()
        self._known = memo.texts(self._find, _PATHS, longest=_LONGEST)

    def of(self, path: str) -> int:
        """Return the number of a path's class."""
        return self._known[path]

    def suffice(self, unknown: frozenset[str]) -> bool:
        """Tell whether all paths of a class have the same fate while these fields are unknown."""
        return all(reads & unknown for reads in self._others)

    def _find(self, path: str) -> int:
        record, found = self._asked, 1
        record.path = path
        for ask in self._asks:
            found = found << 1 | ask(record)
        return found
