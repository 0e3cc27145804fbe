"""Turn a glob into a test of text that stays linear whatever a stranger writes into a log line.

Two dialects. In *paths* (``path``, ``url``) ``*`` and ``?`` stop at a slash and ``**`` does not; ``/**`` at the end
covers the directory itself too, and the letters of a file extension at the end (``*.pdf``, ``**.{zip,dmg}``) compare
in any case. In *text* (all other fields) both stars stand for any text. Everywhere: ``[a-z]`` and ``[!a-z]`` are one
character of a set, ``{a,b}`` alternatives, and a backslash takes the next character as it is.

Common shapes become string methods. Shapes that cannot backtrack run on ``re``, the rest on RE2 behind a memo.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import re2

from logship.records import readable

Dialect = Literal["path", "text"]
TextTest = Callable[[str], bool]

_MEMO = 1024  # answers of RE2 kept per pattern: a match costs 9 µs, a look-up 0.05
_DEPTH = 20  # of nested braces; a person needs two
_Kind = Literal["literal", "one", "set", "star", "stars", "open", "comma", "close"]
_EXTENSION = re.compile(r"\.(?:(\w+)|\{([\w,]+)\})\Z", re.ASCII)


class GlobError(ValueError):
    """The glob cannot be read. The text is for people."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str = ""  # of a literal: the character; of a set: its inside as a regular expression


def compile_glob(glob: str, dialect: Dialect = "text", *, ignore_case: bool = False) -> TextTest:
    """Return the test whether a whole text fits the glob. Raises GlobError."""
    if dialect == "text":
        return _text_test(glob, ignore_case)
    _refuse_relative(glob)
    ending = _EXTENSION.search(glob)
    if ending and glob[: ending.start()].endswith("*"):
        return _extension_test(glob[: ending.start()], _names(ending))
    return _path_test(glob, whole=True)


def extensions_of(glob: str) -> frozenset[str] | None:
    """Return the extensions of a path glob of the shape ``**.{a,b}``, lower case and with their dot; else None."""
    ending = _EXTENSION.search(glob)
    return _names(ending) if ending and glob[: ending.start()] == "**" else None


def ends_in(extensions: frozenset[str]) -> TextTest:
    """Return the test whether a path ends in one of the extensions (``.pdf``), in any case."""
    return lambda path: path[path.rfind(".") :].lower() in extensions


def on_re2(pattern: re2._Regexp, *, whole: bool) -> TextTest:
    """Return the test whether a pattern of RE2 is found in a text (or fits it whole), behind a bounded memo."""
    answers: dict[str, bool] = {}
    find = pattern.fullmatch if whole else pattern.search

    def test(text: str) -> bool:
        answer = answers.get(text)
        if answer is None:
            if len(answers) >= _MEMO:
                answers.clear()
            answer = answers[text] = find(readable(text)) is not None
        return answer

    return test


# The two dialects.


def _text_test(glob: str, ignore_case: bool) -> TextTest:
    tokens = [_Token("stars") if token.kind == "star" else token for token in _tokens(glob)]
    if simple := _string_method(tokens, ignore_case):
        return simple
    flags = "(?si)" if ignore_case else "(?s)"
    if any(token.kind == "open" for token in tokens):
        return _re2_test(flags + "".join(_piece(token, ".") for token in tokens), glob)
    return _re_test(flags + _atomic(tokens))


def _path_test(glob: str, *, whole: bool) -> TextTest:
    """``whole``: the glob is not just the part before an extension, so that a last ``/**`` covers the directory."""
    tokens = _tokens(glob)
    if whole and tokens and (directory := _directory(tokens)):
        return _inside(directory)
    if simple := _string_method(tokens, False):
        return simple
    pattern = "(?s)" + _path_pattern(tokens, whole)
    return _re_test(pattern) if _cannot_backtrack(tokens) else _re2_test(pattern, glob)


def _extension_test(head: str, extensions: frozenset[str]) -> TextTest:
    if head == "**":
        return ends_in(extensions)
    fits = _path_test(head, whole=False)

    def test(path: str) -> bool:
        dot = path.rfind(".")
        return path[dot:].lower() in extensions and fits(path[:dot])

    return test


def _names(ending: re.Match[str]) -> frozenset[str]:
    return frozenset("." + name.lower() for name in (ending[1] or ending[2]).split(",") if name)


def _refuse_relative(glob: str) -> None:
    """Refuse a path glob that can never fit: every path begins with a slash."""
    start = glob if glob.startswith("**") else glob.removeprefix("*")
    if start and start[0] not in "/*{[?\\" and "://" not in glob:
        raise GlobError(f"{glob!r} fits no path, since a path begins with '/': write '/{glob}' or '**{start}'")


# From text to tokens.


def _tokens(glob: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, depth = 0, 0
    while position < len(glob):
        token, position = _token(glob, position, depth)
        depth += (token.kind == "open") - (token.kind == "close")
        if depth > _DEPTH:
            raise GlobError(f"{glob!r}: braces are nested more than {_DEPTH} deep")
        tokens.append(token)
    if depth:
        raise GlobError(f"{glob!r}: a '{{' is not closed (write '\\{{' for the character itself)")
    return tokens


def _token(glob: str, at: int, depth: int) -> tuple[_Token, int]:
    char = glob[at]
    if char == "*":
        end = at + len(glob[at:]) - len(glob[at:].lstrip("*"))
        return _Token("star" if end - at == 1 else "stars"), end
    if char == "\\" and at + 1 < len(glob):
        return _Token("literal", glob[at + 1]), at + 2
    if char == "[":
        return _set(glob, at)
    return _Token(_KINDS.get((char, depth > 0), "literal"), char), at + 1


_KINDS: dict[tuple[str, bool], _Kind] = {
    ("?", False): "one",
    ("?", True): "one",
    ("{", False): "open",
    ("{", True): "open",
    (",", True): "comma",
    ("}", True): "close",
}


def _set(glob: str, at: int) -> tuple[_Token, int]:
    negated = glob[at + 1 : at + 2] in ("!", "^") and len(glob) > at + 1
    start = at + 1 + negated
    end = glob.find("]", start + 1)
    if end < 0:
        raise GlobError(f"{glob!r}: a '[' is not closed (write '\\[' for the character itself)")
    inside = ("^" if negated else "") + re.sub(r"[\\\[\]^&~|]", r"\\\g<0>", glob[start:end])
    try:
        re.compile(f"[{inside}]")
    except re.error as error:
        raise GlobError(f"{glob!r}: '[{glob[start:end]}]' is not a set of characters: {error}") from None
    return _Token("set", inside), end + 1


# From tokens to a test, the cheapest that will do.


def _directory(tokens: list[_Token]) -> str | None:
    """Return ``/x/`` for the tokens of ``/x/**``."""
    text = "".join(token.text for token in tokens[:-1])
    plain = all(token.kind == "literal" for token in tokens[:-1])
    return text if plain and text.endswith("/") and tokens[-1].kind == "stars" else None


def _inside(directory: str) -> TextTest:
    itself = directory[:-1]
    return lambda text: text.startswith(directory) or text == itself


def _string_method(tokens: list[_Token], ignore_case: bool) -> TextTest | None:
    head = bool(tokens) and tokens[0].kind == "stars"
    tail = len(tokens) > 1 and tokens[-1].kind == "stars"
    middle = tokens[head : len(tokens) - tail]
    if any(token.kind != "literal" for token in middle):
        return None
    wanted = "".join(token.text for token in middle)
    if head and tail and wanted.endswith("/"):
        return None  # **/x/** covers the directory itself too
    if ignore_case:
        lowered = _SHAPES[head, tail](wanted.lower())
        return lambda text: lowered(text.lower())
    return _SHAPES[head, tail](wanted)


_SHAPES: dict[tuple[bool, bool], Callable[[str], TextTest]] = {
    (False, False): lambda wanted: lambda text: text == wanted,
    (False, True): lambda wanted: lambda text: text.startswith(wanted),
    (True, False): lambda wanted: lambda text: text.endswith(wanted),
    (True, True): lambda wanted: lambda text: wanted in text,
}


def _cannot_backtrack(tokens: list[_Token]) -> bool:
    """Tell whether each star is alone in its segment and ``**`` stands at the end only: linear on ``re`` as well."""
    stars = 0
    for token in tokens[:-1] if tokens and tokens[-1].kind == "stars" else tokens:
        stars = 0 if token.text == "/" else stars + (token.kind == "star")
        if stars > 1 or token.kind in ("stars", "open"):
            return False
    return True


def _path_pattern(tokens: list[_Token], whole: bool) -> str:
    pattern = "".join(_STARS if token.kind == "stars" else _piece(token, "[^/]") for token in tokens)
    pattern = re.sub(rf"/{_STARS}(?=[|)]{'|$' if whole else ''})", "(?:/.*)?", pattern)
    return pattern.replace(f"{_STARS}/", "(?:.*/)?").replace(_STARS, ".*")


_STARS = "\0"  # stands for ** until its neighbours are known


def _piece(token: _Token, any_char: str) -> str:
    if token.kind == "set":
        return f"[{token.text}/]" if token.text[0] == "^" and any_char != "." else f"[{token.text}]"
    if token.kind == "literal":
        return re.escape(token.text)
    return {"one": any_char, "star": f"{any_char}*", "stars": ".*", "open": "(?:", "comma": "|", "close": ")"}[
        token.kind
    ]


def _atomic(tokens: list[_Token]) -> str:
    """Join with atomic groups: without segments and braces, the first place where a piece fits is as good as any."""
    pieces = [""]
    for token in tokens:
        if token.kind == "stars":
            pieces.append("")
        else:
            pieces[-1] += _piece(token, ".")
    if len(pieces) == 1:
        return pieces[0]
    return pieces[0] + "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece) + ".*" + pieces[-1]


def _re_test(pattern: str) -> TextTest:
    match = re.compile(pattern).fullmatch
    return lambda text: match(text) is not None


def _re2_test(pattern: str, glob: str) -> TextTest:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return on_re2(re2.compile(pattern, options), whole=True)
    except re2.error as error:
        raise GlobError(f"{glob!r}: cannot be compiled: {error}") from None
