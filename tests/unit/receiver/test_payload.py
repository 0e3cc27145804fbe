"""What was posted is read as Plausible reads it, and refused in its words."""

import json

import pytest

from logship.receiver import payload

GOOD = {"name": "pageview", "url": "https://example.com/a", "domain": "example.com"}


def errors(body: dict) -> dict:
    with pytest.raises(payload.Invalid) as caught:
        payload.read(body)
    return caught.value.errors


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"url": None}, {"url": ["is required"]}),
        ({"url": 12}, {"url": ["must be a valid url"]}),
        ({"url": False}, {"url": ["must be a valid url"]}),
        ({"url": "https://example.com/" + "ä" * 991}, {"url": ["must be a valid url"]}),
        ({"url": "data:text/html,hello"}, {"url": ["scheme is not allowed"]}),
        ({"url": "DATA:x"}, {"url": ["scheme is not allowed"]}),
        ({"domain": ""}, {"domain": ["can't be blank"]}),
        ({"domain": "  "}, {"domain": ["can't be blank"]}),
        ({"domain": None, "url": "/path"}, {"domain": ["can't be blank"]}),
        ({"name": None}, {"event_name": ["can't be blank"]}),
        ({"name": ""}, {"event_name": ["can't be blank"]}),
        ({"name": " \t"}, {"event_name": ["can't be blank"]}),
        ({"name": []}, {"event_name": ["is invalid"]}),
        ({"name": {"a": 1}}, {"event_name": ["is invalid"]}),
        ({"name": 1.5}, {"event_name": ["is invalid"]}),
        ({"name": True}, {"event_name": ["is invalid"]}),
        ({"name": "x" * 121}, {"event_name": ["should be at most 120 character(s)"]}),
        ({"props": {"k" * 301: "v"}}, {"props": ["keys should have at most 300 bytes and values 2000 bytes"]}),
        ({"props": {"k": "ü" * 1001}}, {"props": ["keys should have at most 300 bytes and values 2000 bytes"]}),
        ({"hashMode": "yes"}, {"hash_mode": ["is invalid"]}),
        (
            {"name": "engagement", "sd": "x"},
            {"event_name": ["engagement event requires a valid integer value for at least one of 'sd' or 'e' fields"]},
        ),
    ],
)
def test_each_fault_is_named_in_plausibles_words(change, expected):
    """One wrong field gives that field's error and no other."""
    assert errors(GOOD | change) == expected


def test_faults_come_together():
    """An empty object lacks url, domain and name, and is told all three."""
    assert errors({}) == {"url": ["is required"], "domain": ["can't be blank"], "event_name": ["can't be blank"]}


@pytest.mark.parametrize(
    "body",
    [
        GOOD | {"url": "https://example.com/" + "a" * 1980},
        GOOD | {"name": "x" * 120},
        GOOD | {"name": "ü" * 120},
        GOOD | {"props": {"k" * 300: "v" * 2000}},
    ],
)
def test_the_limits_themselves_are_allowed(body):
    """2000 bytes of URL, 120 characters of name, 300 and 2000 bytes of prop are no fault."""
    assert payload.read(body)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"n": "short", "name": "long"}, "short"),
        ({"n": None, "name": "long"}, "long"),
        ({"n": False, "name": "long"}, "long"),
        ({"n": 404}, "404"),
    ],
)
def test_the_first_true_key_wins(body, name):
    """The short key comes first unless it is null or false; an integer becomes text."""
    assert payload.read({"url": "https://example.com", **body}).name == name


def test_an_empty_short_key_is_not_skipped():
    """An empty text is a value: it hides the long key, and is then an error."""
    assert errors(GOOD | {"n": ""}) == {"event_name": ["can't be blank"]}


@pytest.mark.parametrize(
    ("body", "sites"),
    [
        ({"domain": "www.example.com"}, ["example.com"]),
        ({"domain": " a.com , www.b.com,c.com"}, ["a.com", "b.com", "c.com"]),
        ({"domain": 12}, ["example.com"]),
        ({"domain": None}, ["example.com"]),
        ({"d": "x.com", "domain": "y.com"}, ["x.com"]),
    ],
)
def test_sites_are_listed_or_taken_from_the_url(body, sites):
    """A list is split and trimmed, each loses one www.; what is no text counts as absent."""
    assert payload.read(GOOD | {"url": "https://www.example.com/"} | body).sites == sites


@pytest.mark.parametrize(
    ("url", "hostname", "pathname"),
    [
        ("https://www.example.com", "example.com", "/"),
        ("https://www.www.example.com/", "www.example.com", "/"),
        ("https://user:pw@Blog.example.com:8443/A/b/?q=1#f", "Blog.example.com", "/A/b/"),
        ("http://192.0.2.1/x", "192.0.2.1", "/x"),
        ("http://[2001:db8::1]:80/x", "2001:db8::1", "/x"),
        ("app://installed/start", "installed", "/start"),
        ("/only/a/path?x", "(none)", "/only/a/path"),
        ("https://example.com/a%20b%2Fc", "example.com", "/a b/c"),
        ("https://example.com/100%", "example.com", "/100%"),
        ("https://example.com/%ff", "example.com", "/\N{REPLACEMENT CHARACTER}"),
        ("https://example.com/a%2520", "example.com", "/a%20"),
        ("https://example.com/a%20%20", "example.com", "/a"),
    ],
)
def test_hostname_and_pathname_come_from_the_url(url, hostname, pathname):
    """The host loses one www.; the path is decoded once, trimmed at its end, and holds no query."""
    posted = payload.read(GOOD | {"url": url})
    assert (posted.hostname, posted.pathname) == (hostname, pathname)


@pytest.mark.parametrize(
    ("mode", "pathname"), [(1, "/a#sec tion"), ("1", "/a#sec tion"), (0, "/a"), (None, "/a"), (2, "/a")]
)
def test_hash_mode_appends_the_fragment(mode, pathname):
    """Only 1, as a number or as text, keeps the fragment."""
    assert payload.read(GOOD | {"url": "https://example.com/a#sec%20tion", "h": mode}).pathname == pathname


def test_props_become_text_and_the_unusable_disappear():
    """Scalars become text; null, blanks, arrays and objects go without a word."""
    given = {"a": True, "b": 12, "c": 1.5, "d": None, "e": "", "f": "  ", "g": [1], "h": {"x": 1}, " ": "x", "i": False}
    assert payload.read(GOOD | {"props": given}).props == {"a": "true", "b": "12", "c": "1.5", "i": "false"}


@pytest.mark.parametrize("key", ["m", "meta", "p", "props"])
def test_props_may_be_json_in_a_string(key):
    """Each of the four keys takes an object or a string that holds one."""
    assert payload.read(GOOD | {key: json.dumps({"a": 1})}).props == {"a": "1"}


@pytest.mark.parametrize("props", ["", "no json", "[1]", [1], 5, True])
def test_other_props_are_no_props(props):
    """What is neither an object nor holds one is ignored, not refused."""
    assert payload.read(GOOD | {"props": props}).props == {}


def test_thirty_props_are_kept():
    """The thirty-first is dropped, and what is dropped is not measured."""
    given = {f"k{n}": "v" for n in range(30)} | {"last": "x" * 3000}
    assert len(payload.read(GOOD | {"props": given}).props) == 30


@pytest.mark.parametrize("name", ["404", "WP Form Completions", "Form: Submission"])
def test_some_names_get_their_path(name):
    """A missing prop `path` is the pathname; a given one stays."""
    assert payload.read(GOOD | {"name": name}).props == {"path": "/a"}
    assert payload.read(GOOD | {"name": name, "props": {"path": "/b"}}).props == {"path": "/b"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"currency": "EUR", "amount": 12.5}, {"currency": "EUR", "amount": 12.5}),
        ({"currency": "EUR", "amount": "12.50 euro"}, {"currency": "EUR", "amount": "12.50"}),
        ('{"currency": "JPY", "amount": 3}', {"currency": "JPY", "amount": 3}),
        ({"currency": "eur", "amount": 1}, None),
        ({"currency": "XYZ", "amount": 1}, None),
        ({"currency": ["EUR"], "amount": 1}, None),
        ({"currency": "EUR", "amount": "free"}, None),
        ({"currency": "EUR", "amount": True}, None),
        ("EUR 3", None),
        (7, None),
    ],
)
def test_revenue_is_kept_or_left_out_but_never_refused(given, kept):
    """A known currency and an amount count; any fault costs the revenue only."""
    assert payload.read(GOOD | {"revenue": given}).revenue == kept
    assert payload.read(GOOD | {"$": given}).revenue == kept


@pytest.mark.parametrize(
    ("body", "interactive"),
    [({}, True), ({"i": False}, True), ({"interactive": False}, False), ({"i": 1, "interactive": False}, True)],
)
def test_only_the_long_key_can_say_not_interactive(body, interactive):
    """`i: false` alone is lost to the truthiness test; the long key is not."""
    assert payload.read(GOOD | body).interactive is interactive


@pytest.mark.parametrize(
    ("body", "depth", "time"),
    [
        ({"sd": 50, "e": 1000}, 50, 1000),
        ({"sd": "120"}, 100, 0),
        ({"e": 5}, 255, 5),
        ({"sd": -1, "e": 5}, 255, 5),
        ({"sd": 3, "e": 30 * 24 * 3600 * 1000}, 3, 0),
    ],
)
def test_engagement_brings_depth_and_time(body, depth, time):
    """Scroll depth ends at 100 and is 255 when missing; engaged time is 0 when unusable."""
    posted = payload.read(GOOD | {"name": "engagement"} | body)
    assert (posted.scroll_depth, posted.engagement_time) == (depth, time)


def test_a_long_referrer_is_cut_and_another_type_ignored():
    """Two thousand characters of a referrer count; a referrer that is no text is none."""
    assert len(payload.read(GOOD | {"referrer": "https://a.b/" + "x" * 3000}).referrer or "") == 2000
    assert payload.read(GOOD | {"referrer": 5}).referrer is None


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "application/octet-stream", "x/y"])
def test_other_types_are_read_as_json_objects(kind):
    """What has no parser of its own is decoded as JSON."""
    assert payload.decode(kind, b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("body", [b"", b"5", b"[1]", b"nonsense", b"\xff", b'"' + b"x" * payload.TEXT_LIMIT + b'"'])
def test_text_that_is_no_object_is_refused_on_request(body):
    """Empty, scalar, array, bad UTF-8 and too long are one and the same error."""
    with pytest.raises(payload.Invalid) as caught:
        payload.decode("text/plain", body)
    assert caught.value.errors == {"request": ["Unable to parse request body as json"]}


def test_json_is_parsed_by_the_framework():
    """Empty is an empty object, an array is wrapped, malformed is a plain 400, too long is 413."""
    assert payload.decode("application/json", b"") == {}
    assert payload.decode("application/json; charset=utf-8", b"[1]") == {"_json": [1]}
    for body, status in ((b"{", 400), (b" " * (payload.JSON_LIMIT + 1), 413)):
        with pytest.raises(payload.Unreadable) as caught:
            payload.decode("application/json", body)
        assert caught.value.status == status


def test_forms_are_fields():
    """A form with the right names counts; JSON under a form's type is one odd key."""
    form = "application/x-www-form-urlencoded"
    assert payload.decode(form, b"name=page+view&url=%2Fa") == {"name": "page view", "url": "/a"}
    assert set(errors(dict(payload.decode(form, json.dumps(GOOD).encode())))) == {"url", "domain", "event_name"}
    parts = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nsign \xc3\xbcp\r\n--b--\r\n'
    assert payload.decode("multipart/form-data; boundary=b", parts) == {"name": "sign üp"}


def test_without_a_type_there_is_no_body():
    """No Content-Type: the body is taken as absent."""
    assert payload.decode(None, b'{"name": "pageview"}') == {}
