"""Python's engine is for expressions that leave nothing to be tried twice; all others are RE2's."""

import pytest

from logship.parser.deterministic import engine

SAFE = [
    r'^(?P<client_ip>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3})$',
    r"^(?P<client_ip>[\d.]+),(?P<request>[^,]*),(?P<status>\d*)(?:,(?P<user_agent>.*))?$",
    r"^(?P<client_ip>\w+)\t(?P<request>.*)",
    r"^(?P<client_ip>\d{1,3}(?:\.\d{1,3})?) .*$",
]
UNSURE = [
    r"(?P<client_ip>\S+) x",  # begins anywhere
    r"^(?P<client_ip>a+)+b",
    r"^(?P<client_ip>.*) (?P<request>.*)$",
    r"^(?P<client_ip>\w*)(?P<request>\w*)$",
    r"^(?P<client_ip>(?:a|a[bc])c)",
    r"^(?P<client_ip>\S+?)x?",
    r"^(?i)(?P<client_ip>a)",
    r"^(?P<client_ip>[[:alpha:]]+) ",  # another thing to Python
    r"^(?P<client_ip>a{,3}) ",
    r"^(?P<client_ip>\S+)\b ",
    r"^(?P<client_ip>\pL+) ",
    r"^(?P<client_ip>é+) ",
    r"^\A(?P<client_ip>x)",
    "^(?P<client_ip>" + "(" * 2000 + "a" + ")" * 2000 + ")",
    "^" + "a" * 5000,
]


@pytest.mark.parametrize("pattern", SAFE)
def test_a_pattern_whose_parts_end_where_they_must_is_run_by_python(pattern):
    """What people write for their logs is among them."""
    assert engine(pattern) is not None


@pytest.mark.parametrize("pattern", UNSURE)
def test_a_pattern_that_may_be_tried_twice_or_means_two_things_is_left_to_re2(pattern):
    """No pattern can stall the daemon, and none means what its author did not mean."""
    assert engine(pattern) is None


@pytest.mark.parametrize("pattern", SAFE)
def test_a_line_that_nearly_fits_costs_no_more_than_one_that_does(pattern):
    """A megabyte of the worst is refused in one pass: a second one would take hours."""
    match = engine(pattern)
    for worst in (b"a" * 1_000_000, b"1" * 1_000_000, b"1 - - [" + b"x" * 1_000_000, b"1," * 500_000):
        match(worst)
