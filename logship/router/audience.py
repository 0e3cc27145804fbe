"""Say who sent a User-Agent: a person, or which class of machine, and its name.

is-bot decides, crawler-user-agents names and classes, and `crawlers` holds what both miss or get wrong. An answer
costs a fraction of a millisecond when the User-Agent is new and 0.1 µs when it is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from logship.router import crawlers

KINDS = ("search", "ai", "seo", "monitor", "preview", "feed", "library", "headless", "scanner", "none", "other")

_REMEMBERED = 4096  # a site sees a few hundred a day; each entry is about 250 bytes
_LONGEST = 512  # characters looked at: real ones have up to 400, and patterns must not be fed a megabyte


@dataclass(frozen=True, slots=True)
class Audience:
    """Who sent it. ``kind`` is one of KINDS, or empty for a person; ``name`` is empty for a person."""

    kind: str
    name: str


PERSON = Audience("", "")
NOBODY = Audience("none", "")

_known: dict[str | None, Audience] = {}


def classify(user_agent: str | None) -> Audience:
    """Return the audience of a User-Agent; none, or a blank one, is class ``none``."""
    return _known.get(user_agent) or _remember(user_agent)


def _remember(user_agent: str | None) -> Audience:
    text = (user_agent or "")[:_LONGEST]
    if len(_known) >= _REMEMBERED:
        _known.clear()
    if text not in _known:
        _known[text] = _examine(text.strip())
    return _known[text]


def _examine(text: str) -> Audience:
    if not text:
        return NOBODY
    listed = crawlers.find(text)
    if listed and listed[0] != "library":
        return Audience(*listed)
    if not listed and (crawlers.is_browser(text) or not _bots().is_bot(crawlers.without_false_friends(text))):
        return PERSON
    # A crawler often names the library that it is built on as well.
    return Audience(*(crawlers.find_in_catalogue(text) or listed or ("other", crawlers.first_word(text))))


@cache
def _bots() -> Any:
    import is_bot  # at first use: 24 ms and 3 MB that `check --help` need not pay

    return is_bot.Bots()
