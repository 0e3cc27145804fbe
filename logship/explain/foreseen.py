"""Foresee what Plausible would drop of what is sent, as far as that can be known from here.

Its own list of crawlers and headless browsers, and referrer spam: the receiver knows both. What cannot be known:
whether an address belongs to a data centre (Plausible Cloud drops those), and what the site's owner has shielded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from logship.receiver import acquisition, bots, spam
from logship.records import Event
from logship.router import audience

_REMEMBERED = 4096


def foresight() -> Callable[[Event], str | None]:
    """Return what names Plausible's reason to drop an event, in Plausible's order; None: it counts."""
    spammers = spam.load()

    @lru_cache(_REMEMBERED)
    def is_spam(referrer: str) -> bool:
        return acquisition.referrer_host(referrer) in spammers

    def foresee(event: Event) -> str | None:
        if event.referrer and is_spam(event.referrer):
            return "spam_referrer"
        return "bot" if _is_bot(event.user_agent) else None

    return foresee


@lru_cache(_REMEMBERED)
def _is_bot(user_agent: str) -> bool:
    # Whom the rules take for a person, Plausible does too: asking its list as well would cost a millisecond each.
    return bool(audience.classify(user_agent).kind) and bots.is_bot(user_agent)
