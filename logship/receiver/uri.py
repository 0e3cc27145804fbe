"""Split a URL into its parts the way RFC 3986's own regular expression does. Never fails, never decodes.

Browsers and servers disagree about odd URLs, so the parts are taken as they stand: nothing is lower-cased but the
scheme, a port and a user are left out of the host, and the brackets of an IPv6 address go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

_PARTS = re.compile(r"(?:([a-zA-Z][a-zA-Z0-9+.\-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_PORT = re.compile(r":\d*\Z")


class Uri(NamedTuple):
    """The parts of a URL; one that is missing is None, except the path, which is then empty."""

    scheme: str | None
    host: str | None
    path: str
    query: str | None
    fragment: str | None


@lru_cache(maxsize=2048)
def split(text: str) -> Uri:
    """Return the parts of a URL, absolute or not."""
    found = _PARTS.match(text)
    assert found is not None  # every part of the pattern may be missing
    scheme, authority, path, query, fragment = found.groups()
    return Uri(scheme and scheme.lower(), authority and _host(authority), path, query, fragment)


def without_www(host: str) -> str:
    """Return the host, trimmed, without one leading ``www.``."""
    return host.strip().removeprefix("www.")


def decoded(text: str) -> str:
    """Return the text percent-decoded once; a malformed escape stays, bytes that are not UTF-8 become U+FFFD."""
    return unquote(text, errors="replace") if "%" in text else text


@lru_cache(maxsize=2048)
def form(query: str) -> Mapping[str, str]:
    """Return a query's parameters, form-decoded; of a name that comes twice the last counts."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def _host(authority: str) -> str:
    host = _PORT.sub("", authority.rpartition("@")[2])
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
