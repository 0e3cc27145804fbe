"""Describe the declared keys: as a JSON Schema for editors, and as reference documentation for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from logship.language.kinds import Key, Kind, Section, sections

_DIALECT = "http://json-schema.org/draft-07/schema#"  # what yaml-language-server understands best


def json_schema(root: Section, definitions: Mapping[str, Section]) -> dict[str, Any]:
    """Return the JSON Schema of a root section; ``definitions`` are the sections that refer to themselves."""
    shared = {name: section.schema() for name, section in definitions.items()}
    return {"$schema": _DIALECT, "title": "logship configuration", **root.schema(), "$defs": shared}


def reference(root: Section) -> str:
    """Return the reference in Markdown: one table for each section."""
    return "\n".join(_lines(root))


def _lines(root: Section) -> Iterator[str]:
    for path, section in sections(root):
        yield f"## `{path}`" if path else "## Top level"
        yield from ("", "| key | type | default | meaning |", "|---|---|---|---|")
        yield from (_row(each) for each in section.keys.values())
        yield ""


def _row(key: Key) -> str:
    cells = (f"`{key.name}`", _type(key.kind), key.shown_default, key.help)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(kind: Kind) -> str:
    return kind.noun
