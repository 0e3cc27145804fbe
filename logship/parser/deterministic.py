r"""Tell which of the users' expressions Python's own engine may run: those that leave nothing to be tried twice.

RE2 can be stalled by no pattern, and takes ten times as long as Python's engine does for a pattern like
``^(?P<client_ip>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)"``. In such a one every repeated set of bytes ends at a
byte that is not of the set, so there is one way to match a line, and it is found or missed in one pass. Both engines
mean the same by what is let through here (https://github.com/google/re2/wiki/Syntax), but for ``\s``, of which Python
thinks that it holds a vertical tab: `engine` is for lines without one, and without a newline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_Bytes = frozenset[int]
_ALL = frozenset(range(256))
_ANY = _ALL - {10}
_END = 256  # what stands behind the last byte
_DIGITS = frozenset(b"0123456789")
_WORDS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_BLANKS = frozenset(b" \t\n\r\f")
_CATEGORIES = {
    sre.CATEGORY_DIGIT: _DIGITS,
    sre.CATEGORY_NOT_DIGIT: _ALL - _DIGITS,
    sre.CATEGORY_WORD: _WORDS,
    sre.CATEGORY_NOT_WORD: _ALL - _WORDS,
    sre.CATEGORY_SPACE: _BLANKS,
    sre.CATEGORY_NOT_SPACE: _ALL - _BLANKS,
}
_OTHERWISE_IN_RE2 = re.compile(r"\{,|\[:|\(\?[^P:]|\\[^\w]*[0-9]|[^\x00-\x7f]")
_MOST = 60  # pieces of a pattern


class _UnsureError(Exception):
    """More than one way may have to be tried."""


def engine(pattern: str) -> Callable[[bytes], re.Match[bytes] | None] | None:
    """Return what matches a line by a pattern that RE2 has accepted; None where only RE2 should."""
    if _OTHERWISE_IN_RE2.search(pattern):
        return None
    try:
        parsed = _parser.parse(pattern.encode())
        first, *rest = list(parsed)
        if first != (sre.AT, sre.AT_BEGINNING) or len(rest) > _MOST:
            return None
        _first_of(rest, frozenset({*_ALL, _END}), open_end=True)
    except (_UnsureError, re.error, ValueError, OverflowError, RecursionError):
        return None
    return re.compile(pattern.encode()).match


def _first_of(nodes: Sequence[Any], after: _Bytes, *, open_end: bool = False) -> _Bytes:
    """Return the bytes that can come first, given those that can come ``after``; raise where there is a choice.

    ``open_end``: nothing is asked for behind the last of the nodes, so that any choice there is the last.
    """
    for at, node in reversed(list(enumerate(nodes))):
        after = _first(node, after, is_last=open_end and at == len(nodes) - 1)
    return after


def _first(node: tuple[Any, Any], after: _Bytes, *, is_last: bool) -> _Bytes:
    kind, value = node
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        return _repeated(value, after, is_last=is_last)
    if kind is sre.SUBPATTERN:
        _, flags_on, flags_off, inner = value
        if flags_on or flags_off:
            raise _UnsureError
        return _first_of(list(inner), after, open_end=is_last)
    if kind is sre.BRANCH:
        return _either([_first_of(list(each), after) for each in value[1]])
    if kind is sre.AT:
        if value is not sre.AT_END:
            raise _UnsureError
        return frozenset({_END})
    return _set_of(kind, value)


def _repeated(repeat: tuple[int, Any, Any], after: _Bytes, *, is_last: bool) -> _Bytes:
    """A set of bytes that ends where it must; or something that is there once or not at all."""
    least, most, inner = repeat
    if len(inner) == 1 and inner[0][0] in _SETS:
        found = _set_of(*inner[0])
        if found & after and not is_last and least != most:
            raise _UnsureError
    elif (least, most) == (0, 1):
        found = _first_of(list(inner), after)
        if found & after:
            raise _UnsureError
    else:
        raise _UnsureError
    return found | after if least == 0 else found


def _either(firsts: Sequence[_Bytes]) -> _Bytes:
    together = frozenset().union(*firsts)
    if len(together) != sum(map(len, firsts)):
        raise _UnsureError
    return together


_SETS = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)


def _set_of(kind: Any, value: Any) -> _Bytes:
    if kind is sre.LITERAL:
        return frozenset({value})
    if kind is sre.NOT_LITERAL:
        return _ALL - {value}
    if kind is sre.ANY:
        return _ANY
    if kind is not sre.IN:
        raise _UnsureError
    negated = value[0][0] is sre.NEGATE
    found = frozenset().union(*(_member(*each) for each in value[negated:]))
    return _ALL - found if negated else found


def _member(kind: Any, value: Any) -> _Bytes:
    if kind is sre.LITERAL:
        return frozenset({value})
    if kind is sre.RANGE:
        return frozenset(range(value[0], value[1] + 1))
    if kind is sre.CATEGORY:
        return _CATEGORIES[value]
    raise _UnsureError
