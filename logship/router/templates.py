"""Compile the text of an action: ``{path}`` and its like are filled in from the request, ``{{`` is a brace.

A template without fields is a constant and costs nothing. A field that the log does not hold is empty.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from logship.records import Record, raw
from logship.router import audience, query


class TemplateError(ValueError):
    """The template cannot be read. The text is for people; ``groups`` are those that it reads all the same."""

    def __init__(self, message: str, groups: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.groups = groups


@dataclass(slots=True)
class Context:
    """What the fields of a template read: the request, its URL as it is sent, and what a regular expression caught."""

    record: Record
    origin: str
    url: str
    path: str
    host: str
    match: Mapping[str, str]
    classify: audience.Classify = audience.classify


Field = Callable[[Context], str]


@dataclass(frozen=True, slots=True)
class Template:
    """Compiled text. ``constant`` is the text itself when it has no fields."""

    render: Callable[[Context], str]
    constant: str | None
    log_fields: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


def compile_template(text: str) -> Template:
    """Compile a template. Raises TemplateError."""
    parts, names = _parts(text)
    if unknown := [name for name in dict.fromkeys(names) if not _is_known(name)]:
        raise TemplateError(_unknown_fields(unknown), _after("match.", names))
    fields = [_field(part) if name else part for part, name in parts]
    if not names:
        constant = "".join(part for part, _ in parts)
        return Template(lambda _: constant, constant)
    return Template(_joined(fields), None, _after("log.", names), _after("match.", names))


def _joined(fields: list[Field | str]) -> Callable[[Context], str]:
    if len(fields) == 1 and callable(fields[0]):
        return fields[0]
    return lambda context: "".join(field if isinstance(field, str) else field(context) for field in fields)


def _parts(text: str) -> tuple[list[tuple[str, bool]], list[str]]:
    parts: list[tuple[str, bool]] = []
    end = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in ("{", "}"):
            raise TemplateError(f"{text!r}: a lone '{token}' (write '{token * 2}' for the character itself)")
        parts += [
            (text[end : found.start()], False),
            (token[0], False) if len(token) == 2 and token[0] == token[1] else (token[1:-1].strip(), True),
        ]
        end = found.end()
    parts.append((text[end:], False))
    return [part for part in parts if part[0] or part[1]], [part for part, name in parts if name]


_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


def _field(name: str) -> Field:
    if name in _FIELDS:
        return _FIELDS[name]
    family, _, member = name.partition(".")
    return _FAMILIES[family](member)


def _is_known(name: str) -> bool:
    family, _, member = name.partition(".")
    return name in _FIELDS or (family in _FAMILIES and member != "")


def _unknown_fields(names: list[str]) -> str:
    """Return what to say of fields that there are none: all of them, and what is known once."""
    known = [*_FIELDS, *(f"{family}.NAME" for family in _FAMILIES)]
    near = {name: difflib.get_close_matches(name, known, 1) for name in names}
    named = [f"{{{name}}}" + (f' (did you mean "{{{near[name][0]}}}"?)' if near[name] else "") for name in names]
    listed = "" if all(near.values()) else f" (known: {', '.join(f'{{{each}}}' for each in known)})"
    return f"unknown {'fields' if len(names) > 1 else 'field'} {', '.join(named)}{listed}"


def _after(prefix: str, names: list[str]) -> frozenset[str]:
    return frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def _same_site_referrer(context: Context) -> str:
    referrer = context.record.referrer or ""
    return referrer.partition("?")[0] if (referrer + "/").startswith(context.origin + "/") else context.url


def _pathname(context: Context) -> str:
    path = context.record.path or ""
    return unquote_to_bytes(raw(path)).decode("utf-8", "replace") if "%" in path else path


_FIELDS: dict[str, Field] = {
    "url": lambda context: context.url,
    "site": lambda context: context.origin,
    "host": lambda context: context.host,
    "path": lambda context: context.path,
    "pathname": _pathname,
    "page": _same_site_referrer,
    "method": lambda context: context.record.method or "",
    "status": lambda context: "" if context.record.status is None else str(context.record.status),
    "referrer": lambda context: context.record.referrer or "",
    "user_agent": lambda context: context.record.user_agent or "",
    "bot.name": lambda context: context.classify(context.record.user_agent).name,
    "bot.class": lambda context: context.classify(context.record.user_agent).kind,
}

_FAMILIES: dict[str, Callable[[str], Field]] = {
    "query": lambda name: lambda context: query.value(context.record.query, name),
    "log": lambda name: lambda context: context.record.log.get(name, ""),
    "match": lambda name: lambda context: context.match.get(name, ""),
}
