import pytest

from logship.router import query

CASES = [
    ("campaign", "utm_source=a&id=5&utm_medium=b", "utm_source=a&utm_medium=b"),
    ("campaign", "b=1&gclid=x%20y&a=2&fbclid=", "gclid=x%20y&fbclid="),
    ("campaign", "ref=a&ref=b&source=c&referrer=d", "ref=a&ref=b&source=c"),
    ("campaign", "utm_x=1&UTM_SOURCE=2&xutm_source=3", "utm_x=1"),
    ("campaign", "token=secret", ""),
    ("campaign", "&&=&=x&utm_source", "utm_source"),
    ("all", "a=1&&b", "a=1&&b"),
    ("all", "a=1&token=s&b=2", "a=1&b=2"),
    ("all", "accessToken=s&api_key=s&X-Amz-Signature=s&e-mail=s&user%5Bpassword%5D=s&PHPSESSID=s&code=s", ""),
    ("all", "keyword=x&author=y&monkey=z&passage=1&zipcode=2&maildir=3&tokens_used=4", None),
    ("all", "page=2&sort=price&q=secret", None),  # it is the name that tells, never the value
    ("none", "utm_source=a", ""),
    (("token",), "token=s&a=1", "token=s"),  # listed: the user's own word
    (("q", "page"), "page=2&q=a+b&token=x&Q=y", "page=2&q=a+b"),
    (("f_*",), "f_a=1&f=2&f_=3", "f_a=1&f_=3"),
    ((), "a=1", ""),
]


@pytest.mark.parametrize(("policy", "whole", "sent"), CASES)
def test_only_wanted_parameters_are_sent_as_they_were(policy, whole, sent):
    """Order and bytes stay, the rest goes."""
    assert query.reducer(policy)(whole) == (whole if sent is None else sent)


def test_a_parameter_is_read_as_a_form_is():
    """The first of a name, with plus and escapes undone."""
    assert query.value("a=1&q=caf%C3%A9+au%20lait&q=2", "q") == "café au lait"
    assert query.value("q", "q") == ""
    assert query.value(None, "q") == ""
    assert query.value("q=%ff", "q") == "\udcff"
