"""Count visitors and visits as Plausible would, were the events sent as the log's times say.

Plausible names a visitor by address, User-Agent, site and registrable domain, with a salt that is new every day (UTC):
who comes back tomorrow is another visitor. A visit goes on while less than 31 minutes pass between two of its events.
Memory is bounded by the visitors of two days and the visits of half an hour, however long the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from logship.parser.client import ClientRule
from logship.receiver import domains, uri
from logship.receiver.visits import LONGEST_PAUSE
from logship.records import Delivery

_DAY = 86400.0
_SWEEP = 20_000  # visits between two looks at which are over
_REMEMBERED = 4096
# Private, loopback, link-local and a carrier's own (RFC 1918, 6598, 3927, 4193, 4291), canonical as a record has them.
_INSIDE = re.compile(
    r"10\.|127\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\."
    r"|::1$|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:"
).match
_CLOUDFLARE = ClientRule(("cloudflare",), private=True)  # behind one of its addresses stands nobody

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class SiteFigures:
    """What one of Plausible's sites would show. ``seconds`` is the duration of all visits together."""

    events: int = 0
    pageviews: int = 0
    visitors: int = 0
    visits: int = 0
    bounces: int = 0
    seconds: float = 0.0

    @property
    def views_per_visit(self) -> float | None:
        """Page views of a visit on average."""
        return self.pageviews / self.visits if self.visits else None

    @property
    def bounce_rate(self) -> float | None:
        """The share of visits that were one page view and nothing else."""
        return self.bounces / self.visits if self.visits else None

    @property
    def duration(self) -> float | None:
        """Seconds of a visit on average."""
        return self.seconds / self.visits if self.visits else None

    def __add__(self, other: SiteFigures) -> SiteFigures:
        return SiteFigures(
            self.events + other.events,
            self.pageviews + other.pageviews,
            self.visitors + other.visitors,
            self.visits + other.visits,
            self.bounces + other.bounces,
            self.seconds + other.seconds,
        )


@dataclass(slots=True)
class Visit:
    """One visit as far as it goes. ``who``: site, registrable domain, User-Agent, address."""

    who: Key
    started: float
    last: float
    day: float
    pageviews: int
    events: int = 1
    bounce: bool = True
    duration: float = 0.0  # up to its last page view


class Visits:
    """The figures of each site, by its domain. An event without a time counts as event alone.

    ``busiest`` is the visit with most events: what makes thousands is hardly a person. ``inside`` counts visits
    from addresses that no visitor from outside can have, ``cloudflare`` those from Cloudflare's.
    """

    def __init__(self) -> None:
        self.sites: dict[str, SiteFigures] = {}
        self.busiest: Visit | None = None
        self.inside = 0
        self.cloudflare = 0
        self._open: dict[Key, Visit] = {}
        self._roots: dict[str, str] = {}  # origin of a URL -> registrable domain
        self._seen: dict[float, set[int]] = {}  # day -> hashes of who was there; more than two days are not kept
        self._until_sweep = _SWEEP

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Count events in the order in which they are sent, at the times of their requests (epoch seconds)."""
        visits, roots = self._open, self._roots
        for delivery in deliveries:
            event, time = delivery.event, delivery.time
            figures = self.sites.get(event.domain) or self._site(event.domain)
            is_view = event.name == "pageview"
            figures.events += 1
            figures.pageviews += is_view
            if time is None:
                continue
            origin = event.url[: event.url.find("/", 8)]
            key = (event.domain, roots.get(origin) or self._root(origin), event.user_agent, event.client_ip)
            visit = visits.get(key)
            if visit is None or time - visit.last >= LONGEST_PAUSE:
                self._begin(key, time, is_view, figures)
            else:
                self._join(key, visit, time, is_view or event.interactive is not False, is_view, figures)

    def _begin(self, key: Key, time: float, is_view: bool, figures: SiteFigures) -> None:
        day = time // _DAY
        visit = self._open[key] = Visit(key, time, time, day, int(is_view))
        figures.visits += 1
        figures.bounces += 1
        self._meet(key, day, figures)
        self.busiest = self.busiest or visit
        self.inside += _INSIDE(key[3]) is not None
        self.cloudflare += _CLOUDFLARE.resolve(key[3], None) is None
        self._until_sweep -= 1
        if not self._until_sweep:
            self._forget(time)

    def _join(self, key: Key, visit: Visit, time: float, counts: bool, is_view: bool, figures: SiteFigures) -> None:
        visit.events += 1
        visit.last = time
        if time // _DAY != visit.day:
            visit.day = time // _DAY
            self._meet(key, visit.day, figures)
        if visit.bounce and counts and (visit.pageviews or not is_view):
            visit.bounce = False
            figures.bounces -= 1
        if is_view:
            visit.pageviews += 1
            duration = abs(time - visit.started)
            figures.seconds += duration - visit.duration
            visit.duration = duration
        if self.busiest is not None and visit.events > self.busiest.events:
            self.busiest = visit

    def _meet(self, key: Key, day: float, figures: SiteFigures) -> None:
        seen = self._seen.get(day)
        if seen is None:
            for old in [each for each in self._seen if each < day - 1]:
                del self._seen[old]
            seen = self._seen[day] = set()
        who = hash(key)
        if who not in seen:
            seen.add(who)
            figures.visitors += 1

    def _forget(self, now: float) -> None:
        self._until_sweep = _SWEEP
        self._open = {key: visit for key, visit in self._open.items() if now - visit.last < LONGEST_PAUSE}

    def _site(self, domain: str) -> SiteFigures:
        return self.sites.setdefault(domain, SiteFigures())

    def _root(self, origin: str) -> str:
        if len(self._roots) >= _REMEMBERED:
            self._roots.clear()
        host = uri.split(origin).host or ""
        root = self._roots[origin] = host if host.replace(".", "").isdigit() else domains.registrable(host)
        return root
