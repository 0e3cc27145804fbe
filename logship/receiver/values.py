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
    """The tags of a URL's query; a missing one is None. ``click_id`` is the name of a click id, never its value."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    content: str | None = None
    term: str | None = None
    click_id: str | None = None


class Acquisition(NamedTuple):
    """Where a visitor came from. ``referrer`` is host and path, empty when there is none that counts."""

    source: str | None
    referrer: str
    campaign: Campaign


@dataclass(slots=True)
class Arrival:
    """One event for one site, as it is stored: its fields are the store's columns, in this order.

    ``time`` is the whole second of arrival. ``dropped`` is None, or the reason; a dropped event has no visitor and
    no visit. ``ip`` and ``user_agent`` are None unless the receiver was told to keep them.
    """

    id: int
    time: int
    site: str
    name: str
    url: str
    hostname: str
    pathname: str
    referrer: str
    source: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_content: str | None
    utm_term: str | None
    click_id: str | None
    props: str
    revenue: str | None
    interactive: bool
    scroll_depth: int | None
    engagement_time: int | None
    device: str
    browser: str
    browser_version: str
    os: str
    os_version: str
    country: str
    visitor: str | None = None
    session: int | None = None
    dropped: str | None = None
    ip: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor's session on one site. ``started`` and ``last`` are whole seconds; ``duration`` is of its pageviews."""

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
    bounce: bool = True
    source: str | None = None
    referrer: str = ""
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_content: str | None = None
    utm_term: str | None = None
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
