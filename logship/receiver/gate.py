"""Say whether a site takes an event, and why not: the gatekeeper and the owner's shields, in Plausible's order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from logship.receiver import uri
from logship.receiver.values import Site

_ANY = Site("")
"""Every site, where none is named: nothing is set, so nothing is refused."""


class Gate:
    """Knows the sites and counts what each has had in its window. Without sites every domain is known."""

    def __init__(self, sites: Iterable[Site | str]) -> None:
        listed = [Site(_domain(site)) if isinstance(site, str) else site for site in sites]
        self._sites = {site.domain: site for site in listed}
        self._windows: dict[str, tuple[int, int]] = {}

    @property
    def domains(self) -> tuple[str, ...]:
        """The known sites; empty when every one is."""
        return tuple(self._sites)

    def site(self, domain: str) -> Site | None:
        """Return a site's settings, None when it is not known."""
        return self._sites.get(domain) if self._sites else _ANY

    def refusal(self, domain: str, now: int) -> str | None:
        """Return why nothing at all is taken for a site at the moment: the gatekeeper's reason, or None."""
        site = self.site(domain)
        if site is None or not domain:
            return "not_found"
        if site.threshold is not None and (reason := self._over(site, now)):
            return reason
        return "payment_required" if site.paid_until is not None and now >= site.paid_until else None

    def _over(self, site: Site, now: int) -> str | None:
        if not site.threshold:
            return "block"
        window, count = self._windows.get(site.domain, (now // site.window, 0))
        count = count + 1 if window == now // site.window else 1
        self._windows[site.domain] = (now // site.window, count)
        return "throttle" if count > site.threshold else None


def _domain(text: str) -> str:
    # Who pastes the site's address means its host.
    return uri.without_www(uri.split(text).host or text.rstrip("/"))


def shielded(site: Site, hostname: str, pathname: str, address: str, country: str) -> str | None:
    """Return which of a site's shields refuses an event, or None."""
    if site is _ANY:
        return None
    if site.hostnames and not any(_fits(pattern, hostname) for pattern in site.hostnames):
        return "site_hostname_allowlist"
    if site.pages and any(_fits(pattern, pathname) for pattern in site.pages):
        return "site_page_blocklist"
    if address in site.addresses:
        return "site_ip_blocklist"
    return "site_country_blocklist" if country in site.countries else None


@lru_cache(maxsize=1024)
def _anchored(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)


def _fits(pattern: str, text: str) -> bool:
    return _anchored(pattern).fullmatch(text) is not None
