"""The receiver's own values: an Arrival (one event for one site, recorded or dropped) and a Visit (what it joins)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Device(NamedTuple):
    """What a User-Agent says of its device; what it does not say is empty."""

    size: str = ""
    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""


class Campaign(NamedTuple):
    """The tags of a URL's query; a missing one is empty. ``click_id`` is the name of a click id, never its value."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    content: str = ""
    term: str = ""
    click_id: str = ""


class Acquisition(NamedTuple):
    """Where a visitor came from. ``referrer`` is host and path, empty when there is none that counts."""

    source: str
    referrer: str
    campaign: Campaign


@dataclass(slots=True)
class Arrival:
    """One event for one site, as it is stored: its fields are the store's columns, in this order.

    ``time`` is the whole second of arrival. What is missing is empty, as in Plausible's own tables: text ``""``,
    ``session`` 0 (which also spares SQLite's binding of NULL, six times as slow as that of a text). ``dropped`` is the
    reason; a dropped event has no visitor and no session. ``ip`` and ``user_agent`` are empty unless they are kept.
    """

    id: int
    time: int
    site: str
    name: str
    url: str
    hostname: str
    pathname: str
    referrer: str
    source: str
    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_content: str
    utm_term: str
    click_id: str
    props: str
    revenue: str
    interactive: int
    scroll_depth: int
    engagement_time: int
    device: str
    browser: str
    browser_version: str
    os: str
    os_version: str
    country: str
    visitor: str = ""
    session: int = 0
    dropped: str = ""
    ip: str = ""
    user_agent: str = ""


class Visit(NamedTuple):
    """A visitor's session on one site, as it is stored: its fields are the store's columns, in this order.

    ``started`` and ``last`` are whole seconds; ``duration`` goes from the start to the last pageview.
    """

    id: int
    site: str
    visitor: str
    started: int
    last: int
    duration: int = 0
    entry_page: str = ""
    exit_page: str = ""
    pageviews: int = 0
    events: int = 0
    bounce: int = 1
    source: str = ""
    referrer: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_content: str = ""
    utm_term: str = ""
    device: str = ""
    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A site that is known, and its owner's settings. What is not set drops nothing.

    Args:
        domain: as events name it, without ``www.``.
        threshold: how many events a window may bring; 0 blocks the site.
        window: its length in seconds.
        paid_until: epoch seconds from which on everything is refused as unpaid.
        hostnames: those that are allowed, ``*`` is anything.
        pages: pathnames that are blocked; ``*`` and ``**`` are anything.
        addresses: IP addresses that are blocked, as text.
        countries: country codes that are blocked.
        revenue_goals: names of events whose revenue is kept; None keeps every one.
    """

    domain: str
    threshold: int | None = None
    window: int = 60
    paid_until: float | None = None
    hostnames: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    addresses: frozenset[str] = field(default_factory=frozenset)
    countries: frozenset[str] = field(default_factory=frozenset)
    revenue_goals: frozenset[str] | None = None
