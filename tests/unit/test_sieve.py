"""A chunk in, survivors and counts out; the short way and the full one give the same."""

import pytest

from logship.parser import formats
from logship.parser.client import ClientRule
from logship.records import Chunk
from logship.router.table import Rules, Table
from logship.settings import RuleSettings, SourceSettings, Test, When
from logship.sieve import Sieve

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
NOW = 1760104536.0  # 2025-10-10T13:55:36Z


def line(path="/", agent=FIREFOX, status=200, when="10/Oct/2025:13:55:36 +0000", method="GET", ip="203.0.113.7"):
    return f'{ip} - - [{when}] "{method} {path} HTTP/1.1" {status} 5 "-" "{agent}"\n'.encode()


def sieve(*rules, format_="combined", max_event_age=None):
    table = Table(
        Rules(rules or (RuleSettings(preset="pageviews"),), destinations=["plausible"]),
        SourceSettings("s", ("/log",), site="https://example.com"),
    )
    return Sieve(table, ClientRule(()), format_ and formats.compile(format_), max_event_age=max_event_age)


def chunk(data, start=0):
    return Chunk(1, "s", "/log", data, start, start + len(data))


def test_survivors_know_where_their_line_starts():
    """The ledger settles by offset, so each survivor carries its own."""
    data = [line("/a"), line("/x.css"), line("/b")]
    sifted = sieve().sift(chunk(b"".join(data), 1000), NOW)
    assert [start for start, _ in sifted.survivors] == [1000, 1000 + len(data[0]) + len(data[1])]
    assert [sent.event.url for _, many in sifted.survivors for sent in many] == [
        "https://example.com/a",
        "https://example.com/b",
    ]


def test_every_line_is_counted_once():
    """Read is the sum of what became of the lines."""
    lines = [line("/a"), line("/x.css"), b"junk\n", b"\n", line("/b", "curl/8"), line("/c", status=404)]
    sifted = sieve().sift(chunk(b"".join(lines)), NOW)
    assert sifted.lines == 6
    assert sifted.dropped == {"asset": 1, "bot": 1, "status": 1}
    assert sifted.unparsed.total() == 2
    assert len(sifted.survivors) == 1


def test_verdicts_are_remembered_without_mixing_them_up():
    """The same request by a person, a crawler and again a person: each has its own fate, the second time too."""
    lines = [line("/a"), line("/a", "curl/8"), line("/a", ip="203.0.113.8")] * 2
    sifted = sieve().sift(chunk(b"".join(lines)), NOW)
    assert (len(sifted.survivors), sifted.dropped) == (4, {"bot": 2})


def test_lines_older_than_the_limit_expire():
    """Plausible stamps events on arrival, so an old line is counted and not sent."""
    lines = [line("/old", when="09/Oct/2025:13:55:35 +0000"), line("/new")]
    sifted = sieve(max_event_age=86400.0).sift(chunk(b"".join(lines)), NOW)
    assert (sifted.expired, len(sifted.survivors)) == (1, 1)


@pytest.mark.parametrize("odd", [b"\\x22", b"\0", b"\r"])
def test_an_odd_line_takes_the_long_way_to_the_same_end(odd):
    """A line that the short way refuses is parsed in full and routed all the same."""
    plain = line("/a")
    strange = plain[:-1] + odd + b"\n" if odd == b"\r" else plain.replace(b"Mozilla/", b"Mozilla/" + odd)
    sifted = sieve().sift(chunk(plain + strange), NOW)
    assert len(sifted.survivors) == 2
    assert sifted.nul_bytes == odd.count(b"\0")


def test_a_rule_on_the_user_agents_text_is_not_answered_by_its_class():
    """Two people's User-Agents are of one class, and only one of them is dropped."""
    rule = RuleSettings(name="no Firefox", when=When((Test("user_agent", ("*Firefox*",)),)), drop="rule")
    lines = line("/a") + line("/a", FIREFOX.replace("Firefox", "Fennec"))
    sifted = sieve(rule, RuleSettings(preset="pageviews")).sift(chunk(lines * 2), NOW)
    assert (sifted.dropped, len(sifted.survivors)) == ({"rule": 2}, 2)


def test_the_format_is_found_out_and_nothing_is_consumed():
    """Detection looks at the very lines that are then sifted."""
    detecting = sieve(format_=None)
    first = detecting.sift(chunk(line("/a") * 3), NOW)
    assert first.detected is not None
    assert first.detected.name == "combined"
    assert len(first.survivors) == 3
    assert detecting.sift(chunk(line("/b")), NOW).detected is None


def test_a_file_that_plainly_changes_its_format_is_followed():
    """The administrator adds a field and reloads nginx: from there on the new format holds."""
    detecting = sieve(format_=None)
    detecting.sift(chunk(line("/a") * 3), NOW)
    later = detecting.sift(chunk((line("/b")[:-1] + b' "198.51.100.9"\n') * 3), NOW)
    assert later.detected is not None
    assert len(later.survivors) == 3


def test_a_file_in_no_known_format_is_counted_as_such():
    """Nothing is guessed: every line is unparsed."""
    sifted = sieve(format_=None).sift(chunk(b"what is this\nand this\n"), NOW)
    assert (sifted.lines, sifted.unparsed.total(), sifted.detected) == (2, 2, None)
