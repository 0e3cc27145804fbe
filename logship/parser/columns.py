"""Which of a format's fields tells what: chosen once, so that reading a line is taking columns.

An `Outline` is a line taken apart and not yet decoded: ``(key, user agent, rest)``. The key holds the columns that
decide most lines; equal keys mean an equal method, path, query, status, host and content type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logship.parser.fields import KEY_FACTS, Field

Raw = bytes | None
Key = tuple[bytes, ...]
# time, peer, chain, size, referrer, user, and the log.NAME values that were asked for.
Rest = tuple[float | None, Raw, Raw, Raw, Raw, Raw, tuple[Raw, ...]]
Outline = tuple[Key, bytes, Rest]
# Of some lines what a usual event needs besides: their times, peers, chains and referrers, and which of them have
# log.NAME values; None: no line has.
Visits = tuple[Sequence[float | None], Sequence[Raw], Sequence[Raw], Sequence[Raw], Sequence[bool] | None]

_INSTEAD = {"method": "request", "target": "request", "path": "target", "query": "target", "question": "target"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers of the fields, counted from 0; None: the format does not tell."""

    key_names: tuple[str, ...]
    key: tuple[int, ...]
    agent: int | None
    time: int | None
    peer: int | None
    chain: int | None
    size: int | None
    referrer: int | None
    user: int | None
    logs: tuple[int | None, ...]


def choose(fields: Sequence[Field], chain: str, logs: Sequence[str]) -> Columns:
    """Choose for each fact the field that tells it best. ``chain`` names the field of the proxies' word."""
    best = _best(fields)
    names = tuple(name for name in KEY_FACTS if name in best and not _told_by_another(name, best))
    return Columns(
        names,
        tuple(best[name] for name in names),
        best.get("user_agent"),
        best.get("time"),
        best.get("client_ip"),
        _chain(fields, best, chain),
        best.get("bytes"),
        best.get("referrer"),
        best.get("user"),
        logs=tuple(_named(fields, name) for name in logs),
    )


def _best(fields: Sequence[Field]) -> dict[str, int]:
    ordered = sorted((field.rank, at, field.fact) for at, field in enumerate(fields) if field.fact)
    return {fact: at for _, at, fact in reversed(ordered)}


def _told_by_another(name: str, best: dict[str, int]) -> bool:
    """A request line says it all; a target says path and query."""
    instead = _INSTEAD.get(name)
    while instead is not None:
        if instead in best:
            return True
        instead = _INSTEAD.get(instead)
    return name == "protocol" and "request" in best


def _chain(fields: Sequence[Field], best: dict[str, int], chain: str) -> int | None:
    if chain in ("x_forwarded_for", "http_x_forwarded_for"):
        return best.get("x_forwarded_for")
    return next((at for name in (chain, "http_" + chain) if (at := _named(fields, name)) is not None), None)


def _named(fields: Sequence[Field], name: str) -> int | None:
    return next((at for at, field in enumerate(fields) if field.name == name), None)
