r"""Apache's configuration language: text in, a tree of lines and sections out. Knows no directive's meaning.

A backslash at a line's end continues it, ``#`` counts at a line's beginning only. Variables are left for the reader,
as a line means what was defined when it is reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from logship.errors import LogshipError

_OPEN = re.compile(r"<\s*([^\s>/][^\s>]*)\s*(.*?)>?\s*", re.DOTALL)
_CLOSE = re.compile(r"</\s*([^\s>]+)\s*>?\s*")
_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)(?:"|$)|'((?:[^'\\]|\\.)*)(?:'|$)|(\S+))""", re.DOTALL)
_DOUBLE = re.compile(r'\\(["\\])')
_SINGLE = re.compile(r"\\(['\\])")
_DEEPEST = 64  # sections inside one another


@dataclass(frozen=True, slots=True)
class Node:
    """A directive, or a section with its block. ``rest`` is what follows the name, as written."""

    name: str
    rest: str
    file: str
    line: int
    block: list[Node] | None = None


def parse(text: str, file: str) -> list[Node]:
    """Return a file's lines. Raises LogshipError with file and line where sections do not match."""
    stack: list[list[Node]] = [[]]
    opened: list[Node] = []
    for number, line in _lines(text):
        if line.startswith("</"):
            _close(line, file, number, opened)
            stack.pop()
        elif line.startswith("<"):
            node = _section(line, file, number)
            stack[-1].append(node)
            stack.append(node.block if node.block is not None else [])
            opened.append(node)
            if len(stack) > _DEEPEST:
                raise LogshipError(f"{file}:{number}: more than {_DEEPEST} sections inside one another")
        else:
            name, _, rest = line.partition(" ")
            stack[-1].append(Node(name, rest.strip(), file, number))
    if opened:
        problem = f"<{_short(opened[-1].name)}> begins here and is never closed"
        raise LogshipError(f"{file}:{opened[-1].line}: {problem}; apachectl -t says more")
    return stack[0]


def words(rest: str) -> list[str]:
    """Return the arguments of a directive, quotes and their escapes undone."""
    return [_word(match) for match in _WORD.finditer(rest.rstrip())]


def _word(match: re.Match[str]) -> str:
    double, single, bare = match.groups()
    if double is not None:
        return _DOUBLE.sub(r"\1", double)
    return _SINGLE.sub(r"\1", single) if single is not None else bare


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines that are not blank and no comment, with the number of their first line."""
    parts: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        goes_on = line.endswith("\\")
        parts.append(line[:-1] if goes_on else line)
        if goes_on:
            continue
        whole = "".join(parts).strip()
        if whole and not whole.startswith("#"):
            yield number - len(parts) + 1, re.sub(r"^(\S+)\s", r"\1 ", whole)
        parts = []
    whole = "".join(parts).strip()
    if whole and not whole.startswith("#"):
        yield text.count("\n") + 2 - len(parts), whole


def _section(line: str, file: str, number: int) -> Node:
    match = _OPEN.fullmatch(line)
    if match is None:
        raise LogshipError(f"{file}:{number}: {_short(line)} is no section; apachectl -t says more")
    return Node(match[1], match[2].strip(), file, number, [])


def _close(line: str, file: str, number: int, opened: list[Node]) -> None:
    match = _CLOSE.fullmatch(line)
    name = match[1] if match else line
    if not opened or opened[-1].name.lower() != name.lower():
        begun = f"<{_short(opened[-1].name)}> of line {opened[-1].line} is open" if opened else "no section is open"
        raise LogshipError(f"{file}:{number}: {_short(line)} closes nothing: {begun}; apachectl -t says more")
    opened.pop()


def _short(word: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in word)
    return text if len(text) <= 40 else text[:37] + "..."
