"""What is refused in a configuration, and in which words."""

# ruff: noqa: E501 - a problem is one line, and the tables here hold whole ones

from pathlib import Path

import pytest

from logship.errors import ConfigError
from logship.settings import loader
from logship.settings.conditions import Not
from logship.settings.conditions import Test as Asked
from tests.unit.settings.configurations import SOURCE, destination, problems, read, rule, source, when

FAULTS = [
    # The whole file.
    ("", 'f:1:1: the file is empty; the least that works is "sources: [{path: /var/log/nginx/access.log, site: https://example.com}]"'),
    ("- a\n", "f:1:1: got a list; a mapping of keys (state_dir, admin, max_event_age, ...) is wanted here"),
    ("{}\n", 'f:1:1: "sources" is missing: The log files to follow, and how to read them.'),
    ("sources:\n", 'f:1:1: sources: has no value; a list of sources, each beginning with "- path: ..." is wanted here'),
    ("sources: []\n", "f:1:1: sources: the list is empty; nothing is followed"),
    ("sources: [/var/log/a.log]\n", "f:1:11: sources[0]: got a single value; a mapping of keys (name, path, exclude, ...) is wanted here"),
    ("---\na: 1\n---\nb: 2\n", 'f:3:1: a second document begins here ("---"); one file is one document'),
    # Unknown keys and keys at the wrong level.
    (f"{SOURCE}source: 1\n", 'f:2:1: source: unknown key (did you mean "sources"?)'),
    (f"{SOURCE}listen: 127.0.0.1:1\n", 'f:2:1: listen: unknown key here; it belongs in "admin"'),
    (f"{SOURCE}site: https://x\n", 'f:2:1: site: unknown key here; it belongs in "sources[]"'),
    (f"{SOURCE}spam: []\n", "f:2:1: spam: unknown key; known: state_dir, admin, max_event_age, grace_period, audience, referrer_spam, destinations, sources, rules, tests"),
    (f"{SOURCE}? [a]\n: 1\n", "f:2:3: a key must be a plain word"),
    (f"{SOURCE}grace_period: 1s\ngrace_period: 2s\n", "f:3:1: grace_period: given twice (first on line 2); keep one"),
    (destination("max_wait: 1s"), 'f:2:20: destinations.p.max_wait: unknown key here; it belongs in "batch"'),
    (source("trusted_proxies: x"), 'f:1:59: sources[0].trusted_proxies: unknown key here; it belongs in "client_ip"'),
    (rule("event: x, status: 404"), 'f:3:16: rules[0].status: unknown key here; it belongs in "when"'),
    (rule("evnt: x"), 'f:3:6: rules[0].evnt: unknown key (did you mean "event"?)'),
    ("sources: [{pth: /a.log, site: https://x}]\n", 'f:1:12: sources[0].pth: unknown key (did you mean "path"?)'),
    (when("staus: 404"), 'f:3:23: rules[0].when.staus: unknown condition (did you mean "status"?)'),
    (when("log: {x: y}"), 'f:3:23: rules[0].when.log: unknown condition; write "log.NAME"'),
    (when("drop: true"), 'f:3:23: rules[0].when.drop: unknown condition here; it belongs in "rules[]"'),
    # Durations, numbers, words.
    (f"{SOURCE}grace_period: 10\n", 'f:2:15: grace_period: "10" is no duration; it needs a unit, as in "500ms", "30s", "5m", "24h"; write "10s"'),
    (f"{SOURCE}grace_period: -1s\n", 'f:2:15: grace_period: "-1s" is no duration; it needs a unit, as in "500ms", "30s", "5m", "24h"'),
    (f"{SOURCE}grace_period: [1s]\n", "f:2:1: grace_period: got a list; a duration is wanted here"),
    (f"{SOURCE}grace_period: 99999999999d\n", 'f:2:15: grace_period: "99999999999d" is more than ten years'),
    (f"{SOURCE}max_event_age: 0\n", 'f:2:16: max_event_age: "0" is too short; 1ms at least'),
    (destination("connections: 0"), 'f:2:33: destinations.p.connections: "0" is outside 1 to 1000'),
    (destination("connections: 1.5"), 'f:2:33: destinations.p.connections: "1.5" is no whole number, as in "60"'),
    (destination("max_events_per_second: 0"), 'f:2:43: destinations.p.max_events_per_second: "0" is not above 0; null sets no limit'),
    (destination("retry: {ambiguous: maybe}"), 'f:2:39: destinations.p.retry.ambiguous: "maybe" is neither true nor false'),
    (destination("retry: {initial: 2m}"), 'f:2:20: destinations.p.retry: "initial" (2m) is more than "max" (60s); make it less, or "max" more'),
    (destination("when_full: deadletter"), 'f:2:31: destinations.p.when_full: "deadletter" is not known here (did you mean "dead_letter"?)'),
    (destination("when_full: drop"), 'f:2:31: destinations.p.when_full: "drop" is not known here; known: wait, dead_letter'),
    (source("start_at: begin"), 'f:1:69: sources[0].start_at: "begin" is not known here (did you mean "beginning"?)'),
    (source("query: campain"), 'f:1:66: sources[0].query: "campain" is none of campaign, all and none (did you mean "campaign"?)'),
    (source("query: []"), 'f:1:59: sources[0].query: the list is empty; write "none"'),
    (source("query: utm"), 'f:1:66: sources[0].query: "utm" is none of campaign, all and none; write a list if it is the name of a parameter'),
    # Addresses and URLs.
    (source("hosts: 5"), 'f:1:66: sources[0].hosts: "5" holds neither a host name nor an IP address, as in "www.example.com" or "192.0.2.7"'),
    (source("hosts: ['a..b']"), 'f:1:67: sources[0].hosts[0]: "a..b" holds no valid host name; letters, digits and hyphens between dots, as in "www.example.com"'),
    ("sources: [{path: /a, site: 5}]\n", 'f:1:28: sources[0].site: "5" has no scheme; write scheme and host, as in "https://example.com"'),
    (f"{SOURCE}rules: [pageviews]\n", 'f:2:9: rules[0]: got a name alone; write "preset: pageviews"'),
    (rule("event: x, revenue: 5"), "f:3:25: rules[0].revenue: got a single value; a mapping of keys (currency, amount) is wanted here"),
    (rule("event: x, props: {'': b}"), "f:3:24: rules[0].props.: a prop without a name; give it one"),
    ("sources: [{path: /a},,]\n", 'f:1:22: a "[", "{" or "," stands before this, and no value follows'),
    (f"{SOURCE}admin: {{listen: 9469}}\n", 'f:2:17: admin.listen: "9469" names no host; write "127.0.0.1:9469", or 0.0.0.0 for all addresses'),
    (f"{SOURCE}admin: {{listen: '::1:9469'}}\n", 'f:2:17: admin.listen: "::1:9469" is no host:port, as in "127.0.0.1:9469" or "[::1]:9469"'),
    (destination("url: plausible.io"), 'f:2:25: destinations.p.url: "plausible.io" has no scheme; write "https://plausible.io"'),
    (destination("url: ftp://x"), 'f:2:25: destinations.p.url: "ftp://x" must begin with http:// or https://'),
    (destination("url: 'https://u:p@x'"), 'f:2:25: destinations.p.url: "https://***@x" holds a user or password; send an Authorization header (see headers)'),
    (destination("url: 'https://x/#a'"), 'f:2:25: destinations.p.url: "https://x/#a" has a fragment; leave out what follows "#"'),
    (destination("url: 'https://x:99999'"), 'f:2:25: destinations.p.url: "https://x:99999" is no URL, as "https://example.com:8443" is one'),
    (destination("url: 'https://'"), 'f:2:25: destinations.p.url: "https://" names no host'),
    (destination("proxy: socks5://x"), 'f:2:27: destinations.p.proxy: "socks5://x" is no HTTP proxy, as in "http://proxy.example.com:3128"'),
    ("sources: [{path: /a, site: example.com}]\n", 'f:1:28: sources[0].site: "example.com" has no scheme; write "https://example.com"'),
    ("sources: [{path: /a, site: https://x/blog}]\n", 'f:1:28: sources[0].site: "https://x/blog" has a path; a site is scheme and host; write "https://x"'),
    ("sources: [{path: /a, site: 'https://-x'}]\n", 'f:1:28: sources[0].site: "https://-x" holds no valid host name; letters, digits and hyphens between dots, as in "www.example.com"'),
    (source("domain: 'a,b'"), 'f:1:67: sources[0].domain: "a,b" has a comma; it is one site of Plausible, and a second one takes a second rule'),
    (source("domain: https://a.example/"), 'f:1:67: sources[0].domain: "https://a.example/" has a scheme; write "a.example"'),
    (source("hosts: 'a:80'"), 'f:1:66: sources[0].hosts: "a:80" must be a host alone, as in "www.example.com": no scheme, port or path'),
    (source("hosts: []"), 'f:1:59: sources[0].hosts: the list is empty; every line would be dropped; leave "hosts" out to take all'),
    (source("client_ip: {trusted_proxies: cloudflar}"), 'f:1:88: sources[0].client_ip.trusted_proxies: "cloudflar" is no known set of addresses (did you mean "cloudflare"?); known: cloudflare, loopback, private'),
    (source("client_ip: {trusted_proxies: 10.0.*}"), 'f:1:88: sources[0].client_ip.trusted_proxies: "10.0.*" is no CIDR; write "10.0.0.0/16"'),
    (source("client_ip: {trusted_proxies: 10.0.0.0/33}"), 'f:1:88: sources[0].client_ip.trusted_proxies: "10.0.0.0/33" is no address or CIDR, as in "10.0.0.0/8" or "2001:db8::/32"'),
    # Headers and TLS.
    (destination("ip_headers: []"), "f:2:20: destinations.p.ip_headers: the list is empty; without one, Plausible takes every event for a visit from this machine"),
    (destination("ip_headers: [User-Agent]"), 'f:2:33: destinations.p.ip_headers[0]: "User-Agent" is set by logship itself; leave it out'),
    (destination("headers: {Host: a}"), 'f:2:30: destinations.p.headers.Host: "Host" is set by logship itself; leave it out'),
    (destination('headers: {A: "b\\nc"}'), "f:2:33: destinations.p.headers.A: a header cannot hold the character U+000A (a line break at the end?)"),
    (destination("tls: {ca_file: ca.pem}"), 'f:2:35: destinations.p.tls.ca_file: "ca.pem" is relative, and a service has no directory of its own; write it from "/"'),
    # Paths.
    ("sources: [{site: https://x}]\n", 'f:1:11: sources[0]: "path" is missing: One path or many, globs allowed (`*`, `?`, `[a-z]`, `**`); new matches are noticed while running.'),
    ("sources: [{path: [], site: https://x}]\n", "f:1:12: sources[0].path: the list is empty; nothing is followed"),
    ("sources: [{path: access.log, site: https://x}]\n", 'f:1:18: sources[0].path: "access.log" is relative, and a service has no directory of its own; write it from "/"'),
    ("sources: [{path: ~/a.log, site: https://x}]\n", 'f:1:18: sources[0].path: "~/a.log": "~" is not expanded; write the path from "/"'),
    ("sources: [{path: /var/log/, site: https://x}]\n", 'f:1:18: sources[0].path: "/var/log/" is a directory; write "/var/log/*.log"'),
    ('sources: [{path: "/a\\0b", site: https://x}]\n', "f:1:18: sources[0].path: holds the control character U+0000"),
    # Formats.
    ("sources: [{path: /a.log, format: combined}]\n", 'f:1:11: sources[0]: the format "combined" has no host; add "site: https://example.com", your own'),
    (source("format: {json: {}}"), "f:1:68: sources[0].format.json: no field is named; write {client_ip: KEY, ...}"),
    (source("format: {jsn: {a: b}}"), 'f:1:68: sources[0].format.jsn: unknown key (did you mean "json"?)'),
    (source("format: {}"), 'f:1:59: sources[0].format: "json" or "regex" is wanted here'),
    (source("format: {json: {a: b}, regex: x}"), 'f:1:59: sources[0].format: "json" and "regex" exclude each other'),
    (source("wrapper: crio"), 'f:1:68: sources[0].wrapper: "crio" is not known here (did you mean "cri"?)'),
    # Names.
    ("sources: [{path: /a, site: https://x, name: s}, {path: /b, site: https://x, name: s}]\n", 'f:1:83: sources[1].name: sources[0] is called "s", too; give each source its own name'),
    (f"{SOURCE}rules: [{{drop: true, when: {{path: /a}}, name: n}}, {{drop: true, name: n}}]\n", 'f:2:69: rules[1].name: rules[0] is called "n", too; give each rule its own name'),
    # Rules and actions.
    (f"{SOURCE}rules: []\n", 'f:2:1: rules: the list is empty; every line would be dropped; leave "rules" out for {preset: pageviews}'),
    (rule("name: x"), 'f:3:5: rules[0]: no action; say "event: NAME", "drop: true" or "preset: NAME"'),
    (rule("event: x, drop: true"), "f:3:5: rules[0]: drop and event exclude each other; make it one rule for each"),
    (rule("drop: false"), 'f:3:12: rules[0].drop: "false" drops nothing; leave "drop" out'),
    (rule("drop: No-Go"), 'f:3:12: rules[0].drop: "No-Go" is no reason; write true, or a word of a-z, 0-9 and _, up to 40 characters'),
    (rule("drop: true, props: {a: b}"), "f:3:18: rules[0].props: has no effect on a rule that drops; remove it"),
    (rule("drop: true, continue: true"), "f:3:28: rules[0].continue: has no effect on a rule that drops; remove it"),
    (rule("preset: pageviews, url: a"), "f:3:30: rules[0].url: cannot stand beside a preset; copy its rules (logship check --show-rules) and change those"),
    (rule("preset: pageview"), 'f:3:14: rules[0].preset: "pageview" is not known here (did you mean "pageviews"?)'),
    (rule("event: engagement"), 'f:3:13: rules[0].event: "engagement" is reserved by Plausible; choose another name'),
    (rule("event: ''"), "f:3:13: rules[0].event: is an empty text; write one, or leave it out"),
    (rule("event: x, to: [plausble]"), 'f:3:21: rules[0].to[0]: unknown destination "plausble" (did you mean "plausible"?)'),
    (rule("event: x, to: other"), 'f:3:20: rules[0].to: unknown destination "other"; known: plausible'),
    (rule("event: x, to: [plausible, plausible]"), 'f:3:32: rules[0].to[1]: "plausible" is listed twice'),
    (rule("event: x, sample: 0"), 'f:3:24: rules[0].sample: "0" is not above 0 and up to 1; 0.1 takes every tenth visitor'),
    (rule("event: x, sample: 10%"), 'f:3:24: rules[0].sample: "10%" is a percentage; write "0.1"'),
    (rule("event: x, revenue: {currency: eur, amount: 1}"), 'f:3:36: rules[0].revenue.currency: "eur" is no currency; three capitals, as in "EUR"; write "EUR"'),
    (rule("event: x, revenue: {currency: EUR}"), 'f:3:16: rules[0].revenue: "amount" is missing: Digits and a point, `12.50`, or a template.'),
    (rule("event: x, url: {path}"), 'f:3:16: rules[0].url: got a mapping of keys; a template is wanted here (put a text with braces in quotes: "{path}")'),
    (rule(f"event: x, props: {{{'é' * 151}: a}}"), f"f:3:24: rules[0].props.{'é' * 80}: this key has 302 bytes, and Plausible takes 300"),
    (rule(f"event: x, props: {{{', '.join(f'k{n}: a' for n in range(31))}}}"), "f:3:16: rules[0].props: 31 entries; Plausible keeps 30 props of an event"),
    # Conditions.
    (rule("event: x, when: {}"), 'f:3:16: rules[0].when: no conditions; leave "when" out if every line is meant'),
    (rule("event: x, when: "), "f:3:16: rules[0].when: has no value; a mapping of conditions (source, host, path, ...) is wanted here"),
    (when("any: []"), "f:3:23: rules[0].when.any: the list is empty; a condition without values never holds"),
    (when("not: [a]"), "f:3:23: rules[0].when.not: got a list; a mapping of conditions (source, host, path, ...) is wanted here"),
    (when("any: [{path: /x}, {pth: /x}]"), 'f:3:42: rules[0].when.any[1].pth: unknown condition (did you mean "path"?)'),
    (when("status: 40"), 'f:3:31: rules[0].when.status: "40" is no status; write "404", "2xx" or "400-499"'),
    (when("status: [200, 2x]"), 'f:3:37: rules[0].when.status[1]: "2x" is no status; write "404", "2xx" or "400-499"'),
    (when("status: 499-400"), 'f:3:31: rules[0].when.status: "499-400" is an empty range; write "400-499"'),
    (when("method: GETT"), 'f:3:31: rules[0].when.method: "GETT" is no HTTP method (did you mean "GET"?)'),
    (when("bot: ais"), 'f:3:28: rules[0].when.bot: "ais" is neither true, false nor a class of bots (did you mean "ai"?)'),
    (when("client_ip: 203.0.113.*"), 'f:3:34: rules[0].when.client_ip: "203.0.113.*" is no CIDR; write "203.0.113.0/24"'),
    (when("source: shop"), 'f:3:31: rules[0].when.source: no source is called "shop"; known: a'),
    (when("source: 'b*'"), 'f:3:31: rules[0].when.source: no source is called "b*"; known: a'),
    # Environment.
    (f"{SOURCE}grace_period: ${{GP}}\n", "f:2:15: grace_period: the environment variable GP is not set; set it, or write ${GP:-default}, or $${GP} for the text itself"),
    (f"{SOURCE}grace_period: '${{GP:?x}}'\n", 'f:2:15: grace_period: a "${" that is neither ${NAME} nor ${NAME:-default}; write "$${" for the text "${" itself'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FAULTS)
def test_each_fault_is_told_once_with_its_place_and_what_to_do(text: str, expected: str) -> None:
    """One fault is one line, word for word."""
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\t- b\n", "f:2:1: a tab where YAML allows spaces only; indent with spaces"),
        ("path: *.gz\n", 'f:1:8: a value that begins with "*" or "&" must stand in quotes'),
        ("path: *access\n", 'f:1:7: a value that begins with "*" must stand in quotes (or anchor "&access" first)'),
        ("a: @x\n", 'f:1:4: a value that begins with "@" must stand in quotes'),
        ('a: 1\nb: "x\nc: 2\n', "f:2:4: a quote is opened here and never closed"),
        (
            "props: {url: {site}{path}}\n",
            'f:1:8: a "{" is not closed; a text with braces, such as "{site}{path}", stands in quotes',
        ),
        ("a: [1\nb: 2\n", 'f:1:4: a "[" is not closed; if it is part of a text, put the text in quotes'),
        ("a: b: c\n", 'f:1:5: a second ": " in one value; put the value in quotes, or mend the indentation'),
        ("a:\n  - b\n - c\n", "f:3:2: the indentation does not fit the lines above"),
        ("a: b\nc\nd: 1\n", 'f:2:1: this is no "key: value"'),
        ('a: "\\d"\n', 'f:1:5: inside "..." a backslash must be doubled; or use single quotes'),
        ("a: !!python/name:os.system x\n", 'f:1:4: the YAML tag "tag:yaml.org,2002:python/name:os.system" is not used here; remove it'),
        ("a: &x [*x]\n", 'f:1:8: "*x" stands inside the very value that it repeats'),
        ("a: 1\n<<: 2\n", 'f:2:5: "<<" merges mappings: write "<<: *name" of an anchored one'),
        ("a: \x01\n", "f:1:4: the character U+0001: this is no text file"),
        ("a: é\x00\n", "f:1:5: the character U+0000: this is no text file"),
        ("a: \ud800\n", "f:1:4: the character U+D800: this is no text file"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_explained(text: str, expected: str) -> None:
    """The parser's words become what a person needs to hear, at the place that must be mended."""
    assert problems(text) == [expected]


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    """Fifteen faults, fifteen lines, one go."""
    text = """\
sources:
  - pth: x
    site: example.com
rules:
  - when: {staus: 404}
    event: 404
  - event: no
    to: plausibel
    sample: 10%
  - event: a
    when: {any: [{status: 2x}, {bot: ais}], log.x: []}
    drop: true
grace_period: 10
grace_period: 20s
destinations: {a: {headers: {X: "${TOK}"}, max_wait: 3s}}
"""
    problems = loader.read(text, "f", {})[1]
    assert [(each.line, each.where) for each in problems] == [
        (2, "sources[0].pth"),
        (3, "sources[0].site"),
        (5, "rules[0].when.staus"),
        (8, "rules[1].to"),
        (9, "rules[1].sample"),
        (10, "rules[2]"),
        (11, "rules[2].when.any[0].status"),
        (11, "rules[2].when.any[1].bot"),
        (11, "rules[2].when.log.x"),
        (13, "grace_period"),
        (14, "grace_period"),
        (15, "destinations.a.headers.X"),
        (15, "destinations.a.max_wait"),
    ]


def test_faulty_pieces_are_left_out_and_the_rest_is_kept() -> None:
    """Whoever compiles the rest can add its problems, and finds none of ours again."""
    text = (
        "sources: [{path: /a.log, site: https://a.example}, {path: b.log, site: https://b.example}]\n"
        "rules: [{event: x, to: nowhere, when: {status: 2x, path: /p}}, {name: n}, {drop: true}]\n"
        "grace_period: 1\n"
    )
    found, problems = loader.read(text, "f", {})
    assert len(problems) == 5
    assert [(each.name, bool(each.path)) for each in found.sources] == [("a", True), ("sources[1]", False)]
    assert [(each.event, each.to, each.drop) for each in found.rules] == [("x", (), None), (None, (), "rule")]
    assert found.rules[0].when.tests == (Asked("path", ("/p",)),)
    assert found.grace_period == 10.0


def test_a_source_without_a_path_is_looked_through_all_the_same() -> None:
    """Whoever mends the path is not to learn of the next problem only then."""
    text = "sources: [{path: [], format: [x], hosts: 5}, {site: 'ftp://x'}, {path: a.log, start_at: never}]\n"
    _, problems = loader.read(text, "f", {})
    told = " ".join(problem.where for problem in problems if not problem.warning)
    for where in ("sources[0].path", "sources[0].format", "sources[1].site", "sources[2].path", "sources[2].start_at"):
        assert where in told


def test_a_condition_on_a_source_that_was_left_out_is_not_called_unknown() -> None:
    """One fault is told once: the source's."""
    text = "sources: [{path: b.log, site: https://x, name: b}]\nrules: [{drop: true, when: {source: b}}]\n"
    assert [line.split(": ")[1] for line in problems(text)] == ["sources[0].path"]


# Hostile files.


def test_deep_nesting_is_refused_without_recursion() -> None:
    """A million brackets end neither in a RecursionError nor, as with yaml.compose, in a segmentation fault."""
    assert problems("a: " + "[" * 1_000_000) == ["f:1:51: nested more than 48 levels deep"]
    nested = "{not: " * 60 + "{path: /a}" + "}" * 60
    assert [line.split(": ", 1)[1] for line in problems(rule(f"drop: true, when: {nested}"))] == [
        "nested more than 48 levels deep"
    ]


def test_reasonable_nesting_is_read() -> None:
    """Far more than a person needs is within the bound."""
    nested = "{not: " * 40 + "{path: /a}" + "}" * 40
    assert isinstance(read(rule(f"drop: true, when: {nested}")).rules[0].when.tests[0], Not)


def test_an_alias_bomb_is_refused() -> None:
    """A few hundred bytes that stand for a billion values are counted, not written out."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"] + [
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert problems("\n".join(lines)) == ["f:5:4: more than 200000 values, aliases written out"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: \xff\n", "1:4: the byte 0xff is not UTF-8; save the file as UTF-8"),
        ("é: é\nx: ".encode() + b"\xe9\n", "2:4: the byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a: 1\n".encode("utf-16"), "1:1: saved as UTF-16; save it as UTF-8"),
        (b"\x1f\x8b\x08", "1:2: the byte 0x8b is not UTF-8; save the file as UTF-8"),
        (b"\x7fELF\x02\x01", "1:1: the character U+007F: this is no text file"),
        (b"x" * (loader.MAX_BYTES + 1), "larger than 4 MiB; is this the configuration?"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    """The problem names the file, and the byte where it can."""
    path = tmp_path / "logship.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        loader.load(path, {})
    separator = ":" if expected[0].isdigit() else ": "
    assert str(caught.value) == f"{path}{separator}{expected}"


def test_a_file_that_cannot_be_read_is_a_problem_like_any_other(tmp_path: Path) -> None:
    """No traceback for a missing file or a directory."""
    with pytest.raises(ConfigError, match=r"nowhere.yaml: does not exist; name another with -c, or let `logship init"):
        loader.load(tmp_path / "nowhere.yaml", {})
    found, problems = loader.read_file(tmp_path, {"STATE_DIRECTORY": "/s"})
    assert [problem.message for problem in problems] == ["cannot be read: Is a directory"]
    assert found.state_dir == Path("/s")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    """Editors on Windows save like this."""
    path = tmp_path / "logship.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SOURCE.replace("\n", "\r\n").encode())
    assert loader.load(path, {}).sources[0].path == ("/var/log/a.log",)


def test_a_key_cannot_forge_a_second_line() -> None:
    """One problem is one line, whatever stands in the file."""
    (line,) = problems(f'{SOURCE}"a\\nb: c": 1\n')
    assert line.startswith("f:2:1: a?b: c: unknown key")


# Secrets in messages.


@pytest.mark.parametrize(
    "text",
    [
        destination("url: '${S}'"),
        destination("url: 'https://${S}'"),
        destination('headers: {A: "${S}\\n"}'),
        destination("connections: '${S}'"),
        destination("proxy: 'http://${S}'"),
        f"{SOURCE}grace_period: '${{S}}'\n",
        f"{SOURCE}admin: {{listen: '${{S}}:1'}}\n",
        source("domain: 'x,${S}'"),
        source("hosts: '${S}/'"),
        rule("event: x, to: '${S}'"),
        when("source: '${S}'"),
        when("status: '${S}'"),
        "sources: [{path: /a, site: https://x, name: '${S}'}, {path: /b, site: https://x, name: '${S}'}]\n",
    ],
)
def test_what_a_variable_held_is_never_printed(text: str) -> None:
    """A problem shows the value as it was written."""
    lines = problems(text, S="hunter two/5")
    assert lines
    assert not [line for line in lines if "hunter" in line]
    assert any("${S}" in line for line in lines) or "header cannot" in lines[0]
