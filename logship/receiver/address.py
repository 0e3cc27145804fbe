"""Find the client's address in a request's headers, as Plausible does: it believes whoever sends them.

The order of the headers and what is taken of each is `plausible/analytics`' own (see docs/receiver.md). Nothing is
validated: a private address or a word such as ``unknown`` counts as the address, because the text alone matters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_FORWARDED_FOR = re.compile(r"for=\"?([^;,\"]+)", re.IGNORECASE)
_IPV4_WITH_PORT = re.compile(r"([^:\[\]]+):\d+\Z")
_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d+)?\Z")

# Header -> does it hold a comma-separated list, of which the first element counts?
_HEADERS = (
    ("x-plausible-ip", False),
    ("cf-connecting-ip", False),
    ("b-forwarded-for", True),
    ("x-forwarded-for", True),
)


def of(headers: Mapping[str, str], peer: str) -> str:
    """Return the client's address: the first header that is not empty, else the TCP peer's. Names are lower case."""
    for name, is_list in _HEADERS:
        value = headers.get(name)
        if value:
            return bare(value.partition(",")[0] if is_list else value)
    forwarded = _FORWARDED_FOR.search(headers.get("forwarded", ""))
    return bare(forwarded[1] if forwarded else peer)


def bare(text: str) -> str:
    """Return an address without port and brackets; a bare IPv6 address stays as it is."""
    text = text.strip()
    found = _BRACKETED.match(text) or _IPV4_WITH_PORT.match(text)
    return found[1] if found else text
