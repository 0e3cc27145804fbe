"""How remarks and notes name servers, and lists of things."""

from __future__ import annotations

from collections.abc import Iterable

from logship.discover import sites
from logship.discover.servers import Server

_LISTED = 5  # names in a sentence
_LONGEST = 120  # characters of a name


def called(server: Server) -> str:
    """Return a server's name; with its place if the name says little."""
    named = server.names[0] if server.names else "without a name"
    return f"the server {short(named)} ({server.place})" if not sites.all_hosts([server]) else short(named)


def listed(words: Iterable[str]) -> str:
    """Return words in a row, each once; only the first few if there are many."""
    unique = list(dict.fromkeys(words))
    more = f" and {len(unique) - _LISTED} more" if len(unique) > _LISTED else ""
    return ", ".join(unique[:_LISTED]) + more


def short(text: str) -> str:
    """Return a text, cut if it is long."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
