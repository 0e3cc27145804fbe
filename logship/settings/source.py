"""The settings of a source: which log files are followed, and how their lines are read."""

# ruff: noqa: RUF009 - `key` returns a dataclasses.field, as RUF009 wants it

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logship.language import notations
from logship.language.kinds import Optional, Several, Text, Word
from logship.language.scalars import FLAG, LOOSE, whole_number
from logship.language.sections import Section, key, place
from logship.settings.format import FORMAT
from logship.settings.query import QUERY

WRAPPERS = ("auto", "docker", "cri", "syslog", "none")


@dataclass(frozen=True, slots=True)
class ClientIpSettings:
    """How the real client is found behind proxies."""

    trusted_proxies: tuple[str, ...] = key(  # CIDRs or addresses as written, or names of well-known sets
        Several(Text("an address, a CIDR or a set", notations.trusted), "a list of addresses and CIDRs"),
        "Addresses and CIDRs of the proxies in front, or the sets `cloudflare`, `private`, `loopback`. The client is "
        "the first address of the chain, from the right, that is none of them.",
        (),
    )
    field: str = key(
        Text("a field's name", notations.field_name),
        "The field that holds the chain of addresses, or a single address, such as `http_cf_connecting_ip`; "
        "`forwarded` and `http_forwarded` are read by RFC 7239.",
        "x_forwarded_for",
    )
    private: bool = key(
        FLAG,
        "Whether visitors may have private or reserved addresses, as on an intranet. Otherwise, if `trusted_proxies` "
        "are given, a line with such an address is dropped as `no_client_ip`.",
        False,
    )


@dataclass(frozen=True, slots=True)
class BehaviourSettings:
    """Which behaviour shows that a visitor with a browser's User-Agent is a machine. All of it is off by default.

    From then on, until 24 hours have passed without such behaviour, none of its lines becomes an event.
    """

    probes: bool = key(
        FLAG,
        "Whether a visitor (address and User-Agent) that requests a path which only exploits request is dropped as "
        "`scanner`.",
        False,
    )
    robots_txt: bool = key(
        FLAG,
        "Whether an address that fetches /robots.txt is dropped as `crawler`, with everybody behind it.",
        False,
    )
    pages_per_minute: int | None = key(
        Optional(whole_number(1, 10_000)),
        "A visitor with more page views than this in a minute is dropped as `too_fast`; null: no limit.",
        None,
    )


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Log files to follow, and how to read them."""

    name: str = key(
        Text("a name", notations.word, schema=LOOSE),
        "The source's name in rules, metrics and logs.",
        shown="from the path, `shop` for `/var/log/nginx/shop*.log`",
    )
    path: tuple[str, ...] = key(
        Several(Text("an absolute path", notations.log_path), "a path or a list of paths", empty="nothing is followed"),
        "One path or many, globs allowed (`*`, `?`, `[a-z]`, `**`); new matches are noticed while running.",
    )
    exclude: tuple[str, ...] = key(
        Several(Text("a glob", notations.some_text), "a list of globs"),
        "Files that are never followed (the search for a rotated file still looks at them). The default applies to "
        "what globs find, not to a file that `path` names.",
        ("*.gz",),
    )
    format: str | Mapping[str, Mapping[str, str] | str] = key(  # {"json": {field: key}} or {"regex": pattern}
        FORMAT,
        "A name, an nginx `log_format` string, an Apache `LogFormat` string, `{json: {field: key}}` or `{regex: ...}`; "
        "`auto` detects it.",
        "auto",
    )
    wrapper: str = key(
        Word("the name of a wrapper", WRAPPERS),
        "What each line is wrapped in: `docker`, `cri`, `syslog` or `none`; `auto` detects it.",
        "auto",
    )
    site: str | None = key(  # normalised "https://host[:port]", no path
        Optional(Text("scheme and host", notations.site)),
        "Scheme and host, `https://example.com`, for lines that do not hold their own. Not needed if the format has "
        "the host.",
        None,
    )
    domain: str | None = key(  # None: host of site without www., else the record's
        Optional(Text("a site of Plausible", notations.domain)),
        "The Plausible site.",
        None,
        shown="the host of `site` without www.",
    )
    hosts: tuple[str, ...] = key(
        Several(
            Text("a host", notations.host_pattern),
            "a list of hosts",
            empty='every line would be dropped; leave "hosts" out to take all',
        ),
        "The virtual hosts that count, wildcards allowed (`*.example.com`); others are dropped as `host`.",
        (),
        shown="all",
    )
    start_at: str | None = key(  # None: end, and with --once beginning
        Word("end or beginning", ("end", "beginning")),
        "Where to begin in a file that exists when its source is first seen. Files that appear later are always read "
        "from the beginning.",
        None,
        shown="end",
    )
    client_ip: ClientIpSettings = key(
        Section.of(ClientIpSettings), "How the real client is found behind proxies.", ClientIpSettings()
    )
    query: str | tuple[str, ...] = key(
        QUERY,
        "Which query parameters are sent: `campaign` (utm_*, ref, source and click ids), `all` except secrets (token, "
        "password, email and the like), `none`, or a list.",
        "campaign",
    )
    behaviour: BehaviourSettings = key(
        Section.of(BehaviourSettings),
        "Which behaviour shows that a visitor is a machine.",
        BehaviourSettings(),
    )
    where: str = place()  # "sources[0]"


SOURCES = Several(
    Section.of(
        SourceSettings,
        # A source without a path is refused; it is built all the same, so that its other faults are reported too.
        lambda spot, values: SourceSettings(**{"name": "", "path": (), **values}, where=spot.where),
        partial=True,
    ),
    'a list of sources, each beginning with "- path: ..."',
    empty="nothing is followed",
    single=False,
)
