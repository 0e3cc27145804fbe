"""What is wrong, in words; what the page says of it is in `test_admin_page.py`."""

import pytest

from logship.admin.alarms import error_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, ""),
        ({"status": None, "reason": "connect: Connection refused"}, "1 min 4 s ago: connect: Connection refused"),
        ({"status": 502, "reason": "HTTP 502"}, "1 min 4 s ago: HTTP 502"),
        ({"status": 401, "reason": "who are you"}, "1 min 4 s ago: 401 who are you"),
    ],
)
def test_an_error_is_told_with_its_age(error, told):
    """Whether it is of now or of yesterday, is what one asks first; a status is told once."""
    found = error and {"time": "1970-01-01T01:00:00+00:00", **error}
    assert error_of(found, 3664.0) == told
