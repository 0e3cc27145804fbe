"""Write rules as YAML that can be pasted under ``rules:``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from logship.language.notations import shown_duration
from logship.settings.conditions import AllOf, AnyOf, Not, Test, When
from logship.settings.rule import RuleSettings

_LINE = 90  # characters of a list's items on one line


def as_yaml(rules: Sequence[RuleSettings]) -> str:
    """Return the rules as a YAML list."""
    return "\n".join(
        yaml.dump(
            [_rule(rule)], Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
        )
        for rule in rules
    )


class _Dumper(yaml.SafeDumper):
    """Writes a list that would not fit a line with one item a line."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = node.flow_style and sum(len(str(item)) + 4 for item in sequence) < _LINE
        return node


def _rule(rule: RuleSettings) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": rule.name, "when": _when(rule.when)}
    shown["drop"] = True if rule.drop == "rule" else rule.drop
    shown |= {key: getattr(rule, key) for key in ("preset", "event", "domain", "url", "referrer")}
    shown["props"] = dict(rule.props)
    shown["revenue"] = rule.revenue and {"currency": rule.revenue.currency, "amount": rule.revenue.amount}
    shown |= {key: getattr(rule, key) for key in ("interactive", "user_agent", "client_ip")}
    once_within = rule.once_within and shown_duration(rule.once_within)
    shown |= {"to": list(rule.to), "sample": rule.sample, "once_within": once_within}
    shown["continue"] = rule.continue_ or None
    return {key: value for key, value in shown.items() if value not in (None, {}, [])}


def _when(when: When) -> dict[str, Any]:
    return dict(_test(test) for test in when.tests)


def _test(test: Test | AnyOf | AllOf | Not) -> tuple[str, Any]:
    if isinstance(test, Test):
        values = [_scalar(test.field, value) for value in test.values]
        return test.field, values[0] if len(values) == 1 else values
    if isinstance(test, Not):
        return "not", _when(test.when)
    return ("any" if isinstance(test, AnyOf) else "all"), [_when(when) for when in test.whens]


def _scalar(field: str, value: str) -> Any:
    if field in ("bot", "same_site", "prefetch") and value in ("true", "false"):
        return value == "true"
    return int(value) if field == "status" and value.isdigit() else value
