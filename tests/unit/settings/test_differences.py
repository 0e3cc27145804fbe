"""What a reload says of an edit: in the words of the file, and never a secret."""

import pytest

from logship.settings import differences, loader

ENVIRONMENT = {"TOKEN": "sesame", "HOST": "hidden.example"}
BASE = """
sources:
  - {name: shop, path: /a.log, site: "https://shop.example"}
destinations:
  plausible: {url: "https://plausible.example", headers: {Authorization: "Bearer ${TOKEN}"}}
rules:
  - {name: admin area, when: {path: "/admin/**"}, drop: true}
  - {name: downloads, when: {path: "**.pdf", status: 200}, event: File Download, props: {url: "{url}"}}
  - {when: {client_ip: 192.0.2.1}, drop: office}
  - {preset: pageviews}
"""


def read(text):
    loaded, problems = loader.read(text, "logship.yaml", ENVIRONMENT)
    assert [str(problem) for problem in problems if not problem.warning] == []
    return loaded


def changes(old, new, text=BASE):
    """Return what is said when a piece of the base is replaced."""
    assert old in text
    return differences.between(read(text), read(text.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("rules:", "rules:\n  - {name: new, drop: true, when: {path: /x}}", ['rule "new" added']),
        ("  - {preset: pageviews}\n", "", ["preset pageviews removed"]),
        ("name: downloads", "name: loads", ['rule "downloads" removed', 'rule "loads" added']),
        ("**.pdf", "**.zip", ['rule "downloads": when: path **.pdf -> **.zip']),
        (", status: 200", "", ['rule "downloads": when: status removed']),
        ("status: 200", "status: [200, 206]", ['rule "downloads": when: status 200 -> 200, 206']),
        ("status: 200", "status: 200, not: {host: a}", ['rule "downloads": when: not added']),
        ("event: File Download", "event: Load", ['rule "downloads": event File Download -> Load']),
        ('props: {url: "{url}"}', 'props: {u: "{url}"}', [
            'rule "downloads": props: url removed', 'rule "downloads": props: u added']),
        ("drop: office", "drop: home", ["rule that drops as office removed", "rule that drops as home added"]),
        ('site: "https://shop.example"', "site: https://s.example", [
            "source shop: site https://shop.example -> https://s.example"]),
        ("path: /a.log,", "path: [/a.log, /b.log],", ["source shop: path /a.log -> /a.log, /b.log"]),
        ("path: /a.log,", "path: /a.log, format: combined,", ["source shop: format auto -> combined"]),
        ("path: /a.log,", "path: /a.log, format: {regex: '(?P<path>.*)'},", ["source shop: format changed"]),
        ("path: /a.log,", "path: /a.log, client_ip: {trusted_proxies: private},", [
            "source shop: client_ip.trusted_proxies none -> private"]),
        ("name: shop", "name: store", ["source shop removed", "source store added"]),
        ("plausible:", "p2: {}\n  plausible:", ["destination p2 added"]),
        ("plausible: {", "plausible: {connections: 32, ", ["destination plausible: connections 16 -> 32"]),
        ("plausible: {", "plausible: {timeout: {total: 20s}, ", ["destination plausible: timeout.total 15s -> 20s"]),
        ("\nrules:", "\ngrace_period: 30s\nrules:", ["grace_period 10s -> 30s"]),
        ("\nrules:", "\nadmin: null\nrules:", ["admin 127.0.0.1:9469 -> none"]),
        ("\nrules:", "\nmax_event_age: null\nrules:", ["max_event_age 24h -> none"]),
    ],
)  # fmt: skip
def test_an_edit_is_told_in_the_words_of_the_file(old, new, told):
    """One sentence for each key that has another value."""
    assert changes(old, new) == told


def test_a_rule_that_moved_is_told_once():
    """Order matters among rules; those that it jumped over did not move."""
    rules = BASE.splitlines(keepends=True)
    moved = "".join([*rules[:6], rules[8], rules[6], rules[7], *rules[9:]])
    assert differences.between(read(BASE), read(moved)) == ["rule that drops as office moved to the front"]
    moved = "".join([*rules[:6], *rules[7:9], rules[6], *rules[9:]])
    told = ['rule "admin area" moved behind rule that drops as office']
    assert differences.between(read(BASE), read(moved)) == told


def test_comments_and_order_of_keys_are_no_difference():
    """What means the same is the same, wherever it stands."""
    other = BASE.replace('{name: shop, path: /a.log, site: "https://shop.example"}', """
      site: https://shop.example   # our shop
      name: shop
      path: [/a.log]
""")  # fmt: skip
    assert differences.between(read(BASE), read(other)) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Bearer ${TOKEN}", "Basic hunter2", ["destination plausible: headers: Authorization changed"]),
        ("Bearer ${TOKEN}", "${HOST}", ["destination plausible: headers: Authorization changed"]),
        ("https://plausible.example", "https://${HOST}", ["destination plausible: url changed"]),
        ("https://plausible.example", "https://p.example/api?key=hunter2", [
            "destination plausible: url https://plausible.example/api/event -> https://p.example/api"]),
        ("https://shop.example", "https://${HOST}", ["source shop: site changed"]),
        ("client_ip: 192.0.2.1", "client_ip: 192.0.2.99", ["rule that drops as office: when: client_ip changed"]),
    ],
)  # fmt: skip
def test_secrets_and_addresses_are_not_shown(old, new, told):
    """Headers, what the environment took part in, queries of URLs, addresses: that they changed, no more."""
    shown = changes(old, new)
    assert shown == told
    for secret in ("sesame", "hidden", "hunter2", "192.0.2"):
        assert secret not in " ".join(shown)


def test_what_terminals_would_obey_is_not_shown():
    """A value with marks that turn text around has changed, and is not repeated."""
    assert changes('"/admin/**"', '"/\\u202e"') == ['rule "admin area": when: path changed']


def test_another_configuration_is_told_up_to_a_limit():
    """A thousand new sources are fifty sentences and a number."""
    many = "sources:\n" + "".join(
        f'  - {{name: s{n}, path: "/{n}.log", site: "https://a.example"}}\n' for n in range(99)
    )
    told = differences.between(read(BASE), read(many))
    assert len(told) == differences.MOST + 1
    assert told[-1] == "and 55 more"
