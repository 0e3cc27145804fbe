"""Figures as people read them."""

import pytest

from logship.admin.figures import duration, share, size


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (3.25, "3.2 s"),
        (59.6, "1 min"),
        (250, "4 min 10 s"),
        (7200, "2 h"),
        (183_845, "2 d 3 h"),
    ],
)
def test_time_spans_are_told_by_two_units(seconds, told):
    """As people say them."""
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (5 << 40, "5,120 GiB"), (None, "")]
)
def test_sizes_have_units(count, told):
    """Of a power of 1,024."""
    assert size(count) == told


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (0, 10, "0 %"),
        (1, 10**6, "< 0.1 %"),
        (999_999, 10**6, "> 99.9 %"),
        (10, 10, "100 %"),
        (1, 3, "33.3 %"),
        (1, 0, "0 %"),
    ],
)
def test_shares_never_hide_a_rest(part, whole, told):
    """Nearly all is not all."""
    assert share(part, whole) == told
