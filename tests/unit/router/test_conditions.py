import pytest

from logship.errors import ConfigError
from logship.records import Record
from logship.router.table import Rules
from logship.settings.conditions import AnyOf, Not, When
from logship.settings.conditions import Test as Asked
from logship.settings.rule import RuleSettings

GPTBOT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"

CASES = [
    ("source: web", {}, True),
    ("source: [shop, w*]", {}, True),
    ("source: shop", {}, False),
    ("host: example.com", {}, True),
    ("host: '*.example.com'", {"host": "a.b.example.com"}, True),
    ("host: '*.Example.com'", {"host": "example.com"}, False),
    ("host: '*.straße.example'", {"host": "www.xn--strae-oqa.example"}, True),
    ("path: /admin/**", {"path": "/admin/x"}, True),
    ("path: /Admin/**", {"path": "/admin/x"}, False),
    ("path: /über/*", {"path": "/%C3%BCber/x"}, True),
    ("path: /%C3%BCber/*", {"path": "/%C3%BCber/x"}, True),
    ("path: 're:^/p/\\d+$'", {"path": "/p/12"}, True),
    ("path: 're:\\d'", {"path": "/p"}, False),
    ("path: /**", {"path": None}, False),
    ("query: '*id=5*'", {"query": "a=1&id=5"}, True),
    ("query: ''", {"query": None}, True),
    ("query: ''", {"query": "a"}, False),
    ("query: '*'", {"query": None}, False),
    ("url: https://example.com/p", {"path": "/p", "query": "a=1"}, True),
    ("url: https://example.com/p\\?a=1", {"path": "/p", "query": "a=1"}, True),
    ("url: 're:[?&]a=1'", {"path": "/p", "query": "b=2&a=1"}, True),
    ("url: https://example.com/*", {"path": "/a/b"}, False),
    ("method: [GET, HEAD]", {"method": "HEAD"}, True),
    ("method: GET", {"method": None}, False),
    ("method: get", {"method": "GET"}, True),
    ("method: GET", {"method": "get"}, False),
    ("status: 404", {"status": 404}, True),
    ("status: [2xx, 304]", {"status": 304}, True),
    ("status: 2xx", {"status": 300}, False),
    ("status: 400-499", {"status": 499}, True),
    ("status: 400-499", {"status": 500}, False),
    ("status: 2xx", {"status": None}, False),
    ("user_agent: '*firefox*'", {}, True),
    ("user_agent: 're:(?i)FIREFOX/\\d+'", {}, True),
    ("user_agent: ''", {"user_agent": None}, True),
    ("bot: false", {}, True),
    ("bot: true", {}, False),
    ("bot: true", {"user_agent": GPTBOT}, True),
    ("bot: ai", {"user_agent": GPTBOT}, True),
    ("bot: [false, ai]", {"user_agent": GPTBOT}, True),
    ("bot: [search, none]", {"user_agent": GPTBOT}, False),
    ("bot: true", {"user_agent": None}, True),
    ("bot: none", {"user_agent": None}, True),
    ("referrer: 'https://*.google.*/**'", {"referrer": "https://www.google.com/"}, True),
    ("referrer: ''", {}, True),
    ("client_ip: [10.0.0.0/8, 203.0.113.0/24]", {}, True),
    ("client_ip: 2001:db8::/32", {}, False),
    ("client_ip: [0.0.0.0/0, '::/0']", {"client_ip": None}, False),
    ("content_type: text/html*", {"content_type": "text/html; charset=utf-8"}, True),
    ("content_type: '*'", {"content_type": None}, False),
    ("log.upstream: app-?", {"log": {"upstream": "app-1"}}, True),
    ("log.upstream: app-?", {}, False),
    ("log.upstream: ''", {}, True),
    ("{path: /, status: 200}", {}, True),
    ("{path: /, status: 404}", {}, False),
    ("not: {path: /}", {}, False),
    ("not: {path: /, status: 404}", {}, True),
    ("any: [{path: /x}, {status: 200}]", {}, True),
    ("any: [{path: /x}, {status: 404}]", {}, False),
    ("all: [{path: /}, {not: {status: 404}}]", {}, True),
    ("{bot: false, any: [{path: /x}, {all: [{path: /}, {source: web}]}]}", {}, True),
    ("any: [{source: shop}, {not: {source: web}}]", {}, False),
    ("any: [{source: web}, {path: /x}]", {}, True),
    ("not: {source: shop}", {}, True),
]


@pytest.mark.parametrize(("when", "record", "holds"), CASES)
def test_a_condition_holds_as_documented(table, page, when, record, holds):
    """All keys must hold, any value of a list, and absent fields fit the empty text alone."""
    made = table(f"- {{event: taken, when: {{{when.strip('{}') if when.startswith('{') else when}}}}}")
    record = page(**record)
    assert bool(made.route(record).deliveries or made.route(record).reason != "no_rule") is holds
    assert made.explain(record).steps[0].taken is holds


def rule(**when):
    tests = tuple(Asked(name.replace("__", "."), (value,), f"rules[0].when.{name}") for name, value in when.items())
    return RuleSettings(event="e", when=When(tests), where="rules[0]")


@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        (rule(path="/a{b"), "rules[0].when.path: '/a{b': a '{' is not closed (write '\\{' for the character itself)"),
        (rule(path="a"), "rules[0].when.path: 'a' fits no path, since a path begins with '/': write '/a' or '**a'"),
        (rule(path="re:("), "rules[0].when.path: regular expression '(': missing ): ("),
        (rule(path="re:(?=x)"), "(RE2 has no look-around and no backreferences)"),
        (rule(referrer=r"re:(a)\1"), "(RE2 has no look-around and no backreferences)"),
        (rule(staus="404"), 'rules[0].when.staus: unknown condition (did you mean "status"?)'),
        (rule(frob="404"), "rules[0].when.frob: unknown condition (known: source, host, path,"),
        (rule(status="40x"), "rules[0].when.status: '40x' is no status: write 404, 2xx or 400-499"),
        (rule(status="499-400"), "'499-400' is no status"),
        (rule(bot="serach"), "rules[0].when.bot: unknown class of machines 'serach' (did you mean \"search\"?)"),
        (rule(client_ip="10.*"), "rules[0].when.client_ip: '10.*' is no address and no network"),
    ],
)
def test_a_faulty_condition_names_its_place_and_the_way_out(faulty, told):
    """These texts are read at 3 a.m."""
    with pytest.raises(ConfigError) as caught:
        Rules([faulty], destinations=["plausible"])
    assert told in str(caught.value)


def test_all_faults_are_told_at_once():
    """Nobody mends a configuration one run at a time."""
    faulty = [
        RuleSettings(event="{paht}", when=When((Asked("path", ("/[",), "rules[0].when.path"),)), where="rules[0]"),
        RuleSettings(event="e", to=("nowhere",), props={"p": "{match.x}"}, where="rules[1]"),
        RuleSettings(event="e", drop="rule", where="rules[2]"),
        RuleSettings(preset="pageview", where="rules[3]"),
        RuleSettings(
            event="e",
            when=When((Not(When((AnyOf((When((Asked("status", ("x",), "rules[4].when.not.any[0].status"),)),)),))),)),
            where="rules[4]",
        ),
    ]
    with pytest.raises(ConfigError) as caught:
        Rules(faulty, destinations=["plausible"])
    assert sorted(problem.where for problem in caught.value.problems) == [
        "rules[0].event",
        "rules[0].when.path",
        "rules[1].props.p",
        "rules[1].to",
        "rules[2]",
        "rules[3].preset",
        "rules[4].when.not.any[0].status",
    ]


def test_a_hostile_line_meets_a_careless_expression_in_linear_time(table, page):
    """RE2: the classic that takes stdlib's engine years."""
    made = table("- {when: {path: 're:^/(a+)+$'}, drop: true}")
    assert made.route(page(path="/" + "a" * 50_000 + "!")).reason == "no_rule"


def test_bytes_that_are_no_text_are_asked_like_any(table, page):
    """A referrer in Latin-1 neither breaks an expression nor slips by one."""
    made = table("- {when: {referrer: 're:caf.$'}, drop: true}")
    assert made.route(page(referrer="https://r.example/caf\udce9")).reason == "rule"


def test_named_groups_are_caught_where_they_hold(table, page):
    """From all of `all`, from the first of `any` that holds, on the path as it was or decoded."""
    made = table("""
- event: e
  when:
    path: 're:^/(?P<lang>[a-z]{2})/'
    any:
      - {query: 're:id=(?P<id>\\d+)'}
      - {referrer: 're:/from/(?P<id>\\w+)'}
  props: {lang: "{match.lang}", id: "{match.id}"}
""")
    one = made.route(page(path="/de/x", query="id=7")).deliveries[0].event
    two = made.route(page(path="/%64e/x", referrer="https://r.example/from/abc")).deliveries[0].event
    assert one.props == {"lang": "de", "id": "7"}
    assert two.props == {"lang": "de", "id": "abc"}


def test_a_group_inside_not_can_catch_nothing():
    """It is an error, since such a prop would always be empty."""
    inside = When((Not(When((Asked("path", ("re:(?P<x>a)",)),))),))
    with pytest.raises(ConfigError, match=r"rules\[0\]\.props\.p: \{match\.x\}: no regular expression of this rule"):
        Rules([RuleSettings(event="e", when=inside, props={"p": "{match.x}"}, where="rules[0]")], destinations=[])


def test_no_condition_is_every_line(table):
    """An event without `when` takes whatever has an address and a User-Agent."""
    assert table("- event: e").route(Record(client_ip="192.0.2.1", user_agent="x")).deliveries
