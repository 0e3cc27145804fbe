"""How `format` is written: a name, a format string, or a mapping for JSON and regular expressions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from logship.language import notations, tree
from logship.language.kinds import FAULTY, Kind, Spot, Table, Text
from logship.language.sections import Key, Section

HOSTLESS = frozenset({"common", "combined", "nginx_main", "ingress_nginx", "icecast"})
"""The named formats that hold no host: their source needs a `site`."""


def _one_format(spot: Spot, values: dict[str, Any]) -> Any:
    if len(values) > 1:
        return spot.fault('"json" and "regex" exclude each other')
    if not values.get("json", True):
        return spot.beside("json").fault("no field is named; write {client_ip: KEY, ...}")
    return values or (FAULTY if spot.faulty else spot.fault('"json" or "regex" is wanted here'))


_FIELDS = Table(
    Text("a key of the log", notations.some_text),
    "a mapping of fields to keys",
    name=notations.field_name,
    label="FIELD",
)
_MAPPING = Section(
    [
        Key(
            "json",
            _FIELDS,
            None,
            "For lines of JSON: the key of each field, `{time: ts, client_ip: remote.addr}`; a dot leads inside.",
        ),
        Key(
            "regex",
            Text("a regular expression", notations.some_text),
            None,
            "A regular expression for the whole line; its named groups are the fields.",
        ),
    ],
    _one_format,
    meaning="Exactly one of these, for logs that no name and no format string describes.",
)


class _Format(Kind):
    """A name or a format string, or a mapping that says how JSON or a regular expression is read."""

    noun = "a format's name, a format string, {json: {...}} or {regex: ...}"
    text = Text(noun, notations.format_text)

    def read(self, spot: Spot) -> Any:
        return (_MAPPING if isinstance(spot.node, tree.Mapping) else self.text).read(spot)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.text.schema(), _MAPPING.schema()]}

    def inner(self) -> Iterable[tuple[str, Kind]]:
        return [("", _MAPPING)]


FORMAT = _Format()
