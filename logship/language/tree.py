"""Turn YAML text into a tree of nodes that know their place. Knows YAML, but none of logship's keys.

A scalar keeps its own text: what ``404``, ``no`` or ``2024-01-01`` mean is for the reader who knows which type is
expected. Anchors, aliases and merge keys (``<<``) work, within bounds: the tree is built from the parser's events and
not by ``yaml.compose``, which recurses in C and ends the process with a segmentation fault at 100,000 brackets.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_DEPTH = 48  # a dozen `not`s and `any`s inside one another; far from Python's recursion limit
MAX_NODES = 200_000  # thousands of sources, counted as if every alias were written out: an alias bomb stops here

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# YAML 1.1, 5.1: what may stand in a stream. PyYAML refuses the rest as well, but tells no line.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STANDARD_TAG = "tag:yaml.org,2002:"


class MalformedError(ValueError):
    """The text is no YAML that we read; ``line`` and ``column`` count from 1, 0 when there is no place."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(slots=True)
class Scalar:
    """Text as written; ``plain`` when it stood without quotes."""

    line: int
    column: int
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        """Nothing, ``~`` or ``null``: what YAML calls null."""
        return self.plain and self.text in _NULLS


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Pairs in the order of the file, equal keys included; merged ones follow and never repeat a key."""

    line: int
    column: int
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


def decode(data: bytes) -> str:
    """Return the text of a file, without a byte order mark; raise MalformedError where it is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise MalformedError("saved as UTF-16; save it as UTF-8", 1, 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        before = data[data.rfind(b"\n", 0, error.start) + 1 : error.start]
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise MalformedError(message, line, len(before.decode("utf-8", "replace")) + 1) from error


def parse(text: str) -> Node | None:
    """Return the tree of a text that holds one document, None when it holds nothing; raise MalformedError."""
    _refuse_control_characters(text)
    return _Builder().build(_events(text))


def _refuse_control_characters(text: str) -> None:
    found = _UNPRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise MalformedError(f"the character U+{ord(found[0]):04X}: this is no text file", line, column)


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from error
    except yaml.YAMLError as error:
        raise MalformedError(f"not YAML: {str(error).splitlines()[0]}") from error


@dataclass(slots=True)
class _Open:
    """A list or mapping that is still being filled, and its size with every alias written out."""

    node: Sequence | Mapping
    anchor: str | None
    size: int = 1
    key: Node | None = None


class _Builder:
    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int] | None] = {}  # None: not complete yet
        self.root: Node | None = None
        self.documents = 0

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            self.take(event)
        return self.root

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self.scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.end()
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.document(event)

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise MalformedError('a second document begins here ("---"); one file is one document', *_place(event))

    def scalar(self, event: Any) -> None:
        _refuse_tag(event)
        node = Scalar(*_place(event), event.value, not event.style)
        self.anchor(event.anchor, node, 1)
        self.add(node, 1)

    def begin(self, event: Any) -> None:
        _refuse_tag(event)
        if len(self.open) >= MAX_DEPTH:
            raise MalformedError(f"nested more than {MAX_DEPTH} levels deep", *_place(event))
        kind = Sequence if isinstance(event, yaml.SequenceStartEvent) else Mapping
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(_Open(kind(*_place(event)), event.anchor))

    def end(self) -> None:
        done = self.open.pop()
        if isinstance(done.node, Mapping):
            _merge(done.node)
        self.anchor(done.anchor, done.node, done.size)
        self.add(done.node, done.size)

    def alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise _stray_star(event.anchor, *_place(event))
        known = self.anchors[event.anchor]
        if known is None:
            raise MalformedError(f'"*{event.anchor}" stands inside the very value that it repeats', *_place(event))
        self.add(*known)

    def anchor(self, name: str | None, node: Node, size: int) -> None:
        if name:
            self.anchors[name] = (node, size)

    def add(self, node: Node, size: int) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.size += size
        if parent.size > MAX_NODES:
            raise MalformedError(f"more than {MAX_NODES} values, aliases written out", node.line, node.column)
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            parent.node.pairs.append((parent.key, node))
            parent.key = None


def _merge(mapping: Mapping) -> None:
    merges = [value for key, value in mapping.pairs if _is_merge(key)]
    if not merges:
        return
    mapping.pairs = [pair for pair in mapping.pairs if not _is_merge(pair[0])]
    known = {key.text for key, _ in mapping.pairs if isinstance(key, Scalar)}
    for key, value in (pair for merge in merges for source in _merged(merge) for pair in source.pairs):
        if not isinstance(key, Scalar) or key.text not in known:
            mapping.pairs.append((key, value))
            known.update([key.text] if isinstance(key, Scalar) else [])


def _is_merge(key: Node) -> bool:
    return isinstance(key, Scalar) and key.plain and key.text == "<<"


def _merged(value: Node) -> Iterator[Mapping]:
    for node in value.items if isinstance(value, Sequence) else [value]:
        if not isinstance(node, Mapping):
            raise MalformedError('"<<" merges mappings: write "<<: *name" of an anchored one', node.line, node.column)
        yield node


def _refuse_tag(event: Any) -> None:
    if event.tag and (not event.tag.startswith(_STANDARD_TAG) or "python/" in event.tag):
        raise MalformedError(f'the YAML tag "{event.tag}" is not used here; remove it', *_place(event))


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _stray_star(name: str, line: int, column: int) -> MalformedError:
    return MalformedError(
        f'a value that begins with "*" must stand in quotes (or anchor "&{name}" first)', line, column
    )


_TABS = "a tab where YAML allows spaces only; indent with spaces"
# What the parser says, and what the person at 3 a.m. needs to hear. The first that fits the parser's words counts.
_ADVICE = (
    ("cannot start any token", _TABS),
    ("tab character", _TABS),
    ("alphabetic or numeric character", 'a value that begins with "*" or "&" must stand in quotes'),
    ("undefined alias", 'a value that begins with "*" must stand in quotes'),
    ("mapping values are not allowed", 'a second ": " in one value; put the value in quotes, or mend the indentation'),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("unknown escape character", 'inside "..." a backslash must be doubled; or use single quotes'),
    ("expected ',' or ']'", 'a "[" is not closed; if it is part of a text, put the text in quotes'),
    ("expected ',' or '}'", 'a "{" is not closed; a text with braces, such as "{site}{path}", stands in quotes'),
    ("did not find expected node content", 'a "[", "{" or "," stands before this, and no value follows'),
    ("could not find expected ':'", 'this is no "key: value"'),
    ("did not find expected key", "the indentation does not fit the lines above"),
    ("did not find expected '-' indicator", "the indentation does not fit the list above"),
)
_WHOLE = ("unexpected end of stream", "expected ',' or", "could not find expected ':'")  # the opening is what to mend


def _explained(error: yaml.MarkedYAMLError, text: str) -> MalformedError:
    words = f"{error.context or ''} {error.problem or ''}"
    opening = error.context_mark if any(part in words for part in _WHOLE) else None
    mark = opening or error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return MalformedError(_advice(words, _character(text, *place)), *place)


def _advice(words: str, character: str) -> str:
    if "cannot start any token" in words and character != "\t":
        return f'a value that begins with "{character}" must stand in quotes'
    advice = next((text for part, text in _ADVICE if part in words), None)
    return advice or f"not YAML: {words.strip()}"


def _character(text: str, line: int, column: int) -> str:
    lines = text.split("\n")
    return lines[line - 1][column - 1 : column] if 0 < line <= len(lines) else ""
