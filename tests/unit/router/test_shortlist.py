"""Only the rules that can take a record are asked."""

from logship.records import Record
from logship.router.shortlist import Shortlist


def shortlist(table):
    return Shortlist([rule.condition for _, rule in table._rules], table._site)


def test_rules_about_other_paths_hosts_and_methods_are_not_asked(table, page):
    """Among a hundred, the two that fit and the one that asks for nothing of the kind."""
    rules = "\n".join(f"- {{when: {{path: /section-{n}/**}}, drop: true}}" for n in range(100))
    few = shortlist(
        table(
            rules
            + """
- {when: {method: POST, path: /x/**}, drop: true}
- {when: {host: shop.example}, drop: true}
- {when: {referrer: "*spam*"}, drop: true}
- {when: {not: {path: /x/**}}, drop: true}
- {when: {any: [{status: 404}, {path: /section-7/y}]}, event: e}
"""
        )
    )
    assert few.of(page(path="/section-7/y"), frozenset()) == (7, 102, 103, 104)
    assert few.of(page(path="/x/y", method="POST", status=404), frozenset()) == (100, 102, 104)
    assert few.of(page(path="/x/y", host="shop.example"), frozenset()) == (101, 102, 104)  # not by one fact alone


def test_what_is_not_known_excludes_nothing(table, page):
    """A verdict on half a record has to hold whatever the other half says."""
    few = shortlist(table("- {when: {path: /a}, drop: true}\n- {when: {method: POST}, drop: true}"))
    assert few.of(page(path="/b"), frozenset({"path"})) == (0,)
    assert few.of(page(path="/b"), frozenset({"status"})) == (1,)
    assert few.of(page(path="/b"), frozenset({"path", "status"})) == (0, 1)


def test_a_megabyte_of_path_is_not_kept(table, page):
    """What strangers write into paths must not fill the memory."""
    few = shortlist(table("- {when: {path: /a}, drop: true}"))
    for path in ["/" + "x" * 1_000_000, *(f"/{n}" for n in range(3000))]:
        assert few.of(page(path=path), frozenset()) == ()
    assert len(few._by_path) <= 1024
    assert max(map(len, few._by_path)) <= 300


def test_what_a_line_has_of_its_own_is_asked_once_for_each_value(table):
    """Of a hundred rules about referrers, one look-up tells which may take a line."""
    rules = "".join(f"- {{when: {{referrer: '*spam{n}.example*'}}, drop: true}}\n" for n in range(100))
    sights = table(rules + "- {when: {log.x: '1', client_ip: 203.0.113.0/24}, drop: true}\n- {event: rest}")._sights
    spam = Record(referrer="https://spam7.example/", client_ip="203.0.113.7", log={"x": "1"})
    assert sights.of(spam) == 1 << 7 | 1 << 100 | 1 << 101
    assert sights.of(Record(client_ip="203.0.113.7", log={"x": "2"})) == 1 << 101
    assert sights.of(Record(client_ip="198.51.100.7", log={"x": "1"})) == 1 << 101
