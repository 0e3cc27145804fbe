import pytest

from logship.router import event

LONG = "x" * 3000


def only(decision):
    """Return the one event, which all its destinations get."""
    assert decision.reason is None
    (sent,) = {id(delivery.event): delivery.event for delivery in decision.deliveries}.values()
    return sent


def test_an_empty_referrer_sends_none(table, page):
    """A site may keep to itself where its visitors come from."""
    assert only(table("- {event: e, referrer: ''}").route(page(referrer="https://r.example/"))).referrer is None


def test_a_request_without_a_path_is_no_visit_to_the_front_page(table, page):
    """A rule that says the URL itself may send one all the same."""
    assert table("- event: hit").route(page(path=None)).reason == "target"
    assert only(table("- {event: hit, url: /odd}").route(page(path=None))).url == "https://example.com/odd"


@pytest.mark.parametrize(
    ("record", "source", "url"),
    [
        ({"path": "/p"}, {}, "https://example.com/p"),
        ({"method": None, "path": None}, {}, "https://example.com/"),
        ({"path": "*"}, {}, "https://example.com/*"),
        ({"path": "//blog//post"}, {}, "https://example.com//blog//post"),
        ({"path": "/my file"}, {}, "https://example.com/my%20file"),
        ({"path": "/%7Euser/%zz%"}, {}, "https://example.com/%7Euser/%zz%"),
        ({"path": "/café"}, {}, "https://example.com/caf%C3%A9"),
        ({"path": "/caf\udce9"}, {}, "https://example.com/caf%E9"),
        ({"path": "/a\r\nb\0c#d<e>"}, {}, "https://example.com/a%0D%0Ab%00c%23d%3Ce%3E"),
        ({"host": "shop.example.com"}, {}, "https://shop.example.com/"),
        ({"host": "2001:db8::1"}, {}, "https://[2001:db8::1]/"),
        ({"host": "münchen.example"}, {}, "https://xn--mnchen-3ya.example/"),
        ({"scheme": "http"}, {}, "http://example.com/"),
        ({"scheme": "gopher"}, {}, "https://example.com/"),
        ({}, {"site": "http://example.com:8080"}, "http://example.com:8080/"),
        ({"host": "example.com"}, {"site": "http://example.com:8080"}, "http://example.com:8080/"),
        ({"host": "other.example"}, {"site": "http://example.com:8080"}, "http://other.example/"),
        ({"scheme": "https"}, {"site": "http://example.com:8080"}, "https://example.com/"),
        ({}, {"site": "https://[2001:db8::7]:8443"}, "https://[2001:db8::7]:8443/"),
        ({"host": "example.org"}, {"site": None}, "https://example.org/"),
        ({"query": "a=1&utm_source=x"}, {}, "https://example.com/?utm_source=x"),
        ({"query": "a=1"}, {}, "https://example.com/"),
        ({"query": "a=1 ü\"'"}, {"query": "all"}, "https://example.com/?a=1%20%C3%BC%22%27"),
        ({"query": "utm_source=x"}, {"query": "none"}, "https://example.com/"),
        ({"query": "b=2&a=1"}, {"query": ("a",)}, "https://example.com/?a=1"),
    ],
)
def test_the_url_is_absolute_and_encoded_as_a_browser_does(table, page, record, source, url):
    """Scheme and host from the line, else from the site; escapes stay; other bytes become escapes."""
    sent = only(table("- event: pageview", **source).route(page(**record)))
    assert sent.url == url
    assert sent.url.isascii()


@pytest.mark.parametrize(
    ("record", "source", "domain"),
    [
        ({}, {}, "example.com"),
        ({}, {"site": "https://www.example.com"}, "example.com"),
        ({"host": "shop.example.com"}, {}, "example.com"),
        ({}, {"domain": "other"}, "other"),
        ({"host": "www.example.org"}, {"site": None}, "example.org"),
        ({"host": "www.www.example.org"}, {"site": None}, "www.example.org"),
    ],
)
def test_the_domain_is_the_sources_before_the_hosts(table, page, record, source, domain):
    """Given, else the site's host, else the line's, without one leading www."""
    assert only(table("- event: pageview", **source).route(page(**record))).domain == domain


@pytest.mark.parametrize(
    "host", ["a,b.example", "a b", "a/b", "exa\rmple", "x@y", "[::1]", "a:b:zz", "-" * 300, "\udcff.example"]
)
def test_what_cannot_be_a_host_is_dropped(table, page, host):
    """A Host header is a stranger's text: it names no second site and no other path."""
    assert table("- event: pageview", site=None).route(page(host=host)).reason == "host"


def test_without_any_host_there_is_no_event(table, page):
    """Neither line nor site says where it happened."""
    assert table("- event: pageview", site=None).route(page()).reason == "host"


def test_a_long_url_loses_its_query_and_then_its_event(table, page):
    """2,000 bytes in all; the path is never cut."""
    routes = table("- event: pageview").route
    decision = routes(page(query=f"utm_source={LONG}"))
    assert only(decision).url == "https://example.com/"
    assert decision.cuts == ("query",)
    exact = "/" + "x" * (2000 - len("https://example.com/"))
    assert only(routes(page(path=exact))).url == "https://example.com" + exact
    assert only(routes(page(path=exact, query="ref=x"))).url == "https://example.com" + exact
    assert routes(page(path=exact + "x")).reason == "too_long"
    assert routes(page(path="/" + "ü" * 400)).reason == "too_long"  # six bytes each once encoded


def test_long_values_are_cut_at_a_character(table, page):
    """Bytes count, characters stay whole, and each cut has its name."""
    rules = """
- event: "{log.name}"
  props: {a: "{log.long}", b: short}
"""
    decision = table(rules).route(
        page(
            referrer="https://r.example/" + "ü" * 1500,
            user_agent="Mozilla " + "u" * 3000,
            log={"name": "n" * 130, "long": "x" + "ü" * 1500},
        )
    )
    sent = only(decision)
    assert len(sent.name) == 120
    assert len(sent.referrer.encode()) == 2000
    assert sent.props == {"a": "x" + "ü" * 999, "b": "short"}
    assert len(sent.user_agent) == 2000
    assert sorted(decision.cuts) == ["name", "prop", "referrer", "user_agent"]


def test_a_name_that_is_written_out_is_cut_as_any_other(table, page):
    """A configuration with a name over 120 characters can be used; the cut is counted."""
    decision = table(f"- event: {'ü' * 121}").route(page())
    assert only(decision).name == "ü" * 120
    assert decision.cuts == ("name",)


def test_no_control_character_reaches_a_header_or_a_text(table, page):
    """CR, LF and NUL of a log cannot end a header; bytes of a User-Agent stay what they were."""
    decision = table('- {event: pageview, props: {p: "{log.p}"}}').route(
        page(
            user_agent="Mozilla/5.0 (X11)\r\nX-Evil: 1\0 \udce9",
            referrer="https://r.example/\n\x85\udce9",
            log={"p": "a\tb\x7f\udcff"},
        )
    )
    sent = only(decision)
    assert sent.user_agent == "Mozilla/5.0 (X11)X-Evil: 1 \udce9"
    assert sent.referrer == "https://r.example/\ufffd"
    assert sent.props == {"p": "ab\ufffd"}


def test_an_empty_value_leaves_the_prop_out(table, page):
    """No prop is sent blank, and no props at all when all are."""
    rules = '- {event: e, props: {a: "{query.a}", b: " ", c: "{query.c}"}}'
    assert only(table(rules).route(page(query="c=1"))).props == {"c": "1"}
    assert only(table(rules).route(page())).props is None


def test_a_rule_sets_what_it_names(table, page):
    """Every action's value is a template."""
    rules = """
- event: "{method} seen"
  domain: "{host}"
  url: "/virtual{path}"
  referrer: "{query.from}"
  revenue: {currency: EUR, amount: "{query.total}"}
  interactive: false
  user_agent: "Mozilla/5.0 ({bot.name}) x"
  client_ip: "{log.real}"
  to: second
"""
    decision = table(rules).route(page(query="from=https://r.example/&total=12.50", log={"real": "::FFFF:192.0.2.1"}))
    sent = only(decision)
    assert (sent.name, sent.domain, sent.url) == ("GET seen", "example.com", "https://example.com/virtual/")
    assert sent.referrer == "https://r.example/"
    assert sent.revenue == {"currency": "EUR", "amount": "12.50"}
    assert sent.interactive is False
    assert sent.user_agent == "Mozilla/5.0 () x"
    assert sent.client_ip == "192.0.2.1"
    assert [delivery.destination for delivery in decision.deliveries] == ["second"]


def test_revenue_that_is_no_number_is_left_out(table, page):
    """Plausible would take the event without it as well."""
    rules = '- {event: Order, revenue: {currency: EUR, amount: "{query.total}"}}'
    assert only(table(rules).route(page(query="total=cheap"))).revenue is None


@pytest.mark.parametrize(
    ("rule", "record", "reason"),
    [
        ("- event: e", {"client_ip": None}, "no_client_ip"),
        ('- {event: e, client_ip: "{log.ip}"}', {"log": {"ip": "unknown"}}, "no_client_ip"),
        ("- event: e", {"user_agent": None}, "bot"),
        ("- event: e", {"user_agent": " "}, "bot"),
        ('- {event: e, domain: "{log.site}"}', {"log": {"site": "a.example,b.example"}}, "host"),
        ('- {event: e, domain: "{log.site}"}', {}, "host"),
    ],
)
def test_an_event_that_plausible_could_not_place_is_not_sent(table, page, rule, record, reason):
    """It needs an address, a User-Agent and one site."""
    assert table(rule).route(page(**record)).reason == reason


def test_cut_keeps_characters_whole():
    """Up to three bytes are given up for that, and never more."""
    assert event.cut("aü", 2) == "a"
    assert event.cut("a€", 3) == "a"
    assert event.cut("a😀b", 5) == "a😀"
    assert event.cut("\udc80" * 9, 4) == "\udc80"
    assert event.cut("abc", 3) == "abc"
