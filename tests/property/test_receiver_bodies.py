"""Whatever is posted is read or refused, never a fault of ours."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from logship.receiver import acquisition, address, bots, brands, device, payload, uri, visitors

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=4,
)
LONG = ["name", "url", "domain", "referrer", "meta", "props", "revenue", "interactive", "hashMode", "sd"]
KEYS = [*"nudrmp$ihvwe", *LONG]
bodies = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), values, max_size=8)


@given(bodies)
@settings(max_examples=200, deadline=None)
def test_any_object_is_an_event_or_has_errors(body):
    """`read` gives an event within the limits, or says what is wrong; nothing else."""
    with contextlib.suppress(payload.Invalid):
        posted = payload.read(body)
        assert len(posted.url.encode()) <= 2000
        assert 0 < len(posted.name) <= 120
        assert len(posted.props) <= 31  # thirty and `path`
        assert posted.sites
        posted.pathname.encode()
        acquisition.of(posted.parts, posted.referrer)


@given(st.binary(max_size=200), st.sampled_from([None, "", "application/json", "text/plain", "multipart/form-data"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(body, kind):
    """`decode` gives fields, or one of the two refusals."""
    with contextlib.suppress(payload.Invalid, payload.Unreadable):
        assert hasattr(payload.decode(kind, body), "get")


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_a_header_or_a_url(text):
    """Addresses, User-Agents, hosts and URLs never raise; splitting loses nothing but the port's separator."""
    assert isinstance(address.of({"x-forwarded-for": text, "forwarded": text}, "peer"), str)
    assert isinstance(bots.is_bot(text), bool)
    device.of(text)
    brands.of_host(text)
    visitors.root_domain(text)
    parts = uri.split(text)
    uri.form(parts.query or "")
    assert parts.path in text
