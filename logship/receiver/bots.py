"""Tell known crawlers and headless Chrome from everything else. HTTP libraries pass, as they pass Plausible.

The names come from crawler-user-agents, less the libraries it lists and less what people's own browsers send; a
general word (``bot``, ``crawler``, ``spider``) does the rest.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources

import orjson

_GENERAL = re.compile(
    r"HeadlessChrome|PhantomJS|(?<!cu)bot\b|bot/|\bbot[-_]|_bot|robot|crawl|spider|slurp|\barchiver\b|scraper|fetcher",
    re.IGNORECASE,
)

# Tagged as libraries in the catalogue, but programs that visit sites on their own: they stay in.
_CRAWLERS_AFTER_ALL = frozenset(
    {"phpcrawl", "HTTrack", "SimpleCrawler", "crawler4j", "Scrapy", "GoParserBot", "rawweb-bot", "larbin"}
)

# In the catalogue, but seen in browsers that people hold: apps' own web views, game overlays, a phone's build number.
_PEOPLE = frozenset(
    ("MetaIAB Facebook", r"AP3A\.240617\.008", r"Valve\/Steam", "Viber", "Sonic", "Fluid", r"Notion\/", r"Code\/1\.")
) | frozenset(("Butterfly", "Fever", "Synapse", r"Make\/", r"RED\/", r"mail\.ru", r"Tumblr\/", "Trove", "speedy"))


@lru_cache(maxsize=4096)
def is_bot(user_agent: str) -> bool:
    """Say whether a User-Agent is a known crawler's or a headless Chrome's; an empty one is not."""
    return _GENERAL.search(user_agent) is not None or _catalogue().search(user_agent) is not None


@cache
def _catalogue() -> re.Pattern[str]:
    # Read as data: importing the package would compile every pattern, the unwanted ones too.
    listed = orjson.loads(resources.files("crawleruseragents").joinpath("crawler-user-agents.json").read_bytes())
    return re.compile("|".join(entry["pattern"] for entry in listed if _counts(entry)))


def _counts(entry: dict[str, list[str] | str]) -> bool:
    pattern = str(entry["pattern"])
    is_library = "http-library" in entry.get("tags", ()) and pattern not in _CRAWLERS_AFTER_ALL
    return not is_library and pattern not in _PEOPLE
