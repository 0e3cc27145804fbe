"""`POST /api/event` answers as Plausible does, over a real connection."""

import asyncio

import pytest
from aiohttp import ClientSession

GOOD = {"name": "pageview", "url": "https://example.com/", "domain": "example.com"}
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


async def test_a_valid_event_is_202_ok(api):
    """The body is the plain text `ok`, with CORS and a request id, and no word of drops."""
    answer = await api.post(GOOD)
    assert (answer.status, await answer.text()) == (202, "ok")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert len(answer.headers["x-request-id"]) == 20
    assert "x-plausible-dropped" not in answer.headers


async def test_what_was_accepted_can_be_read_at_once(api):
    """An event is listed with all it says, right after its 202."""
    event = await api.event(
        url="https://www.example.com/a%20b?utm_source=news&utm_medium=mail&utm_campaign=c&utm_content=d&utm_term=e",
        referrer="https://t.co/x?y",
        props={"plan": "pro"},
        revenue={"currency": "EUR", "amount": "9.90"},
        interactive=False,
    )
    assert len(event.pop("visitor")) == 16
    assert event == {
        "id": 1,
        "time": "2025-10-09T08:53:20+00:00",
        "site": "example.com",
        "name": "pageview",
        "url": "https://www.example.com/a%20b?utm_source=news&utm_medium=mail&utm_campaign=c&utm_content=d&utm_term=e",
        "hostname": "example.com",
        "pathname": "/a b",
        "referrer": "t.co/x",
        "source": "news",
        "utm": {"source": "news", "medium": "mail", "campaign": "c", "content": "d", "term": "e"},
        "props": {"plan": "pro"},
        "revenue": {"currency": "EUR", "amount": "9.90"},
        "interactive": False,
        "session": 1,
        "dropped": None,
        "ip": "203.0.113.7",
        "user_agent": api.defaults["User-Agent"],
    }


async def test_what_is_missing_is_null(api):
    """No source, tags or revenue: null; no props: an empty object; no referrer: an empty text."""
    event = await api.event()
    assert (event["source"], event["revenue"], event["props"], event["referrer"]) == (None, None, {}, "")
    assert set(event["utm"]) == {"source", "medium", "campaign", "content", "term"}
    assert set(event["utm"].values()) == {None}


async def test_addresses_are_not_kept_unless_asked(start, tmp_path):
    """Without --keep-addresses neither the list nor the file holds an address or a User-Agent."""
    store = tmp_path / "events.db"
    api = await start(store_path=store)
    event = await api.event(headers={"X_Forwarded_For": "203.0.113.99", "User_Agent": "Peculiar/1.0"})
    assert "ip" not in event
    assert "user_agent" not in event
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"example.com" in held
    assert b"203.0.113.99" not in held
    assert b"Peculiar" not in held


async def test_events_are_listed_after_an_id_oldest_first(api):
    """`after` and `limit` page through; a number that is none is refused."""
    for n in range(5):
        await api.event(url=f"https://example.com/{n}")
    assert [event["id"] for event in await api.events("?after=1&limit=3")] == [2, 3, 4]
    assert await api.events("?after=5") == []
    assert await api.events("?limit=0") == []
    assert [event["id"] for event in await api.events("?last=2")] == [4, 5]
    async with api.session.get(api.running.url + "/api/events?after=x") as answer:
        assert answer.status == 400


async def test_events_are_listed_of_a_site_and_of_one_outcome(api):
    """`site` and `dropped` narrow the list, before its newest ones are taken; a word that is neither is told."""
    for n in range(3):
        await api.event(url=f"https://example.com/{n}", domain="other.org" if n == 1 else "example.com")
    await api.event(url="https://example.com/3", headers={"User_Agent": "Googlebot/2.1"})
    await api.event(url="https://example.com/4")
    assert [event["id"] for event in await api.events("?last=2&site=example.com")] == [4, 5]
    assert [event["id"] for event in await api.events("?after=1&site=example.com")] == [3, 4, 5]
    assert [event["id"] for event in await api.events("?last=2&dropped=true")] == [4]
    assert [event["id"] for event in await api.events("?dropped=false&site=example.com&limit=2")] == [1, 3]
    async with api.session.get(api.running.url + "/api/events?dropped=perhaps") as answer:
        assert answer.status == 400
        assert "dropped: want true or false" in await answer.text()


async def test_validation_errors_are_400_with_errors(api):
    """An empty object gets every missing field, as JSON, and nothing is recorded."""
    answer = await api.post({})
    assert answer.status == 400
    assert answer.content_type == "application/json"
    assert await answer.json() == {
        "errors": {"url": ["is required"], "domain": ["can't be blank"], "event_name": ["can't be blank"]}
    }
    assert await api.events() == []


@pytest.mark.parametrize(
    ("kind", "body", "status", "text"),
    [
        ("application/json", b"{", 400, "Bad Request"),
        ("application/json", b" " * 8_000_001, 413, "Request Entity Too Large"),
        ("text/plain", b"", 400, '{"errors":{"request":["Unable to parse request body as json"]}}'),
        ("text/plain", b" " * 8_000_001, 400, '{"errors":{"request":["Unable to parse request body as json"]}}'),
        ("text/plain", b'{"n":"pageview","u":"https://example.com/","d":"example.com"}', 202, "ok"),
        ("application/x-www-form-urlencoded", b"n=pageview&u=https%3A%2F%2Fexample.com%2F&d=example.com", 202, "ok"),
    ],
)
async def test_content_types(api, kind, body, status, text):
    """Each content type is treated as the framework treats it."""
    answer = await api.post(data=body, Content_Type=kind)
    assert (answer.status, await answer.text()) == (status, text)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 202),
        ("application/json", 202),
        ("text/html, application/json;q=0.5", 202),
        ("application/vnd.api+json", 202),
        ("text/html", 406),
        ("text/html,image/*", 406),
    ],
)
async def test_accept_must_allow_json(api, accept, status):
    """Only an Accept that leaves no room for JSON is 406."""
    assert (await api.post(GOOD, Accept=accept)).status == status


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/event"), ("PUT", "/api/event"), ("POST", "/api/nothing")])
async def test_other_methods_and_paths_are_404(api, method, path):
    """There is no 405: a wrong method is a wrong path."""
    async with api.session.request(method, api.running.url + path) as answer:
        assert answer.status == 404
        assert answer.headers["x-request-id"]


async def test_preflight_is_204(api):
    """OPTIONS allows POST and Content-Type for twenty days."""
    async with api.session.options(api.running.url + "/api/event") as answer:
        assert answer.status == 204
        assert answer.headers["access-control-max-age"] == "1728000"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "Content-Type" in answer.headers["access-control-allow-headers"]


async def test_a_request_id_of_sensible_length_is_kept(api):
    """Twenty characters and more come back; a shorter one is replaced."""
    assert (await api.post(GOOD, X_Request_Id="a" * 20)).headers["x-request-id"] == "a" * 20
    assert (await api.post(GOOD, X_Request_Id="short")).headers["x-request-id"] != "short"


async def test_health_system_and_error(api):
    """Health has three keys, all ok; the others answer 200."""
    assert await api.get("/api/health") == {"postgres": "ok", "clickhouse": "ok", "sites_cache": "ok"}
    assert (await api.get("/api/system"))["build"]
    async with api.session.get(api.running.url + "/api/error") as answer:
        assert (answer.status, await answer.text()) == (200, "")


async def test_what_was_recorded_cannot_be_read_by_other_sites_pages(api):
    """CORS is for Plausible's own paths: a stranger's web page may post, but not read events or figures."""
    for path in ("/api/events", "/api/stats", "/", "/faults"):
        async with api.session.get(api.running.url + path, headers={"Origin": "https://evil.example"}) as answer:
            assert "access-control-allow-origin" not in answer.headers


async def test_a_debug_request_records_nothing(api):
    """X-Debug-Request answers with the address that would count, even for an empty body."""
    answer = await api.post({}, X_Debug_Request="true", X_Forwarded_For="[2001:db8::1]:99")
    assert (answer.status, await answer.text()) == (200, "2001:db8::1")
    assert answer.headers["x-debug-ip"] == "2001:db8::1"
    assert answer.content_type == "text/plain"
    assert await api.events() == []


async def test_a_list_of_sites_is_one_event_each(api):
    """One time, different visitors; the header says for how many it was dropped."""
    answer = await api.post(GOOD | {"domain": "www.example.com, other.org ,unknown.net"})
    assert answer.headers["x-plausible-dropped"] == "1"
    first, second, third = await api.events()
    assert [event["site"] for event in (first, second, third)] == ["example.com", "other.org", "unknown.net"]
    assert first["time"] == second["time"]
    assert first["visitor"] != second["visitor"]
    assert (third["dropped"], third["visitor"], third["session"]) == ("not_found", None, None)


async def test_without_sites_every_domain_is_known(start):
    """No --site: whatever domain is named, the event is recorded."""
    api = await start()
    assert (await api.event(domain="whatever.example"))["dropped"] is None


async def test_a_pasted_address_of_a_site_means_its_host(start):
    """--site https://www.example.com/ knows example.com."""
    api = await start(sites=["https://www.example.com/"])
    assert (await api.event())["dropped"] is None


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({"User_Agent": GOOGLEBOT}, {}, "bot"),
        ({"User_Agent": "Mozilla/5.0 (X11) HeadlessChrome/85.0.4183.83 Safari/537.36"}, {}, "bot"),
        ({}, {"referrer": "https://www.semalt.com/x"}, "spam_referrer"),
        ({}, {"domain": "unknown.net"}, "not_found"),
        ({}, {"domain": "Example.com"}, "not_found"),
        ({"X_Plausible_IP_Type": "dc_ip"}, {}, "dc_ip"),
        ({"X_Plausible_IP_Type": "threat_ip"}, {}, "threat_ip"),
        ({"User_Agent": "Plausible Verification Agent - if abused, contact x"}, {}, "verification_agent"),
        ({}, {"name": "engagement", "sd": 10}, "no_session_for_engagement"),
        # the order of the reasons
        ({"User_Agent": GOOGLEBOT}, {"domain": "unknown.net", "referrer": "https://semalt.com"}, "spam_referrer"),
        ({"User_Agent": GOOGLEBOT, "X_Plausible_IP_Type": "dc_ip"}, {"domain": "unknown.net"}, "not_found"),
        ({"User_Agent": GOOGLEBOT, "X_Plausible_IP_Type": "dc_ip"}, {}, "dc_ip"),
    ],
)
async def test_drops_are_202_and_the_reason_stays_here(api, headers, body, reason):
    """The answer tells only that it was dropped; the list tells why."""
    answer = await api.post(GOOD | body, **headers)
    assert (answer.status, await answer.text(), answer.headers["x-plausible-dropped"]) == (202, "ok", "1")
    assert reason not in str(answer.headers)
    assert [event["dropped"] for event in await api.events()] == [reason]


async def test_an_anonymous_vpn_is_kept(api):
    """anonymous_vpn_ip counts (its country is A1)."""
    answer = await api.post(GOOD, X_Plausible_IP_Type="anonymous_vpn_ip")
    assert "x-plausible-dropped" not in answer.headers


async def test_no_user_agent_is_accepted(api):
    """A missing User-Agent counts as an empty one."""
    async with ClientSession(skip_auto_headers=["User-Agent"]) as session:
        url = api.running.url + "/api/event"
        async with session.post(url, json=GOOD) as answer:
            assert answer.status == 202
    assert (await api.events())[0]["user_agent"] == ""


async def test_odd_bytes_in_headers_do_no_harm(api):
    """Bytes that are no UTF-8 arrive as replacement characters, and the next event arrives as well."""
    host, port = api.running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"name":"pageview","url":"https://example.com/\x00","domain":"example.com"}'.replace(b"\x00", b"\\u0000")
    writer.write(
        b"POST /api/event HTTP/1.1\r\nHost: x\r\nX-Request-Id: \xffaaaaaaaaaaaaaaaaaaaaaaa\r\n"
        b"User-Agent: \xff\xfe\r\nX-Forwarded-For: \xe4\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert b" 202 " in await reader.read()
    writer.close()
    await api.post(GOOD)
    odd, _ = await api.events()
    assert odd["user_agent"] == "\N{REPLACEMENT CHARACTER}" * 2
    assert odd["url"].endswith("/\x00")


async def test_no_time_of_the_clients_is_read(api):
    """Arrival is the event's time, whatever the body claims."""
    event = await api.event(timestamp="2001-01-01T00:00:00Z", time=5, now=5)
    assert event["time"].startswith("2025-10-09")


async def test_many_at_once_all_arrive(api):
    """Two hundred posts side by side: each is stored once, ids without a gap."""
    bodies = [GOOD | {"url": f"https://example.com/{n}"} for n in range(200)]
    await asyncio.gather(*(api.post(body, X_Forwarded_For=f"198.51.100.{n}") for n, body in enumerate(bodies)))
    events = await api.events()
    assert [event["id"] for event in events] == list(range(1, 201))
    assert {event["url"] for event in events} == {body["url"] for body in bodies}
