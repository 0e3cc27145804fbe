"""Read one YAML file into frozen Settings, or tell everything that is wrong with it, with line and column.

What is written is what is kept: durations in seconds, sizes in bytes, text as text. Globs, regular expressions,
templates and log formats are compiled, and their faults found, by the rooms that use them; they name the place by
its path of keys (``rules[2].when.path``), and `Settings.locate` turns that into a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AdminSettings:
    host: str = "127.0.0.1"
    port: int = 9469


@dataclass(frozen=True, slots=True)
class BatchSettings:
    max_events: int = 500
    max_wait: float = 0.0


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    connect: float = 5.0
    total: float = 15.0


@dataclass(frozen=True, slots=True)
class RetrySettings:
    initial: float = 0.5
    max: float = 60.0
    ambiguous: bool = True


@dataclass(frozen=True, slots=True)
class TlsSettings:
    ca_file: Path | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    name: str = "plausible"
    url: str = "https://plausible.io/api/event"  # complete: /api/event already added when there was no path
    connections: int = 16
    batch: BatchSettings = BatchSettings()
    timeout: TimeoutSettings = TimeoutSettings()
    retry: RetrySettings = RetrySettings()
    max_events_per_second: float | None = None
    when_full: str = "wait"  # or "dead_letter"
    ip_headers: tuple[str, ...] = ("X-Forwarded-For",)
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: TlsSettings = TlsSettings()
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class ClientIpSettings:
    trusted_proxies: tuple[str, ...] = ()  # CIDRs or addresses as written, or names of well-known sets
    field: str = "x_forwarded_for"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    name: str
    path: tuple[str, ...]
    exclude: tuple[str, ...] = ("*.gz",)
    format: str | Mapping[str, Mapping[str, str] | str] = "auto"  # {"json": {field: key}} or {"regex": pattern}
    wrapper: str = "auto"
    site: str | None = None  # normalised "https://host[:port]", no path
    domain: str | None = None  # as given; None: host of site without www., else the record's
    hosts: tuple[str, ...] = ()
    start_at: str | None = None  # "end", "beginning"; None: end, and with --once beginning
    client_ip: ClientIpSettings = ClientIpSettings()
    query: str | tuple[str, ...] = "campaign"
    where: str = ""  # "sources[0]"


@dataclass(frozen=True, slots=True)
class Test:
    """One key of a ``when``: any of ``values`` must hold. Values are text as written (``404``, ``2xx``, ``true``)."""

    field: str  # source, host, path, ..., client_ip, content_type, bot, log.NAME
    values: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class AnyOf:
    whens: tuple[When, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class AllOf:
    whens: tuple[When, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Not:
    when: When
    where: str = ""


@dataclass(frozen=True, slots=True)
class When:
    """All of its tests must hold; none: always true."""

    tests: tuple[Test | AnyOf | AllOf | Not, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class RevenueSettings:
    currency: str
    amount: str


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One rule as written: a drop, an event, or the use of a preset. Text of actions is templates, not yet compiled."""

    name: str | None = None
    when: When = When()
    drop: str | None = None  # the reason; `drop: true` is "rule"
    preset: str | None = None
    event: str | None = None
    domain: str | None = None
    url: str | None = None
    referrer: str | None = None
    props: Mapping[str, str] = field(default_factory=dict)
    revenue: RevenueSettings | None = None
    interactive: bool | None = None
    user_agent: str | None = None
    client_ip: str | None = None
    to: tuple[str, ...] = ()  # none: every destination
    sample: float | None = None
    continue_: bool = False
    where: str = ""  # "rules[0]"


@dataclass(frozen=True, slots=True)
class Settings:
    state_dir: Path
    admin: AdminSettings | None = AdminSettings()
    max_event_age: float | None = 86400.0
    grace_period: float = 10.0
    destinations: tuple[DestinationSettings, ...] = (DestinationSettings(),)
    sources: tuple[SourceSettings, ...] = ()
    rules: tuple[RuleSettings, ...] = (RuleSettings(preset="pageviews"),)
