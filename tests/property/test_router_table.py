"""What must hold for every record and every set of rules."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from logship.records import Decision, Record
from logship.router.table import COURSE_FIELDS, Rules, Table
from logship.settings import conditions as written
from logship.settings.conditions import AllOf, AnyOf, Not, When
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings

CURL, GPTBOT = "curl/8.5.0", "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
AGENTS = [FIREFOX, FIREFOX + " x", CURL, GPTBOT, "", None, " " + FIREFOX + "\t", "caf\udce9 browser (X11) y"]

VALUES = {
    "time": [None, 1.0],
    "client_ip": [None, "203.0.113.7", "10.0.0.1", "2001:db8::1"],
    "host": [None, "example.com", "evil.example", "a b"],
    "method": [None, "GET", "POST"],
    "path": [None, "/", "/admin/x", "/a.css", "/feed/", "/%61dmin/x", "/caf\udce9 x", "/" + "p" * 1990],
    "query": [None, "utm_source=a&id=5", "id=5", "ref=" + "r" * 1990, "ref=\udce9 x"],
    "status": [None, 200, 304, 404],
    "referrer": [None, "https://www.google.com/", "bad\n\udcff", "r" * 2100],
    "user_agent": AGENTS,
    "scheme": [None, "http", "x"],
    "content_type": [None, "text/html", "image/png"],
    "absolute": [False, True],
    "log": [{}, {"a": "1"}, {"a": "2"}],
}
RECORDS = st.builds(Record, **{name: st.sampled_from(values) for name, values in VALUES.items()})

TESTS = st.sampled_from(
    [
        written.Test("source", ("web",)),
        written.Test("source", ("shop",)),
        written.Test("host", ("*.example",)),
        written.Test("path", ("/admin/**",)),
        written.Test("path", ("**.{css,js}", "re:^/(?P<x>a)")),
        written.Test("query", ("*id=5*", "")),
        written.Test("url", ("https://**", "http://*/?*")),
        written.Test("method", ("GET",)),
        written.Test("status", ("2xx", "304")),
        written.Test("user_agent", ("*Firefox*", "")),
        written.Test("bot", ("true",)),
        written.Test("bot", ("false", "ai")),
        written.Test("referrer", ("",)),
        written.Test("client_ip", ("10.0.0.0/8",)),
        written.Test("client_ip", ("0.0.0.0/0", "::/0")),
        written.Test("content_type", ("text/html*",)),
        written.Test("log.a", ("1",)),
    ]
)
WHENS = st.recursive(
    st.lists(TESTS, max_size=2).map(lambda tests: When(tuple(tests))),
    lambda inner: st.one_of(
        inner.map(lambda when: When((Not(when),))),
        st.lists(inner, max_size=3).map(lambda whens: When((AnyOf(tuple(whens)),))),
        st.lists(inner, max_size=3).map(lambda whens: When((AllOf(tuple(whens)),))),
    ),
    max_leaves=4,
)
ACTIONS = st.one_of(
    st.sampled_from(["rule", "bot", "office"]).map(lambda reason: {"drop": reason}),
    st.fixed_dictionaries({"event": st.sampled_from(["pageview", "{method} x"]), "continue_": st.booleans()}),
    st.just({"event": "e", "sample": 0.5}),
    st.just({"event": "e", "props": {"a": "{query.id}{referrer}", "b": "{bot.name}"}, "url": "{site}/v{path}"}),
)
RULES = st.one_of(
    st.lists(st.builds(lambda when, action: RuleSettings(when=when, **action), WHENS, ACTIONS), max_size=4),
    st.lists(st.builds(lambda when: RuleSettings(when=when, drop="rule"), WHENS), max_size=2).map(
        lambda rules: [*rules, RuleSettings(preset="pageviews")]
    ),
)
SOURCES = st.builds(
    SourceSettings,
    name=st.just("web"),
    path=st.just(("/x",)),
    site=st.sampled_from([None, "https://example.com", "http://example.com:8080"]),
    hosts=st.sampled_from([(), ("example.com",)]),
    query=st.sampled_from(["campaign", "all", "none"]),
)
UNKNOWN = st.frozensets(st.sampled_from([*VALUES, "bot"]))


def tables(rules, source):
    return Table(Rules(rules, destinations=["plausible"]), source)


@settings(max_examples=150, deadline=None)
@given(RULES, SOURCES, RECORDS, RECORDS, UNKNOWN)
def test_a_prejudged_reason_is_what_route_says_whatever_the_unknown_fields_hold(rules, source, seen, other, unknown):
    """Kleene logic errs to silence alone."""
    table = tables(rules, source)
    reason = table.prejudge(seen, unknown)
    if reason is None:
        return
    for completed in completions(seen, other, unknown):
        decision = table.route(completed)
        assert (decision.deliveries, decision.reason) == ([], reason)


def completions(seen, other, unknown):
    """Yield the record with unknown fields as they are, as another's, and one by one as every known value."""
    # "bot" known while "user_agent" is not: the agent is any of the same class, here the same.
    fields = unknown - {"bot"} if "bot" in unknown else unknown - {"bot", "user_agent"}
    yield seen
    yield replace(seen, **{name: getattr(other, name) for name in fields})
    for name in fields:
        for value in VALUES[name]:
            yield replace(seen, **{name: value})


@settings(max_examples=100, deadline=None)
@given(RULES, SOURCES, st.lists(RECORDS, min_size=1, max_size=6))
def test_what_is_remembered_never_changes_a_decision(rules, source, records):
    """A table that has seen other records decides as one that has seen none; and explains the same end."""
    seasoned = tables(rules, source)
    for record in records:
        fresh = tables(rules, source)
        decision = seasoned.route(record)
        assert alike(decision, fresh.route(record))
        assert alike(decision, seasoned.explain(record).decision)


@settings(max_examples=250, deadline=None)
@given(RULES, SOURCES, st.lists(RECORDS, min_size=1, max_size=6))
def test_a_way_put_together_decides_as_one_rule_after_the_other(rules, source, records):
    """What is folded, remembered and laid out by hand is an economy and never an opinion."""
    made = Table(Rules(rules, destinations=["plausible", "second"]), source)
    for record in records:
        expected = one_after_the_other(made, record)
        assert alike(made.route(record), expected)
        assert alike(made.follow(made.course(record), record), expected)


def one_after_the_other(table, record):
    """Decide as the documentation tells it: every rule in order, each by its condition and its templates."""
    site, decision = table._site, Decision([], None, "no_rule")
    if not site.is_ours(record):
        return Decision([], None, "host")
    for rule in table._all:
        if rule.condition.explain(record, site).held:
            more = rule.decide(record, site.place(record))
            if not decision.deliveries:
                decision = more
            elif more.deliveries:
                sent = decision.deliveries + more.deliveries
                decision = Decision(sent, decision.rule, None, decision.cuts + more.cuts)
            if not rule.continues:
                break
    return decision


@settings(max_examples=150, deadline=None)
@given(RULES, SOURCES, RECORDS, RECORDS)
def test_a_course_is_the_same_for_all_records_alike_in_its_fields_and_kind(rules, source, seen, other):
    """What was found out with one line of a request holds for all lines of it and all User-Agents of a kind."""
    made = tables(rules, source)
    alike_fields = {name: getattr(seen, name) for name in COURSE_FIELDS}
    for agent in AGENTS:
        if made.kind(agent) == made.kind(seen.user_agent):
            record = replace(other, **alike_fields, user_agent=agent)
            assert alike(made.follow(made.course(seen), record), one_after_the_other(made, record))


@settings(max_examples=100, deadline=None)
@given(RULES, SOURCES, RECORDS)
def test_an_explanation_follows_the_same_rules(rules, source, record):
    """The rule that decided is one that the explanation says took it."""
    explanation = tables(rules, source).explain(record)
    taken = [step.rule for step in explanation.steps if step.taken]
    if explanation.decision.rule is not None:
        assert explanation.decision.rule in taken
    if explanation.decision.reason in ("no_rule", "host") and not taken:
        assert explanation.decision.rule is None
    assert all(explanation.lines())


@settings(max_examples=100, deadline=None)
@given(SOURCES, RECORDS)
def test_the_short_way_to_an_event_equals_the_long_one(source, record):
    """The event of a page view without templates is the one that templates would make."""
    short = tables([RuleSettings(event="pageview")], source).route(record)
    long = tables([RuleSettings(event="page{log.none}view", user_agent="{user_agent}", referrer="{referrer}")], source)
    assert alike(short, long.route(record))


@settings(max_examples=150, deadline=None)
@given(RULES, SOURCES, RECORDS)
def test_every_event_keeps_the_apis_limits(rules, source, record):
    """No URL, name, prop, referrer or header leaves that Plausible would refuse."""
    decision = tables(rules, source).route(record)
    assert bool(decision.deliveries) == (decision.reason is None)
    for delivery in decision.deliveries:
        event = delivery.event
        assert event.url.startswith(("http://", "https://"))
        assert event.url.isascii()
        assert event.url.isprintable()
        assert len(event.url) <= 2000
        assert event.domain
        assert not set(event.domain) & set(", \r\n")
        assert 0 < len(event.name) <= 120
        assert event.client_ip
        assert event.user_agent.strip()
        assert not set(event.user_agent) & set("\r\n\0")
        assert len((event.referrer or "").encode()) <= 2000
        assert all(value and len(value.encode()) <= 2000 for value in (event.props or {}).values())


def alike(one, two):
    """Compare decisions by what they hold: deliveries have an identity of their own."""
    return (one.rule, one.reason, sorted(one.cuts)) == (two.rule, two.reason, sorted(two.cuts)) and [
        (each.destination, each.event, each.time) for each in one.deliveries
    ] == [(each.destination, each.event, each.time) for each in two.deliveries]
