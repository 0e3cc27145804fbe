"""Take out of a line what tells who somebody is, so that a report can be shown to others.

Addresses keep their network, queries their question mark. A line that was not understood could hold anything anywhere:
of it only the shape is shown.
"""

from __future__ import annotations

import re

from logship.admin.decisions import masked

_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(  # but Chrome/139.0.0.0 is a version
    r"(?<![A-Za-z]/)(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|(?<![\w:])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}(?![\w:])"
)


def address(text: str | None) -> str:
    """Return an address without the part that tells one household from another."""
    return masked(text) or "no address"


def url(text: str) -> str:
    """Return a URL or a path without its query and fragment, and without credentials."""
    bare = re.split(r"[?#]", text, maxsplit=1)[0]
    return re.sub(r"//[^/@]*@", "//", bare) + ("?…" if bare != text else "")


def free_text(text: str) -> str:
    """Return text such as a User-Agent, in which a stranger may have put an address."""
    return _ADDRESS.sub(lambda found: address(found[0]), text)


def shape(text: str) -> str:
    """Return text with every letter an ``x`` and every digit a ``0``: how it is made, and nothing of what it says."""
    return _DIGIT.sub("0", _LETTER.sub("x", text))
