"""The settings of a destination: one API that takes events, and how patiently it is treated."""

# ruff: noqa: RUF009 - `key` returns a dataclasses.field, as RUF009 wants it

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logship.language import notations
from logship.language.kinds import Optional, Several, Spot, Table, Text, Word
from logship.language.scalars import ABOVE_ZERO, FILE, FLAG, LOOSE, TIMEOUT, duration, whole_number
from logship.language.sections import Section, key


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How events are taken from the router."""

    max_events: int = key(
        whole_number(1, 10_000), "Events taken from the router at a time; each is a request of its own.", 500
    )
    max_wait: float = key(duration(), "How long the first event of a batch may wait for more.", 0.0)


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """How long a request may take."""

    connect: float = key(TIMEOUT, "How long it may take to connect.", 5.0)
    total: float = key(TIMEOUT, "How long it may take from the request to the complete answer.", 15.0)


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How failures that may pass are retried: with full jitter, without end."""

    initial: float = key(TIMEOUT, "Upper bound of the first pause; it doubles with every further one.", 0.5)
    max: float = key(
        TIMEOUT, "Upper bound of all pauses, and the interval at which a misconfigured destination is probed.", 60.0
    )
    ambiguous: bool = key(
        FLAG,
        "Whether a request that was sent but never answered is sent again; Plausible may then count it twice. "
        "`false`: it becomes a dead letter.",
        True,
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the destination's certificate is checked."""

    ca_file: Path | None = key(
        Optional(FILE), "PEM file of the certificate authorities to trust; null: those of the system.", None
    )
    verify: bool = key(FLAG, "Whether the certificate is verified.", True)


def _retry(spot: Spot, values: dict[str, Any]) -> RetrySettings:
    retry = RetrySettings(**values)
    if retry.initial > retry.max:
        first, most = map(notations.shown_duration, (retry.initial, retry.max))
        spot.fault(f'"initial" ({first}) is more than "max" ({most}); make it less, or "max" more')
    return retry


_IP_HEADERS = Several(
    Text("a header name", notations.extra_header),
    "a list of header names",
    empty="without one, Plausible takes every event for a visit from this machine",
)


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """One API that takes events. Its key is its name."""

    name: str = "plausible"
    url: str = key(
        Text("a URL", notations.api_url),
        "Where events are posted. `/api/event` is added if there is no path.",
        "https://plausible.io/api/event",  # complete: /api/event already added when there was no path
        shown="`https://plausible.io`",
    )
    connections: int = key(
        whole_number(1, 1000),
        "Connections kept alive. All events of a visitor use the same one, in order, one in flight.",
        16,
    )
    batch: BatchSettings = key(
        Section.of(BatchSettings),
        "How events are taken from the router.",
        BatchSettings(),
    )
    timeout: TimeoutSettings = key(Section.of(TimeoutSettings), "How long a request may take.", TimeoutSettings())
    retry: RetrySettings = key(
        Section.of(RetrySettings, _retry), "How failures that may pass are retried.", RetrySettings()
    )
    max_events_per_second: float | None = key(Optional(ABOVE_ZERO), "Upper bound of the rate; null: no limit.", None)
    when_full: str = key(
        Word("wait or dead_letter", ("wait", "dead_letter")),
        "What happens while the queue is full: `wait` stops reading the logs; `dead_letter` turns events into dead "
        "letters, so that the other destinations need not wait.",
        "wait",
    )
    ip_headers: tuple[str, ...] = key(
        _IP_HEADERS,
        "Headers that carry the visitor's address. Add `X-Plausible-IP` for a self-hosted Plausible behind a CDN.",
        ("X-Forwarded-For",),
    )
    headers: Mapping[str, str] = key(
        Table(
            Text("a header's value", notations.header_value, schema=LOOSE),
            "a mapping of header names to values",
            name=notations.extra_header,
            label="NAME",
        ),
        "Extra headers for every request. Take credentials from the environment: `${NAME}`.",
        {},
    )
    tls: TlsSettings = key(Section.of(TlsSettings), "How the destination's certificate is checked.", TlsSettings())
    proxy: str | None = key(
        Optional(Text("a URL", notations.proxy_url)), "The HTTP proxy to send through; null: none.", None
    )
