"""Whatever is posted is read or refused, never a fault of ours."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from logship.receiver import acquisition, address, bots, brands, device, front, payload, uri, visitors

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


HEADER = st.sampled_from(
    ["Host", "Content-Length", "content-length", "Connection", "X", "Transfer-Encoding", "Expect", ""]
)
VALUES = st.sampled_from(["x", "0", "5", "+5", "5,5", "٥", "9" * 5000, "keep-alive", "close", "chunked", "\xff"])


@given(st.lists(st.tuples(HEADER, VALUES | st.text(max_size=9)), max_size=6), st.binary(max_size=20))
@settings(max_examples=300, deadline=None)
def test_a_head_is_ours_or_aiohttps(headers, junk):
    """The front door reads a head or leaves it; what it reads has one host, one sane length, no strange framing."""
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)
    for head in (b"POST /api/event HTTP/1.1\r\n" + lines + b"\r\n", junk + b"\r\n\r\n"):
        if (read := front._read(head)) is not None:
            found, length = read
            assert 0 <= length <= 64 * 1024
            assert lines.lower().count(b"content-length: ") == lines.lower().count(b"host: ") == 1
            assert not {"transfer-encoding", "expect"} & found.keys()
