"""A log's time is read strictly, or not at all."""

from __future__ import annotations

import pytest

from logship.parser import times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"10/Oct/2025:13:55:36 +0000", 1760104536.0),
        (b"10/Oct/2025:13:55:36 -0330", 1760117136.0),
        (b"10/Oct/2025:13:55:60 +0000", 1760104560.0),
        (b"29/Feb/2024:00:00:00 +0000", 1709164800.0),
        *[
            (odd, None)
            for odd in (b"29/Feb/2025:13:55:36 +0000", b"10/oct/2025:13:55:36 +0000", b"10/Oct/2025:24:00:00 +0000")
        ],
        *[
            (odd, None)
            for odd in (b"10/Oct/2025:13:55:61 +0000", b"10/Oct/2025:13:55:36 +2400", b"10/Oct/2025:13:55:36 +0060")
        ],
        *[(odd, None) for odd in (b"10/Oct/1969:13:55:36 +0000", b"", b"1", b"10/Oct/2025:13:55:36 0000 ")],
    ],
)
def test_common_log_time(text, seconds):
    """Impossible dates, offsets and spellings are no time; a leap second is the next one."""
    assert times.clf(text) == seconds
    assert times.clf(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"2025-10-10T13:55:36+00:00", 1760104536.0),
        (b"2025-10-10T13:55:36Z", 1760104536.0),
        (b"2025-10-10 13:55:36.25", 1760104536.25),
        (b"2025-10-10T13:55:36,250000000+0545", 1760083836.25),
        (b"2025-10-10T13:55:36+05", 1760086536.0),
        *[
            (odd, None)
            for odd in (b"2025-02-29T13:55:36Z", b"2025-10-10", b"2025-10-10T13:55:36+24:00", b"2025-10-10T13:55Z")
        ],
        *[(odd, None) for odd in (b"0000-10-10T13:55:36Z", b"2025-10-10T13:55:61Z", b"\xd9\xa2025-10-10T13:55:36Z")],
    ],
)
def test_iso_time(text, seconds):
    """Fractions and offsets in every spelling; what the calendar does not have is none."""
    assert times.iso(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1760104536.5", 1760104536.5),
        (b"1760104536500", 1760104536.5),
        (b"1760104536500000", 1760104536.5),
        (b"-1", None),
        (b"nan", None),
        (b"9" * 19, 9999999999.999999999),
        (b"9" * 30, None),
    ],
)
def test_epoch_units_are_told_by_size(text, seconds):
    """Seconds, milliseconds, microseconds and nanoseconds are one moment."""
    assert times.epoch(text) == seconds


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d/%b/%Y:%T %z", b"10/Oct/2025:13:55:36 +0000"),
        ("%s", b"1760104536"),
        ("%a %b %e %T %Y", b"Fri Oct 10 13:55:36 2025"),
        ("%D %T", b"10/10/25 13:55:36"),
    ],
)
def test_strftime_is_read_back(form, text):
    """What Apache writes with a form is read with the same form."""
    assert times.strftime(form)(text) == 1760104536.0
    assert times.strftime(form)(text + b"x") is None
