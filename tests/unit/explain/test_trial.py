"""A configuration's own tests: what holds is silent, what does not is told at its place."""

import json
from pathlib import Path

import pytest

from logship import plan
from logship.explain import lines, trial
from logship.settings import loader

PERSON = (
    '203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET {} HTTP/1.1" 200 512 "-" '
    '"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"'
)
RULES = """rules:
  - {name: all, event: seen, continue: true, when: {path: "/both"}, props: {path: "{path}"}, interactive: false}
  - {name: archive, when: {path: "/old/**"}, drop: archive}
  - preset: downloads
  - preset: pageviews
"""


def case(target, expect, **more):
    test = {"line": PERSON.format(target), "expect": expect, **more}
    return f"{RULES}tests:\n  - {json.dumps(test)}\n"


HOLD = [
    ("/p", {"event": "pageview"}),
    ("/p?a=1", {"event": "pageview", "url": "https://example.com/p", "referrer": "", "domain": "example.com"}),
    ("/p", {"event": "pageview", "rule": "pageviews", "props": {}, "interactive": True, "to": "plausible"}),
    ("/p", {"event": "pageview", "client_ip": "203.0.113.7"}),
    ("/a.pdf", {"event": "File Download", "props": {"url": "https://example.com/a.pdf"}}),
    ("/old/p", {"drop": "archive"}),
    ("/old/p", {"drop": True, "rule": "archive"}),
    ("/both", [{"event": "seen", "props": {"path": "/both"}, "interactive": False}, {"event": "pageview"}]),
]
FAIL = [
    ("/p", {"drop": "bot"}, "tests[0].expect: expected dropped as bot, got the event pageview (rule: pageviews)"),
    ("/p", {"event": "seen"}, "tests[0].expect: expected the event seen, got the event pageview (rule: pageviews)"),
    ("/p", "unparsed", "tests[0].expect: expected unparsed, got the event pageview (rule: pageviews)"),
    ("/old/p", {"event": "pageview"}, "expected the event pageview, got dropped as archive (rule: archive)"),
    ("/old/p", {"drop": "rule"}, "expected dropped as rule, got dropped as archive (rule: archive)"),
    ("/old/p", {"drop": True, "rule": "x"}, "tests[0].expect.rule: expected the rule x, got archive"),
    (
        "/p",
        {"event": "pageview", "url": "https://example.com/q"},
        'tests[0].expect.url: expected "https://example.com/q", got "https://example.com/p"',
    ),
    ("/p", {"event": "pageview", "referrer": "https://a"}, 'expect.referrer: expected "https://a", got none'),
    ("/both", {"event": "pageview"}, "expected the event pageview, got the event seen and the event pageview"),
    ("/p", [{"event": "seen"}, {"event": "pageview"}], "expected the event seen and the event pageview, got"),
]


@pytest.mark.parametrize(("target", "expect"), HOLD)
def test_what_holds_is_silent(planned, target, expect):
    """Of an event only what is given is compared."""
    assert trial.problems(planned(case(target, expect))) == []


@pytest.mark.parametrize(("target", "expect", "told"), FAIL)
def test_what_does_not_hold_is_told_at_its_place(planned, target, expect, told):
    """Expected and got, with the rule that took the line, at the line and column of the expectation."""
    [problem] = trial.problems(planned(case(target, expect)))
    assert told in str(problem)
    assert str(problem).startswith("logship.yaml:8:")


def test_a_test_can_be_named_and_choose_its_source(planned):
    """The name opens the message; the source says in which format the line is."""
    text = """sources:
  - {name: a, path: /a.log, site: https://a.example, format: combined}
  - {name: b, path: /b.log, format: {json: {client_ip: ip, target: url, method: verb, host: vhost}}}
tests:
  - name: no agent
    source: b
    line: '{"ip": "192.0.2.1", "url": "/", "verb": "GET", "vhost": "b.example"}'
    expect: {drop: host}
"""
    [problem] = trial.problems(planned(text))
    assert str(problem).endswith(
        "tests[0].expect: no agent: expected dropped as host, got dropped as status (rule: pageviews/status)"
    )


def test_a_line_is_taken_as_it_stands(planned):
    """What looks like an environment variable is what an attacker sent."""
    text = """tests:
  - line: >-
      203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET /${jndi:ldap://x} HTTP/1.1" 200 1 "-"
      "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
    expect: {event: pageview, url: "https://example.com/$%7Bjndi:ldap://x%7D"}
"""
    assert trial.problems(planned(text)) == []


@pytest.fixture
def kept(tmp_path, planned, line):
    """A log, what explain said of it, and a configuration that compares the two; returns its problems."""
    log = line("/a") + line("/b.css") + b"garbage\n"
    (tmp_path / "some.log").write_bytes(log)
    plan = planned("tests: [{log: some.log, expected: kept.jsonl}]\n", file=str(tmp_path / "logship.yaml"))
    describe, explainer = lines.describer(plan.settings.destinations), lines.Explainer(plan.sources["access"])
    said = [describe(each) for each in explainer.explain(log)]

    def problems(change=lambda said: None):
        change(said)
        (tmp_path / "kept.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
        return [problem.message for problem in trial.problems(plan)]

    return problems


def test_a_file_of_lines_is_compared_with_what_was_kept_of_it(kept):
    """What `explain --json` printed holds as long as nothing changes."""
    assert kept() == []


def test_what_is_left_out_of_the_kept_file_is_not_compared(kept):
    """Whoever minds the result alone keeps the result alone."""

    def only_results(said):
        said[:] = [{"result": each["result"]} for each in said]

    assert kept(only_results) == []


def test_a_difference_from_the_kept_file_is_told_with_its_line_and_key(kept):
    """The key is written as in the JSON."""

    def change(said):
        said[0]["requests"][0]["body"]["url"] = "https://example.com/other"
        said[1]["reason"] = "bot"

    assert kept(change) == [
        'kept.jsonl: line 1: requests[0].body.url: expected "https://example.com/other", got "https://example.com/a"',
        'kept.jsonl: line 2: reason: expected "bot", got "asset"',
    ]


def test_a_kept_file_of_another_length_and_a_missing_one_are_told(kept, tmp_path):
    """Neither is compared line by line."""
    assert kept(lambda said: said.pop()) == ["kept.jsonl: holds 2 lines, the log 3"]
    (tmp_path / "some.log").unlink()
    assert kept() == [f"{tmp_path}/some.log cannot be read: No such file or directory"]


FAULTS = [
    ("[{line: x}]", "tests[0]: a test has line and expect, or log and expected"),
    ("[{line: x, expect: {event: a, drop: bot}}]", "tests[0].expect: event and drop exclude each other"),
    ("[{line: x, expect: {url: /p}}]", "tests[0].expect: say event: NAME, drop: REASON or unparsed: true"),
    ("[{line: x, expect: {drop: bot, url: /p}}]", "tests[0].expect.url: has no meaning beside drop; remove it"),
    ("[{line: x, expect: {evnt: a}}]", 'tests[0].expect.evnt: unknown key (did you mean "event"?)'),
    ("[{line: x, expect: sent}]", "tests[0].expect: got a single value; {event: NAME, ...}, {drop: REASON}, unparsed,"),
    ("[{line: x, expect: [{event: a}, {drop: b}]}]", "tests[0].expect: a list holds events only"),
    ('[{line: "a\\nb", expect: unparsed}]', "tests[0].line: is more than one line"),
    ("[{line: x, expect: unparsed, source: acess}]", 'no source is called "acess" (did you mean "access"?)'),
]


@pytest.mark.parametrize(("text", "told"), FAULTS)
def test_a_test_that_cannot_be_understood_is_a_fault_of_the_file(text, told):
    """It is told where it stands, as all faults are, and `run` would not start with it."""
    source = "sources: [{path: /var/log/access.log, site: https://example.com}]\n"
    found = [str(problem) for problem in loader.read(f"{source}tests: {text}\n", "f", {})[1]]
    assert [problem for problem in found if told in problem], found


EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "config").glob("*.yaml"))


@pytest.mark.parametrize("config", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_examples_hold_what_they_promise(config):
    """The tests in config/ are run as `check` runs them on a copy."""
    assert [str(problem) for problem in trial.problems(plan.load(config, {}))] == []


def test_an_example_shows_how():
    """At least one example has tests to copy."""
    assert any(plan.load(config, {}).settings.tests for config in EXAMPLES)
