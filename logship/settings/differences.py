"""What changed from one configuration to the next, in plain words: ``rule "downloads" added``.

It follows the declared keys, so it says what a person did to the file. It shows a value only if that is short and no
secret: never a header, never what holds an environment variable, never an address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from logship.language.notations import Secret, shown
from logship.language.sections import Key, keys_of
from logship.settings.admin import AdminSettings
from logship.settings.conditions import Test, When
from logship.settings.destination import DestinationSettings
from logship.settings.root import Settings
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings

MOST = 50
"""Sentences at most: beyond that it is another configuration, and nobody reads on."""

_SHORT = 48  # characters; a longer value is only said to have changed
_NEVER_SHOWN = frozenset(
    ("client_ip", "headers", "props", "revenue", "user_agent")
)  # may hold addresses or credentials
_URLS = frozenset(("url", "proxy"))
_IN_LISTS = ("destinations", "sources", "rules")


def between(old: Settings, new: Settings) -> list[str]:
    """Return a sentence for each difference, in the order of the file; none if both mean the same."""
    sentences = (
        *_of_keys(old, new, leave=_IN_LISTS),
        *_of_named("destination", old.destinations, new.destinations),
        *_of_named("source", old.sources, new.sources),
        *_of_rules(old.rules, new.rules),
    )
    more = len(sentences) - MOST
    return [*islice(sentences, MOST), *([f"and {more} more"] if more > 0 else [])]


def _of_named(
    kind: str, old: Sequence[DestinationSettings | SourceSettings], new: Sequence[DestinationSettings | SourceSettings]
) -> Iterator[str]:
    before, after = ({each.name: each for each in side} for side in (old, new))
    yield from (f"{kind} {name} removed" for name in before if name not in after)
    for name, each in after.items():
        if name not in before:
            yield f"{kind} {name} added"
        else:
            yield from (f"{kind} {name}: {change}" for change in _of_keys(before[name], each))


def _of_keys(old: Any, new: Any, path: str = "", *, leave: Iterable[str] = ()) -> Iterator[str]:
    """Yield the keys of a dataclass that have another value; for a section, the keys inside it."""
    for key in keys_of(type(new)):
        before, after = getattr(old, key.attribute), getattr(new, key.attribute)
        if before == after or key.name in leave:
            continue
        if is_dataclass(before) and is_dataclass(after) and type(before) is type(after) and keys_of(type(after)):
            yield from _of_keys(before, after, f"{path}{key.name}.")
        else:
            yield from (f"{path}{change}" for change in _of_value(key, before, after))


def _of_value(key: Key, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and key.name in _NEVER_SHOWN:
        yield from _of_names(key.name, before, after)
    elif key.name in _NEVER_SHOWN or (one := _shown(key, before)) is None or (other := _shown(key, after)) is None:
        yield f"{key.name} changed"
    else:
        yield f"{key.name} {one} -> {other}"


def _of_names(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield what changed in a mapping, by the names of its entries alone."""
    yield from (f"{name}: {each} removed" for each in before if each not in after)
    yield from (f"{name}: {each} added" for each in after if each not in before)
    yield from (f"{name}: {each} changed" for each in after if each in before and before[each] != after[each])


def _shown(key: Key, value: Any) -> str | None:
    """Return a value as it is written in the file; None where it is too long, or nobody else's affair."""
    if value is None or value == ():
        return _absent(key)
    if _holds_secret(value) or isinstance(value, Mapping):
        return None
    if key.name in _URLS:
        return _without_query(value)
    return _if_short(_written(key, value))


def _written(key: Key, value: Any) -> str:
    if isinstance(value, AdminSettings):
        return " as ".join((f"{value.host}:{value.port}", *value.hosts))
    return ", ".join(map(str, value)) if isinstance(value, tuple) else key.kind.show(value)


def _if_short(text: str) -> str | None:
    return text if text.isprintable() and len(text) <= _SHORT else None


def _absent(key: Key) -> str:
    return key.shown if key.shown and " " not in key.shown.strip("`") else "none"


def _holds_secret(value: Any) -> bool:
    return any(isinstance(each, Secret) for each in (value if isinstance(value, tuple) else (value,)))


def _without_query(url: str) -> str | None:
    return _if_short(shown(urlsplit(url)._replace(query="", fragment="").geturl()))


# Rules: they have an order, and not all have a name


def _of_rules(old: Sequence[RuleSettings], new: Sequence[RuleSettings]) -> Iterator[str]:
    """Yield changes by a rule's name; without one, by what it does, and by position among those that do the same."""
    before, after = _labelled(old), _labelled(new)
    yield from (f"{label} removed" for label in before if label not in after)
    moved = _moved([label for label in before if label in after], [label for label in after if label in before])
    for label, rule in after.items():
        if label not in before:
            yield f"{label} added"
            continue
        if label in moved:
            yield f"{label} moved{_place_of(label, list(after))}"
        yield from (f"{label}: {change}" for change in _of_rule(before[label], rule))


def _labelled(rules: Sequence[RuleSettings]) -> dict[str, RuleSettings]:
    labelled: dict[str, RuleSettings] = {}
    for rule in rules:
        label, number = _label(rule), 1
        while label in labelled:
            number += 1
            label = f"{_label(rule)} (no. {number})"
        labelled[label] = rule
    return labelled


def _label(rule: RuleSettings) -> str:
    if rule.name:
        return f'rule "{shown(rule.name)}"'
    if rule.preset:
        return f"preset {rule.preset}"
    if rule.event:
        return f'rule for "{shown(rule.event)}"'
    return "rule that drops" if rule.drop == "rule" else f"rule that drops as {rule.drop}"


def _moved(old: list[str], new: list[str]) -> set[str]:
    """Return the smallest set of labels whose moving explains the new order."""
    same = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return set(new) - {label for block in same for label in new[block.b : block.b + block.size]}


def _place_of(label: str, order: list[str]) -> str:
    at = order.index(label)
    return f" behind {order[at - 1]}" if at else " to the front"


def _of_rule(old: RuleSettings, new: RuleSettings) -> Iterator[str]:
    yield from _of_when(old.when, new.when)
    yield from _of_keys(old, new, leave=("name", "when"))


def _of_when(old: When, new: When) -> Iterator[str]:
    """Yield changes condition by condition; one made of ``any``, ``all`` or ``not`` changes as a whole."""
    before, after = _conditions(old), _conditions(new)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield f"when: {_of_condition(name, before.get(name), after.get(name))}"


def _conditions(when: When) -> dict[str, Any]:
    return {test.field if isinstance(test, Test) else _COMBINED[type(test).__name__]: test for test in when.tests}


_COMBINED = {"AnyOf": "any", "AllOf": "all", "Not": "not"}


def _of_condition(name: str, before: Any, after: Any) -> str:
    if before is None:
        return f"{name} added"
    if after is None:
        return f"{name} removed"
    values = [_values(name, each) for each in (before, after)]
    return f"{name} changed" if None in values else f"{name} {values[0]} -> {values[1]}"


def _values(name: str, test: Any) -> str | None:
    if not isinstance(test, Test) or name in _NEVER_SHOWN or _holds_secret(test.values):
        return None
    return _if_short(", ".join(test.values))
