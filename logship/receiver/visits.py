"""Fold a visitor's events into visits. A Visit is a value: the next one is made first and put in place once stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from logship.receiver.values import Arrival, Visit

LONGEST_PAUSE = 31 * 60
"""An event joins while the whole minutes since the last one are at most 30, that is for under 31 minutes."""


def begin(number: int, arrival: Arrival, visitor: str) -> Visit:
    """Return the visit that an event opens; it fixes source, campaign and device."""
    page = arrival.pathname if arrival.name == "pageview" else ""
    return Visit(
        id=number,
        site=arrival.site,
        visitor=visitor,
        started=arrival.time,
        last=arrival.time,
        entry_page=page,
        exit_page=page,
        pageviews=1 if page else 0,
        events=1,
        source=arrival.source,
        referrer=arrival.referrer,
        utm_source=arrival.utm_source,
        utm_medium=arrival.utm_medium,
        utm_campaign=arrival.utm_campaign,
        utm_content=arrival.utm_content,
        utm_term=arrival.utm_term,
        device=arrival.device,
        browser=arrival.browser,
        browser_version=arrival.browser_version,
        os=arrival.os,
        os_version=arrival.os_version,
        country=arrival.country,
    )


def join(visit: Visit, arrival: Arrival, visitor: str) -> Visit:
    """Return the visit after one more event. An ``engagement`` only keeps it alive."""
    kept = visit._replace(visitor=visitor, last=arrival.time)
    if arrival.name == "engagement":
        return kept
    if arrival.name != "pageview":
        return kept._replace(events=visit.events + 1, bounce=int(visit.bounce and not arrival.interactive))
    return kept._replace(
        events=visit.events + 1,
        pageviews=visit.pageviews + 1,
        entry_page=visit.entry_page or arrival.pathname,
        exit_page=arrival.pathname,
        duration=abs(arrival.time - visit.started),
        bounce=int(visit.bounce and visit.pageviews == 0),
    )


class Visits:
    """The visits that are still open, by site and visitor, the one that was quiet longest first."""

    def __init__(self, visits: Iterable[Visit] = ()) -> None:
        self._open = OrderedDict(((visit.site, visit.visitor), visit) for visit in visits)

    def __len__(self) -> int:
        return len(self._open)

    def find(self, site: str, visitor: str, now: int) -> Visit | None:
        """Return the visit that an event of this visitor would join at this time."""
        visit = self._open.get((site, visitor))
        return visit if visit is not None and now - visit.last < LONGEST_PAUSE else None

    def put(self, visit: Visit, *, instead_of: str | None = None) -> None:
        """Keep a visit's new state; ``instead_of`` is the visitor's id of yesterday, under which it is forgotten."""
        if instead_of is not None:
            self._open.pop((visit.site, instead_of), None)
        self._open[visit.site, visit.visitor] = visit
        self._open.move_to_end((visit.site, visit.visitor))
        self._forget_closed(visit.last)

    def _forget_closed(self, now: int) -> None:
        while self._open:
            key, visit = next(iter(self._open.items()))
            if now - visit.last < LONGEST_PAUSE:
                return
            del self._open[key]
