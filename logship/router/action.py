"""What a rule sends: compile its templates once, then make a record's deliveries, or say why there are none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from logship.errors import Problem
from logship.records import Decision, Delivery, Event, OnceWithin, Record, raw
from logship.router import addresses, event
from logship.router.site import Place, Site
from logship.router.templates import Context, Template, TemplateError, compile_template
from logship.settings.rule import RuleSettings

Captured = Callable[[Record, Site], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Send:
    """The compiled action of a rule. Where a template is None, the record's own value is used."""

    rule: str
    name: Template
    destinations: tuple[str, ...]
    domain: Template | None = None
    url: Template | None = None
    referrer: Template | None = None
    user_agent: Template | None = None
    client_ip: Template | None = None
    props: tuple[tuple[str, Template], ...] = ()
    revenue: tuple[Template, Template] | None = None
    interactive: bool | None = None
    sample: float | None = None
    once_within: float | None = None
    captured: Captured | None = None  # what named groups caught, when a template reads it
    plain: bool = False  # an event with a fixed name, and all else as the record has it

    def decide(self, record: Record, place: Place) -> Decision:
        """Return the deliveries of a record, or the reason why it gives none."""
        if place.origin is None:
            return self._none("host")
        if record.path is None and record.method is not None and self.url is None:
            return self._none("target")
        return self._decide(self._context(record, place, place.origin), place)

    def _context(self, record: Record, place: Place, origin: str) -> Context:
        caught = self.captured(record, place.site) if self.captured else _NOTHING
        site, host = place.site, record.host or place.site.host or ""
        return Context(record, origin, place.url, place.path, host, caught, site.classify)

    def _decide(self, context: Context, place: Place) -> Decision:
        record, cuts = context.record, _Cuts()
        client_ip = self._client_ip(context)
        if not client_ip:
            return self._none("no_client_ip")
        user_agent = self._user_agent(context, cuts)
        if not user_agent:
            return self._none("bot")
        if self.sample is not None and not _chosen(client_ip, user_agent, self.sample):
            return self._none("sampled")
        domain = place.domain if self.domain is None else event.clean(self.domain.render(context)).strip()
        if not domain or "," in domain:
            return self._none("host")
        url = self._url(context, cuts)
        if url is None:
            return self._none("too_long")
        sent = Event(
            self._name(context, cuts),
            domain,
            url,
            user_agent,
            client_ip,
            self._referrer(context, cuts),
            self._props(context, cuts) if self.props else None,
            self._revenue(context) if self.revenue else None,
            self.interactive,
        )
        deliveries = [self._delivery(destination, sent, record) for destination in self.destinations]
        return Decision(deliveries, self.rule, None, tuple(cuts))

    def _delivery(self, destination: str, sent: Event, record: Record) -> Delivery:
        if self.once_within is None:
            return Delivery(destination, sent, record.time)
        return OnceWithin(destination, sent, record.time, within=self.once_within)

    def _none(self, reason: str) -> Decision:
        return Decision([], self.rule, reason)

    def _client_ip(self, context: Context) -> str | None:
        if self.client_ip is None:
            return context.record.client_ip
        return addresses.canonical(self.client_ip.render(context))

    def _user_agent(self, context: Context, cuts: _Cuts) -> str:
        text = context.record.user_agent if self.user_agent is None else self.user_agent.render(context)
        return cuts.fit("user_agent", event.clean_header(text), event.USER_AGENT_BYTES) if text else ""

    def _url(self, context: Context, cuts: _Cuts) -> str | None:
        url = context.url
        if self.url is not None and (own := event.clean(self.url.render(context)).strip()):
            url = event.encoded_url(context.origin + own if own.startswith("/") else own)
        if len(url) <= event.URL_BYTES:
            return url
        bare, mark, _ = url.partition("?")
        if not mark or len(bare) > event.URL_BYTES:
            return None
        cuts.append("query")
        return bare

    def _name(self, context: Context, cuts: _Cuts) -> str:
        name = self.name.constant
        if name is None:
            name = event.clean(self.name.render(context)).strip() or self.rule
        if len(name) > event.NAME_CHARACTERS:
            cuts.append("name")
        return name[: event.NAME_CHARACTERS]

    def _referrer(self, context: Context, cuts: _Cuts) -> str | None:
        text = context.record.referrer if self.referrer is None else self.referrer.render(context)
        return cuts.fit("referrer", event.clean(text), event.VALUE_BYTES) or None if text else None

    def _props(self, context: Context, cuts: _Cuts) -> dict[str, str] | None:
        props = {}
        for key, template in self.props:
            if text := event.clean(template.render(context)).strip():
                props[key] = cuts.fit("prop", text, event.VALUE_BYTES)
        return props or None

    def _revenue(self, context: Context) -> dict[str, str] | None:
        assert self.revenue
        currency, amount = (event.clean(template.render(context)).strip() for template in self.revenue)
        if not _CURRENCY.fullmatch(currency) or not _AMOUNT.fullmatch(amount):
            return None
        return {"currency": currency.upper(), "amount": amount}


_NOTHING: Mapping[str, str] = {}
_CURRENCY = re.compile(r"[A-Za-z]{3}", re.ASCII)
_AMOUNT = re.compile(r"[-+]?\d{1,20}(?:\.\d{1,20})?", re.ASCII)


class _Cuts(list[str]):
    def fit(self, name: str, text: str, limit: int) -> str:
        """Return the text, cut to the limit."""
        short = event.cut(text, limit)
        if short is not text:
            self.append(name)
        return short


def _chosen(client_ip: str, user_agent: str, sample: float) -> bool:
    """Tell whether a visitor is in the sample: the same for all requests of a visitor, on any machine."""
    digest = blake2b(f"{client_ip}\0".encode() + raw(user_agent), digest_size=8).digest()
    return int.from_bytes(digest, "big") < sample * 2**64


# From settings to a compiled action.


def compile_send(
    rule: RuleSettings,
    name: str,
    destinations: Sequence[str],
    captured: Captured,
    groups: frozenset[str],
    problems: list[Problem],
) -> tuple[Send | None, frozenset[str]]:
    """Return the action of an event rule and the log fields it reads; faults are added to the problems."""
    compiler = _Compiler(rule.where, groups, problems)
    if rule.event is None:
        return None, frozenset()
    send = Send(
        name,
        compiler.name(rule.event),
        compiler.destinations(rule.to, destinations),
        compiler.domain(rule.domain),
        compiler.optional("url", rule.url),
        compiler.optional("referrer", rule.referrer),
        compiler.optional("user_agent", rule.user_agent),
        compiler.client_ip(rule.client_ip),
        compiler.props(rule.props),
        compiler.revenue(rule),
        rule.interactive,
        compiler.sample(rule.sample),
        rule.once_within,
        captured if compiler.reads_groups else None,
        plain=_is_plain(rule),
    )
    return send, frozenset(compiler.log_fields)


def _is_plain(rule: RuleSettings) -> bool:
    own = (rule.domain, rule.url, rule.referrer, rule.user_agent, rule.client_ip, rule.revenue, rule.interactive)
    fixed = rule.event is not None and not set("{}") & set(rule.event) and len(rule.event) <= event.NAME_CHARACTERS
    common = rule.sample is None and rule.once_within is None
    return fixed and common and not rule.props and all(value is None for value in own)


_EMPTY = compile_template("")


class _Compiler:
    """Compiles the texts of one rule, and collects their problems and the fields they read."""

    def __init__(self, where: str, groups: frozenset[str], problems: list[Problem]) -> None:
        self._where, self._groups, self._problems = where, groups, problems
        self.log_fields: set[str] = set()
        self.reads_groups = False

    def template(self, key: str, text: str) -> Template:
        try:
            template = compile_template(text)
        except TemplateError as error:
            self._fault(key, str(error))
            self._refuse_unknown(key, error.groups)
            return _EMPTY
        self.log_fields |= template.log_fields
        self.reads_groups |= bool(template.groups)
        self._refuse_unknown(key, template.groups)
        return template

    def _refuse_unknown(self, key: str, groups: frozenset[str]) -> None:
        for name in sorted(groups - self._groups):
            known = ", ".join(sorted(self._groups)) or 'none; name one with (?P<NAME>...) in a "re:" condition'
            self._fault(key, f"{{match.{name}}}: no regular expression of this rule has such a group (groups: {known})")

    def optional(self, key: str, text: str | None) -> Template | None:
        return None if text is None else self.template(key, text)

    def name(self, text: str) -> Template:
        template = self.template("event", text)
        if text == "engagement":
            self._fault("event", '"engagement" cannot be told from a log: choose another name')
        if template.constant is not None and not text.strip():
            self._fault("event", "an event needs a name")
        return template

    def destinations(self, wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
        for name in wanted:
            if name not in known:
                self._fault("to", f"unknown destination {name!r} (known: {', '.join(known) or 'none'})")
        return tuple(dict.fromkeys(wanted or known))

    def domain(self, text: str | None) -> Template | None:
        template = self.optional("domain", text)
        if template and template.constant is not None and ("," in template.constant or not template.constant.strip()):
            self._fault(
                "domain",
                f"{text!r}: one Plausible site (for a second one, a second rule, and continue in the first)",
            )
        return template

    def client_ip(self, text: str | None) -> Template | None:
        template = self.optional("client_ip", text)
        if template and template.constant is not None and not addresses.canonical(template.constant):
            self._fault("client_ip", f"{text!r} is no IP address")
        return template

    def props(self, props: Mapping[str, str]) -> tuple[tuple[str, Template], ...]:
        return tuple((key, self.template(f"props.{key}", text)) for key, text in props.items())

    def revenue(self, rule: RuleSettings) -> tuple[Template, Template] | None:
        if rule.revenue is None:
            return None
        currency = self.template("revenue.currency", rule.revenue.currency)
        if currency.constant is not None and not _CURRENCY.fullmatch(currency.constant):
            self._fault("revenue.currency", f"{currency.constant!r} is no currency code such as EUR")
        amount = self.template("revenue.amount", rule.revenue.amount)
        if amount.constant is not None and not _AMOUNT.fullmatch(amount.constant):
            self._fault("revenue.amount", f"{amount.constant!r} is no amount such as 12.50")
        return currency, amount

    def sample(self, share: float | None) -> float | None:
        if share is not None and not 0 < share <= 1:
            self._fault("sample", f"{share} is no share of visitors between 0 and 1")
        return None if share == 1 else share

    def _fault(self, key: str, message: str) -> None:
        self._problems.append(Problem(f"{self._where}.{key}", message))
