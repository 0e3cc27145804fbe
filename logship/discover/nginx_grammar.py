"""nginx's configuration language: text in, a tree of directives out. Knows no directive's meaning.

Follows ngx_conf_read_token: quotes count at a word's beginning only, ``${`` opens no block, ``#`` inside a word is a
letter. The code of a ``..._by_lua_block`` is skipped as Lua, braces in its strings and comments included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from logship.errors import LogshipError

_TOKEN = re.compile(
    r"""(?P<blank>(?:\s+|\#[^\n]*)+) | (?P<mark>[;{}])
    | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<open>["']) | (?P<bare>(?:\\.|\$\{|[^\s;{\\])+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_LETTERS = {"t": "\t", "r": "\r", "n": "\n"}
_LUA = re.compile(
    r"""--\[(?P<a>=*)\[.*?\](?P=a)\] | --[^\n]* | \[(?P<b>=*)\[.*?\](?P=b)\]
    | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | (?P<brace>[{}])""",
    re.VERBOSE | re.DOTALL,
)
_DEEPEST = 64  # blocks inside one another


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive, with its block if it has one."""

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    block: list[Directive] | None = None


def parse(text: str, file: str) -> list[Directive]:
    """Return a file's directives. Raises LogshipError with file and line where nginx would refuse it, too."""
    return _Reader(text, file).directives()


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text, self._file = text, file
        self._at = self._counted = 0
        self._line = 1

    def directives(self) -> list[Directive]:
        stack: list[list[Directive]] = [[]]
        opened: list[int] = []
        words: list[str] = []
        began = 1
        while self._at < len(self._text):
            kind, word = self._next()
            if kind == "word":
                began = began if words else self._line_of(self._start)
                words.append(word)
            elif kind == ";":
                self._need(words, ";")
                stack[-1].append(Directive(words[0], tuple(words[1:]), self._file, began))
                words = []
            elif kind == "{":
                self._need(words, "{")
                block: list[Directive] = []
                stack[-1].append(Directive(words[0], tuple(words[1:]), self._file, began, block))
                if words[0].endswith("_by_lua_block"):
                    self._skip_lua(began)
                else:
                    stack.append(block)
                    opened.append(began)
                words = []
                if len(stack) > _DEEPEST:
                    raise self._fault(f"more than {_DEEPEST} blocks inside one another")
            elif kind == "}":
                if words:
                    raise self._fault(f'"{_short(words[0])}" has no ";" before this "}}"')
                if not opened:
                    raise self._fault('"}" closes no block')
                stack.pop()
                opened.pop()
        if words:
            raise self._fault(f'the file ends within "{_short(words[0])}": a ";" is missing', began)
        if opened:
            raise self._fault('the file ends, and the block that begins here has no "}"', opened[-1])
        return stack[0]

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self._text, self._at)
        if match is None:  # a lone backslash at the end
            self._start = self._at
            raise self._fault("the file ends after a backslash")
        self._start, self._at = match.start(), match.end()
        kind = match.lastgroup
        if kind == "open":
            raise self._fault("a quote is opened here and never closed")
        if kind == "mark":
            return match[0], ""
        if kind == "blank":
            return "", ""
        return "word", _ESCAPE.sub(lambda found: _LETTERS.get(found[1], found[1]), match[kind or 0])

    def _need(self, words: list[str], mark: str) -> None:
        if not words:
            raise self._fault(f'unexpected "{mark}"')

    def _skip_lua(self, began: int) -> None:
        depth = 1
        for match in _LUA.finditer(self._text, self._at):
            depth += {"{": 1, "}": -1}.get(match["brace"] or "", 0)
            if not depth:
                self._at = match.end()
                return
        raise self._fault("the Lua code that begins here has no end", began)

    def _line_of(self, at: int) -> int:
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line

    def _fault(self, problem: str, line: int = 0) -> LogshipError:
        return LogshipError(f"{self._file}:{line or self._line_of(self._start)}: {problem}; nginx -t says more")


def _short(word: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in word)
    return text if len(text) <= 40 else text[:37] + "..."
