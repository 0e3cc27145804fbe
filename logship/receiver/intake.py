"""Take a posted event in: derive what it says, decide site by site whether it counts, fold it into its visit, store it.

The order of the reasons is Plausible's: spam referrer, gatekeeper, verification agent, kind of address, shields, bot,
visit. The answer never tells which; the store does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from logship.receiver import acquisition, bots, device, gate, visitors, visits
from logship.receiver.payload import Posted
from logship.receiver.store import Store
from logship.receiver.turns import Turns
from logship.receiver.values import Acquisition, Arrival, Device, Site, Visit

_DROPPED_KINDS = frozenset({"dc_ip", "threat_ip"})
_ANONYMOUS_VPN = "anonymous_vpn_ip"
_VERIFICATION_AGENT = "Plausible Verification Agent"
_NO_DEVICE = Device()
_LONGEST_AGENT = 512
"""Characters of a User-Agent that are looked at and remembered: real ones have up to 400."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who posted: address and User-Agent as text, and what a balancer said of the address."""

    address: str
    user_agent: str = ""
    address_kind: str = ""


class Intake:
    """The way from a valid request to the store."""

    def __init__(
        self,
        store: Store,
        known: gate.Gate,
        salts: visitors.Salts,
        *,
        spam_hosts: frozenset[str],
        keep_addresses: bool,
        clock: Callable[[], float],
        turns: Turns,
    ) -> None:
        self._store = store
        self._gate = known
        self._salts = salts
        self._spam_hosts = spam_hosts
        self._keep_addresses = keep_addresses
        self._clock = clock
        self._turns = turns
        self._visits = visits.Visits(store.open_visits(int(clock()) - visits.LONGEST_PAUSE))

    async def take(self, posted: Posted, sender: Sender) -> int:
        """Store an event for each of its sites, all at one time; return for how many it was dropped.

        Raises:
            NotWrittenError: it could not be stored, and the visit is as it was before.
        """
        now = int(self._clock())
        origin = acquisition.of(posted.parts, posted.referrer)
        known_by = sender.user_agent[:_LONGEST_AGENT]
        is_bot = bots.is_bot(known_by)
        looks = _NO_DEVICE if is_bot else device.of(known_by)
        spam = self._is_spam(posted.referrer)
        dropped = 0
        for domain in posted.sites:
            arrival = self._describe(posted, sender, domain, now, origin, looks)
            arrival.dropped = "spam_referrer" if spam else self._refusal(arrival, sender, is_bot)
            await self._settle(arrival, sender)
            dropped += bool(arrival.dropped)
        return dropped

    def _is_spam(self, referrer: str | None) -> bool:
        return bool(referrer) and acquisition.referrer_host(referrer or "") in self._spam_hosts

    def _refusal(self, arrival: Arrival, sender: Sender, is_bot: bool) -> str:
        reason = self._gate.refusal(arrival.site, arrival.time)
        if reason:
            return reason
        if sender.user_agent.startswith(_VERIFICATION_AGENT):
            return "verification_agent"
        if sender.address_kind in _DROPPED_KINDS:
            return sender.address_kind
        site = self._gate.site(arrival.site) or Site(arrival.site)
        shield = gate.shielded(site, arrival.hostname, arrival.pathname, sender.address, arrival.country)
        if site.revenue_goals is not None and arrival.name not in site.revenue_goals:
            arrival.revenue = ""
        return shield or ("bot" if is_bot else "")

    async def _settle(self, arrival: Arrival, sender: Sender) -> None:
        if arrival.dropped:
            await self._store.add(arrival)
            return
        today, yesterday = self._salts.at(arrival.time)
        facts = (sender.user_agent, sender.address, arrival.site, arrival.hostname)
        visitor = visitors.identify(today, *facts)
        if not await self._turns.take(visitor):
            arrival.dropped = "lock_timeout"
            await self._store.add(arrival)
            return
        try:
            await self._join(arrival, visitor, visitors.identify(yesterday, *facts) if yesterday else None)
        finally:
            self._turns.leave(visitor)

    async def _join(self, arrival: Arrival, visitor: str, known_as: str | None) -> None:
        found = self._visits.find(arrival.site, visitor, arrival.time)
        if found is None and known_as:
            found = self._visits.find(arrival.site, known_as, arrival.time)
        if found is None and arrival.name == "engagement":
            arrival.dropped = "no_session_for_engagement"
            await self._store.add(arrival)
            return
        visit = self._next(found, arrival, visitor)
        arrival.visitor, arrival.session = visitor, visit.id
        await self._store.add(arrival, visit)
        self._visits.put(visit, instead_of=found.visitor if found and found.visitor != visitor else None)

    def _next(self, found: Visit | None, arrival: Arrival, visitor: str) -> Visit:
        if found is None:
            return visits.begin(self._store.next_visit(), arrival, visitor)
        return visits.join(found, arrival, visitor)

    def _describe(
        self, posted: Posted, sender: Sender, domain: str, now: int, origin: Acquisition, looks: Device
    ) -> Arrival:
        tags = origin.campaign
        return Arrival(
            id=0,
            time=now,
            site=domain,
            name=posted.name,
            url=posted.url,
            hostname=posted.hostname,
            pathname=posted.pathname,
            referrer=origin.referrer,
            source=origin.source,
            utm_source=tags.source,
            utm_medium=tags.medium,
            utm_campaign=tags.campaign,
            utm_content=tags.content,
            utm_term=tags.term,
            click_id=tags.click_id,
            props=orjson.dumps(posted.props).decode() if posted.props else "",
            revenue=orjson.dumps(posted.revenue).decode() if posted.revenue else "",
            interactive=int(posted.interactive),
            scroll_depth=posted.scroll_depth,
            engagement_time=posted.engagement_time,
            device=looks.size,
            browser=looks.browser,
            browser_version=looks.browser_version,
            os=looks.os,
            os_version=looks.os_version,
            country="A1" if sender.address_kind == _ANONYMOUS_VPN else "",
            ip=sender.address if self._keep_addresses else "",
            user_agent=sender.user_agent if self._keep_addresses else "",
        )
