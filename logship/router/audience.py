"""Classify a User-Agent: a person, or a class of machine with its name.

The user's own patterns come first, then `crawlers`, which holds what the catalogues miss or get wrong; is-bot decides
the rest, and crawler-user-agents names and classes it. A new User-Agent costs a fraction of a millisecond, a remembered
one 0.1 µs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from logship.records import readable
from logship.router import crawlers

AI = ("ai", "ai-crawler", "ai-assistant", "ai-user-fetch")
KINDS = ("search", *AI, "seo", "monitor", "preview", "feed", "library", "headless", "scanner", "none", "other")

_REMEMBERED = 4096  # a site sees a few hundred a day; each entry is about 250 bytes
_LONGEST = 512  # characters looked at: real ones have up to 400, and patterns must not be fed a megabyte

Fits = Callable[[str], bool]
Classify = Callable[[str | None], "Audience"]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who sent it. ``kind`` is one of KINDS, or empty for a person; ``name`` is empty for a person."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Own:
    """One pattern of the user's and the kind of what fits it, empty for a person. ``name`` may be empty."""

    fits: Fits
    kind: str = ""
    name: str = ""


PERSON = Audience("", "")
NOBODY = Audience("none", "")


def members(kind: str) -> tuple[str, ...]:
    """Return the classes that a class stands for: ``ai`` stands for all AI classes, any other for itself."""
    return AI if kind == "ai" else (kind,)


class Classifier:
    """Classifies by the user's own patterns, then by all that is known; remembers its answers."""

    def __init__(self, own: Sequence[Own] = ()) -> None:
        """``own``: the first that fits decides."""
        self._own = tuple(own)
        self._known: dict[str | None, Audience] = {}

    def classify(self, user_agent: str | None) -> Audience:
        """Return the audience of a User-Agent; a missing or blank one is of class ``none``."""
        return self._known.get(user_agent) or self._remember(user_agent)

    def _remember(self, user_agent: str | None) -> Audience:
        text = (user_agent or "")[:_LONGEST]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        if text not in self._known:
            self._known[text] = self._examine(text.strip())
        return self._known[text]

    def _examine(self, text: str) -> Audience:
        if not text:
            return NOBODY
        for own in self._own:
            if own.fits(text):
                return Audience(own.kind, own.name or crawlers.first_word(text)) if own.kind else PERSON
        return _examine(text)


GENERAL = Classifier()
classify = GENERAL.classify


def prepare() -> None:
    """Load what the first visitor would wait for, a tenth of a second. May be called in another thread."""
    _is_bot("")
    crawlers.find_in_catalogue(crawlers.first_word("nobody"))
    crawlers.find("Googlebot")


def _examine(text: str) -> Audience:
    listed = crawlers.find(text)
    if listed and listed[0] != "library":
        return Audience(*listed)
    if not listed and (crawlers.is_browser(text) or not _is_bot(crawlers.without_false_friends(text))):
        return PERSON
    # A crawler often names the library that it is built on as well.
    return Audience(*(crawlers.find_in_catalogue(text) or listed or ("other", crawlers.first_word(text))))


def _is_bot(text: str) -> bool:
    """Return is-bot's answer. RE2 runs most patterns, in a sixth of the time; Python's engine runs the few others."""
    quick, others = _bots()
    return quick.search(readable(text)) is not None or others.search(text) is not None


@cache
def _bots() -> tuple[Any, Any]:
    from is_bot._patterns import default_patterns  # at first use; the package itself would bring an engine of its own

    patterns = sorted(default_patterns)
    odd = [pattern for pattern in patterns if "(?<" in pattern or "(?!" in pattern]  # RE2 does not look around
    others = re.compile("|".join(map(_one_by_one, odd)), re.IGNORECASE)
    return crawlers.quick("|".join(each for each in patterns if each not in odd)), others


def _one_by_one(pattern: str) -> str:
    """Write `(?<!a|bc)` as `(?<!a)(?<!bc)`: Python's engine looks behind for texts of one length only."""
    return _BEHIND.sub(lambda found: "".join(f"(?<!{each})" for each in found[1].split("|")), pattern)


_BEHIND = re.compile(r"\(\?<!([^()]+)\)")
