import pytest

from logship.records import OnceWithin, Record
from logship.router.presets import PRESETS
from logship.router.table import Rules
from logship.settings import rule
from logship.settings.conditions import BOT_CLASSES, When
from logship.settings.conditions import Test as Asked
from logship.settings.rule import RuleSettings

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
GPTBOT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"
FEEDLY = "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers)"

PAGES = [
    *("/", "/blog/2024/hello", "/index.html", "/a.htm", "/index.php", "/x.aspx", "/x.jsp", "/x.shtml", "/x.xhtml"),
    *("/release-1.2", "/v2.0/", "/style.css/", "/user@example.com", "/a.b.c/d", "/feeds-explained", "/rss-readers"),
    *("/sitemap", "/robots", "/notes/robots.txt-explained", "/feed-me", "/a.css.html", "/atom-heart", "/.hidden"),
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_pageviews(table, page, path):
    """No extension, a page's extension, or one that nobody knows."""
    decision = table("- preset: pageviews").route(page(path=path))
    assert (decision.reason, decision.rule) == (None, "pageviews")
    assert decision.deliveries[0].event.name == "pageview"


DROPS = [
    ("method", {"method": "POST"}),
    ("method", {"method": "HEAD"}),
    ("method", {"method": None, "path": None, "status": 400}),
    ("method", {"method": "get"}),
    ("target", {"path": None}),
    ("status", {"status": 404}),
    ("status", {"status": 301}),
    ("status", {"status": 500}),
    ("status", {"status": None}),
    ("robots", {"path": "/robots.txt"}),
    ("well_known", {"path": "/.well-known/security.txt"}),
    ("well_known", {"path": "/.well-known"}),
    ("sitemap", {"path": "/sitemap.xml"}),
    ("sitemap", {"path": "/sitemap_index.xml"}),
    ("sitemap", {"path": "/wp-sitemap-posts-1.xml"}),
    ("sitemap", {"path": "/en/sitemap-1.xml.gz"}),
    ("feed", {"path": "/feed"}),
    ("feed", {"path": "/feed/"}),
    ("feed", {"path": "/blog/feed/"}),
    ("feed", {"path": "/comments/feed/atom/"}),
    ("feed", {"path": "/rss"}),
    ("feed", {"path": "/rss.xml"}),
    ("feed", {"path": "/blog/atom.xml"}),
    ("feed", {"path": "/index.xml"}),
    ("feed", {"path": "/news.rss"}),
    ("asset", {"path": "/style.css"}),
    ("asset", {"path": "/style.css", "query": "v=3"}),
    ("asset", {"path": "/IMG_1.JPG"}),
    ("asset", {"path": "/favicon.ico"}),
    ("asset", {"path": "/img/a.avif"}),
    ("asset", {"path": "/font.woff2"}),
    ("asset", {"path": "/report.pdf"}),
    ("asset", {"path": "/x.tar.gz"}),
    ("asset", {"path": "/video.mp4"}),
    ("asset", {"path": "/data.json"}),
    ("bot", {"user_agent": "curl/8.5.0"}),
    ("bot", {"user_agent": GPTBOT}),
    ("bot", {"user_agent": FEEDLY}),
    ("bot", {"user_agent": None}),
    ("bot", {"user_agent": ""}),
    ("content_type", {"content_type": "application/json"}),
    ("no_client_ip", {"client_ip": None}),
    ("host", {"host": "evil.example", "absolute": True}),
]


@pytest.mark.parametrize(("reason", "record"), DROPS)
def test_what_is_no_page_view_has_its_reason(table, page, reason, record):
    """Each drop is named after what the line shows first."""
    decision = table("- preset: pageviews").route(page(**record))
    assert (decision.deliveries, decision.reason) == ([], reason)


@pytest.mark.parametrize("record", [{"status": 304}, {"status": 206}, {"content_type": "text/html; charset=utf-8"}])
def test_what_a_person_saw_counts(table, page, record):
    """Also from the browser's cache."""
    assert table("- preset: pageviews").route(page(**record)).deliveries


def test_an_absolute_form_target_of_our_own_is_a_page_view(table, page):
    """With or without www., and by the hosts that are listed."""
    made = table("- preset: pageviews")
    assert made.route(page(host="example.com", absolute=True)).deliveries
    assert made.route(page(host="www.example.com", absolute=True)).deliveries
    assert made.route(page(host="sub.example.com")).deliveries
    assert (
        table("- preset: pageviews", hosts=("*.example.org",))
        .route(page(host="a.example.org", absolute=True))
        .deliveries
    )
    assert table("- preset: pageviews", site=None).route(page(host="evil.example", absolute=True)).reason == "host"


def sent(decision):
    assert decision.reason is None, decision
    return decision.deliveries[0].event


def test_downloads_are_sent_with_the_files_url_from_the_page_of_the_click(table, page):
    """The prop is absolute and without query; the page is the same-site referrer, else the file itself."""
    made = table("- preset: downloads")
    clicked = sent(made.route(page(path="/files/a.pdf", query="utm_source=x", referrer="https://example.com/docs?x=1")))
    assert (clicked.name, clicked.url) == ("File Download", "https://example.com/docs")
    assert clicked.props == {"url": "https://example.com/files/a.pdf"}
    assert not isinstance(made.route(page(path="/a.pdf")).deliveries[0], OnceWithin)
    parts = made.route(page(path="/a.pdf", status=206)).deliveries
    assert [(type(part), part.within) for part in parts] == [(OnceWithin, 1800.0)] * 2  # a destination each
    direct = sent(made.route(page(path="/a.ZIP", status=206, referrer="https://other.example/")))
    assert direct.url == "https://example.com/a.ZIP"
    for other in (page(path="/x.css"), page(path="/a.pdf", user_agent="curl/8"), page(path="/a.pdf", status=404)):
        assert made.route(other).reason == "no_rule"


def test_not_found_tells_the_path_as_people_read_it(table, page):
    """Missing pages and downloads by people; not missing parts of pages."""
    made = table("- preset: not-found")
    event = sent(made.route(page(status=404, path="/%C3%BCber")))
    assert (event.name, event.url, event.props) == ("404", "https://example.com/%C3%BCber", {"path": "/über"})
    for other in (page(path="/p"), page(status=404, user_agent=GPTBOT), page(status=404, path="/x.png")):
        assert made.route(other).reason == "no_rule"
    for probe in ("/.env", "/blog/wp-login.php", "/.git/config", "/phpmyadmin/", "/%2eenv", "/backup.zip"):
        assert made.route(page(status=404, path=probe)).reason == "no_rule", probe
    for missing in ("/old-page.aspx", "/environment", "/login", "/manual.pdf", "/2019/index.php"):
        assert sent(made.route(page(status=404, path=missing))).name == "404", missing


def test_feeds_are_sent_for_people_and_readers(table, page):
    """A reader's own User-Agent would be dropped by Plausible, so it gets a neutral one."""
    made = table("- preset: feeds")
    person = sent(made.route(page(path="/feed/")))
    reader = sent(made.route(page(path="/feed/", user_agent=FEEDLY)))
    assert (person.name, person.props, person.user_agent) == ("Feed", {"url": "https://example.com/feed/"}, FIREFOX)
    assert (reader.name, reader.props) == ("Feed", {"url": "https://example.com/feed/"})
    assert "Feedly" not in reader.user_agent
    assert made.route(page(path="/feed/", user_agent="curl/8")).reason == "no_rule"


def test_ai_crawlers_go_by_name_under_a_neutral_user_agent(table, page):
    """Who, which class, and what was read."""
    event = sent(table("- preset: ai-crawlers").route(page(path="/p", user_agent=GPTBOT)))
    assert event.name == "AI Crawler"
    assert event.props == {"crawler": "GPTBot", "class": "ai-crawler", "path": "/p"}
    assert "GPTBot" not in event.user_agent
    assert table("- preset: ai-crawlers").route(page(path="/p")).reason == "no_rule"


def test_no_js_counts_what_a_script_on_the_pages_did_not(table, page):
    """No page view, no download that a page of the site led to; the rest as the presets of those names have it."""
    made = table("- preset: no-js")
    assert made.route(page()).reason == "no_rule"
    for own in ("https://example.com/docs", "http://www.example.com:80/", "https://Example.com?x"):
        assert made.route(page(path="/a.pdf", referrer=own)).reason == "no_rule", own
    for other in (None, "https://search.example/", "android-app://com.mail", "https://example.com.evil.example/"):
        assert sent(made.route(page(path="/a.pdf", referrer=other))).name == "File Download", other
    assert sent(made.route(page(path="/gone", status=404))).name == "404"
    assert sent(made.route(page(path="/feed", user_agent=FEEDLY))).name == "Feed"
    assert made.route(page(path="/feed", user_agent=FEEDLY)).rule == "no-js/feeds/readers"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("http_sec_purpose", "prefetch"),
        ("http_sec_purpose", "prefetch;anonymous-client-ip"),
        ("http_purpose", "Prefetch"),
        ("http_x_moz", "prefetch"),
        ("http_x_purpose", "preview"),
        ("request.headers.Sec-Purpose", "prefetch;prerender"),
    ],
)
def test_what_a_browser_fetched_ahead_is_no_page_view(table, page, field, value):
    """Nobody has asked for it yet; where the log does not hold such a field, nothing is asked of it."""
    made = table("- preset: pageviews")
    assert made.route(page(log={field: value})).reason == "prefetch"
    assert made.route(page(log={field: "other"})).deliveries
    assert made.route(page(log={"http_purpose_of_life": value})).deliveries
    assert made.holding(frozenset({field})).route(page(log={field: value})).reason == "prefetch"


def test_a_preset_takes_what_its_user_adds(table, page):
    """A name, a site, destinations, a share, continue; a `when` narrows every rule of it."""
    rules = """
- {preset: ai-crawlers, name: bots, domain: bots.example.com, to: second, continue: true}
- {preset: pageviews, domain: people.example.com}
"""
    made = table(rules)
    decision = made.route(page(path="/p", user_agent=GPTBOT))
    assert [(each.destination, each.event.domain) for each in decision.deliveries] == [("second", "bots.example.com")]
    assert decision.rule == "bots"
    assert sent(made.route(page())).domain == "people.example.com"


def test_two_presets_can_share_a_log_by_their_conditions(table, page):
    """Each drops and sends within its own condition only."""
    shop = When((Asked("host", ("shop.example.com",)),))
    one = RuleSettings(preset="pageviews", when=shop, domain="shop", where="rules[0]")
    two = RuleSettings(preset="pageviews", domain="rest", where="rules[1]")
    made = table([one, two])
    assert sent(made.route(page(host="shop.example.com"))).domain == "shop"
    assert sent(made.route(page(host="example.com"))).domain == "rest"
    assert made.route(page(host="shop.example.com", path="/a.css")).reason == "asset"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_printed_preset_loads_and_routes_equally(table, rules, page, preset):
    """What `check --show-rules` prints can be pasted under `rules:` and changed."""
    shown = Rules([RuleSettings(preset=preset, where="rules[0]")], destinations=["plausible", "second"]).shown()
    one, two = table([RuleSettings(preset=preset, where="rules[0]")]), table(list(rules(shown)))
    records = [page(path=path) for path in PAGES] + [page(**record) for _, record in DROPS]
    records += [page(path=path, user_agent=agent) for path in ("/feed", "/p", "/a.pdf") for agent in (GPTBOT, FEEDLY)]
    records += [page(path="/gone", status=404), Record()]
    for record in records:
        left, right = one.route(record), two.route(record)
        assert (left.rule, left.reason, left.cuts) == (right.rule, right.reason, right.cuts)
        assert [each.event for each in left.deliveries] == [each.event for each in right.deliveries]


def test_settings_know_the_same_presets_and_classes():
    """Two lists of names in two rooms, kept equal."""
    from logship.router import audience

    assert set(rule.PRESETS) == set(PRESETS)
    assert BOT_CLASSES == audience.KINDS
