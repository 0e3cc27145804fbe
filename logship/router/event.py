"""Build one event within the limits of Plausible's API: https://plausible.io/docs/events-api.

The limits are in bytes. What is too long is cut at a character, or left out, and named in ``cuts``; what cannot be cut
is no event but a reason. Text for JSON is readable; a User-Agent keeps its very bytes, as it is a header.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from logship.records import raw, readable

URL_BYTES = 2000
VALUE_BYTES = 2000  # of a referrer and of a prop's value
NAME_CHARACTERS = 120
USER_AGENT_BYTES = 2000  # not the API's: a proxy in front refuses a header line of 8 KiB, and no browser's is longer

# A browser leaves these as they are; "%" too, so that escapes stay, complete or not.
_PATH_SAFE = "/%:@!$&'()*+,;=~-._[]|^\\"
_QUERY_SAFE = "/%:@!$&()*+,;=~-._[]|^\\?`{}"
_PATH_UNSAFE = re.compile(r"[^A-Za-z0-9/%:@!$&'()*+,;=~\-._\[\]|^\\]")
_QUERY_UNSAFE = re.compile(r"[^A-Za-z0-9/%:@!$&()*+,;=~\-._\[\]|^\\?`{}]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HEADER_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def encoded_path(path: str) -> str:
    """Percent-encode a path as a browser does: escapes stay, also broken ones; control and other bytes become %XX."""
    return quote_from_bytes(raw(path), _PATH_SAFE) if _PATH_UNSAFE.search(path) else path


def encoded_query(query: str) -> str:
    """Percent-encode a query as a browser does."""
    return quote_from_bytes(raw(query), _QUERY_SAFE) if _QUERY_UNSAFE.search(query) else query


def clean(text: str) -> str:
    """Return text for JSON: readable, without control characters."""
    return text if text.isprintable() else _CONTROL.sub("", readable(text))


def clean_header(text: str) -> str:
    """Return text that is safe as a header's value; bytes that are not UTF-8 stay."""
    return (text if text.isprintable() else _HEADER_CONTROL.sub("", text)).strip()


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` bytes of text, whole characters only; a byte that is not UTF-8 counts as one."""
    if len(text) * 4 <= limit:
        return text
    whole = raw(text)
    if len(whole) <= limit:
        return text
    for _ in range(3):  # a character has at most three bytes after its first
        limit -= whole[limit] & 0xC0 == 0x80
    return whole[:limit].decode("utf-8", "surrogateescape")


def encoded_url(url: str) -> str:
    """Percent-encode what a browser would, anywhere in a URL."""
    return quote_from_bytes(raw(url), _PATH_SAFE + "?#")
