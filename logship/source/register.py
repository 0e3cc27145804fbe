"""Know which logs are followed, for which source, and since when.

A scan says what lies where: here it becomes trails. So does what was saved of a log, and a path that the configuration
names though nothing is there yet. How a trail is looked at, searched and read is for others.
"""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from logship.progress.checkpoint import Position
from logship.source import paths
from logship.source.openfiles import OpenFiles
from logship.source.paths import Followed, Match
from logship.source.search import Whereabouts
from logship.source.trail import Finished, Trail

_FORGET = 3600.0
"""Seconds (wall) that a finished file is remembered when it is gone: its compressed copy is not to be read again."""

_REMEMBERED = 60.0
"""Seconds (wall) after which it is noted anew that a finished file is still there."""

_AT_A_TIME = 64
"""Paths that are met in one step of the loop: a few milliseconds."""


class Register:
    """Every trail by its path, and the positions that belong to none.

    Args:
        sources: what to follow.
        seen: names of sources that were followed before.
        positions: where reading was left, from the checkpoint.
        open_files: asked whether a file is open already.
        finished: files that were read to their end; those that are gone are dropped.
        wall: epoch seconds.

    Attributes:
        trails: by path.
        sources: what to follow from the next scan on.
        seen: names of all sources that were ever met.
        saved: positions that no trail has taken.
    """

    def __init__(
        self,
        sources: Sequence[Followed],
        *,
        seen: Iterable[str],
        positions: Iterable[Position],
        open_files: OpenFiles,
        finished: Finished,
        wall: Callable[[], float],
    ) -> None:
        positions = list(positions)
        self.trails: dict[str, Trail] = {}
        self.sources = tuple(sources)
        self.seen = set(seen)
        self.saved = [each for each in positions if not each.finished]
        self._open = open_files
        self._finished = finished
        for each in positions:
            if each.finished:
                finished.put(each, saved=True)
        self._wall = wall
        self._whereabouts = Whereabouts()
        self._assigned = self.sources  # by which trails have been given to sources
        self._looked = max((each.seen for each in positions), default=None)  # the last scan that was completed

    async def meet(self, found: paths.Found) -> list[Trail]:
        """Compare what is there with what is followed. Nothing is let go because a scan did not see it.

        Returns:
            The trails that were assigned anew, for the sources have changed.
        """
        met = {match.path: match for match in found.matches}
        sources = self.sources
        for number, path in enumerate(sorted((*met, *found.troubles), key=len), start=1):  # a log before its siblings
            if not number % _AT_A_TIME:
                await asyncio.sleep(0)
            if path in met:
                self._meet_one(met[path])
            elif path not in self.trails and not self._parent(path):
                self.trails[path] = self._new(path, found.troubles[path])  # its own look will say what is wrong
        self._expect_named()
        self._meet_saved()
        anew = [] if self._assigned is sources else list(self.trails.values())
        for trail in anew:
            self._assign(trail)
        for trail in self.trails.values():
            # Where nothing is, something may have come and gone between two looks.
            trail.searching |= bool(trail.lost or trail.attempts) or not (trail.live or trail.dropped or trail.trouble)
        self._assigned = sources
        self.seen.update(each.name for each in sources)
        return anew

    def complete(self, scanned: float) -> None:
        """Note that all which a scan (epoch seconds) has found is known, save where something is still missing."""
        for trail in self.trails.values():
            if not (trail.searching or trail.attempts or trail.saved or trail.trouble):
                trail.looked = scanned
        self._looked = scanned

    async def revisit(self) -> None:
        """See what became of the finished files: gone ones are forgotten, and one that has grown is read on."""
        there = await asyncio.to_thread(self._whereabouts.look, list(self._finished))
        now = self._wall()
        for finished, sibling in there:
            if sibling is None:
                if now - finished.seen > _FORGET:
                    self._finished.drop(finished)
            elif sibling.size > finished.offset and not sibling.packed and sibling.id not in self._open.by_id:
                self._finished.drop(finished)
                self.saved.append(replace(finished, path=sibling.path, finished=False))
            elif sibling.path != finished.path or abs(now - finished.seen) > _REMEMBERED:
                self._finished.renew(finished, replace(finished, path=sibling.path, seen=now))
        self._meet_saved()

    def forget(self, trail: Trail) -> None:
        """Let a trail go that has no file any more, if nothing asks for it. What was saved of a dropped one stays."""
        if trail.dropped:
            self.saved += trail.saved
            trail.saved = []
        if self._is_over(trail):
            del self.trails[trail.path]

    def _meet_one(self, match: Match) -> None:
        if match.path in self.trails or (match.id in self._open.by_id and not self._has_moved(match)):
            return
        parent = self._parent(match.path)
        if parent is None:
            self.trails[match.path] = self._new(match.path, match.source)
        elif not parent.skip and match.id not in (parent.known or ()):
            parent.named |= {match.id}
            parent.searching = True

    def _has_moved(self, match: Match) -> bool:
        """Tell whether a file that we read has a new name that is a log of its own, and its old name is not there."""
        trail, file = self._open.by_id[match.id]
        renamed = file.gone or not os.path.lexists(trail.path)
        return renamed and not paths.is_rotated(os.path.basename(match.path), os.path.basename(trail.path))

    def _parent(self, path: str) -> Trail | None:
        """Return the trail that a path is a rotated sibling of, if that log is followed, too."""
        directory, name = os.path.split(path)
        for origin in paths.origins(name):
            parent = self.trails.get(os.path.join(directory, origin))
            if parent and paths.is_rotated(name, origin):
                return parent
        return None

    def _new(self, path: str, source: Followed) -> Trail:
        """Make a trail. Of a source seen before, what has been rotated since the last scan is unread, too."""
        seen = source.name in self.seen
        return Trail(path, source, skip=not seen and source.start_at == "end", since=self._looked if seen else None)

    def _expect_named(self) -> None:
        for path in self._literal() - self.trails.keys():
            if not os.path.lexists(path):
                self._expect(path)

    def _literal(self) -> set[str]:
        """Return the paths that the configuration names without a glob."""
        return {os.path.abspath(each) for source in self.sources for each in source.path if not glob.has_magic(each)}

    def _expect(self, path: str) -> Trail | None:
        """Make the trail of a path that is configured, but was not seen."""
        owner = self._owner(path)
        if owner is None:
            return None
        return self.trails.setdefault(path, replace(self._new(path, owner), searching=True))

    def _owner(self, path: str) -> Followed | None:
        return next((each for each in self.sources if paths.owns(each, path)), None)

    def _meet_saved(self) -> None:
        """Give saved positions to their trails, also to one whose file is not there: it was rotated meanwhile."""
        saved, self.saved = self.saved, []
        by_path = {path: each for each in self.trails.values() for path in (each.real, each.path)} if saved else {}
        for each in saved:
            home = self._home(each, by_path)
            if home:
                home.saved.append(each)
                home.searching = True
            else:
                self.saved.append(each)

    def _home(self, saved: Position, by_path: Mapping[str, Trail]) -> Trail | None:
        """Return the trail that a position belongs to: by its path, or by the name that it was rotated from."""
        directory, name = os.path.split(saved.path)
        names = [name, *paths.origins(name)]
        beside = [os.path.join(directory, each) for each in names]
        if known := next((by_path[path] for path in beside if path in by_path), None):
            return known
        elsewhere = (each for path, each in by_path.items() if os.path.basename(path) in names)
        if known := next((each for each in elsewhere if each.source.name == saved.source), None):
            return known
        return next(filter(None, map(self._expect, reversed(beside))), None)

    def _assign(self, trail: Trail) -> None:
        """Give a trail to the first source that means it; none: it is dropped, and forgotten when all is settled."""
        owner = self._owner(trail.path)
        trail.dropped = owner is None
        if owner and owner is not trail.source:
            trail.assign(owner)

    def _is_over(self, trail: Trail) -> bool:
        if trail.dropped:
            return not trail.files
        if trail.files or trail.lost or trail.saved or trail.searching:
            return False
        return trail.path not in self._literal() and not os.path.lexists(trail.path)
