"""`check` warns where a format does not hold what the rules, or the visitor's address, ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from logship import plan
from logship.checks import fields, offline
from logship.settings import loader

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


def told(text: str) -> list[str]:
    """Return what is said of a configuration, places included."""
    loaded, problems = loader.read(text, "f", {})
    assert [str(each) for each in problems if not each.warning] == []
    return [str(each.at(*loaded.place(each.where))) for each in fields.warnings(plan.build(loaded))]


def source(more: str) -> str:
    """Return a configuration of one source."""
    return f"sources: [{{path: /var/log/a.log, site: https://a.example, {more}}}]\n"


@pytest.mark.parametrize(
    ("more", "lacking"),
    [
        ("format: common", "format common does not hold the User-Agent"),
        ('format: \'$remote_addr "$request" "$http_user_agent"\'', "format nginx does not hold the status"),
        ("format: {json: {client_ip: a, path: b, status: c, user_agent: d}}", "format json does not hold the method"),
        ("format: '$remote_addr $status \"$http_user_agent\" $request_method'", "nginx does not hold the request"),
        ("format: {regex: '(?P<client_ip>x)(?P<status>y)(?P<user_agent>z)'}", "regex does not hold the request"),
        ("format: '#Fields: c-ip cs-method cs-uri-stem sc-status'", "format w3c does not hold the User-Agent"),
    ],
)
def test_a_format_that_lacks_what_an_event_needs_is_warned_about(more: str, lacking: str) -> None:
    """A configuration that can send nothing is legal, and never meant."""
    assert any(lacking in line and line.startswith("f:1:") for line in told(source(more))), told(source(more))


@pytest.mark.parametrize("name", ["combined", "nginx_json", "caddy", "haproxy", "w3c", "vhost_combined", "ltsv"])
def test_formats_that_hold_all_are_fine(name: str) -> None:
    """No warning where none is due."""
    assert told(source(f"format: {name}")) == []


def test_what_the_rules_do_not_ask_for_is_not_missed() -> None:
    """An API's log may do without the User-Agent where a rule names one itself."""
    rules = "rules: [{when: {path: /api/**}, event: Call, user_agent: Mozilla/5.0 logship}]\n"
    assert told(source("format: common") + rules) == []
    assert told(source("format: common") + "rules: [{when: {path: /api/**}, event: Call}]\n") != []


def test_trusted_proxies_need_the_field_of_their_word() -> None:
    """Who comes by a proxy would be nobody."""
    line = "client_ip: {trusted_proxies: [private]}, format: "
    (only,) = told(source(f"{line}combined"))
    assert only.startswith("f:1:59: sources[0].client_ip: warning: the format combined holds no X-Forwarded-For")
    assert told(source(f"{line}nginx_main")) == []
    assert told(source(f"{line}ingress_nginx")) != []


LOG_RULES = """\
rules:
  - {when: {log.request_time: "1*", not: {log.foo: x}}, event: a, props: {b: "{log.bar} {log.http_referrer}"}}
"""


def test_log_fields_that_no_format_has_are_named_each_at_its_place() -> None:
    """A name that is misspelt is empty for ever, and nothing else shows it."""
    found = told(source('format: \'$remote_addr "$request" $status "$http_referer" $request_time\'') + LOG_RULES)
    places = [line.partition(": warning")[0] for line in found if "log holds" in line]
    assert places == ["f:3:52: rules[0].when.not.log.foo", *["f:3:78: rules[0].props.b"] * 2]
    assert any("no field 'http_referrer' (did you mean \"http_referer\"?)" in line for line in found)


@pytest.mark.parametrize("format_", ["nginx_json", "auto", "caddy"])
def test_lines_that_may_hold_anything_are_not_judged(format_: str) -> None:
    """The labels of such lines are known only when they come."""
    assert not [line for line in told(source(f"format: {format_}") + LOG_RULES) if "log holds" in line]


def test_a_rule_for_several_sources_needs_one_that_holds_the_field() -> None:
    """A rule is for every source unless it names one."""
    two = (
        "sources:\n  - {name: a, path: /a.log, format: combined, site: https://a.example}\n"
        '  - {name: b, path: /b.log, format: \'$remote_addr "$request" $status "$http_user_agent" $foo\','
        " site: https://b.example}\n"
    )
    assert told(two + "rules: [{when: {log.foo: x}, event: e}]\n") == []
    assert told(two + "rules: [{when: {source: b, log.foo: x}, event: e}]\n") == []
    assert len(told(two + "rules: [{when: {source: a, log.foo: x}, event: e}]\n")) == 1


def test_a_format_that_was_found_is_judged_as_one_that_is_given(tmp_path: Path) -> None:
    """The log itself shows that the field of the proxies' word is not there."""
    log = tmp_path / "a.log"
    line = f'203.0.113.7 - - [22/Nov/2026:05:55:36 +0000] "GET /p HTTP/1.1" 200 5 "-" "{BROWSER}"\n'
    log.write_text(line * 12)
    text = f"state_dir: {tmp_path}\nsources: [{{path: {log}, site: https://a.example, client_ip: {{trusted_proxies:"
    loaded, _ = loader.read(f"{text} [private], field: http_cf_connecting_ip}}}}]\n", "f", {})
    found = offline.check(plan.build(loaded)).problems
    assert any("the format has no field 'http_cf_connecting_ip'" in str(each) and each.warning for each in found)
