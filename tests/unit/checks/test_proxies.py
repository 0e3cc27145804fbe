"""`check` notices a log that shows the proxy's address and not the visitor's."""

import json

import pytest

from logship import plan
from logship.checks import offline
from logship.settings import loader

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
def warnings(tmp_path):
    """Return what `check` says of the addresses in a log, given as (peer, X-Forwarded-For)."""

    def told(pairs, **client_ip):
        log = tmp_path / "access.log"
        log.write_text("".join(line(*pair) for pair in pairs))
        source = {"path": str(log), "format": "nginx_main", "site": "https://example.com", "client_ip": client_ip}
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        read, problems = loader.read(json.dumps({"state_dir": str(state), "sources": [source]}), "f", {})
        assert problems == []
        found = offline.check(plan.build(read)).problems
        return [each.message for each in found if each.where.endswith("client_ip")]

    return told


def line(peer, chain="-", agent=AGENT):
    return f'{peer} - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "{agent}" "{chain}"\n'


@pytest.mark.parametrize(
    ("peer", "words", "name"),
    [
        ("10.0.0.{}", "private", "private, loopback"),
        ("127.0.0.1", "this machine's own", "loopback"),
        ("fd00::{}", "private", "private, loopback"),
        ("172.70.1.{}", "Cloudflare's (by its list of ", "cloudflare"),
    ],
)
def test_only_proxies_addresses_and_no_chain_is_worth_a_warning(warnings, peer, words, name):
    """It says whose they are, and what to write."""
    [told] = warnings([(peer.format(number), "198.51.100.9") for number in range(1, 13)])
    assert f"each of the last 12 requests came from an address that is {words}" in told
    assert f"client_ip: {{trusted_proxies: [{name}]}}" in told


def test_visitors_addresses_are_fine(warnings):
    """One visitor from outside is enough; a few lines say nothing; with a chain there is nothing to doubt."""
    inside = [("10.0.0.2", "198.51.100.9")] * 12
    assert warnings([*inside, ("203.0.113.7",)]) == []
    assert warnings(inside[:5]) == []
    assert warnings(inside, trusted_proxies=["private"]) == []


def test_monitors_and_scanners_may_come_another_way(warnings):
    """A health check asks the server itself, and a scanner found its address: the visitors are all one for that."""
    behind = [(f"172.70.1.{number}", "198.51.100.9") for number in range(1, 41)]
    past = [("127.0.0.1", "-", "kube-probe/1.28")] * 40 + [("203.0.113.66", "-", "zgrab/0.x")] * 5
    [told] = warnings([*past, *behind, ("203.0.113.7",)])
    assert "40 of the last 41 requests came from an address that is Cloudflare's" in told
    assert warnings([*behind, *[(f"203.0.113.{number}",) for number in range(5)]]) == []


def test_it_is_the_end_of_the_log_that_counts(warnings):
    """A proxy was put in front last week: the log's first lines are from before."""
    before, since = [("203.0.113.7",)] * 1000, [("10.0.0.2", "198.51.100.9")] * 1000
    assert warnings([*before, *since])
    assert not warnings([*since, *before])


def test_a_chain_that_is_never_filled_is_worth_a_warning(warnings):
    """All is trusted and nobody is named: every line would be dropped."""
    [told] = warnings([("10.0.0.2",)] * 12, trusted_proxies=["private"])
    assert "x_forwarded_for held no visitor's address in any of the last requests" in told
