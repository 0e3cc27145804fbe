"""The settings of a rule: a condition and one action, which is a drop, an event, or a preset's rules."""

# ruff: noqa: RUF009 - `key` returns a dataclasses.field, as RUF009 wants it

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from logship.language import notations, tree
from logship.language.kinds import FAULTY, Several, Spot, Table, Text, Word
from logship.language.notations import MisfitError, meant, quoted
from logship.language.scalars import FLAG, LOOSE, TEMPLATE, duration
from logship.language.sections import Section, key, keys_of, place
from logship.settings.conditions import WHEN, When

PRESETS = ("pageviews", "downloads", "not-found", "feeds", "ai-crawlers", "no-js")


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

    name: str | None = key(Text("a name", notations.word, schema=LOOSE), "The rule's name in `explain` and logs.", None)
    when: When = key(WHEN, "Conditions that must all hold; left out: every line.", When(), shown="every line")
    drop: str | None = key(  # the reason; `drop: true` is "rule"
        Text(
            "true or a reason",
            _drop,
            schema={"anyOf": [{"const": True}, {"type": "string", "pattern": notations.IDENTIFIER}]},
        ),
        "`true` drops the line with the reason `rule`; a word of your own is the reason.",
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
    url: str | None = key(TEMPLATE, "The URL of the event; a template.", None, shown="`{url}`")
    referrer: str | None = key(
        Text("a template", notations.prop_value, schema=LOOSE),
        'The referrer; a template. `""`: none.',
        None,
        shown="`{referrer}`",
    )
    props: Mapping[str, str] = key(
        Table(
            Text("a template", notations.prop_value, schema=LOOSE),
            "a mapping of props",
            name=notations.prop_key,
            label="NAME",
            most=30,
            limit="Plausible keeps 30 props of an event",
        ),
        "Custom properties: templates. Those that come out empty are left out.",
        {},
    )
    revenue: RevenueSettings | None = key(
        Section.of(RevenueSettings), "The revenue of the event: currency and amount.", None
    )
    interactive: bool | None = key(
        FLAG, "`false`: the event does not keep a visit from being a bounce.", None, shown="true"
    )
    user_agent: str | None = key(TEMPLATE, "The User-Agent to send; a template.", None, shown="`{user_agent}`")
    client_ip: str | None = key(TEMPLATE, "The visitor's address to send; a template.", None, shown="the client's")
    to: tuple[str, ...] = key(  # none: every destination
        Several(
            Text("a destination's name", notations.word, schema=LOOSE),
            "a list of destinations",
            empty='leave "to" out to send to all',
        ),
        "The destinations the event is sent to.",
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
        duration(least=1),
        "Send one event per visitor, name and path within this time; every further request prolongs it and is dropped "
        "as `repeated`.",
        None,
    )
    continue_: bool = key(FLAG, "Whether later rules are tried as well.", False, name="continue")
    where: str = place()  # "rules[0]"


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
    "Exactly one action: `drop`, `event` or `preset`. The other keys belong to an event; a preset takes `name`, `when` "
    "(which narrows it), `domain`, `to`, `sample`, `once_within` and `continue`. Templates may hold `{url}`, `{site}`, "
    "`{host}`, `{path}`, `{query.NAME}`, `{method}`, `{status}`, `{referrer}`, `{user_agent}`, `{bot.name}`, "
    "`{bot.class}`, `{log.NAME}` and `{match.NAME}`."
)
RULES = Several(
    _Rule(keys_of(RuleSettings), lambda spot, values: RuleSettings(**values, where=spot.where), meaning=_RULE),
    'a list of rules, each beginning with "- "',
    empty='every line would be dropped; leave "rules" out for {preset: pageviews}',
    single=False,
)
