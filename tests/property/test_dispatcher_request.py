"""Whatever an event holds: one well-formed request, and what explain shows is what is sent."""

from http.client import parse_headers
from io import BytesIO

import orjson
from hypothesis import given
from hypothesis import strategies as st

from logship.dispatcher import request
from logship.records import Event
from logship.settings.destination import DestinationSettings

text = st.text(st.characters(), max_size=60)  # lone surrogates and control characters too
events = st.builds(
    Event,
    name=text,
    domain=text,
    url=text,
    user_agent=text,
    client_ip=text,
    referrer=st.none() | text,
    props=st.none() | st.dictionaries(text, text, max_size=3),
    revenue=st.none() | st.dictionaries(text, text, max_size=2),
    interactive=st.none() | st.booleans(),
)
SETTINGS = DestinationSettings(ip_headers=("X-Forwarded-For", "X-Plausible-IP"), headers={"X-Extra": "e"})
render = request.renderer(SETTINGS)


@given(events)
def test_bytes_on_the_wire_say_what_describe_shows(event: Event) -> None:
    """The request parses, its length is right, and its facts are those that explain prints."""
    head, _, body = render(event).partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    shown = request.describe(event, SETTINGS)
    assert line == b"POST /api/event HTTP/1.1"
    assert body == orjson.dumps(shown["body"])
    assert render(event) == request.render(event, SETTINGS)
    sent = parse_headers(BytesIO(headers + b"\r\n\r\n"))
    assert int(sent["Content-Length"]) == len(body)
    assert sent.keys() == [
        *("Host", "User-Agent", "X-Forwarded-For", "X-Plausible-IP"),
        *("Content-Type", "Accept", "Content-Length", "X-Extra"),
    ]
    facts = {name: value.encode("latin-1").decode("utf-8", "replace") for name, value in sent.items()}
    assert shown["headers"] == {name: facts[name] for name in shown["headers"]}  # type: ignore[attr-defined]
