import time
from collections import Counter

import pytest

from logship.errors import ConfigError
from logship.records import Record
from logship.router.table import Rules, Table
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings

UNKNOWN = frozenset(Record.__dataclass_fields__) | {"bot"}
REQUEST_LINE = UNKNOWN - {"method", "path", "query", "status", "host", "absolute", "scheme"}


def test_the_first_rule_that_takes_a_line_ends_the_search(table, page):
    """Order is the whole of precedence."""
    made = table("""
- {name: admin, when: {path: /admin/**}, drop: true}
- {name: office, when: {client_ip: 203.0.113.0/24}, drop: office}
- {name: all, event: pageview}
""")
    assert (made.route(page(path="/admin/x")).rule, made.route(page(path="/admin/x")).reason) == ("admin", "rule")
    assert (made.route(page()).rule, made.route(page()).reason) == ("office", "office")
    assert made.route(page(client_ip="192.0.2.1")).rule == "all"


def test_a_line_that_no_rule_takes_is_dropped_and_says_so(table, page):
    """Nothing vanishes without a reason."""
    decision = table("- {when: {path: /x}, event: e}").route(page())
    assert (decision.deliveries, decision.rule, decision.reason) == ([], None, "no_rule")


def test_a_rule_without_a_name_is_called_by_its_place(table, page):
    """As errors call it."""
    assert table("- event: e").route(page()).rule == "rules[0]"


def test_one_line_can_give_several_events_to_several_destinations(table, page):
    """`continue` tries later rules as well; each destination gets its own delivery."""
    made = table("""
- {name: first, when: {path: /**}, event: one, continue: true}
- {name: second, event: two, to: second, continue: true}
- {name: third, when: {path: /never}, event: three, continue: true}
- {name: last, event: pageview, to: [plausible]}
- {name: beyond, event: never}
""")
    decision = made.route(page(time=12.0))
    assert [(each.destination, each.event.name, each.time) for each in decision.deliveries] == [
        ("plausible", "one", 12.0),
        ("second", "one", 12.0),
        ("second", "two", 12.0),
        ("plausible", "pageview", 12.0),
    ]
    assert (decision.rule, decision.reason) == ("first", None)


def test_a_drop_after_a_rule_that_continues_keeps_what_was_sent(table, page):
    """It ends the search, no more; alone it would name the reason."""
    made = table("""
- {when: {query: "*keep*"}, event: one, continue: true}
- {name: out, drop: true}
""")
    assert len(made.route(page(query="keep")).deliveries) == 2
    assert made.route(page()).reason == "rule"


def test_rules_of_other_sources_fold_away(table, page):
    """A rule for another source costs a table nothing and takes nothing."""
    made = table("""
- {when: {source: shop, path: "/**"}, drop: true}
- {when: {not: {source: web}}, drop: true}
- {when: {any: [{source: web}, {path: /x}]}, event: e}
""")
    assert len(made._rules) == 1
    assert made.route(page()).rule == "rules[2]"
    assert [step.taken for step in made.explain(page()).steps] == [False, False, True]


def test_hosts_are_filtered_before_any_rule(table, page):
    """Wildcards stand for any depth; lines without a host are the site's."""
    made = table("- event: e", hosts=("example.com", "*.shop.example"))
    assert made.route(page(host="a.b.shop.example")).deliveries
    assert made.route(page(host=None)).deliveries
    assert made.route(page(host="shop.example")).reason == "host"
    assert made.route(page(host="www.example.com")).reason == "host"
    assert made.prejudge(page(host="x.example"), REQUEST_LINE) == "host"
    with pytest.raises(ConfigError, match=r"sources\[0\]\.hosts: 'a\{': a '\{' is not closed"):
        table("- event: e", hosts=("a{",))


def test_a_sample_is_the_same_visitors_every_time(table):
    """By address and User-Agent: stable over requests, and near the share over visitors."""
    made = table("- {event: e, sample: 0.25}")

    def decide(number, path):
        return made.route(Record(client_ip=f"198.51.{number >> 8}.{number & 255}", user_agent="UA", path=path))

    first = [decide(number, "/a").reason for number in range(4000)]
    assert first == [decide(number, "/b").reason for number in range(4000)]
    assert set(first) == {None, "sampled"}
    assert 900 < Counter(first)[None] < 1100


def test_sampled_out_of_one_rule_later_rules_may_still_send(table, page):
    """With `continue`; without deliveries the later reason is told."""
    made = table("""
- {event: rare, sample: 0.000001, continue: true}
- {when: {path: /}, event: common}
""")
    assert made.route(page()).deliveries[0].event.name == "common"
    assert made.route(page(path="/x")).reason == "sampled"


def test_prejudge_knows_what_a_request_line_decides(table, page):
    """Assets by their path, crawlers once their class is known; a page view only when all is."""
    made = table("- preset: pageviews")
    assert made.prejudge(page(path="/a.css"), REQUEST_LINE) == "asset"
    assert made.prejudge(page(status=500), REQUEST_LINE) == "status"
    assert made.prejudge(page(), REQUEST_LINE) is None
    assert made.prejudge(page(), REQUEST_LINE - {"bot"}) is None
    assert made.prejudge(page(user_agent="curl/8"), REQUEST_LINE - {"bot"}) == "bot"
    assert made.prejudge(page(user_agent="curl/8"), REQUEST_LINE) is None
    assert made.prejudge(page(client_ip=None), frozenset()) == "no_client_ip"
    assert made.prejudge(page(), UNKNOWN) is None


def test_prejudge_asks_no_rule_of_the_request_about_the_visitor(table, page):
    """A rule by address before the preset leaves open what it might take."""
    made = table("- {when: {client_ip: 10.0.0.0/8}, drop: office}\n- preset: pageviews")
    assert made.prejudge(page(path="/a.css"), REQUEST_LINE) is None
    same = table("- {when: {client_ip: 10.0.0.0/8, path: /x}, drop: asset}\n- preset: pageviews")
    assert same.prejudge(page(path="/a.css"), REQUEST_LINE) == "asset"


def test_an_explanation_tells_every_rule_in_words(table, page):
    """What was asked, what was seen, what came of it; and what was not asked any more."""
    made = table("""
- {name: admin, when: {path: /admin/**, status: [200, 2xx]}, drop: true}
- {name: people, when: {not: {bot: true}, any: [{referrer: ""}, {query: "*x*"}]}, event: seen}
- {name: rest, drop: true}
""")
    explanation = made.explain(page(path="/p"))
    assert explanation.decision == made.route(page(path="/p")) or explanation.decision.rule == "people"
    assert explanation.lines() == [
        "yes: the request is for a host that counts (it is example.com)",
        "- admin: does not apply",
        "  no: all of",
        "    no: path is /admin/** (it is /p)",
        "    yes: status is any of 200, 2xx (it is 200)",
        "- people: sent as seen to plausible, second",
        "  yes: all of",
        "    yes: not",
        "      no: bot is true (it is a person)",
        "    yes: any of",
        '      yes: referrer is "" (the log has none)',
        "      no: query is *x* (the log has none)",
        "- rest: not asked any more",
    ]


def test_an_explanation_of_a_foreign_host_ends_before_the_rules(table, page):
    """The source settled it."""
    explanation = table("- event: e").explain(page(host="evil.example", absolute=True))
    assert explanation.lines() == [
        "no: the request is for a host that counts (it is evil.example)",
        "- rules[0]: not asked any more",
    ]
    assert explanation.decision.reason == "host"


def test_log_fields_of_conditions_and_templates_are_asked_for():
    """The parser keeps no others."""
    rules = Rules(
        [RuleSettings(event="e", props={"a": "{log.request_time}"}, domain="{log.server_name}")], destinations=["p"]
    )
    assert rules.log_fields == {"request_time", "server_name"}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (RuleSettings(preset="pageview"), "unknown preset 'pageview' (did you mean \"pageviews\"?)"),
        (RuleSettings(), "a rule has exactly one of drop, event and preset"),
        (RuleSettings(event="e", to=("x",)), "to: unknown destination 'x' (known: plausible)"),
        (RuleSettings(event="engagement"), '"engagement" cannot be told from a log: choose another name'),
        (RuleSettings(event=" "), "an event needs a name"),
        (RuleSettings(event="e", domain="a,b"), "domain: 'a,b': one Plausible site"),
        (RuleSettings(event="e", client_ip="localhost"), "client_ip: 'localhost' is no IP address"),
        (RuleSettings(event="e", sample=1.5), "sample: 1.5 is no share of visitors between 0 and 1"),
        (RuleSettings(event="e", url="{match.x}"), "{match.x}: no regular expression of this rule has such a group"),
    ],
)
def test_a_faulty_rule_says_what_to_do(rule, told):
    """One line of text each, with its place."""
    with pytest.raises(ConfigError) as caught:
        Rules([rule], destinations=["plausible"])
    assert told in str(caught.value)


def test_what_is_remembered_is_bounded(table, page):
    """Strangers can ask for any number of paths and hosts, and for long ones."""
    made = table("- preset: pageviews", site=None, domain="example.com")
    for number in range(5000):
        made.route(page(path=f"/{number}", host=f"h{number}.example"))
    made.route(page(path="/" + "x" * 100_000))
    assert len(made._known) <= 2048
    assert all(len(key[2]) <= 300 for key in made._known)


def test_a_page_view_is_routed_in_microseconds(page):
    """A guard against a tenfold loss, not a benchmark: the figure itself is a few microseconds."""
    rules = Rules([RuleSettings(preset="pageviews")], destinations=["plausible"])
    made = Table(rules, SourceSettings("web", ("/x",), site="https://example.com"))
    record = page(path="/blog/2024/hello", referrer="https://www.example.org/")
    made.route(record)
    best = min(_seconds(made.route, record) for _ in range(20))
    assert best < 100e-6


def _seconds(route, record, times=2000):
    started = time.process_time()
    for _ in range(times):
        route(record)
    return (time.process_time() - started) / times


def test_what_the_short_way_lays_out_by_hand_is_whole(table, page):
    """A field that somebody adds to a value that travels must be filled in there, too."""
    made = table("- event: pageview").route(page())
    for value in (made, made.deliveries[0], made.deliveries[0].event):
        assert [name for name in value.__dataclass_fields__ if not hasattr(value, name)] == []


def test_rules_about_the_query_are_decided_for_all_lines_with_the_same_request(table, page):
    """Nothing is asked of the line: what is left is the event with the URL that all of them share."""
    made = table(
        "- {when: {query: 'preview=*'}, drop: preview}\n- {when: {url: '**/never'}, drop: x}\n- event: pageview"
    )
    course = made.course(page(query="ref=a&x=1"))
    assert course.place.url == "https://example.com/?ref=a"
    assert made.follow(course, page(query="ref=a&x=1")).deliveries[0].event.url == "https://example.com/?ref=a"
    assert list(made._ways) == [((2, True),)]
    assert made.route(page(query="preview=1")).reason == "preview"


def test_a_rule_about_a_user_agent_leaves_verdicts_on_requests_alone(table, page):
    """Known the kind of a User-Agent, an asset is dropped by its path, though a rule in front asks for the agent."""
    made = table("- {when: {user_agent: '*FooMonitor*'}, drop: monitor}\n- preset: pageviews")
    assert made.kind("FooMonitor/1.0") != made.kind("Mozilla/5.0 (X11; Linux x86_64) Firefox/127.0")
    assert made.kind("FooMonitor/1.0") == made.kind("A FooMonitor/2.0 of theirs")
    known = REQUEST_LINE - {"bot"}
    assert made.prejudge(page(path="/a.css"), REQUEST_LINE) is None
    assert made.prejudge(page(path="/a.css"), known) == "asset"
    assert made.prejudge(page(path="/a.css", user_agent="FooMonitor/1.0"), known) == "monitor"


def test_kinds_of_user_agents_are_bounded_and_verdicts_stay_right(table, page):
    """Strangers who meet the conditions in every combination cost speed, not memory, and change no decision."""
    rules = "".join(f"- {{when: {{user_agent: '*x{n}x*'}}, drop: r{n}}}\n" for n in range(8))
    made = table(rules + "- preset: pageviews")
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64) {n} " + "".join(f"x{b}x " for b in range(8) if n >> b & 1) for n in range(256)
    ]
    kinds = {made.kind(agent) for agent in agents}
    assert len(kinds) <= 66
    for n, agent in enumerate(agents):
        record = page(user_agent=agent)
        expected = f"r{(n & -n).bit_length() - 1}" if n else None
        assert made.route(record).reason == expected
        assert made.follow(made.course(record), record).reason == expected
        assert made.prejudge(page(user_agent=agent), REQUEST_LINE - {"bot"}) in (None, expected)
