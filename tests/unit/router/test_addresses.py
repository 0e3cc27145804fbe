import pytest

from logship.router.addresses import AddressError, Networks, canonical


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("192.0.1.255", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::c000:201", False),
        ("no address", False),
    ],
)
def test_networks_hold_their_addresses_and_no_others(address, held):
    """Ranges end where CIDR says, and versions do not mix."""
    networks = Networks(["192.0.2.0/25", "192.0.2.128/25", "198.51.100.7", "2001:db8::/32", "192.0.2.7/32"])
    assert (address in networks) is held
    assert (address in networks) is held  # remembered


def test_a_network_inside_another_does_not_shorten_it():
    """Overlapping ranges are merged to the longest end."""
    networks = Networks(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"])
    assert "10.200.0.1" in networks
    assert "11.0.0.0" not in networks


def test_what_is_no_network_is_told():
    """The text shows what one looks like."""
    with pytest.raises(AddressError, match=r"'10\.\*' is no address and no network such as 192\.0\.2\.0/24"):
        Networks(["10.*"])


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (" 203.0.113.7 ", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.7:80", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_an_address_is_written_in_one_way_only(written, sent):
    """Plausible counts spellings as visitors."""
    assert canonical(written) == sent
