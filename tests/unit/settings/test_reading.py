"""What is read from a configuration: defaults, values, names, environment variables, places."""

# ruff: noqa: E501 - a problem is one line, and the tables here hold whole ones

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from logship.errors import Problem
from logship.language import notations
from logship.language.notations import Secret
from logship.settings.admin import AdminSettings
from logship.settings.conditions import AllOf, AnyOf, Not, When
from logship.settings.conditions import Test as Asked
from logship.settings.destination import DestinationSettings
from logship.settings.root import Settings
from logship.settings.rule import RevenueSettings, RuleSettings
from logship.settings.source import SourceSettings
from tests.unit.settings.configurations import EVERYTHING, SOURCE, destination, read, rule, source, when


def test_the_least_configuration_takes_every_default() -> None:
    """A path and a site are enough; everything else is as the contract says."""
    found = read("sources:\n  - path: /var/log/nginx/access.log\n    site: https://example.com\n")
    assert found.state_dir == Path("/var/lib/logship")
    assert (found.admin, found.max_event_age, found.grace_period) == (AdminSettings(), 86400.0, 10.0)
    assert found.destinations == (DestinationSettings(),)
    assert found.rules == (RuleSettings(preset="pageviews"),)
    assert found.sources == (SourceSettings("access", ("/var/log/nginx/access.log",), site="https://example.com"),)


def test_the_contracts_example_states_the_defaults() -> None:
    """Writing every default changes nothing but what the example sets on purpose."""
    found = read(EVERYTHING)
    assert found.destinations == (DestinationSettings(),)
    assert found.admin == AdminSettings()
    (shop,) = found.sources
    plain = SourceSettings("shop", ("/var/log/nginx/shop*.log",), site="https://shop.example.com")
    assert shop == replace(plain, domain="shop.example.com", hosts=("shop.example.com",), start_at="end")


def test_the_contracts_rules_are_read_as_written() -> None:
    """Conditions stay text, a drop has its reason, and each knows its place."""
    admin, downloads, not_found, preset = read(EVERYTHING).rules
    assert admin == RuleSettings("admin area", When((Asked("path", ("/admin/**",)),)), drop="rule")
    assert downloads.when.tests == (Asked("path", ("**.{pdf,zip,dmg}",)), Asked("status", ("200", "206")))
    assert (downloads.event, downloads.props) == ("File Download", {"url": "{site}{path}"})
    assert not_found.when.tests == (Asked("status", ("404",)), Asked("bot", ("false",)))
    assert [each.where for each in not_found.when.tests] == ["rules[2].when.status", "rules[2].when.bot"]
    assert (preset.preset, preset.where) == ("pageviews", "rules[3]")


def test_conditions_nest() -> None:
    """`any`, `all` and `not` hold conditions, to any depth that a person writes."""
    text = when("any: [{path: /a}, {not: {status: 2xx, log.x: y}}], all: [{method: GET}, {host: [a, b]}]")
    (anyone, everyone) = read(text).rules[0].when.tests
    inner = Not(When((Asked("status", ("2xx",)), Asked("log.x", ("y",)))))
    assert anyone == AnyOf((When((Asked("path", ("/a",)),)), When((inner,))))
    assert everyone == AllOf((When((Asked("method", ("GET",)),)), When((Asked("host", ("a", "b")),))))
    assert isinstance(anyone, AnyOf)
    assert anyone.where == "rules[0].when.any"
    assert anyone.whens[1].where == "rules[0].when.any[1]"


def test_every_action_is_read() -> None:
    """An event may carry all that the contract lists."""
    text = rule(
        'event: Buy, domain: "{host}", url: "{url}", referrer: "{referrer}", props: {a: 1, b: true}, interactive: false, '
        'revenue: {currency: EUR, amount: 12.50}, user_agent: x, client_ip: "{log.ip}", to: plausible, sample: 0.1, '
        "continue: true"
    )
    assert read(text).rules == (
        RuleSettings(
            event="Buy",
            domain="{host}",
            url="{url}",
            referrer="{referrer}",
            props={"a": "1", "b": "true"},
            revenue=RevenueSettings("EUR", "12.50"),
            interactive=False,
            user_agent="x",
            client_ip="{log.ip}",
            to=("plausible",),
            sample=0.1,
            continue_=True,
        ),
    )


@pytest.mark.parametrize("written", ["404", "22:22", "no", "2024-01-01", "~x", "0x1f", "1e3", "1_000", "=", "NaN"])
def test_yaml_traps_stay_text_where_text_is_wanted(written: str) -> None:
    """PyYAML would make numbers, dates and booleans of these; an event's name is what stands there."""
    (found,) = read(rule(f"event: {written}, props: {{a: {written}}}, when: {{path: {written}}}")).rules
    assert (found.event, found.props, found.when.tests) == (
        written,
        {"a": written},
        (Asked("path", (written,)),),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Example.com", "https://example.com"),
        ("HTTPS://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://faß.de", "https://xn--fa-hia.de"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://example.com.", "https://example.com"),
    ],
)
def test_a_site_becomes_what_a_browser_calls_the_origin(text: str, expected: str) -> None:
    """Lower case, no default port, punycode as browsers make it (ß stays a letter)."""
    assert notations.site(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://plausible.io", "https://plausible.io/api/event"),
        ("https://plausible.io/", "https://plausible.io/api/event"),
        ("http://plausible:8000", "http://plausible:8000/api/event"),
        ("https://example.com/px/event?k=v", "https://example.com/px/event?k=v"),
        ("https://Bücher.example:443", "https://xn--bcher-kva.example/api/event"),
    ],
)
def test_the_api_path_is_added_when_there_is_none(text: str, expected: str) -> None:
    """A destination's url is complete once it is read."""
    assert read(destination(f"url: '{text}'")).destinations[0].url == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("500ms", 0.5), ("0.5s", 0.5), ("30s", 30.0), ("5m", 300.0), ("24h", 86400.0), ("7d", 604800.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """Every unit of the contract, and 0 without one."""
    assert notations.duration(text) == seconds


def test_admin_is_on_at_its_own_address_or_off() -> None:
    """IPv6 stands in brackets; null switches the endpoint off."""
    assert read(f"{SOURCE}admin: {{listen: '[::1]:9470'}}\n").admin == AdminSettings("::1", 9470)
    assert read(f"{SOURCE}admin: {{listen: '0.0.0.0:0'}}\n").admin == AdminSettings("0.0.0.0", 0)
    assert read(f"{SOURCE}admin: null\n").admin is None


def test_systemds_state_directory_is_the_default() -> None:
    """The first of the list that systemd gives; what the file says goes before it."""
    assert read(SOURCE, STATE_DIRECTORY="/var/lib/a:/var/lib/b").state_dir == Path("/var/lib/a")
    assert read(SOURCE, STATE_DIRECTORY="").state_dir == Path("/var/lib/logship")
    assert read(f"{SOURCE}state_dir: /srv/x\n", STATE_DIRECTORY="/var/lib/a").state_dir == Path("/srv/x")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/var/log/nginx/access.log"], ["access"]),
        (["/var/log/nginx/shop*.log"], ["shop"]),
        (["/var/log/nginx/*.log"], ["nginx"]),
        (["/var/log/httpd/access_log"], ["access_log"]),
        (["/logs/**/*.log"], ["logs"]),
        (["/[ab]*.log"], ["source"]),
        (["/a/access.log", "/b/access.log", "/b/access.log.1*"], ["access", "b-access", "access-2"]),
        (["/x/access.log", "/a/access.log", "/a/access.log"], ["access", "a-access", "access-2"]),
    ],
)
def test_a_source_is_named_after_its_path(paths: list[str], names: list[str]) -> None:
    """Short, without wildcards, and never twice."""
    text = json.dumps({"sources": [{"path": path, "site": "https://x"} for path in paths]})
    if paths[-1].endswith(".1*"):
        names = [*names[:2], "access.log.1"]
    assert [each.name for each in read(text).sources] == names


def test_a_given_name_is_never_taken_by_a_derived_one() -> None:
    """The source that says its name keeps it, wherever it stands."""
    text = "sources: [{path: /x/a.log, site: https://x}, {path: /y/b.log, site: https://x, name: a}]\n"
    assert [each.name for each in read(text).sources] == ["x-a", "a"]


def test_a_single_value_is_a_list_of_one() -> None:
    """Whatever takes a list takes a single value as well."""
    found = read(source('exclude: "*.bak", hosts: "*.A.example", query: [a]')).sources[0]
    assert (found.exclude, found.hosts, found.query) == (("*.bak",), ("*.a.example",), ("a",))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("vhost_combined", "vhost_combined"),
        ("'$remote_addr [$time_local] \"$request\"'", '$remote_addr [$time_local] "$request"'),
        ("{json: {client_ip: remote.addr, time: ts}}", {"json": {"client_ip": "remote.addr", "time": "ts"}}),
        (r"{regex: '(?P<path>\S+)'}", {"regex": r"(?P<path>\S+)"}),
    ],
)
def test_formats_are_kept_as_written(written: str, expected: object) -> None:
    """A name, a string, or a mapping: the parser makes sense of them."""
    assert read(source(f"format: {written}")).sources[0].format == expected


def test_anchors_and_merge_keys_work() -> None:
    """A source may repeat another's keys; its own go first."""
    text = """
    sources:
      - &first {path: /a.log, site: https://a.example, query: none}
      - {<<: *first, path: /b.log}
      - {<<: [{query: all}, *first], path: /c.log}
    """
    assert [(each.path, each.query) for each in read(text).sources] == [
        (("/a.log",), "none"),
        (("/b.log",), "none"),
        (("/c.log",), "all"),
    ]


# Environment.


def test_a_variable_is_replaced_in_values_and_masked() -> None:
    """The text is the real one wherever it is used, and hidden wherever it is shown as a value."""
    found = read(destination('headers: {Authorization: "Bearer ${TOKEN}"}'), TOKEN="s3cret")
    value = found.destinations[0].headers["Authorization"]
    assert value == "Bearer s3cret"
    assert isinstance(value, Secret)
    assert "s3cret" not in repr(found)
    assert f"{value}" == "Bearer s3cret"


@pytest.mark.parametrize(
    ("written", "env", "expected"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}${B:-y}", {"A": "x"}, "xy"),
        ("${A:-y}", {"A": ""}, "y"),
        ("${A:-}", {}, ""),
        ("${A:-a:-b}", {}, "a:-b"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$$A $A $", {"A": "x"}, "$$A $A $"),
        ("${A}", {"A": "${B}"}, "${B}"),
    ],
)
def test_how_variables_are_written(written: str, env: dict[str, str], expected: str) -> None:
    """Shell's two forms; `$${` stands for itself, any other `$` is left alone, and nothing is replaced twice."""
    assert read(rule(f"event: x, props: {{a: '{written}'}}"), **env).rules[0].props == {"a": expected}


def test_variables_are_read_by_the_type_that_is_wanted() -> None:
    """A number is a number wherever it comes from, and nothing at all is null where null is allowed."""
    text = destination('connections: "${N}", proxy: "${PROXY:-}", tls: {verify: "${VERIFY}"}')
    found = read(text, N="4", VERIFY="true").destinations[0]
    assert (found.connections, found.proxy, found.tls.verify) == (4, None, True)


def test_keys_are_not_replaced() -> None:
    """A key that names a variable is a key like any other."""
    assert read(rule("event: x, props: {'${A}': b}")).rules[0].props == {"${A}": "b"}


# Places and identity.


@pytest.mark.parametrize(
    ("where", "stands_at"),
    [
        ("sources[0].path", "path: [/var"),
        ("sources[0].path[0]", "/var/log/nginx/shop*.log]"),
        ("sources[0].path[7]", "path: [/var"),
        ("rules[2].when.status", "404, bot"),
        ("rules[2].when", "when: {status: 404"),
        ("rules[2].when.not.path.deeper", "when: {status: 404"),
        ("rules[9]", "rules:\n"),
        ("rules[1].props.url", '"{site}{path}"'),
        ("destinations.plausible.url", "https://plausible.io"),
        ("nowhere", "state_dir"),
        ("", "state_dir"),
    ],
)
def test_a_path_of_keys_is_found_or_its_nearest_ancestor(where: str, stands_at: str) -> None:
    """Other rooms name the keys, and settings know the line."""
    before = EVERYTHING[: EVERYTHING.index(stands_at)].split("\n")
    place = (len(before), len(before[-1]) + 1)
    found = read(EVERYTHING)
    assert found.locate(where) == place
    assert found.place(where) == ("f", *place)


def test_without_a_file_there_is_no_place() -> None:
    """Settings that were made in code have problems without a line."""
    assert str(Problem("rules[0]", "no").at(*Settings(Path("/s")).place("rules[0]"))) == "rules[0]: no"


def test_settings_are_equal_when_they_mean_the_same() -> None:
    """Moving and commenting changes the hash of the text and nothing else."""
    one, two = read(SOURCE), read(f"# moved\n{SOURCE}")
    assert one == two
    assert one.content_hash != two.content_hash
    assert one.sources[0] == two.sources[0]
    assert re.fullmatch(r"[0-9a-f]{64}", one.content_hash)
