"""What one line cannot tell: the same download again, a visitor who gave himself away, spam from a list."""

import pytest

from logship.router.scrutiny import Memory, Pace, Recent, Scrutiny, host_of, is_below, is_scan
from logship.settings.source import BehaviourSettings

GPTBOT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"
NOON = 1760097600.0


@pytest.fixture
def judge(table):
    """Make a judge of rules that remembers."""

    def make(rules="- preset: pageviews", memory=None, spam=(), **behaviour):
        signs = BehaviourSettings(**behaviour)
        return Scrutiny(table(rules), memory or Memory(), behaviour=signs, spam=frozenset(spam))

    return make


@pytest.fixture
def fates(page):
    """Return what becomes of records, one after the other: events' names, or reasons."""

    def fates_of(judge, *changes):
        decisions = [judge.route(page(**{"time": NOON + at, **change})) for at, change in enumerate(changes)]
        return [each.reason or each.deliveries[0].event.name for each in decisions]

    return fates_of


PDF = {"path": "/a.pdf"}
PART = {"path": "/a.pdf", "status": 206}


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([PDF, PART, PART], ["File Download", "repeated", "repeated"]),  # Chrome's viewer: whole, given up, in parts
        ([PART, PART], ["File Download", "repeated"]),  # Safari: in parts from the start
        ([PDF, PDF], ["File Download", "File Download"]),  # fetched twice, whole each time
        ([PART, {**PART, "client_ip": "203.0.113.8"}], ["File Download"] * 2),  # another visitor
        ([PART, {**PART, "user_agent": "Mozilla/5.0 (X11) Firefox/1.0"}], ["File Download"] * 2),
        ([PART, {**PART, "path": "/b.pdf"}], ["File Download"] * 2),
        ([PART, {**PART, "host": "www.example.com"}], ["File Download"] * 2),
        ([PART, {**PART, "query": "sig=2"}], ["File Download", "repeated"]),  # a new signature for the same file
        ([PART, {**PART, "time": NOON + 1800}], ["File Download", "repeated"]),
        ([PART, {**PART, "time": NOON + 1801}], ["File Download"] * 2),
        ([PART, {**PART, "time": NOON + 1700}, {**PART, "time": NOON + 3400}], ["File Download"] + ["repeated"] * 2),
        ([{**PART, "user_agent": "curl/8"}, PART], ["no_rule", "File Download"]),  # what was no event is no first one
    ],
)
def test_a_download_in_parts_counts_once(judge, fates, requests, expected):
    """The first sign of a file counts, and each whole one; its parts prolong the time, and do not count."""
    assert fates(judge("- preset: downloads"), *requests) == expected


def test_a_rule_of_ones_own_may_count_once(judge, fates):
    """For each name, and beside a rule that continues: then only its own event is left out."""
    rules = """
- {event: Seen, once_within: 1d, continue: true}
- {preset: downloads, once_within: 1d}
- preset: pageviews
"""
    made = judge(rules)
    assert fates(made, {}, {}, PDF, PDF) == ["Seen", "pageview", "Seen", "repeated"]


def test_what_is_remembered_outlives_a_reload(judge, fates):
    """The next plan's judge is given the memory of the one before."""
    memory = Memory()
    assert fates(judge("- preset: downloads", memory), PART) == ["File Download"]
    assert fates(judge("- preset: downloads", memory), PART) == ["repeated"]
    assert fates(judge("- preset: downloads"), PART) == ["File Download"]


@pytest.mark.parametrize(
    ("sign", "is_one"),
    [
        ({"path": "/.env", "status": 200}, True),
        ({"path": "/.git/config", "status": 403}, True),
        ({"path": "/%2Eenv", "status": 404}, True),
        ({"path": "/cgi-bin/luci/;stok=/locale", "status": 404, "method": "POST"}, True),
        ({"path": "/wp-login.php", "status": 404}, True),
        ({"path": "/wp-login.php", "status": 200}, False),  # there is a WordPress, and this is its author
        ({"path": "/wp-content/uploads/2019/cat.jpg", "status": 404}, False),  # a lost picture
        ({"path": "/old/page.aspx", "status": 404}, False),  # an old link
        ({"path": "/favicon.ico", "status": 404}, False),
        ({"path": "/shell-scripts", "status": 200}, False),
        ({"path": "/environment", "status": 404}, False),
        ({"path": None, "status": 400}, False),
    ],
)
def test_who_tries_exploits_is_a_scanner_from_then_on(judge, fates, page, sign, is_one):
    """By the path alone where nobody asks for it in good faith, by the answer too where some sites have it."""
    assert is_scan(page(**sign)) == is_one
    made = judge(probes=True)
    assert fates(made, {})[0] == "pageview"
    assert fates(made, sign, {})[1] == ("scanner" if is_one else "pageview")
    assert fates(made, {"client_ip": "203.0.113.8"}) == ["pageview"]
    assert fates(judge(), sign, {})[1] == "pageview"  # off unless asked for


def test_a_sign_holds_for_a_day_and_each_prolongs_it(judge, fates):
    """By then the address may be somebody else's."""
    made = judge(probes=True)
    probe = {"path": "/.env", "status": 404}
    assert fates(made, probe, {"time": NOON + 86_400}) == ["status", "scanner"]
    assert fates(made, {"time": NOON + 86_401}) == ["pageview"]


def test_who_fetches_robots_txt_is_a_crawler_with_all_behind_the_address(judge, fates):
    """A crawler that hides asks for it under one name, and for pages under another."""
    made = judge(robots_txt=True)
    robots = {"path": "/robots.txt", "user_agent": "python-requests/2.31"}
    assert fates(made, {}, robots, {}, {"client_ip": "203.0.113.8"}) == ["pageview", "robots", "crawler", "pageview"]


def test_more_pages_than_a_person_looks_at_are_a_machines(judge, fates):
    """Counted in a minute from its first page; who was too fast once is a machine from then on."""
    made = judge(pages_per_minute=2)
    assert fates(made, {}, {}, {}, {}) == ["pageview", "pageview", "too_fast", "too_fast"]
    assert fates(made, {"time": NOON + 3600}) == ["too_fast"]
    slow = judge(pages_per_minute=2)
    assert fates(slow, *({"time": NOON + 31 * at} for at in range(9))) == ["pageview"] * 9
    assets = judge(pages_per_minute=2)
    assert fates(assets, {}, *[{"path": "/x.css"}] * 9, {}) == ["pageview", *["asset"] * 9, "pageview"]


def test_machines_that_say_so_are_not_asked_how_they_behave(judge, fates):
    """Crawlers fetch robots.txt, as they should: to count them is what their preset is for."""
    made = judge("- preset: ai-crawlers", robots_txt=True, probes=True, pages_per_minute=1)
    bot = {"user_agent": GPTBOT}
    assert fates(made, {**bot, "path": "/robots.txt"}, bot, bot, bot) == ["no_rule", *["AI Crawler"] * 3]


def test_spam_is_known_by_the_referrers_host(judge, fates):
    """A domain takes the hosts below it; what the rules drop anyway keeps their reason."""
    made = judge(spam=["spam.example", "evil.test"])
    spam = ["https://spam.example/", "http://WWW.Spam.Example:8080/x?y", "a.b.evil.test", "https://u:p@evil.test/"]
    assert fates(made, *({"referrer": each} for each in spam)) == ["referrer_spam"] * 4
    good = [None, "https://notspam.example/", "https://good.example/?u=https://spam.example", "https://example/"]
    assert fates(made, *({"referrer": each} for each in good)) == ["pageview"] * 4
    assert fates(made, {"referrer": spam[0], "path": "/a.css"}) == ["asset"]


def test_what_is_a_sign_is_never_dropped_unseen(judge, page):
    """A line's key may be enough for the rules; a sign is wanted whole."""
    made = judge(probes=True, robots_txt=True)
    unknown = frozenset({"client_ip", "time", "user_agent", "bot", "referrer", "log"})
    assert made.prejudge(page(path="/robots.txt"), unknown) is None
    assert made.prejudge(page(path="/.env", status=404), unknown) is None
    assert made.prejudge(page(path="/x.css"), unknown) == "asset"
    assert made.prejudge(page(path="/x.css"), unknown | {"path"}) is None


def test_nothing_is_asked_where_nothing_is_to_be_asked(table):
    """Then there is no scrutiny at all, and no cost."""
    plain = table("- preset: pageviews")
    assert not Scrutiny.needed(plain, BehaviourSettings(), frozenset())
    assert Scrutiny.needed(table("- preset: downloads"), BehaviourSettings(), frozenset())
    assert Scrutiny.needed(plain, BehaviourSettings(probes=True), frozenset())
    assert Scrutiny.needed(plain, BehaviourSettings(), frozenset({"spam.example"}))


def test_memory_is_bounded_and_keeps_what_was_last(judge):
    """However many visitors there are, the oldest are forgotten."""
    recent, pace = Recent(most=3), Pace(most=3)
    for number in range(10):
        recent.note(number, float(number))
        pace.step(number, float(number))
    assert (len(recent), len(pace)) == (3, 3)
    assert [recent.holds(number, 9.0, 100.0) for number in (6, 7, 8, 9)] == [False, True, True, True]
    recent.note(7, 10.0)  # seen again: 8 is now the oldest
    recent.note(11, 11.0)
    assert [recent.holds(number, 11.0, 100.0) for number in (7, 8)] == [True, False]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://A.example:443/x", "a.example"),
        ("a.example/x", "a.example"),
        ("https://a.example?x", "a.example"),
        ("https://a.example.", "a.example"),
        ("android-app://com.app", "com.app"),
        ("", ""),
    ],
)
def test_a_referrers_host_is_found_whatever_it_looks_like(url, host):
    """Also without a scheme, as some spammers write it."""
    assert host_of(url) == host


def test_a_host_is_below_its_domains_alone():
    """Whole labels, from the right."""
    domains = frozenset({"spam.example"})
    assert is_below("a.b.spam.example", domains)
    assert not is_below("myspam.example", domains)
    assert not is_below("", domains)
