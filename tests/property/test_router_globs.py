"""Globs against the plainest matcher that could be written."""

import re
from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from logship.router.globs import compile_globs

PIECES = st.sampled_from(["a", "b", "/", "*", "**", "?", "[ab]", "[!a]", ".pdf", "x", "{a,b}", "{/a,b*}", "/**"])
PATH_GLOBS = st.lists(PIECES, max_size=6).map(lambda pieces: "/" + "".join(pieces))
TEXT_GLOBS = st.lists(PIECES, max_size=6).map("".join)
TEXTS = st.text(alphabet="ab/x.pdfP", max_size=8)


def written_out(glob):
    """Yield the glob without its (unnested) braces."""
    before, brace, rest = glob.partition("{")
    if not brace:
        yield glob
        return
    inside, _, after = rest.partition("}")
    for choice in inside.split(","):
        yield from written_out(before + choice + after)


def fits(glob, text, *, path):
    """Match by trying everything, as the documentation says it."""
    glob = re.sub(r"\*{3,}", "**", glob)
    extension = glob.endswith("*.pdf") and path

    @cache
    def match(g, t):
        rest, left = glob[g:], text[t:]
        if not rest:
            return not left
        if path and rest == "/**" and not left:
            return True
        if path and rest.startswith("**/") and glob[:g].endswith("/") and match(g + 3, t):
            return True
        if path and rest.startswith("**/") and g == 0 and match(g + 3, t):
            return True
        if rest.startswith("*"):
            stars = len(rest) - len(rest.lstrip("*"))
            wide = stars > 1 or not path
            if path and wide and rest[stars : stars + 1] == "/" and (g == 0 or glob[g - 1] == "/"):
                return any(
                    left[n - 1] == "/" and match(g + stars + 1, t + n) for n in range(1, len(left) + 1)
                ) or match(g + stars + 1, t)
            return any(match(g + stars, t + n) for n in range(len(left) + 1) if wide or "/" not in left[:n])
        if rest.startswith("["):
            end = rest.index("]")
            negated, inside = rest[1] == "!", rest[1:end].lstrip("!")
            ok = bool(left) and (left[0] in inside) != negated and not (path and left[0] == "/")
            return ok and match(g + end + 1, t + 1)
        if not left:
            return False
        if rest[0] == "?":
            return not (path and left[0] == "/") and match(g + 1, t + 1)
        if extension and len(rest) <= 4:
            return left.lower() == rest
        return left[0] == rest[0] and match(g + 1, t + 1)

    return match(0, 0)


@settings(max_examples=500, deadline=None)
@example("/a**/**?", "/aP")
@given(PATH_GLOBS, TEXTS.map(lambda text: "/" + text))
def test_a_path_glob_fits_what_the_plain_matcher_fits(glob, text):
    """String methods, re and RE2 agree with trying everything."""
    expected = any(fits(each, text, path=True) for each in written_out(glob))
    assert compile_globs([glob], "path")(text) is expected


@settings(max_examples=500, deadline=None)
@given(TEXT_GLOBS, TEXTS)
def test_a_text_glob_fits_what_the_plain_matcher_fits(glob, text):
    """Atomic groups lose nothing."""
    expected = any(fits(each, text, path=False) for each in written_out(glob))
    assert compile_globs([glob], "text")(text) is expected


@settings(max_examples=200, deadline=None)
@given(st.lists(PATH_GLOBS, max_size=4), TEXTS.map(lambda text: "/" + text))
def test_globs_together_fit_what_one_of_them_fits(globs, text):
    """Sorting them into shapes changes nothing."""
    assert compile_globs(globs, "path")(text) is any(compile_globs([glob], "path")(text) for glob in globs)
