import time

import pytest

from logship.router.globs import GlobError, compile_globs

PATHS = [
    ("/", "/", True),
    ("/admin/**", "/admin/", True),
    ("/admin/**", "/admin/a/b", True),
    ("/admin/**", "/admin", True),
    ("/admin/**", "/administrator", False),
    ("/admin/*", "/admin/a", True),
    ("/admin/*", "/admin/a/b", False),
    ("/admin/*", "/admin", False),
    ("/a/*/c", "/a/b/c", True),
    ("/a/*/c", "/a/b/b/c", False),
    ("/a/**/c", "/a/c", True),
    ("/a/**/c", "/a/b/b/c", True),
    ("/a/**/c", "/ac", False),
    ("**/wp-login.php", "/wp-login.php", True),
    ("**/wp-login.php", "/blog/wp-login.php", True),
    ("**/wp-login.php", "/not-wp-login.php", False),
    ("**/tmp/**", "/a/tmp", True),
    ("**/tmp/**", "/a/tmp/b/c", True),
    ("**/tmp/**", "/a/tmpx", False),
    ("**.{pdf,zip,dmg}", "/Report.PDF", True),
    ("**.{pdf,zip,dmg}", "/a.b/c", False),
    ("**.{pdf,zip,dmg}", "/a.pdf/", False),
    ("**.pdf", "/x.pdf", True),
    ("**.pdf", "/pdf", False),
    ("/files/*.pdf", "/files/a.Pdf", True),
    ("/files/*.pdf", "/files/a/b.pdf", False),
    ("/files/**.pdf", "/files/a/b.pdf", True),
    ("/files/**.pdf", "/files.pdf", False),
    ("/x.pdf", "/x.PDF", False),
    ("/user-?", "/user-1", True),
    ("/user-?", "/user-/", False),
    ("/[a-c]x", "/bx", True),
    ("/[!a-c]x", "/bx", False),
    ("/[!a-c]x", "/dx", True),
    ("/a[!b]c", "/a/c", False),
    ("/{a,b{c,d}}/x", "/bd/x", True),
    ("/{a,b{c,d}}/x", "/b/x", False),
    ("/{,en/}about", "/en/about", True),
    ("/{,en/}about", "/about", True),
    ("{/admin,/wp-admin}/**", "/wp-admin", True),
    ("{/a/**,/b}", "/a", True),
    (r"/a\*b", "/a*b", True),
    (r"/a\*b", "/axb", False),
    ("/a}b", "/a}b", True),
    ("/**", "/anything/at/all", True),
    ("**", "/anything", True),
    ("https://example.com/blog/*", "https://example.com/blog/x", True),
    ("/**/*a*b", "/x/xaxb", True),
    ("/**/*a*b", "/x/xa/b", False),
    ("/caf*\u00e9", "/caf\u00e9", True),
    ("/line*end", "/line\nend", True),
]


@pytest.mark.parametrize(("glob", "path", "fits"), PATHS)
def test_path_globs_mind_segments(glob, path, fits):
    """In a path, one star stops at a slash, two do not, and /x/** covers x itself."""
    assert compile_globs([glob], "path")(path) is fits


TEXTS = [
    ("*Firefox*", "Mozilla/5.0 Firefox/1", True),
    ("*firefox*", "Mozilla/5.0 Firefox/1", True),
    ("Firefox", "Mozilla/5.0 Firefox/1", False),
    ("https://*.google.*/**", "https://www.google.de/search", True),
    ("*a*b*c*", "xxaxxbxxc", True),
    ("*a*b*c*", "xxcxxbxxa", False),
    ("*{bot,spider}/?.*", "My Spider/2.1", True),
    ("text/html*", "TEXT/HTML; charset=utf-8", True),
    ("*\u00c9*", "caf\u00e9", True),
    ("a*b*a", "aba", True),
    ("a*b*a", "ab", False),
    ("[ab]*", "Bx", True),
]


@pytest.mark.parametrize(("glob", "text", "fits"), TEXTS)
def test_text_globs_know_no_segments(glob, text, fits):
    """In other text a star stands for anything; here case is ignored."""
    assert compile_globs([glob], ignore_case=True)(text) is fits


def test_several_globs_are_one_test():
    """Any of them will do, whatever shapes they have."""
    fits = compile_globs(["/a", "/b/**", "**/c", "**.pdf", "/d/*/e", "**/x*y*z", "/q*"], "path")
    assert all(map(fits, ["/a", "/b/1", "/1/c", "/x.pdf", "/d/1/e", "/1/xaybz", "/query"]))
    assert not any(map(fits, ["/aa", "/c/d", "/d/e", "/p"]))


@pytest.mark.parametrize(
    ("glob", "told"),
    [
        ("/a{b", "'/a{b': a '{' is not closed (write '\\{' for the character itself)"),
        ("/a[b", "'/a[b': a '[' is not closed (write '\\[' for the character itself)"),
        ("/[z-a]", "'/[z-a]': '[z-a]' is no set of characters: bad character range z-a at position 1"),
        ("/" + "{" * 21 + "}" * 21, "braces are nested more than 20 deep"),
        ("*.php", "'*.php' fits no path, since a path begins with '/': write '/*.php' or '**.php'"),
        ("admin/**", "'admin/**' fits no path, since a path begins with '/': write '/admin/**' or '**admin/**'"),
    ],
)
def test_a_faulty_glob_says_what_to_do(glob, told):
    """The text names the glob and the way out."""
    with pytest.raises(GlobError) as caught:
        compile_globs([glob], "path")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("dialect", "glob", "text"),
    [
        ("path", "/" + "**a" * 12 + "b", "/" + "a" * 20_000),
        ("path", "/*" + "a*" * 12 + "b", "/" + "a" * 20_000),
        ("path", "/**/**/**/**/x", "/a" * 10_000),
        ("path", "/{a,aa,aaa}{a,aa,aaa}{a,aa,aaa}{a,aa,aaa}{a,aa,aaa}{a,aa,aaa}*b", "/" + "a" * 20_000),
        ("text", "*a" * 12 + "b", "a" * 20_000),
        ("text", "*{a,aa}" * 12 + "b", "a" * 20_000),
        ("text", "*?a" * 12 + "b", "a" * 20_000),
        ("text", "*[ab]c" * 12, "ab" * 10_000),
    ],
)
def test_a_hostile_line_stays_linear(dialect, glob, text):
    """Twenty kilobytes against a dozen stars are milliseconds, not the age of the universe."""
    fits = compile_globs([glob], dialect)
    started = time.process_time()
    fits(text)
    assert time.process_time() - started < 5


def test_bytes_that_are_no_text_do_not_break_a_match():
    """A lone surrogate, as records carry it, is asked like any character."""
    assert compile_globs(["/**a*b*c"], "path")("/\udcffaxbyc")
    assert compile_globs(["*\ufffd*x*"])("\udcff-x") in (True, False)
