"""What is shared tells nobody who somebody is."""

import pytest

from logship.explain import masks


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/reset?token=abc", "/reset?…"),
        ("https://user:pw@example.com/a#b", "https://example.com/a?…"),
        ("/plain", "/plain"),
    ],
)
def test_a_url_keeps_its_path_alone(given, shown):
    """Query, fragment and credentials go."""
    assert masks.url(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Mozilla/5.0 Chrome/139.0.0.0 Safari/537.36", "Mozilla/5.0 Chrome/139.0.0.0 Safari/537.36"),
        ("scan from 203.0.113.7", "scan from 203.0.x.x"),
        ("http://203.0.113.7/x", "http://203.0.x.x/x"),
        ("me@2001:db8:1:2::7 here", "me@2001:0db8:x here"),
    ],
)
def test_an_address_in_free_text_is_cut_and_a_version_is_not(given, shown):
    """A User-Agent can hold anything."""
    assert masks.free_text(given) == shown


def test_a_shape_says_nothing():
    """Letters and digits of every script go; what divides them stays."""
    assert masks.shape('Ärger 203.0.113.7 "GET /p?a=ü"') == 'xxxxx 000.0.000.0 "xxx /x?x=x"'
