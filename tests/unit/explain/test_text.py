"""The report answers three questions, and what it shows is what was counted."""

import re
from pathlib import Path

import pytest

from logship.explain import cost, foreseen, reasons, text, unread
from logship.explain.survey import Misfit, Surveyor


@pytest.fixture
def report(planned):
    """Return a function that gives the report on some lines as plain text."""

    def make(*blocks, plan="", width=100):
        surveyor = Surveyor(next(iter(planned(plan).sources.values())), foreseen.foresight())
        for block in blocks:
            surveyor.add(block)
        return "\n".join(
            "".join(words for words, _ in line) for line in text.page(surveyor.survey, "a.log", width=width)
        )

    return make


def test_it_answers_three_questions(report, line):
    """What will be sent, what will not and why, what it will cost."""
    log = line("/", at="10/Oct/2025:00:00:00") + line("/a.css") + line("/b", agent="curl/8") + line("/p") * 8
    told = report(log)
    for part in (
        "WHAT WILL BE SENT",
        "event: pageview                 9",
        "example.com: 1 visitor, 2 visits, 9 page views (4.5 a visit, 50 % bounce, 0 s long)",
        "          8  /p",
        "WHAT WILL NOT, AND WHY",
        "dropped: asset",
        "line 2: pageviews/asset: GET /a.css 200, 203.0.113.7, Mozilla/5.0",
        "line 3: pageviews/bot: GET /b 200, 203.0.113.7, curl/8",
        "WHAT IT WILL COST",
        "events a month at this rate: 465",
        "[10k] 100k",
        "WORTH A LOOK",
        "the log spans less than a day",
    ):
        assert part in told, part


def test_a_line_that_broke_is_shown_with_its_place_and_the_nearest_format(report, line):
    """A mark stands under the byte where the format stopped fitting."""
    hosts = b"shop.example.com:443 " + line()
    told = report(hosts * 3).splitlines()
    mark = next(at for at, each in enumerate(told) if each.strip() == "^")
    assert told[mark - 1][told[mark].index("^") :].startswith(told[mark - 1].strip()[told[mark].index("^") - 8 :])
    assert "      3 of 3 of them are in the format vhost_combined" in told


def test_no_line_is_wider_than_asked_where_it_can_be_cut(report, line):
    """Examples are cut, so that a terminal does not fold them."""
    told = report(line("/" + "long/" * 300 + "a.css"), line()[:-1] + b" and more " * 50 + b"\n", width=80)
    examples = [each for each in told.splitlines() if each.startswith("      line ")]
    assert examples
    assert max(map(len, examples)) <= 80


def test_a_log_of_which_nothing_is_sent_says_what_to_do(report, line):
    """The one reason that takes nearly all is explained."""
    told = report(line(agent="-") * 30)
    assert "event: no event" in told.replace("  ", "") or "no event" in told
    assert "100% of the requests are dropped as bot: does the log hold the User-Agent?" in told


def test_a_proxys_address_is_noticed(report, line):
    """All visits from inside a network: the log holds the proxy's address."""
    assert "the log holds the proxy's address" in report(line(ip="10.0.0.2") * 3)


def test_a_cdns_address_is_noticed(report, line):
    """All visits from Cloudflare: the report says which line of the configuration finds the visitors."""
    assert "add client_ip: {trusted_proxies: [cloudflare]}" in report(line(ip="172.64.0.9") * 3)


def test_an_empty_log_has_a_report(report):
    """Nothing is divided by nothing."""
    assert "0 lines" in report()


def test_the_funnel_loses_lines_step_by_step(planned, line):
    """Each step is what is left of the one before; a reason of one's own leaves at the last."""
    plan = planned('rules: [{when: {path: "/x"}, drop: mine}, {preset: pageviews}]\n')
    surveyor = Surveyor(next(iter(plan.sources.values())), lambda _: None)
    surveyor.add(line() + line("/a.css") + line("/x") + line(agent="curl/8") + b"garbage\n")
    steps = [(step.name, step.lines) for step in reasons.funnel(surveyor.survey)]
    assert steps == [("lines", 5), ("understood", 4), ("for a page", 3), ("by a person", 2), ("sent", 1)]


@pytest.mark.parametrize(
    ("events", "tier"), [(0, 10_000), (10_000, 10_000), (10_001, 100_000), (10_000_000, 10_000_000), (10_000_001, None)]
)
def test_the_smallest_tier_that_holds_is_chosen(events, tier):
    """A tier holds as many events as its name says."""
    assert cost.tier(events) == tier


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.0001, "<0.1 %"), (0.004, "0.4 %"), (0.9999, "99.9 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(share, said):
    """Two lines of a million are not 0 %."""
    assert text.percent(share) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (65, "1 min 5 s"), (3720, "1 h 2 min"), (86400, "1 day"), (180000, "2 days 2 h")],
)
def test_a_stretch_of_time_has_two_units(seconds, said):
    """As people say it."""
    assert text.span(seconds) == said


def test_nothing_comes_near_what_is_no_log():
    """Prose has no nearest format."""
    assert unread.nearest([Misfit(1, b"The quick brown fox", "format", 0)], []) is None
    assert unread.nearest([], []) is None


def test_two_formats_that_fit_equally_are_named_and_asked_about(report, line):
    """None is chosen: the report says which they are, and what to write."""
    bare = line()
    auto = "sources: [{path: /var/log/access.log, site: https://example.com}]\n"
    told = report((bare + b"www.example.com:443 " + bare) * 6, plan=auto)
    assert "12 lines, combined and vhost_combined fit equally" in told
    assert "say which it is, `format: combined`" in told


def test_what_an_expression_can_be_bent_to_is_no_nearest_format(line):
    """The expression of a format may fit lines that are plainly others': its lines bear signs."""
    texts = [line().strip(), line("/b").strip()]
    found = unread.nearest([Misfit(at, text, "format", 0) for at, text in enumerate(texts, 1)], [])
    assert (found.name, found.fits) == ("combined", 2)


def test_every_reason_has_its_words():
    """Whatever the parser says of a line, the report says it in words."""
    modules = (Path(__file__).parents[3] / "logship" / "parser").glob("*.py")
    given = {reason for module in modules for reason in re.findall(r'Unparsed\("(\w+)"', module.read_text())}
    assert not {reason for reason in given | {"time", "status"} if not reasons.unparsed(reason)}


def test_a_report_fits_a_narrow_terminal(planned, line):
    """What is wider is broken between words and set in; nothing of it is lost, and bars stay whole."""
    surveyor = Surveyor(next(iter(planned("").sources.values())), foreseen.foresight())
    surveyor.add(line("/", ip="10.0.0.1") * 3 + line("/a.css") * 30 + b"garbage\n")
    for whole in text.page(surveyor.survey, "a.log", width=80):
        rows = ["".join(words for words, _ in row) for row in text.fit(whole, 80)]
        assert all(len(row.rstrip()) <= 80 for row in rows), rows
        assert " ".join(" ".join(rows).split()) == " ".join("".join(words for words, _ in whole).split())
    row = (("  dropped: asset   ", ""), ("█" * 50, "bad"), ("  a part of a page", "soft"))
    assert list(text.fit(row, 80)) == [row[:2], (("                   ", ""), ("a part of a page", "soft"))]
    hint = list(text.fit((("  ! ", "warn"), ("one two three four", "")), 12))
    assert hint == [(("  ! ", "warn"), ("one two", "")), (("    ", ""), ("three", "")), (("    ", ""), ("four", ""))]


def test_json_with_keys_of_its_own_is_told_how_to_name_them(report):
    """The keys that all lines have are listed; what strangers named differs from line to line, and stays out."""
    log = b"".join(
        b'{"ts": 1, "ip": "203.0.113.7", "req": {"line": "GET / HTTP/1.1"}, "arguments": {"secret%d": 1}}\n' % n
        for n in range(5)
    )
    told = report(log)
    assert "JSON, with keys that are not of the usual spellings (ts, ip, req.line)" in told
    assert "--format '{json: {client_ip: KEY" in told
    assert "secret" not in told.rpartition("WORTH A LOOK")[2]


def test_a_log_of_a_few_seconds_is_no_guess_of_a_month(report, line):
    """Where no month is told, none is called a guess."""
    told = report(line("/") * 3)
    assert "unknown, the log spans less than a minute" in told
    assert "is a guess" not in told
