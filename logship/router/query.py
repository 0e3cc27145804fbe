"""Reduce a query to the parameters that are sent. What stays keeps its order and its bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import unquote

CAMPAIGN = ("utm_*", "ref", "source", "gclid", "gbraid", "wbraid", "msclkid", "fbclid", "twclid")

Reduce = Callable[[str], str]


def reducer(policy: str | Sequence[str]) -> Reduce:
    """Return the function for ``campaign``, ``all``, ``none``, or the names to keep (``utm_*`` for a family)."""
    if policy == "all":
        return lambda query: query
    if policy == "none":
        return lambda query: ""
    return _keeping(CAMPAIGN if isinstance(policy, str) else policy)


def value(query: str | None, name: str) -> str:
    """Return the first value of a parameter, decoded as forms are; empty when there is none."""
    for part in (query or "").split("&"):
        key, _, text = part.partition("=")
        if key == name:
            return decoded(text.replace("+", " "))
    return ""


def decoded(text: str) -> str:
    """Undo percent escapes; bytes that are not UTF-8 stay as they travel in records."""
    return unquote(text, "utf-8", "surrogateescape") if "%" in text else text


def _keeping(names: Sequence[str]) -> Reduce:
    exact = frozenset(names)
    families = tuple(name[:-1] for name in names if name.endswith("*"))

    def reduce(query: str) -> str:
        return "&".join(part for part in query.split("&") if wanted(part.partition("=")[0]))

    def wanted(key: str) -> bool:
        return key in exact or key.startswith(families)

    return reduce
