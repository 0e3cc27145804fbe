"""Turn globs into one test of text that stays linear, whatever a stranger writes into a log line.

Two dialects. In *paths* (``path``, ``url``) ``*`` and ``?`` stop at a slash and ``**`` does not; ``/**`` at the end
covers the directory itself too, and a file extension at the end (``*.pdf``, ``**.{zip,dmg}``) counts in any case. In
*text* (all other fields) both stars stand for any text. In both, ``[a-z]`` and ``[!a-z]`` are one character of a set,
``{a,b}`` is either, and a backslash takes the next character as it is.

Alternatives are written out, then sorted: common shapes become string methods, shapes in which a star cannot multiply
another's work run on ``re``, and the rest on RE2, which is linear by construction, behind a memo.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from logship.linear import ExpressionError, compile_expression
from logship.records import readable

Dialect = Literal["path", "text"]
TextTest = Callable[[str], bool]

_MEMO = 1024  # answers of RE2 kept per condition: a match costs 9 µs, a look-up 0.1
_WRITTEN_OUT = 256  # alternatives of one glob; beyond, its braces go to RE2 as they are
_NEVER_TOO_LARGE = 4096  # characters: globs have no counted repeats, so such a pattern is far below RE2's 8 MiB
_DEPTH = 20  # of nested braces; a person needs two


class GlobError(ValueError):
    """The glob cannot be read. The text is for people."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["literal", "one", "set", "star", "stars"]
    text: str = ""  # of a literal: the character; of a set: its inside as a regular expression


@dataclass(frozen=True, slots=True)
class _Either:
    parts: tuple[_Glob, ...]


_Glob = tuple["_Token | _Either", ...]
_Flat = tuple[_Token, ...]


def compile_globs(globs: Sequence[str], dialect: Dialect = "text", *, ignore_case: bool = False) -> TextTest:
    """Return a test: does the whole text fit any of the globs? Raises GlobError for the first faulty one."""
    shapes = _Shapes(dialect, ignore_case)
    for glob in globs:
        if dialect == "path":
            _refuse_relative(glob)
        try:
            shapes.add(_Reader(glob).read())
        except GlobError as error:
            raise GlobError(f"{glob!r}: {error}") from None
    return any_of(shapes.tests())


def any_of(tests: Sequence[TextTest]) -> TextTest:
    """Return one test that holds if any of them does."""
    if not tests:
        return lambda text: False
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, two = tests
        return lambda text: one(text) or two(text)
    if len(tests) == 3:
        first, second, third = tests
        return lambda text: first(text) or second(text) or third(text)
    return lambda text: any(test(text) for test in tests)


def on_re2(pattern: Any, *, whole: bool) -> TextTest:
    """Return a test: does RE2 find the pattern in a text (or fit all of it)? Answers are remembered, within bounds."""
    answers: dict[str, bool] = {}
    find = pattern.fullmatch if whole else pattern.search

    def test(text: str) -> bool:
        answer = answers.get(text)
        if answer is None:
            if len(answers) >= _MEMO:
                answers.clear()
            answer = find(readable(text)) is not None
            if len(text) <= _MEMO:  # a megabyte is asked about once
                answers[text] = answer
        return answer

    return test


def _refuse_relative(glob: str) -> None:
    """Refuse a path glob that can never fit: every path begins with a slash."""
    start = glob if glob.startswith("**") else glob.removeprefix("*")
    if start and start[0] not in "/*{[?\\" and "://" not in glob:
        raise GlobError(f"{glob!r} fits no path, since a path begins with '/': write '/{glob}' or '**{start}'")


class _Reader:
    """Reads one glob from left to right."""

    def __init__(self, glob: str) -> None:
        self._glob, self._at = glob, 0

    def read(self, depth: int = 0) -> _Glob:
        if depth > _DEPTH:
            raise GlobError(f"braces are nested more than {_DEPTH} deep")
        items: list[_Token | _Either] = []
        while self._at < len(self._glob) and not (depth and self._glob[self._at] in ",}"):
            items.append(self._item(depth))
        return tuple(items)

    def _item(self, depth: int) -> _Token | _Either:
        char = self._glob[self._at]
        self._at += 1
        if char == "*":
            return self._stars()
        if char == "{":
            return self._either(depth + 1)
        if char == "[":
            return self._set()
        if char == "?":
            return _Token("one")
        if char == "\\" and self._at < len(self._glob):
            char = self._glob[self._at]
            self._at += 1
        return _Token("literal", char)

    def _stars(self) -> _Token:
        start = self._at
        while self._glob.startswith("*", self._at):
            self._at += 1
        return _Token("star" if self._at == start else "stars")

    def _either(self, depth: int) -> _Either:
        parts = [self.read(depth)]
        while self._glob.startswith(",", self._at):
            self._at += 1
            parts.append(self.read(depth))
        if not self._glob.startswith("}", self._at):
            raise GlobError("a '{' is not closed (write '\\{' for the character itself)")
        self._at += 1
        return _Either(tuple(parts))

    def _set(self) -> _Token:
        negated = self._glob.startswith(("!", "^"), self._at)
        start = self._at + negated
        end = self._glob.find("]", start + 1)
        if end < 0:
            raise GlobError("a '[' is not closed (write '\\[' for the character itself)")
        self._at = end + 1
        inside = ("^" if negated else "") + re.sub(r"[\\\[\]^&~|]", r"\\\g<0>", self._glob[start:end])
        try:
            re.compile(f"[{inside}]")
        except re.error as error:
            raise GlobError(f"'[{self._glob[start:end]}]' is no set of characters: {error}") from None
        return _Token("set", inside)


def _written_out(glob: _Glob) -> Iterator[_Flat]:
    parts = [[(item,)] if isinstance(item, _Token) else list(_parts_of(item)) for item in glob]
    for choice in itertools.product(*parts):
        yield tuple(itertools.chain.from_iterable(choice))


def _parts_of(either: _Either) -> Iterator[_Flat]:
    return itertools.chain.from_iterable(map(_written_out, either.parts))


def _count(glob: _Glob) -> int:
    return math.prod(sum(map(_count, item.parts)) for item in glob if isinstance(item, _Either))


@dataclass(slots=True)
class _Shapes:
    """Globs sorted by the cheapest test that will do."""

    dialect: Dialect
    ignore_case: bool
    exact: set[str] = field(default_factory=set)
    starts: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    extensions: set[str] = field(default_factory=set)
    on_re: list[tuple[str, str]] = field(default_factory=list)  # pattern, and the letters that must stand at the end
    on_re2: list[tuple[str, str]] = field(default_factory=list)

    def add(self, glob: _Glob) -> None:
        if _count(glob) > _WRITTEN_OUT:
            self.on_re2.append((self._pattern(glob), ""))
            return
        for flat in _written_out(glob):
            if not (self._add_extension(flat) or self._add_text(flat)):
                self._add_pattern(flat)

    def tests(self) -> list[TextTest]:
        names = {end for end in self.ends if end.startswith("/") and end.count("/") == 1}
        ends = tuple(end for end in self.ends if end not in names)
        tests = [
            *([self._folded(frozenset(self.exact).__contains__)] if self.exact else []),
            *([self._folded(_starting(tuple(self.starts)))] if self.starts else []),
            *([self._folded(_named(frozenset(names)))] if names else []),
            *([self._folded(_ending(ends))] if ends else []),
            *([_with_extension(frozenset(self.extensions))] if self.extensions else []),
            *(self._folded(_holding(part)) for part in self.holds),
        ]
        if self.on_re:
            match = re.compile(self._joined(self.on_re)).fullmatch
            tests.append(self._guarded(self.on_re, lambda text: match(text) is not None))
        if self.on_re2:
            tests.append(self._guarded(self.on_re2, _fitting(self._joined(self.on_re2))))
        return tests

    def _add_extension(self, flat: _Flat) -> bool:
        """Take ``**.pdf``."""
        found = self.dialect == "path" and flat[:1] == (_Token("stars"),) and _extension(flat)
        if not found or len(flat) != len(found) + 1:
            return False
        self.extensions.add(found.lower())
        return True

    def _add_text(self, flat: _Flat) -> bool:
        """Take a text with stars at its ends alone, if at all."""
        any_text = ("stars",) if self.dialect == "path" else ("star", "stars")
        head = flat[0].kind in any_text if flat else False
        tail = len(flat) > 1 and flat[-1].kind in any_text
        middle = flat[head : len(flat) - tail]
        if any(token.kind != "literal" for token in middle):
            return False
        text = "".join(token.text for token in middle)
        directory = self.dialect == "path" and tail and text.endswith("/")
        if directory and head:
            return False  # **/x/** covers the directory x itself, anywhere
        if directory:
            self.exact.add(text[:-1])
        places: dict[tuple[bool, bool], Callable[[str], None]] = {
            (False, False): self.exact.add,
            (False, True): self.starts.append,
            (True, False): self.ends.append,
            (True, True): self.holds.append,
        }
        places[head, tail](text.lower() if self.ignore_case else text)
        return True

    def _add_pattern(self, flat: _Flat) -> None:
        if self.dialect == "text":
            self.on_re.append((_atomic(flat), _literal_end(flat)))
            return
        extension = _extension(flat)
        body = flat[: len(flat) - len(extension)]
        pattern = self._pattern(body, whole=not extension) + (f"(?i:{re.escape(extension)})" if extension else "")
        place = self.on_re if _cannot_multiply(flat) else self.on_re2
        place.append((pattern, _literal_end(flat)))

    def _pattern(self, glob: _Glob, *, whole: bool = True) -> str:
        one = "[^/]" if self.dialect == "path" else "."
        pattern = _regex(glob, one)
        if self.dialect == "path":
            pattern = re.sub(rf"/{_STARS}(?=[|)]{'|$' if whole else ''})", "(?:/.*)?", pattern)
            pattern = _WHOLE_SEGMENT.sub("(?:.*/)?", pattern)
        return pattern.replace(_STARS, ".*")

    def _joined(self, patterns: list[tuple[str, str]]) -> str:
        flags = "(?si)" if self.ignore_case else "(?s)"
        return flags + "(?:" + "|".join(pattern for pattern, _ in patterns) + ")"

    def _guarded(self, patterns: list[tuple[str, str]], test: TextTest) -> TextTest:
        """Look at the last letters first, ignoring case as for extensions: most texts fail there."""
        ends = tuple(end.casefold() for _, end in patterns)
        return (lambda text: text.casefold().endswith(ends) and test(text)) if all(ends) else test

    def _folded(self, test: TextTest) -> TextTest:
        return (lambda text: test(text.lower())) if self.ignore_case else test


def _starting(texts: tuple[str, ...]) -> TextTest:
    return lambda text: text.startswith(texts)


def _ending(texts: tuple[str, ...]) -> TextTest:
    return lambda text: text.endswith(texts)


def _named(names: frozenset[str]) -> TextTest:
    return lambda text: text[text.rfind("/") :] in names


def _holding(part: str) -> TextTest:
    return lambda text: part in text


def _with_extension(extensions: frozenset[str]) -> TextTest:
    return lambda path: path[path.rfind(".") :].lower() in extensions


_STARS = "\0"  # stands for ** until its neighbours are known
# `**/` means any number of directories, none too, where it begins a segment: in `/a**/b` the slash must be there.
_WHOLE_SEGMENT = re.compile(rf"(?:^|(?<=/)|(?<=\(\?:)|(?<=[^\\]\|)){_STARS}/")


def _regex(glob: _Glob, one: str) -> str:
    return "".join(
        _regex_of(item, one)
        if isinstance(item, _Token)
        else f"(?:{'|'.join(_regex(part, one) for part in item.parts)})"
        for item in glob
    )


def _regex_of(token: _Token, one: str) -> str:
    if token.kind == "set":
        return f"[{token.text}/]" if token.text.startswith("^") and one != "." else f"[{token.text}]"
    if token.kind == "literal":
        return re.escape(token.text)
    return {"one": one, "star": f"{one}*", "stars": _STARS}[token.kind]


def _atomic(flat: _Flat) -> str:
    """Join by atomic groups: without segments, the first place where a piece fits is as good as a later one."""
    pieces = [""]
    for token in flat:
        if token.kind in ("star", "stars"):
            pieces.append("")
        else:
            pieces[-1] += _regex_of(token, ".")
    first, *middle, last = pieces if len(pieces) > 1 else (pieces[0], "")
    return first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + (".*" if len(pieces) > 1 else "") + last


def _cannot_multiply(flat: _Flat) -> bool:
    """Tell whether each ``*`` is alone in its segment and ``**`` is the last wildcard: then no work is done twice."""
    stars = 0
    for at, token in enumerate(flat):
        if token.kind == "stars":
            return all(after.kind not in ("star", "stars") for after in flat[at + 1 :]) and not stars
        stars = 0 if token.text == "/" else stars + (token.kind == "star")
        if stars > 1:
            return False
    return True


def _extension(flat: _Flat) -> str:
    """Return the ``.pdf`` of ``*.pdf``, or nothing."""
    word = _literal_end(flat)
    before = flat[len(flat) - len(word) - 1 : len(flat) - len(word)]
    starred = bool(before) and before[0].kind in ("star", "stars")
    return word if starred and re.fullmatch(r"\.\w+", word) else ""


def _literal_end(flat: _Flat) -> str:
    literals = itertools.takewhile(lambda token: token.kind == "literal", reversed(flat))
    return "".join(token.text for token in literals)[::-1]


def _fitting(pattern: str) -> TextTest:
    """Return the test by RE2; for a short pattern, the library comes with the first text that is to be tested."""
    if len(pattern) > _NEVER_TOO_LARGE:
        return on_re2(_compile_re2(pattern), whole=True)

    @cache
    def compiled() -> TextTest:
        return on_re2(_compile_re2(pattern), whole=True)

    def test(text: str) -> bool:
        return compiled()(text)

    return test


def _compile_re2(pattern: str) -> Any:
    try:
        return compile_expression(pattern, capture=False)
    except ExpressionError as error:
        raise GlobError(f"too large to be compiled: {error}") from None
