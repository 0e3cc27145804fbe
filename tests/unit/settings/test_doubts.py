"""What is legal in a configuration and surely wrong: warnings."""

# ruff: noqa: E501 - a problem is one line, and the tables here hold whole ones

from pathlib import Path

import pytest

from logship.errors import ConfigError
from logship.settings import loader
from tests.unit.settings.configurations import SOURCE, destination, problems, rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SOURCE}grace_period: 5m\n", "f:2:15: grace_period: warning: systemd kills after 90s; raise TimeoutStopSec in the unit as well"),
        (f"{SOURCE}max_event_age: null\n", "f:2:1: max_event_age: warning: null: after an outage, old lines are counted as visits of today"),
        (destination("connections: 129"), "f:2:33: destinations.p.connections: warning: more than any Plausible needs; 16 carry thousands of events a second"),
        (destination("tls: {verify: false}"), 'f:2:34: destinations.p.tls.verify: warning: anyone on the way can read and change events; name the authority in "ca_file" instead'),
        (destination("url: http://plausible.io"), "f:2:25: destinations.p.url: warning: visitors' addresses travel unencrypted to \"http://plausible.io/api/event\"; use https"),
        ("sources: [{path: [/x/a.log, /x/shop-error.log], site: https://x}]\n", 'f:1:29: sources[0].path[1]: warning: "/x/shop-error.log" looks like an error log; only access logs hold requests'),
        ("sources: [{path: /a.log}]\n", 'f:1:11: sources[0]: warning: without "site", lines that carry no host become no event; add "site: https://example.com", your own'),
        (f"{SOURCE}rules: [{{preset: pageviews}}, {{event: x}}, {{drop: true}}]\n", "f:2:30: rules[1]: warning: never reached: rules[0] takes every line"),
        (rule("event: x, when: {url: /buy}"), 'f:3:28: rules[0].when.url: warning: "/buy" fits nothing: a URL begins with scheme and host; write "**/buy", or make it a condition on "path"'),
        (rule("event: x, when: {path: 'https://a.example/x'}"), 'f:3:29: rules[0].when.path: warning: "https://a.example/x" fits nothing: a path holds neither scheme nor host; make it a condition on "url"'),
        (rule("event: x, when: {path: '*'}"), 'f:3:29: rules[0].when.path: warning: "*" fits nothing: it begins with no "/"; write "/*", or "**", which goes on beyond a slash'),
        (rule("event: x, when: {path: [/a, '{a,b}/c']}"), 'f:3:34: rules[0].when.path[1]: warning: "{a,b}/c" fits nothing: it begins with no "/"; write "/{a,b}/c", or "**", which goes on beyond a slash'),
        (rule("event: x, when: {path: '?.html'}"), 'f:3:29: rules[0].when.path: warning: "?.html" fits nothing: it begins with no "/"; write "/?.html", or "**", which goes on beyond a slash'),
        (rule("event: x, when: {path: '*[!a]'}"), 'f:3:29: rules[0].when.path: warning: "*[!a]" fits nothing: it begins with no "/"; write "/*[!a]", or "**", which goes on beyond a slash'),
        (rule("event: x, when: {url: '*'}"), 'f:3:28: rules[0].when.url: warning: "*" fits nothing: a URL holds slashes, at which "*" ends; write "**"'),
        ("sources: [{path: '/x/{a,b}.log', site: https://x}]\n", 'f:1:18: sources[0].path: warning: "/x/{a,b}.log": braces are no alternatives here; write ["/x/a.log", "/x/b.log"]'),
        ("sources: [{path: /x/*, exclude: ['*.{gz,xz}'], site: https://x}]\n", 'f:1:34: sources[0].exclude[0]: warning: "*.{gz,xz}": braces are no alternatives here; write ["*.gz", "*.xz"]'),
        (rule("event: x, when: {host: [b, a.example/x]}"), 'f:3:33: rules[0].when.host[1]: warning: "a.example/x" fits nothing: a host holds neither scheme nor path; make it a condition on "url"'),
        (f"{SOURCE}rules: [{{event: {'n' * 121}}}]\n", "f:2:17: rules[0].event: warning: has 121 characters; Plausible takes 120, so the end is cut off"),
    ],
)  # fmt: skip
def test_what_is_legal_and_surely_wrong_is_a_warning(text: str, expected: str) -> None:
    """It is told, and the configuration is used all the same."""
    found, problems = loader.read(text, "f", {})
    assert [str(problem) for problem in problems] == [expected]
    assert found.warnings == tuple(problems)


@pytest.mark.parametrize(
    "text",
    [
        destination("url: http://127.0.0.1:8000"),
        destination("url: http://plausible:8000"),
        destination("url: http://plausible.analytics.svc.cluster.local"),
        destination("url: http://10.1.2.3:8000"),
        destination("url: 'http://[::1]:8000'"),
        f"{SOURCE}rules: [{{event: a, continue: true}}, {{drop: true, when: {{path: /a}}}}, {{preset: feeds}}, {{drop: x}}]\n",
        f"{SOURCE}rules: [{{preset: pageviews, when: {{path: /a}}}}, {{preset: pageviews}}]\n",
        "sources: [{path: /var/log/terror.log, site: https://x}]\n",
        "sources: [{path: /a.log, format: vhost_combined}]\n",
        f"{SOURCE}grace_period: 90s\nmax_event_age: 30d\n",
    ],
)
def test_what_may_well_be_meant_is_not_warned_of(text: str) -> None:
    """A warning that is often wrong is read by nobody."""
    assert problems(text) == []


def test_load_raises_for_errors_and_keeps_warnings(tmp_path: Path) -> None:
    """An error carries the warnings with it; warnings alone let the configuration pass."""
    path = tmp_path / "logship.yaml"
    path.write_text(f"{SOURCE}grace_period: 5m\n")
    assert [problem.where for problem in loader.load(path, {}).warnings] == ["grace_period"]
    path.write_text(f"{SOURCE}grace_period: 5m\nmax_event_age: 5\n")
    with pytest.raises(ConfigError) as caught:
        loader.load(path, {})
    assert [problem.warning for problem in caught.value.problems] == [True, False]
