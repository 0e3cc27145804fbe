"""The visitor's address is what trusted proxies say, and nothing else."""

from __future__ import annotations

import pytest

from logship.parser.client import ClientRule, address_of
from logship.parser.fields import FormatError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:5123", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        *[
            (odd, None)
            for odd in ("", "-", "unknown", "unix:", "host.example", "010.1.1.1", "1.2.3", "0x7f.1.1.1", "2130706433")
        ],
        *[
            (odd, None)
            for odd in ("1.2.3.4:port", "[::1", "[::1]x", "1.2.3.4 5", "1.2.3.256", "::1::", "caf\udce9", "1.2.3.4\0")
        ],
    ],
)
def test_address_is_canonical_or_none(text, address):
    """Ports, brackets and zones go, mapped addresses are IPv4, whatever is doubtful is none."""
    assert address_of(text) == address


WALKS = [
    ([], "203.0.113.7", "1.1.1.1", "203.0.113.7"),  # nobody is trusted
    (["10.0.0.0/8"], "203.0.113.7", "1.1.1.1", "203.0.113.7"),  # this peer is not
    (["10.0.0.0/8"], "10.0.0.2", "6.6.6.6, 198.51.100.9", "198.51.100.9"),  # the left end is the visitor's own word
    (["10.0.0.0/8"], "10.0.0.2", "6.6.6.6, 198.51.100.9, 10.9.9.9", "198.51.100.9"),
    (["10.0.0.0/8"], "::ffff:10.0.0.2", "198.51.100.9", "198.51.100.9"),
    (["10.0.0.0/8"], "10.0.0.2", "10.0.0.5, 10.0.0.4", None),  # all are proxies, none is a visitor
    (["10.0.0.0/8"], "10.0.0.2", None, None),
    (["203.0.113.0/24"], "203.0.113.9", None, None),  # a proxy with a public address is no visitor either
    (["10.0.0.0/8"], "10.0.0.2", "198.51.100.9, unknown", None),  # a trusted proxy does not know
    (["10.0.0.0/8"], "10.0.0.2", "unknown, 198.51.100.9:5123", "198.51.100.9"),
    (["10.0.0.0/8"], "10.0.0.2", " , 198.51.100.9 ,", "198.51.100.9"),
    (["10.0.0.0/8"], "unix:", "198.51.100.9", None),
    (["unix:"], "unix:", "198.51.100.9", "198.51.100.9"),
    (["unix"], "unix:", "6.6.6.6, 198.51.100.9", "198.51.100.9"),
    (["private"], "192.168.1.1", "2001:db8::5", "2001:db8::5"),
    (["loopback"], "::1", "198.51.100.9", "198.51.100.9"),
    (["cloudflare"], "172.70.1.1", "198.51.100.9", "198.51.100.9"),
    (["cloudflare"], "2606:4700::1", "198.51.100.9", "198.51.100.9"),
    (["10.0.0.2"], "10.0.0.2", "198.51.100.9, 10.0.0.3", None),  # a proxy that was forgotten: not a visitor
    (["10.0.0.2"], "10.0.0.2", "127.0.0.1", None),
    (["10.0.0.2"], "10.0.0.2", "fe80::1%eth0", None),
    (["10.0.0.2"], "10.0.0.2", "0.0.0.0", None),
    (["10.0.0.2"], "10.0.0.2", "255.255.255.255", None),
    (["10.0.0.2"], "10.0.0.2", "::ffff:192.168.0.1", None),
    (["10.0.0.2"], "10.0.0.2", "2001:db8::7", "2001:db8::7"),
    (["10.0.0.2"], "10.0.0.3", None, None),  # past the proxy, from inside
    ([], "192.168.0.1", "198.51.100.9", "192.168.0.1"),  # nobody is trusted: the log's word as it is
    ([], "fe80::1%eth0", None, "fe80::1"),
    (["10.0.0.0/8"], "10.0.0.2", "www.example.com", None),  # a name is no address
    (["10.0.0.0/8"], "10.0.0.2", "[2001:db8::5]:4711", "2001:db8::5"),
    (["::ffff:10.0.0.0/104"], "10.0.0.2", "198.51.100.9", "198.51.100.9"),
    ([], None, "6.6.6.6, 198.51.100.9", "198.51.100.9"),  # the format holds no peer: the last hop stands for it
    (["10.0.0.0/8"], None, "6.6.6.6, 198.51.100.9, 10.0.0.1", "198.51.100.9"),
    ([], "6.6.6.6, 198.51.100.9", None, "198.51.100.9"),  # a first field with several addresses
    (["10.0.0.0/8"], "198.51.100.9, 10.0.0.1", None, "198.51.100.9"),
    ([], None, None, None),
    ([], "-", "6.6.6.6", None),
]


@pytest.mark.parametrize(("trusted", "peer", "chain", "expected"), WALKS)
def test_walk_stops_at_the_first_hop_that_is_not_trusted(trusted, peer, chain, expected):
    """From the right, trusted hop by trusted hop; what stands further left is never believed."""
    rule = ClientRule(trusted)
    assert rule.resolve(peer, chain) == expected
    assert rule.resolve(peer, chain) == expected


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("for=198.51.100.9", "198.51.100.9"),
        ('for=6.6.6.6, for="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        ("For=198.51.100.9; by=10.0.0.1, for=10.0.0.3", "198.51.100.9"),
        ("for=_hidden", None),
        ("for=unknown", None),
        ("proto=https", None),
        ("for=6.6.6.6, proto=https", None),  # our proxy does not say; what stands before is another's word
        ('for=", for="[2001:db8::1]"', "2001:db8::1"),  # the visitor's own half of a quote swallows nothing
        ('for="x, for=198.51.100.9', "198.51.100.9"),
        ('for=198.51.100.9;ext="a, for=6.6.6.6"', "198.51.100.9"),  # a comma in quotes divides nothing
        ("for=6.6.6.6 , FOR=198.51.100.9 ;proto=http,", "198.51.100.9"),
        ("by=10.0.0.1;x-for=6.6.6.6;for=198.51.100.9", "198.51.100.9"),
        ('for="unix:"', None),
    ],
)
def test_forwarded_is_read_in_its_own_grammar(chain, expected):
    """RFC 7239: for=, quoted or not, any case, other parameters passed over."""
    assert ClientRule(["10.0.0.0/8"], "forwarded").resolve("10.0.0.2", chain) == expected


def test_a_field_with_one_address_is_a_chain_of_one():
    """CF-Connecting-IP and its like are believed from a trusted peer, and from nobody else."""
    rule = ClientRule(["cloudflare"], "http_cf_connecting_ip")
    assert rule.resolve("172.70.1.1", "198.51.100.9") == "198.51.100.9"
    assert rule.resolve("203.0.113.7", "198.51.100.9") == "203.0.113.7"
    assert rule.resolve("172.70.1.1", None) is None


def test_on_an_intranet_visitors_have_private_addresses():
    """Said so, they count; the proxies themselves still do not."""
    rule = ClientRule(["10.0.0.2"], private=True)
    assert rule.resolve("10.0.0.2", "10.1.2.3") == "10.1.2.3"
    assert rule.resolve("10.0.0.3", None) == "10.0.0.3"
    assert rule.resolve("10.0.0.2", None) is None


def test_long_chains_do_not_fill_the_memory():
    """A chain beyond any honest length is resolved, but not remembered."""
    rule = ClientRule(["10.0.0.0/8"])
    assert rule.resolve("10.0.0.2", "1.1.1.1, " * 100 + "198.51.100.9") == "198.51.100.9"
    assert rule._remembered.cache_info().currsize == 0


def test_unknown_name_is_refused_with_a_suggestion():
    """A misspelt set says what is known."""
    with pytest.raises(FormatError, match=r"'clodflare' is no address.*did you mean \"cloudflare\""):
        ClientRule(["clodflare"])
