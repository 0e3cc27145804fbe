"""What keeps our own log readable."""

from logship.logs import Throttle


def test_a_throttle_allows_a_kind_once_in_its_interval() -> None:
    """What happens a thousand times a minute is logged once a minute, other kinds apart from it."""
    now = 0.0
    throttle = Throttle(60.0, lambda: now)
    assert throttle.allows("a.log")
    assert throttle.allows("b.log")
    now = 59.0
    assert not throttle.allows("a.log")
    now = 61.0
    assert throttle.allows("a.log")
    assert not throttle.allows("a.log")
