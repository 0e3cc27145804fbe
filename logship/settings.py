"""Read one YAML file into frozen Settings, or tell everything that is wrong with it, with line and column.

What is written is what is kept: durations in seconds, URLs complete, text as text. Globs, regular expressions,
templates and log formats are compiled, and their faults found, by the rooms that use them; they name the place by
its path of keys (``rules[2].when.path``), and `Settings.locate` turns that into a line.

Each key is declared once, as a field of the dataclass that keeps it: how it is read, what it means, its default.
Reading, JSON Schema and reference documentation follow from that. An environment variable is replaced in values
(``${ENV}``, ``${ENV:-default}``), and what it took part in is a `Secret`, which no problem ever prints.
"""

# ruff: noqa: RUF009 - `key` returns a dataclasses.field, as RUF009 wants it

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from logship.cases import CASES, CaseSettings
from logship.errors import ConfigError, Problem
from logship.language import kinds, notations, tree
from logship.language.kinds import FAULTY, FLAG, LOOSE, Key, Optional, Section, Several, Spot, Table, Text, Word, key
from logship.language.notations import MisfitError, listed, meant, quoted
from logship.language.notations import Secret as Secret  # for those who mask it

MAX_BYTES = 4 << 20  # of a configuration file: thousands of sources; a log file given by mistake is refused unread
BOT_CLASSES = (
    *("search", "ai", "ai-crawler", "ai-assistant", "ai-user-fetch", "seo", "monitor", "preview", "feed", "library"),
    *("headless", "scanner", "none", "other"),
)
WRAPPERS = ("auto", "docker", "cri", "syslog", "none")
PRESETS = ("pageviews", "downloads", "not-found", "feeds", "ai-crawlers", "no-js")


def _place() -> Any:
    return field(default="", compare=False)  # where it stands does not change what it means


def _positive(text: str) -> float:
    value = notations.number(text)
    if value <= 0:
        raise MisfitError(f"{quoted(text)} is not above 0; null sets no limit")
    return value


_FILE = Text("an absolute path", lambda text: Path(notations.absolute_path(text)))
_TEMPLATE = Text("a template", notations.template, schema=LOOSE)
_POSITIVE = Text("a number above 0", _positive, schema={"type": "number", "exclusiveMinimum": 0})
_MOMENT = kinds.duration(least=0.001)


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Where health, metrics and the status page are served."""

    host: str = "127.0.0.1"
    port: int = 9469
    hosts: tuple[str, ...] = ()


_ADMIN = Section(
    [
        Key(
            "listen",
            Text("an address with a port", notations.listen, show=lambda pair: f"{pair[0]}:{pair[1]}"),
            ("127.0.0.1", 9469),
            "Address and port of health, metrics and the status page; IPv6 in brackets: `[::1]:9469`.",
        ),
        Key(
            "hosts",
            Several(Text("a host", notations.host_pattern), "a list of hosts"),
            (),
            "Names under which it may be asked besides addresses and local names, wildcards allowed: a scraper's name "
            "for this machine. Others are not answered, since any web page could make its own name point here.",
        ),
    ],
    lambda _, values: replace(AdminSettings(*values.get("listen", ())), hosts=values.get("hosts", ())),
    meaning="Where health, metrics and the status page are served.",
)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How much is taken from the router at a time."""

    max_events: int = key(
        kinds.whole_number(1, 10_000), "Events taken from the router at a time; each is a request of its own.", 500
    )
    max_wait: float = key(kinds.duration(), "How long the first event may wait for company.", 0.0)


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """How long a request may take."""

    connect: float = key(_MOMENT, "How long a connection may take to be made.", 5.0)
    total: float = key(_MOMENT, "How long a request may take until its answer is complete.", 15.0)


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How what may pass is tried again: with full jitter, without end."""

    initial: float = key(_MOMENT, "Upper bound of the first pause; each further one doubles.", 0.5)
    max: float = key(_MOMENT, "Upper bound of every pause, and how seldom a paused destination is probed.", 60.0)
    ambiguous: bool = key(
        FLAG,
        "Whether a request that was sent but never answered is sent again; Plausible may then count it twice. "
        "`false`: it is given up.",
        True,
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the destination's certificate is judged."""

    ca_file: Path | None = key(
        Optional(_FILE), "PEM file of the authorities to trust; null: those of the system.", None
    )
    verify: bool = key(FLAG, "Whether the certificate is verified.", True)


def _retry(spot: Spot, values: dict[str, Any]) -> RetrySettings:
    retry = RetrySettings(**values)
    if retry.initial > retry.max:
        first, most = map(notations.shown_duration, (retry.initial, retry.max))
        spot.fault(f'"initial" ({first}) is more than "max" ({most}); make it less, or "max" more')
    return retry


_IP_HEADERS = Several(
    Text("a header name", notations.header_name),
    "a list of header names",
    empty="without one, Plausible takes every event for a visit from this machine",
)


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """One API that takes events. Its key is its name."""

    name: str = "plausible"
    url: str = key(
        Text("a URL", notations.api_url),
        "Where events are posted. `/api/event` is added when there is no path.",
        "https://plausible.io/api/event",  # complete: /api/event already added when there was no path
        shown="`https://plausible.io`",
    )
    connections: int = key(
        kinds.whole_number(1, 1000),
        "Connections kept alive. One visitor's events always use the same one, in order, one in flight.",
        16,
    )
    batch: BatchSettings = key(
        Section.of(BatchSettings),
        "What is taken from the router at a time, to be sent side by side.",
        BatchSettings(),
    )
    timeout: TimeoutSettings = key(Section.of(TimeoutSettings), "How long a request may take.", TimeoutSettings())
    retry: RetrySettings = key(Section.of(RetrySettings, _retry), "How what may pass is tried again.", RetrySettings())
    max_events_per_second: float | None = key(Optional(_POSITIVE), "Upper bound of the rate; null: none.", None)
    when_full: str = key(
        Word("wait or dead_letter", ("wait", "dead_letter")),
        "What happens while the queue is full: `wait` holds back reading, `dead_letter` gives up waiting rather than "
        "hold back the other destinations.",
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
        "Static extra headers. Take credentials from the environment: `${ENV}`.",
        {},
    )
    tls: TlsSettings = key(Section.of(TlsSettings), "How the destination's certificate is judged.", TlsSettings())
    proxy: str | None = key(
        Optional(Text("a URL", notations.proxy_url)), "HTTP proxy to send through; null: none.", None
    )


@dataclass(frozen=True, slots=True)
class ClientIpSettings:
    """How the real client is found behind proxies."""

    trusted_proxies: tuple[str, ...] = key(  # CIDRs or addresses as written, or names of well-known sets
        Several(Text("an address, a CIDR or a set", notations.trusted), "a list of addresses and CIDRs"),
        "Addresses and CIDRs of the proxies in front, or the sets `cloudflare`, `private`, `loopback`. The client is "
        "the first address from the right of the chain that is none of them.",
        (),
    )
    field: str = key(
        Text("a field's name", notations.field_name),
        "The field that holds the chain of addresses, or a single one, such as `http_cf_connecting_ip`; `forwarded` "
        "and `http_forwarded` are read as RFC 7239 has them.",
        "x_forwarded_for",
    )
    private: bool = key(
        FLAG,
        "Whether visitors may have private or reserved addresses, as on an intranet. Otherwise, where "
        "`trusted_proxies` are given, such an address is no visitor's, and the line is dropped as `no_client_ip`.",
        False,
    )


@dataclass(frozen=True, slots=True)
class BehaviourSettings:
    """Whom behaviour gives away as a machine although the User-Agent is a browser's. All of it is off unless asked for.

    From then on, and until 24 hours have passed without a sign, nothing of theirs becomes an event.
    """

    probes: bool = key(
        FLAG,
        "Whether a visitor (address and User-Agent) who asked for a path that only exploits ask for is dropped as "
        "`scanner`.",
        False,
    )
    robots_txt: bool = key(
        FLAG,
        "Whether an address that fetched /robots.txt is dropped as `crawler`, with everybody behind it.",
        False,
    )
    pages_per_minute: int | None = key(
        Optional(kinds.whole_number(1, 10_000)),
        "A visitor with more page views within a minute is dropped as `too_fast`; null: no limit.",
        None,
    )


def _one_format(spot: Spot, values: dict[str, Any]) -> Any:
    if len(values) > 1:
        return spot.fault('"json" and "regex" exclude each other')
    if not values.get("json", True):
        return spot.beside("json").fault("no field is named; write {client_ip: KEY, ...}")
    return values or (FAULTY if spot.faulty else spot.fault('"json" or "regex" is wanted here'))


_FORMAT_FIELDS = Table(
    Text("a key of the log", notations.some_text),
    "a mapping of fields to keys",
    name=notations.field_name,
    label="FIELD",
)
_FORMAT_MAPPING = Section(
    [
        Key(
            "json",
            _FORMAT_FIELDS,
            None,
            "Each line is JSON: which key holds which field, `{time: ts, client_ip: remote.addr}`; a dot leads inside.",
        ),
        Key(
            "regex",
            Text("a regular expression", notations.some_text),
            None,
            "Each line fits this regular expression; its named groups are the fields.",
        ),
    ],
    _one_format,
    meaning="One of the two, where neither a name nor a format string says how a line is read.",
)


class _Format(kinds.Kind):
    """A name or a format string, or a mapping that says how JSON or a regular expression is read."""

    noun = "a format's name, a format string, {json: {...}} or {regex: ...}"
    text = Text(noun, notations.format_text)

    def read(self, spot: Spot) -> Any:
        return (_FORMAT_MAPPING if isinstance(spot.node, tree.Mapping) else self.text).read(spot)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.text.schema(), _FORMAT_MAPPING.schema()]}

    def inner(self) -> Iterable[tuple[str, kinds.Kind]]:
        return [("", _FORMAT_MAPPING)]


def _query_word(text: str) -> str:
    if text not in _Query.words:
        hint = meant(text, _Query.words) or "; write a list if it is the name of a parameter"
        raise MisfitError(f"{quoted(text)} is none of campaign, all and none{hint}")
    return str(text)


class _Query(kinds.Kind):
    """One of three words, or a list of parameters."""

    noun = "campaign, all, none, or a list of parameters"
    words = ("campaign", "all", "none")
    word = Text(noun, _query_word, schema={"enum": list(words)})
    names = Several(
        Text("a parameter's name", notations.some_text, schema=LOOSE), noun, empty='write "none"', single=False
    )

    def read(self, spot: Spot) -> Any:
        return (self.names if isinstance(spot.node, tree.Sequence) else self.word).read(spot)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.word.schema(), self.names.schema()]}


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Log files that are followed, and what their lines mean."""

    name: str = key(
        Text("a name", notations.word, schema=LOOSE),
        "The source's name in rules, metrics and logs.",
        shown="from the path, `shop` for `/var/log/nginx/shop*.log`",
    )
    path: tuple[str, ...] = key(
        Several(Text("an absolute path", notations.log_path), "a path or a list of paths", empty="nothing is followed"),
        "One path or many, globs allowed; new matches are noticed while running.",
    )
    exclude: tuple[str, ...] = key(
        Several(Text("a glob", notations.some_text), "a list of globs"),
        "Never followed (the search for a rotated tail looks at them all the same). The default is for what globs "
        "find: a file that `path` names is meant.",
        ("*.gz",),
    )
    format: str | Mapping[str, Mapping[str, str] | str] = key(  # {"json": {field: key}} or {"regex": pattern}
        _Format(),
        "A name, an nginx `log_format` string, an Apache `LogFormat` string, `{json: {field: key}}` or `{regex: ...}`; "
        "`auto` looks at the lines.",
        "auto",
    )
    wrapper: str = key(
        Word("the name of a wrapper", WRAPPERS),
        "What surrounds each line: `docker`, `cri`, `syslog` or `none`; `auto` looks at the lines.",
        "auto",
    )
    site: str | None = key(  # normalised "https://host[:port]", no path
        Optional(Text("scheme and host", notations.site)),
        "Scheme and host, `https://example.com`, for lines that do not carry their own. May be left out where the "
        "format has the host.",
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
        "Virtual hosts that count, wildcards allowed (`*.example.com`); others are dropped as `host`.",
        (),
        shown="all",
    )
    start_at: str | None = key(  # None: end, and with --once beginning
        Word("end or beginning", ("end", "beginning")),
        "Where to begin in a file that is there when its source is first seen; `beginning`: read it all. A file that "
        "appears later is always read from its beginning.",
        None,
        shown="end",
    )
    client_ip: ClientIpSettings = key(
        Section.of(ClientIpSettings), "How the real client is found behind proxies.", ClientIpSettings()
    )
    query: str | tuple[str, ...] = key(
        _Query(),
        "Which query parameters are sent: `campaign` (utm_*, ref, source and click ids), `all` but secrets (token, "
        "password, email and their like), `none`, or a list.",
        "campaign",
    )
    behaviour: BehaviourSettings = key(
        Section.of(BehaviourSettings),
        "Which behaviour gives away a machine that names itself a browser.",
        BehaviourSettings(),
    )
    where: str = _place()  # "sources[0]"


@dataclass(frozen=True, slots=True)
class Test:
    """One key of a ``when``: any of ``values`` must hold. Values are text as written (``404``, ``2xx``, ``true``)."""

    field: str  # source, host, path, ..., client_ip, content_type, bot, log.NAME
    values: tuple[str, ...]
    where: str = _place()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one must hold."""

    whens: tuple[When, ...]
    where: str = _place()


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one must hold."""

    whens: tuple[When, ...]
    where: str = _place()


@dataclass(frozen=True, slots=True)
class Not:
    """It must not hold."""

    when: When
    where: str = _place()


@dataclass(frozen=True, slots=True)
class When:
    """All of its tests must hold; none: always true."""

    tests: tuple[Test | AnyOf | AllOf | Not, ...] = ()
    where: str = _place()


def _bot(text: str) -> str:
    if text.lower() in notations.TRUTH:
        return str(notations.flag(text)).lower()
    if text not in BOT_CLASSES:
        hint = meant(text, BOT_CLASSES) or f"; {listed(BOT_CLASSES)}"
        raise MisfitError(f"{quoted(text)} is neither true, false nor a class of bots{hint}")
    return str(text)


_NO_CONDITION = "a condition without values never holds"
_PATTERN = Text("a glob or `re:` expression", notations.pattern, schema=LOOSE)
_YES_OR_NO = Text("true or false", lambda text: str(notations.flag(text)).lower(), schema={"type": "boolean"})
_CONDITIONS: tuple[tuple[str, Text, str], ...] = (
    ("source", _PATTERN, "The source's name."),
    ("host", _PATTERN, "The virtual host, in lower case; that of `site` where the line has none."),
    (
        "path",
        _PATTERN,
        "The path without the query, as it was on the wire and, where it holds percent escapes, decoded.",
    ),
    ("query", _PATTERN, "The query without `?`."),
    ("url", _PATTERN, "The absolute URL, without and with its query."),
    ("method", Text("an HTTP method", notations.method), "The method: `GET`."),
    (
        "status",
        Text("a status", notations.status, schema={"type": ["integer", "string"], "minimum": 100, "maximum": 999}),
        "The status: `404`, `2xx` or `400-499`.",
    ),
    ("user_agent", _PATTERN, "The User-Agent."),
    (
        "bot",
        Text("true, false or a class of bots", _bot, schema={"enum": [True, False, *BOT_CLASSES]}),
        f"Whether it is a machine (`true`, `false`), or which: {', '.join(f'`{name}`' for name in BOT_CLASSES)}.",
    ),
    ("referrer", _PATTERN, "The referrer."),
    ("client_ip", Text("an address or a CIDR", notations.network), "The real client's address: an address or a CIDR."),
    ("content_type", _PATTERN, "The response's content type, where the log has it."),
    (
        "same_site",
        _YES_OR_NO,
        "Whether the referrer is a page of the request's own site: `true` for a click on one of its links.",
    ),
    (
        "prefetch",
        _YES_OR_NO,
        "Whether a browser fetched ahead what nobody has asked for yet; the log must hold Sec-Purpose or its like.",
    ),
)


class _Lazy(kinds.Kind):
    """The kind of a nested `when`, looked up when it is needed."""

    noun = "a mapping of conditions"

    def read(self, spot: Spot) -> Any:
        return WHEN.read(spot)

    def schema(self) -> dict[str, Any]:
        return WHEN.schema()


class _When(Section):
    """The conditions of a `when`: fields, `any`, `all`, `not`, and whatever begins with ``log.``."""

    log_key = Key(
        "log.NAME", Several(_PATTERN, "a pattern or a list", empty=_NO_CONDITION), None, "Any field of the log format."
    )

    def find(self, name: str) -> Key | None:
        return self.log_key if re.fullmatch(r"log\.[^\s]+", name) else super().find(name)

    def unknown(self, name: str, spot: Spot) -> str:
        return 'unknown condition; write "log.NAME"' if name == "log" else super().unknown(name, spot)

    def described(self) -> Iterable[Key]:
        return [*self.keys.values(), self.log_key]

    def complete(self, spot: Spot, values: dict[str, Any]) -> Any:
        if not values and not spot.faulty:
            return spot.fault('no conditions; leave "when" out if every line is meant')
        found = [(name, f"{spot.where}.{name}", value) for name, value in values.items() if value is not FAULTY]
        return When(tuple(_COMBINE.get(name, Test)(name, value, where) for name, where, value in found), spot.where)

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/definitions/when"}

    def definition(self) -> dict[str, Any]:
        """Return the schema that `schema` refers to, as it refers to itself."""
        log = {r"^log\..": kinds.documented(self.log_key)}
        return {**super().schema(), "patternProperties": log, "minProperties": 1}


_COMBINE: Mapping[str, Callable[[str, Any, str], Test | AnyOf | AllOf | Not]] = {
    "any": lambda _, whens, where: AnyOf(whens, where),
    "all": lambda _, whens, where: AllOf(whens, where),
    "not": lambda _, when, where: Not(when, where),
}
_WHENS = Several(_Lazy(), "a list of mappings of conditions", empty=_NO_CONDITION, single=False)
WHEN = _When(
    [
        *(
            Key(name, Several(kind, f"{kind.noun}, or a list", empty=_NO_CONDITION), None, meaning)
            for name, kind, meaning in _CONDITIONS
        ),
        Key("any", _WHENS, None, "A list of mappings of conditions, of which at least one holds."),
        Key("all", _WHENS, None, "A list of mappings of conditions which all hold."),
        Key("not", _Lazy(), None, "Conditions that do not hold together."),
    ],
    lambda _, values: values,
    meaning="All that are given must hold; a list means any of. Text is a glob (`*` within a segment, `**` across); "
    "`re:` makes it a regular expression. The empty text stands for what the line does not hold.",
    thing="condition",
)


@dataclass(frozen=True, slots=True)
class RevenueSettings:
    """What a visitor's action is worth."""

    currency: str = key(Text("a currency", notations.currency), "ISO 4217 code, `EUR`, or a template.")
    amount: str = key(Text("an amount", notations.amount, schema=LOOSE), "Digits and a point, `12.50`, or a template.")


def _drop(text: str) -> str:
    if text.lower() not in notations.TRUTH:
        return notations.identifier(text)
    if not notations.flag(text):
        raise MisfitError(f'{quoted(text)} drops nothing; leave "drop" out')
    return "rule"


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One rule as written: a drop, an event, or the use of a preset. Text of actions is templates, not yet compiled."""

    name: str | None = key(
        Text("a name", notations.word, schema=LOOSE), "What the rule is called in `explain` and logs.", None
    )
    when: When = key(WHEN, "Conditions, all of which must hold; left out: every line.", When(), shown="every line")
    drop: str | None = key(  # the reason; `drop: true` is "rule"
        Text(
            "true or a reason",
            _drop,
            schema={"anyOf": [{"const": True}, {"type": "string", "pattern": notations.IDENTIFIER}]},
        ),
        "`true` drops the line as `rule`; a word of your own is counted as the reason.",
        None,
    )
    preset: str | None = key(
        Word("the name of a preset", PRESETS),
        f"A ready-made list of rules: {', '.join(f'`{name}`' for name in PRESETS)}. "
        "`logship check --show-rules` prints it.",
        None,
    )
    event: str | None = key(
        Text("an event's name", notations.event_name, schema=LOOSE), "The name of the event to send; a template.", None
    )
    domain: str | None = key(
        Text("a site of Plausible", notations.domain_template),
        "The Plausible site; a template.",
        None,
        shown="the source's",
    )
    url: str | None = key(_TEMPLATE, "The URL of the event; a template.", None, shown="`{url}`")
    referrer: str | None = key(_TEMPLATE, "The referrer; a template.", None, shown="`{referrer}`")
    props: Mapping[str, str] = key(
        Table(
            Text("a template", notations.prop_value, schema=LOOSE),
            "a mapping of props",
            name=notations.prop_key,
            label="NAME",
            most=30,
            limit="Plausible keeps 30 props of an event",
        ),
        "Custom properties: templates. One that comes out empty is left out.",
        {},
    )
    revenue: RevenueSettings | None = key(
        Section.of(RevenueSettings), "Revenue of the event: currency and amount.", None
    )
    interactive: bool | None = key(
        FLAG, "`false`: the event does not count against a visit's bounce.", None, shown="true"
    )
    user_agent: str | None = key(_TEMPLATE, "The User-Agent to send; a template.", None, shown="`{user_agent}`")
    client_ip: str | None = key(_TEMPLATE, "The visitor's address to send; a template.", None, shown="the client's")
    to: tuple[str, ...] = key(  # none: every destination
        Several(
            Text("a destination's name", notations.word, schema=LOOSE),
            "a list of destinations",
            empty='leave "to" out to send to all',
        ),
        "The destinations that get the event.",
        (),
        shown="all",
    )
    sample: float | None = key(
        Text("a share", notations.share, schema={"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        "The share of visitors whose events are sent, above 0 and up to 1; the same visitor is always in or out.",
        None,
        shown="1",
    )
    once_within: float | None = key(
        kinds.duration(least=1),
        "No event where the visitor had one of the same name for the same path within this time; each further request "
        "prolongs it. Dropped as `repeated`.",
        None,
    )
    continue_: bool = key(FLAG, "Whether later rules are tried as well.", False, name="continue")
    where: str = _place()  # "rules[0]"


_ACTIONS = ("drop", "event", "preset")
_BESIDE = {
    "drop": {"name", "when", *_ACTIONS},
    "preset": {"name", "when", "domain", "to", "sample", "once_within", "continue_", *_ACTIONS},
}
_NO_EFFECT = {
    "drop": "has no effect on a rule that drops; remove it",
    "preset": "cannot stand beside a preset; copy its rules (logship check --show-rules) and change those",
}


class _Rule(Section):
    """A rule: its keys, exactly one action among them, and nothing that the action would ignore."""

    def complete(self, spot: Spot, values: dict[str, Any]) -> Any:
        actions = [name for name in _ACTIONS if name in values]
        if len(actions) > 1:
            spot.fault(f"{' and '.join(actions)} exclude each other; make it one rule for each")
        elif not actions:
            spot.fault('no action; say "event: NAME", "drop: true" or "preset: NAME"')
        elif actions[0] in _BESIDE:
            self.refuse_beside(actions[0], spot, values)
        rule = super().complete(spot, values)
        return rule if len(actions) == 1 and values[actions[0]] is not FAULTY else FAULTY

    def misspelt(self, name: str) -> dict[str, Any]:
        return {action: FAULTY for action in _ACTIONS if meant(name, [action])}

    def refuse(self, spot: Spot) -> Any:
        """Note that something else stands here; a preset's name alone is surely meant as one."""
        if isinstance(spot.node, tree.Scalar) and spot.node.text in PRESETS:
            return spot.fault(f'got a name alone; write "preset: {spot.node.text}"')
        return super().refuse(spot)

    def refuse_beside(self, action: str, spot: Spot, values: dict[str, Any]) -> None:
        for name in values.keys() - _BESIDE[action]:
            spot.beside(self.yaml_name(name)).fault(_NO_EFFECT[action])

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "oneOf": [{"required": [name]} for name in _ACTIONS]}

    def yaml_name(self, attribute: str) -> str:
        return next(each.name for each in self.keys.values() if each.attribute == attribute)


_RULE = (
    "One action: `drop`, `event` or `preset`. The other keys add to an event; beside a preset stand `name`, `when` "
    "(narrows it), `domain`, `to`, `sample`, `once_within` and `continue`. Templates hold `{url}`, `{site}`, `{host}`, "
    "`{path}`, `{query.NAME}`, `{method}`, `{status}`, `{referrer}`, `{user_agent}`, `{bot.name}`, `{bot.class}`, "
    "`{log.NAME}` and `{match.NAME}`."
)


_OWN_PATTERNS = Several(_PATTERN, "a pattern or a list")


def _machine(text: str) -> str:
    if text not in BOT_CLASSES or text == "none":
        known = [name for name in BOT_CLASSES if name != "none"]
        raise MisfitError(f"{quoted(text)} is no class of machines{meant(text, known) or f'; {listed(known)}'}")
    return str(text)


@dataclass(frozen=True, slots=True)
class AudienceSettings:
    """User-Agents that the user knows better than the lists do. They go before everything else; people go first."""

    people: tuple[str, ...] = key(_OWN_PATTERNS, "User-Agents of people, whatever the lists say.", ())
    machines: Mapping[str, tuple[str, ...]] = key(
        Table(_OWN_PATTERNS, "a mapping of classes to patterns", name=_machine, label="CLASS"),
        "User-Agents of machines, by class: `{monitor: ['*FooMonitor*']}`.",
        {},
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration, as written. Equal when it means the same, wherever the keys stand."""

    state_dir: Path = key(
        _FILE, "Where progress and dead letters are kept.", shown="`$STATE_DIRECTORY`, else `/var/lib/logship`"
    )
    admin: AdminSettings | None = key(
        Optional(_ADMIN), "Health, metrics and the status page; null: off.", AdminSettings()
    )
    max_event_age: float | None = key(
        Optional(_MOMENT),
        "An older line is counted as expired and not sent, since Plausible stamps events on arrival; null: no limit.",
        86400.0,
    )
    grace_period: float = key(kinds.duration(), "How long a stop may take to settle what is in flight.", 10.0)
    audience: AudienceSettings = key(
        Section.of(AudienceSettings), "Your own patterns of people and of machines.", AudienceSettings()
    )
    referrer_spam: Path | None = key(
        Optional(_FILE),
        "A file of domains, one a line, whose referrers are spam: a line that one of them or a host below it sent is "
        "dropped as `referrer_spam`. An edit of it is noticed like one of the configuration; null: none.",
        None,
    )
    destinations: tuple[DestinationSettings, ...] = key(
        Table(
            Section.of(DestinationSettings),
            "a mapping of names to destinations",
            name=notations.word,
            label="NAME",
        ),
        "Where events go: any number, any names.",
        (DestinationSettings(),),
        shown="one named `plausible`",
    )
    sources: tuple[SourceSettings, ...] = key(
        Several(
            Section.of(
                SourceSettings,
                # Without a path it is refused all the same; what else is wrong with it is to be told in the same go.
                lambda spot, values: SourceSettings(**{"name": "", "path": (), **values}, where=spot.where),
                partial=True,
            ),
            'a list of sources, each beginning with "- path: ..."',
            empty="nothing is followed",
            single=False,
        ),
        "Log files to follow, and what their lines mean.",
        (),
        shown="required",
    )
    rules: tuple[RuleSettings, ...] = key(
        Several(
            _Rule(
                kinds.keys_of(RuleSettings),
                lambda spot, values: RuleSettings(**values, where=spot.where),
                meaning=_RULE,
            ),
            'a list of rules, each beginning with "- "',
            empty='every line would be dropped; leave "rules" out for {preset: pageviews}',
            single=False,
        ),
        "Tried in order, the first match wins; a line that no rule takes is dropped as `no_rule`.",
        (RuleSettings(preset="pageviews"),),
        shown="`[{preset: pageviews}]`",
    )
    tests: tuple[CaseSettings, ...] = key(
        CASES,
        "Lines of the log and what is to become of them; `logship check` fails where it does not.",
        (),
        shown="none",
    )
    file: str = field(default="", compare=False)
    content_hash: str = field(default="", compare=False)  # SHA-256 of the file's text
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def locate(self, where: str) -> tuple[int, int]:
        """Return line and column of a path of keys, or of its nearest ancestor; (0, 0) if there is no file."""
        while where and where not in self.places:
            where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return self.places.get(where, (0, 0))

    def place(self, where: str) -> tuple[str, int, int]:
        """Return file, line and column of a path of keys: what `Problem.at` takes."""
        return (self.file, *self.locate(where))


ROOT = Section.of(Settings, lambda _, values: values, partial=True)


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Read a configuration file. Raise ConfigError with every problem; what is only doubtful is in ``warnings``."""
    settings, problems = read_file(path, env)
    if not all(problem.warning for problem in problems):
        raise ConfigError(problems)
    return settings


def read_file(path: Path, env: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Return what `read` does, for a file; one that is no text is a problem like any other."""
    try:
        return read(_text(path), str(path), env)
    except tree.MalformedError as error:
        problem = Problem("", str(error), error.line, error.column, str(path))
        return Settings(_state_dir(env), file=str(path)), [problem]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise tree.MalformedError(
            "does not exist; name another with -c, or let `logship init -o FILE` write one"
        ) from error
    except OSError as error:
        raise tree.MalformedError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise tree.MalformedError(f"larger than {MAX_BYTES >> 20} MiB; is this the configuration?")
    return tree.decode(data)


def read(text: str, file: str, env: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Return what could be read, faulty pieces left out, and everything that is wrong or doubtful, in file order."""
    reading = kinds.Reading(env, ROOT)
    values = _values(text, reading)
    settings = Settings(
        **{"state_dir": _state_dir(env), **values},
        file=file,
        content_hash=sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        places=reading.places,
    )
    problems = [*reading.problems, *_contradictions(settings), *_doubts(settings, reading.problems)]
    placed = [
        problem.at(file, problem.line, problem.column) if problem.line else problem.at(*settings.place(problem.where))
        for problem in problems
    ]
    placed.sort(key=lambda problem: (problem.line, problem.column))
    warnings = tuple(problem for problem in placed if problem.warning)
    return replace(settings, rules=tuple(_with_known(settings)), warnings=warnings), placed


def _state_dir(env: Mapping[str, str]) -> Path:
    return Path(env.get("STATE_DIRECTORY", "").split(":")[0] or "/var/lib/logship")


def _values(text: str, reading: kinds.Reading) -> dict[str, Any]:
    try:
        node = tree.parse(text)
    except tree.MalformedError as error:
        reading.problems.append(Problem("", str(error), error.line, error.column))
        return {}
    if node is None or (isinstance(node, tree.Scalar) and node.empty):
        reading.problems.append(Problem("", f"the file is empty; {_LEAST}", 1, 1))
        return {}
    reading.places[""] = (node.line, node.column)
    values = ROOT.read(Spot(reading, "", node))
    return _named(values) if isinstance(values, dict) else {}


_LEAST = 'the least that works is "sources: [{path: /var/log/nginx/access.log, site: https://example.com}]"'


def _named(values: dict[str, Any]) -> dict[str, Any]:
    destinations: dict[str, DestinationSettings] = values.pop("destinations", {})
    named = tuple(replace(each, name=name) for name, each in destinations.items())
    sources = {"sources": tuple(_with_names(values["sources"]))} if "sources" in values else {}
    return {**values, **sources, **({"destinations": named} if named else {})}


def _with_names(sources: tuple[SourceSettings, ...]) -> Iterator[SourceSettings]:
    taken = {source.name for source in sources}
    for source in sources:
        found = _names(source.path[0]) if source.path else iter((source.where,))
        name = source.name or next(name for name in found if name not in taken)
        taken.add(name)
        yield replace(source, name=name)


def _names(path: str) -> Iterator[str]:
    """Yield names for a path, the short one first: ``access``, ``nginx-access``, ``access-2``, ..."""
    words = [re.sub(r"\{[^}]*\}?|\[[^]]*\]?|[*?]", "", part) for part in path.split("/")]
    words[-1] = words[-1].removesuffix(".log")
    *parents, stem = [word for word in (word.strip("._-") for word in words) if word] or ["source"]
    yield stem
    yield from (f"{parent}-{stem}" for parent in parents[-1:])
    yield from (f"{stem}-{number}" for number in count(2))


# What contradicts itself across keys.

HOSTLESS = frozenset({"common", "combined", "nginx_main", "ingress_nginx", "icecast"})


def _contradictions(settings: Settings) -> Iterator[Problem]:
    yield from _equal_names("source", [(f"{each.where}.name", each.name) for each in settings.sources])
    yield from _equal_names("rule", [(f"{each.where}.name", each.name) for each in settings.rules if each.name])
    yield from _hostless(settings)
    yield from _unknown_destinations(settings)
    yield from _unknown_sources(settings)
    yield from _unknown_sources_of_tests(settings)


def _equal_names(thing: str, names: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for where, name in names:
        if name in first:
            yield Problem(
                where,
                f"{first[name].removesuffix('.name')} is called {quoted(name)}, too; give each {thing} its own name",
            )
        first.setdefault(name, where)


def _hostless(settings: Settings) -> Iterator[Problem]:
    for source in settings.sources:
        if source.site or f"{source.where}.site" in settings.places:
            continue
        if isinstance(source.format, str) and source.format in HOSTLESS:
            yield Problem(
                source.where,
                f'the format {quoted(source.format)} has no host; add "site: https://example.com", your own',
            )
        elif source.format == "auto":
            told = 'without "site", lines that carry no host become no event; add "site: https://example.com", your own'
            yield Problem(source.where, told, warning=True)


def _unknown_destinations(settings: Settings) -> Iterator[Problem]:
    names = [each.name for each in settings.destinations]
    for rule in settings.rules:
        for index, name in enumerate(rule.to):
            where = _element(settings, f"{rule.where}.to", index)
            if name in rule.to[:index]:
                yield Problem(where, f"{quoted(name)} is listed twice")
            elif name not in names and f"destinations.{name}" not in settings.places:
                hint = meant(name, names) or f"; {listed(names)}"
                yield Problem(where, f"unknown destination {quoted(name)}{hint}")


def _with_known(settings: Settings) -> Iterator[RuleSettings]:
    names = [each.name for each in settings.destinations]
    for rule in settings.rules:
        yield replace(rule, to=tuple(name for name in dict.fromkeys(rule.to) if name in names))


def _element(settings: Settings, where: str, index: int) -> str:
    """Return the path of a list's element, or of the value that stands without brackets."""
    return f"{where}[{index}]" if f"{where}[{index}]" in settings.places else where


def _unknown_sources(settings: Settings) -> Iterator[Problem]:
    names = [each.name for each in settings.sources]
    if _nameless(settings):
        return
    for test in (test for rule in settings.rules for test in _tests(rule.when) if test.field == "source"):
        for index, value in enumerate(test.values):
            if not any(_may_match(value, name) for name in names):
                hint = meant(value, names) or f"; {listed(names)}"
                yield Problem(_element(settings, test.where, index), f"no source is called {quoted(value)}{hint}")


def _nameless(settings: Settings) -> bool:
    """Tell whether the name of a source is not known, for a fault of its own: it could be any."""
    written = sum(1 for where in settings.places if re.fullmatch(r"sources\[\d+\]", where))
    return len(settings.sources) < written or any(each.name == each.where for each in settings.sources)


def _unknown_sources_of_tests(settings: Settings) -> Iterator[Problem]:
    names = [each.name for each in settings.sources]
    if _nameless(settings):
        return
    for case in settings.tests:
        if case.source is not None and case.source not in names:
            hint = meant(case.source, names) or f"; {listed(names)}"
            yield Problem(f"{case.where}.source", f"no source is called {quoted(case.source)}{hint}")


def _tests(when: When) -> Iterator[Test]:
    for test in when.tests:
        if isinstance(test, Test):
            yield test
        else:
            for inner in (test.when,) if isinstance(test, Not) else test.whens:
                yield from _tests(inner)


def _may_match(value: str, name: str) -> bool:
    """Tell whether a pattern may match a name. What is special may stand for anything: the router knows better."""
    if value.startswith("re:"):
        return True
    literal = re.split(r"[*?]+|\[[^]]*\]?|\{.*\}?|\\", value)
    return bool(re.fullmatch(".*".join(map(re.escape, literal)), name, re.DOTALL))


# What is legal and surely not meant.

_LONGEST_NAME = 120  # characters
_MANY_CONNECTIONS = 128  # Plausible answers in milliseconds: 16 carry thousands of events a second
_SYSTEMD_PATIENCE = 90.0  # TimeoutStopSec's default: then it kills
_ERROR_LOG = re.compile(r"(^|[._-])errors?([._-]|$)")
_INSIDE = re.compile(r"(^|\.)(local|localhost|internal|svc|lan|intranet|arpa|test)$")


def _doubts(settings: Settings, problems: Iterable[Problem]) -> Iterator[Problem]:
    told = [
        *_global_doubts(settings),
        *(doubt for each in settings.destinations for doubt in _destination_doubts(each)),
        *_error_logs(settings),
        *_preset_doubts(settings.rules),
        *_long_names(settings.rules),
        *_never_reached(settings, problems),
    ]
    yield from (Problem(where, message, warning=True) for where, message in told)


def _global_doubts(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.max_event_age is None:
        yield "max_event_age", "null: after an outage, old lines are counted as visits of today"
    if settings.grace_period > _SYSTEMD_PATIENCE:
        yield "grace_period", "systemd kills after 90s; raise TimeoutStopSec in the unit as well"


def _destination_doubts(each: DestinationSettings) -> Iterator[tuple[str, str]]:
    where = f"destinations.{each.name}"
    if each.connections > _MANY_CONNECTIONS:
        yield (
            f"{where}.connections",
            "more than any Plausible needs; 16 carry thousands of events a second",
        )
    if not each.tls.verify:
        yield (
            f"{where}.tls.verify",
            'anyone on the way can read and change events; name the authority in "ca_file" instead',
        )
    if each.url.startswith("http:") and _is_public(each.url):
        yield f"{where}.url", f"visitors' addresses travel unencrypted to {quoted(each.url)}; use https"


def _is_public(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not _INSIDE.search(host)


def _error_logs(settings: Settings) -> Iterator[tuple[str, str]]:
    for source in settings.sources:
        for index, path in enumerate(source.path):
            if _ERROR_LOG.search(path.rpartition("/")[2]):
                where = _element(settings, f"{source.where}.path", index)
                yield where, f"{quoted(path)} looks like an error log; only access logs hold requests"


def _preset_doubts(rules: Sequence[RuleSettings]) -> Iterator[tuple[str, str]]:
    used = {rule.preset for rule in rules}
    for rule in rules:
        if rule.preset == "ai-crawlers" and rule.domain is None:
            yield rule.where, 'crawlers are counted among people; add "domain: ai.example.com", a site of their own'
        if rule.preset == "no-js" and "pageviews" in used:
            yield rule.where, "is for sites whose pages a script counts; with pageviews beside it, they count twice"


def _long_names(rules: Sequence[RuleSettings]) -> Iterator[tuple[str, str]]:
    for rule in rules:
        name = rule.event or ""
        if "{" not in name and len(name) > _LONGEST_NAME:
            told = f"has {len(name)} characters; Plausible takes {_LONGEST_NAME}, so the end is cut off"
            yield f"{rule.where}.event", told


def _never_reached(settings: Settings, problems: Iterable[Problem]) -> Iterator[tuple[str, str]]:
    faulty = {problem.where for problem in problems}
    for rule, following in pairwise(settings.rules):
        if _takes_all(rule) and not any(where.startswith(rule.where) for where in faulty):
            yield following.where, f"never reached: {rule.where} takes every line"
            return


def _takes_all(rule: RuleSettings) -> bool:
    return not (rule.when.tests or rule.continue_ or rule.preset not in (None, "pageviews"))
