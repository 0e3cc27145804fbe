"""What Plausible's `POST /api/event` does, line by line and over a real connection: each table here is one of its own.

The facts are those of plausible/analytics' source and tests, versions of 2024 and 2025 (see docs/receiver.md).
"""

import asyncio
import json

import pytest

from logship.receiver.values import Site

URL = "https://example.com/"
GOOD = {"name": "pageview", "url": URL, "domain": "example.com"}
ENGAGEMENT = "engagement event requires a valid integer value for at least one of 'sd' or 'e' fields"
PROPS = "keys should have at most 300 bytes and values 2000 bytes"
JSON, TEXT = "application/json", "text/plain"
FORM = "application/x-www-form-urlencoded"


def without(*keys, **changes):
    return {key: value for key, value in GOOD.items() if key not in keys} | changes


# --- the 400 bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"url": ["is required"], "domain": ["can't be blank"], "event_name": ["can't be blank"]}),
        (without("url"), {"url": ["is required"]}),
        (without(url=[URL]), {"url": ["must be a valid url"]}),
        (without(url=URL + "a" * 1981), {"url": ["must be a valid url"]}),
        (without(url=URL + "é" * 991), {"url": ["must be a valid url"]}),
        (without(url="data:text/html,x"), {"url": ["scheme is not allowed"]}),
        (without(domain=""), {"domain": ["can't be blank"]}),
        (without("domain", url="/a/path"), {"domain": ["can't be blank"]}),
        (without("name"), {"event_name": ["can't be blank"]}),
        (without(name=" "), {"event_name": ["can't be blank"]}),
        (without(name=["x"]), {"event_name": ["is invalid"]}),
        (without(name={"x": 1}), {"event_name": ["is invalid"]}),
        (without(name=0.5), {"event_name": ["is invalid"]}),
        (without(name=True), {"event_name": ["is invalid"]}),
        (without(name="é" * 121), {"event_name": ["should be at most 120 character(s)"]}),
        (without(props={"é" * 151: "x"}), {"props": [PROPS]}),
        (without(props={"x": "é" * 1001}), {"props": [PROPS]}),
        (without(props=json.dumps({"x": "y" * 2001})), {"props": [PROPS]}),
        (without(hashMode="maybe"), {"hash_mode": ["is invalid"]}),
        (without(name="engagement"), {"event_name": [ENGAGEMENT]}),
        (without(name="engagement", sd="deep", e=-1), {"event_name": [ENGAGEMENT]}),
        (without("url", name=""), {"url": ["is required"], "event_name": ["can't be blank"]}),
    ],
)
async def test_every_400_has_its_exact_body(api, body, errors):
    """Field and message are Plausible's, several may come together, and nothing is stored."""
    answer = await api.post(body)
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert await answer.json() == {"errors": errors}
    assert await api.events() == []


@pytest.mark.parametrize(
    "body",
    [
        without(url=URL + "a" * 1980),
        without(url=URL + "é" * 990),
        without(url="/relative/path"),
        without(url="ftp://example.com/x"),
        without(name="é" * 120),
        without(name=404),
        without(props={"é" * 150: "é" * 1000}),
        without(props={"x" * 301: ""}),
        without(props={"x" * 301: None, "y": ["z" * 3000]}),
        without(revenue={"currency": "none", "amount": "none"}),
        without(referrer={"not": "text"}),
        without(domain=5),
        without(unknown_key={"timestamp": "2001-01-01"}),
    ],
)
async def test_what_is_just_allowed_or_ignored_is_202(api, body):
    """The limits themselves, odd schemes, and whatever costs an event only a part of it."""
    assert (await api.post(body)).status == 202
    assert len(await api.events()) == 1


# --- content types ----------------------------------------------------------------------------------------------------

READ = json.dumps(GOOD).encode()
UNPARSED = {"errors": {"request": ["Unable to parse request body as json"]}}
MISSING = {"errors": {"url": ["is required"], "domain": ["can't be blank"], "event_name": ["can't be blank"]}}


@pytest.mark.parametrize(
    ("kind", "body", "status", "answered"),
    [
        (JSON, READ, 202, "ok"),
        (JSON + "; charset=utf-8", READ, 202, "ok"),
        ("application/vnd.x+json", READ, 202, "ok"),
        (JSON, b"", 400, MISSING),
        (JSON, b"[%s]" % READ, 400, MISSING),
        (JSON, b"{", 400, "Bad Request"),
        (TEXT, READ, 202, "ok"),
        (TEXT + ";charset=UTF-8", READ, 202, "ok"),
        ("application/octet-stream", READ, 202, "ok"),
        (TEXT, b"", 400, UNPARSED),
        (TEXT, b"5", 400, UNPARSED),
        (TEXT, b"[%s]" % READ, 400, UNPARSED),
        (TEXT, b'{"name": "\xff"}', 400, UNPARSED),
        (TEXT, READ + b" " * (1_000_000 - len(READ)), 202, "ok"),
        (TEXT, READ + b" " * (1_000_001 - len(READ)), 400, UNPARSED),
        (JSON, READ + b" " * (1_000_001 - len(READ)), 202, "ok"),
        (JSON, READ + b" " * 8_000_000, 413, "Request Entity Too Large"),
        (FORM, b"name=pageview&url=https%3A%2F%2Fexample.com%2F&domain=example.com", 202, "ok"),
        (FORM, READ, 400, MISSING),
        (
            "multipart/form-data; boundary=b",
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (k.encode(), v.encode())
                for k, v in GOOD.items()
            )
            + b"--b--\r\n",
            202,
            "ok",
        ),
        ("", READ, 400, MISSING),
    ],
)
async def test_every_content_type_has_its_treatment(api, kind, body, status, answered):
    """Parsers, limits in bytes and refusals, type by type."""
    answer = await api.post(data=body, Content_Type=kind)
    assert answer.status == status
    assert (await answer.json() if isinstance(answered, dict) else await answer.text()) == answered


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "value", "field", "stored"),
    [
        (("n", "name"), "Signup", "name", "Signup"),
        (("u", "url"), "https://example.com/k", "pathname", "/k"),
        (("d", "domain"), "www.other.org", "site", "other.org"),
        (("r", "referrer"), "https://t.co/x", "referrer", "t.co/x"),
        (("m", "meta", "p", "props"), {"a": True}, "props", {"a": "true"}),
        (("m", "meta", "p", "props"), '{"a": 12}', "props", {"a": "12"}),
        (("revenue", "$"), {"currency": "EUR", "amount": 5}, "revenue", {"currency": "EUR", "amount": 5}),
        (("revenue", "$"), '{"currency": "EUR", "amount": "5.10"}', "revenue", {"currency": "EUR", "amount": "5.10"}),
    ],
)
async def test_each_key_has_its_aliases_in_their_order(api, keys, value, field, stored):
    """Every spelling is read; of two the earlier wins, unless it is null or false."""
    for place, key in enumerate(keys):
        body = without(*keys, **{key: value})
        assert (await api.post(body)).status == 202
        for later in keys[place + 1 :]:
            assert (await api.post({later: "https://nobody.example/no", **body})).status == 202
        for earlier in keys[:place]:
            assert (await api.post(body | {earlier: False})).status == 202
            assert (await api.post(body | {earlier: None})).status == 202
    assert {json.dumps(event[field]) for event in await api.events()} == {json.dumps(stored)}


@pytest.mark.parametrize(
    ("body", "interactive"),
    [({}, True), ({"i": False}, True), ({"interactive": False}, False), ({"i": True, "interactive": False}, True)],
)
async def test_interactive_and_its_short_key(api, body, interactive):
    """`i: false` alone is lost, the long key is not."""
    assert (await api.event("Click", **body))["interactive"] is interactive


@pytest.mark.parametrize("key", ["h", "hashMode"])
async def test_hash_mode_keeps_the_fragment(api, key):
    """1 appends it to the path, as a number or as text."""
    for mode in (1, "1"):
        assert (await api.event(url=URL + "a#top", **{key: mode}))["pathname"] == "/a#top"
    assert (await api.event(url=URL + "a#top", **{key: 0}))["pathname"] == "/a"


async def test_at_most_thirty_props_are_kept(api):
    """The rest goes without a word."""
    assert len((await api.event(props={f"k{n}": n for n in range(40)}))["props"]) == 30


@pytest.mark.parametrize("name", ["404", "WP Form Completions", "Form: Submission"])
async def test_a_missing_path_is_filled_in(api, name):
    """For three names, and no other."""
    assert (await api.event(name, url=URL + "lost%20page"))["props"] == {"path": "/lost page"}
    assert (await api.event("Other", url=URL + "lost"))["props"] == {}


# --- headers ----------------------------------------------------------------------------------------------------------

IN_ORDER = [
    ("X-Plausible-IP", "198.51.100.1", "198.51.100.1"),
    ("CF-Connecting-IP", "198.51.100.2", "198.51.100.2"),
    ("B-Forwarded-For", "198.51.100.3, 10.0.0.1", "198.51.100.3"),
    ("X-Forwarded-For", " 198.51.100.4:99 , 10.0.0.1", "198.51.100.4"),
    ("Forwarded", 'for="[2001:db8::5]:1";proto=https, for=10.0.0.1', "2001:db8::5"),
]


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
async def test_the_address_comes_from_the_first_header_there_is(api, first):
    """X-Plausible-IP, CF-Connecting-IP, B-Forwarded-For, X-Forwarded-For, Forwarded; an empty one is not there."""
    api.defaults.pop("X-Forwarded-For")
    given = {name: "" for name, _, _ in IN_ORDER[:first]} | {name: text for name, text, _ in IN_ORDER[first:]}
    assert (await api.event(headers=given))["ip"] == IN_ORDER[first][2]


async def test_without_such_a_header_the_peer_counts(api):
    """X-Real-IP, True-Client-IP and Fly-Client-IP are never looked at."""
    api.defaults.pop("X-Forwarded-For")
    others = {"X-Real-IP": "198.51.100.1", "True-Client-IP": "198.51.100.1", "Fly-Client-IP": "198.51.100.1"}
    assert (await api.event(headers=others))["ip"] == "127.0.0.1"


@pytest.mark.parametrize("text", ["unknown", "10.0.0.1", "2001:DB8::1", "::ffff:192.0.2.1"])
async def test_the_text_of_an_address_counts(api, text):
    """Nothing is skipped, validated or spelled anew."""
    assert (await api.event(headers={"X-Plausible-IP": text}))["ip"] == text


@pytest.mark.parametrize(("kind", "dropped"), [("dc_ip", 1), ("threat_ip", 1), ("anonymous_vpn_ip", 0), ("other", 0)])
async def test_the_balancers_word_on_an_address(api, kind, dropped):
    """Data centres and threats are dropped, anonymous VPNs kept."""
    answer = await api.post(GOOD, X_Plausible_IP_Type=kind)
    assert (answer.status, answer.headers.get("x-plausible-dropped")) == (202, str(dropped) if dropped else None)


async def test_a_debug_request_is_200_and_records_nothing(api):
    """The address stands in the body and in a header; neither a body nor a site is needed."""
    answer = await api.post(data=b"no json", X_Debug_Request="true", X_Forwarded_For="198.51.100.4")
    assert (answer.status, await answer.text()) == (200, "198.51.100.4")
    assert answer.headers["x-debug-ip"] == "198.51.100.4"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert await api.events() == []
    assert (await api.running.stats())["answers"] == {}


# --- the answer -------------------------------------------------------------------------------------------------------


async def test_every_answer_has_cors_and_a_request_id(api):
    """202, 400, 404, 406, 413 and 204 alike."""
    posts = [
        await api.post(GOOD),
        await api.post({}),
        await api.post(GOOD, Accept="text/html"),
        await api.post(data=READ + b" " * 8_000_000, Content_Type=JSON),
    ]
    async with api.session.options(api.running.url + "/api/event") as preflight:
        posts.append(preflight)
    assert [answer.status for answer in posts] == [202, 400, 406, 413, 204]
    for answer in posts:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert 20 <= len(answer.headers["x-request-id"]) <= 200


async def test_the_dropped_header_counts_sites_and_tells_no_reason(api):
    """Two of three listed sites are unknown: 2, and the body is still ok."""
    answer = await api.post(without(domain="a.example, example.com ,b.example"))
    assert (answer.status, await answer.text(), answer.headers["x-plausible-dropped"]) == (202, "ok", "2")
    assert [event["dropped"] for event in await api.events()] == ["not_found", None, "not_found"]
    assert "not_found" not in str(answer.headers)


ORDER = [
    ("spam_referrer", {"referrer": "https://semalt.com/"}, {}),
    ("verification_agent", {}, {"User_Agent": "Plausible Verification Agent - x"}),
    ("dc_ip", {}, {"X_Plausible_IP_Type": "dc_ip"}),
    ("site_hostname_allowlist", {"url": "https://elsewhere.example/"}, {}),
    ("site_page_blocklist", {"url": URL + "private/x"}, {}),
    ("site_ip_blocklist", {}, {"X_Forwarded_For": "203.0.113.66"}),
    ("bot", {}, {"User_Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}),
]
SHIELDED = Site(
    "example.com", hostnames=("example.com",), pages=("/private/**",), addresses=frozenset({"203.0.113.66"})
)


@pytest.mark.parametrize("first", range(len(ORDER)))
async def test_reasons_have_plausibles_order(start, first):
    """Of all that speaks against an event the earliest reason is the one that is stored."""
    api = await start(sites=[SHIELDED])
    body, headers = {}, {}
    for _, change, sent in reversed(ORDER[first:]):
        body, headers = body | change, headers | sent
    if ORDER[first][0] in ("site_hostname_allowlist", "site_page_blocklist"):
        body["url"] = ORDER[first][1]["url"]
    answer = await api.post(GOOD | body, **headers)
    assert answer.headers["x-plausible-dropped"] == "1"
    assert [event["dropped"] for event in await api.events()] == [ORDER[first][0]]


# --- visitors and visits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "headers", "same"),
    [
        ({}, {}, True),
        ({"url": "https://app.example.com/x"}, {}, True),
        ({"url": "https://example.org/"}, {}, False),
        ({"url": "/only/a/path"}, {}, False),
        ({"domain": "other.org"}, {}, False),
        ({}, {"X_Forwarded_For": "203.0.113.8"}, False),
        ({}, {"X_Forwarded_For": "::ffff:203.0.113.7"}, False),
        ({}, {"User_Agent": "Mozilla/5.0 Another"}, False),
    ],
)
async def test_who_is_the_same_visitor(api, change, headers, same):
    """User-Agent, address text, site and registrable domain make a visitor."""
    one = await api.event()
    two = await api.event(**change, headers=headers)
    assert (one["visitor"] == two["visitor"]) is same
    assert (one["session"] == two["session"]) is same


async def test_the_salt_is_never_stored_with_the_events(start, tmp_path):
    """Whoever holds the store alone cannot test an address against it: the salt has a file of its own."""
    api = await start(store_path=tmp_path / "events.db")
    await api.event()
    (salt,) = json.loads((tmp_path / "events.db.salts").read_text()).values()
    for path in (tmp_path / "events.db", tmp_path / "events.db-wal"):
        held = path.read_bytes()
        assert bytes.fromhex(salt) not in held
        assert salt.encode() not in held


async def test_a_visit_is_told_as_plausible_would_tell_it(api):
    """Entry, exit, views, duration and source of a visit of three pages, and a bounce beside it."""
    await api.event(url=URL + "in?utm_campaign=spring", referrer="https://www.google.com/")
    for seconds, page in ((40, "middle"), (50, "out")):
        api.clock.now += seconds
        await api.event(url=URL + page, referrer="https://duckduckgo.com/")
    await api.event(headers={"X_Forwarded_For": "203.0.113.8"})
    stats = await api.running.stats()
    assert (stats["visits"], stats["views_per_visit"], stats["bounce_rate"], stats["visit_duration"]) == (
        2,
        2.0,
        50,
        45,
    )
    assert {row["name"] for row in stats["sources"]} == {"Google", "Direct / None"}
    assert {row["name"] for row in stats["entry_pages"]} == {"/in", "/"}
    assert {row["name"] for row in stats["exit_pages"]} == {"/out", "/"}
    assert [row["name"] for row in stats["campaigns"]] == ["spring"]


async def test_accepted_means_listed_within_a_second(api):
    """Fifty side by side: each is listed as soon as its own 202 is out."""

    async def posted_and_listed(number: int) -> bool:
        assert (await api.post(without(url=f"{URL}{number}"), X_Forwarded_For=f"198.51.100.{number}")).status == 202
        return f"/{number}" in {event["pathname"] for event in await api.events()}

    assert all(await asyncio.gather(*(posted_and_listed(number) for number in range(50))))
