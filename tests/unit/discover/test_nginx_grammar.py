"""nginx's language: words, quotes, blocks, and errors with file and line."""

from __future__ import annotations

import pytest

from logship.discover.nginx_grammar import parse
from logship.errors import LogshipError


def words(text: str) -> list[tuple[str, ...]]:
    return [(each.name, *each.args) for each in parse(text, "nginx.conf")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c;", [("a", "b", "c")]),
        ("a 'b c' \"d e\";", [("a", "b c", "d e")]),
        (r"a 'it\'s' \"x;", [("a", "it's", '"x')]),
        ("a 'tab\\t' back\\\\slash \\d;", [("a", "tab\t", "back\\slash", "\\d")]),
        ("a b#c; # d\n#e\nf;", [("a", "b#c"), ("f",)]),
        ("a ${b}c$d;", [("a", "${b}c$d")]),
        ("a b'c;", [("a", "b'c")]),
        ("a\n'one '\n'two';", [("a", "one ", "two")]),
        ("a ~^x\\.y$;", [("a", "~^x\\.y$")]),
        ("", []),
        ("a {}", [("a",)]),
    ],
)
def test_words_are_read_as_nginx_reads_them(text: str, expected: list[tuple[str, ...]]) -> None:
    """Quotes count at a word's beginning, `#` too, and `${` opens no block."""
    assert words(text) == expected


def test_blocks_hold_directives_and_lines_are_counted() -> None:
    """A directive knows where its first word stands."""
    (http,) = parse("\n# x\nhttp {\n  server\n  {\n  a 'b\nc';\n d; } }", "f")
    server = (http.block or [])[0]
    assert (http.line, server.line) == (3, 4)
    assert [(each.name, each.line) for each in server.block or []] == [("a", 6), ("d", 8)]


def test_lua_is_no_configuration() -> None:
    """The braces and quotes of Lua code are its own."""
    code = """a_by_lua_block { local s = "}" -- } it's
      --[[ { ]] local t = { x = '}' } local u = [==[ }}} ]==] } b;"""
    assert [each.name for each in parse(code, "f")] == ["a_by_lua_block", "b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a b", '"a": a ";" is missing'),
        ("\nhttp {\n server {\n", 'no "}"'),
        ("a;\n}", '"}" closes no block'),
        ("a {\n b }", 'has no ";" before'),
        ("a 'b;\n", "a quote is opened here and never closed"),
        ("\n;", 'unexpected ";"'),
        ("a b\\", "after a backslash"),
        ("{", 'unexpected "{"'),
        ("a_by_lua_block { if x {", "no end"),
        ("a {" * 1000, "more than 64 blocks"),
    ],
)
def test_what_nginx_would_refuse_is_an_error_with_its_line(text: str, told: str) -> None:
    """The error names file and line and says what is wrong."""
    with pytest.raises(LogshipError, match=r"^nginx\.conf:\d+: ") as caught:
        parse(text, "nginx.conf")
    assert told in str(caught.value)
