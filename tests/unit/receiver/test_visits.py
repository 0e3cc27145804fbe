"""A visitor's events are folded into visits by Plausible's rules."""

import asyncio

import pytest
from aiohttp import ClientSession

from logship.receiver import intake, payload, server, turns, visitors, visits
from logship.receiver.gate import Gate
from logship.receiver.store import Store, last_events
from logship.receiver.values import Site, Visit
from logship.receiver.visitors import Salts

GOOD = {"name": "pageview", "url": "https://example.com/", "domain": "example.com"}


async def visit_of(api, **more):
    """Return the figures after one more event."""
    await api.event(**more)
    return await api.running.stats()


@pytest.mark.parametrize(("pause", "sessions"), [(0, [1, 1]), (31 * 60 - 1, [1, 1]), (31 * 60, [1, 2]), (-500, [1, 1])])
async def test_an_event_joins_for_under_31_minutes(api, pause, sessions):
    """Whole minutes up to 30 join, also when the clock went back; then a new visit begins."""
    await api.event()
    api.clock.now += pause
    await api.event()
    assert [event["session"] for event in await api.events()] == sessions


async def test_the_pause_counts_from_the_last_event(api):
    """Twenty minutes and twenty minutes are one visit of forty."""
    for _ in range(3):
        await api.event()
        api.clock.now += 20 * 60
    stats = await api.running.stats()
    assert (stats["visits"], stats["visit_duration"]) == (1, 40 * 60)


async def test_another_visitor_or_site_is_another_visit(api):
    """Address, User-Agent and site each make another visitor; a subdomain does not."""
    await api.event()
    await api.event(url="https://app.example.com/")
    await api.event(headers={"X_Forwarded_For": "203.0.113.8"})
    await api.event(headers={"User_Agent": "Mozilla/5.0 Other"})
    await api.event(domain="other.org")
    events = await api.events()
    assert [event["session"] for event in events] == [1, 1, 2, 3, 4]
    assert len({event["visitor"] for event in events}) == 4


async def test_a_visit_survives_midnight(api):
    """Under the new salt the visitor has a new id, and goes on with yesterday's visit."""
    api.clock.now = 20_000 * 86_400 - 60.0
    await api.event()
    api.clock.now += 120
    await api.event()
    api.clock.now += 120
    await api.event()
    before, after, later = await api.events()
    assert before["visitor"] != after["visitor"] == later["visitor"]
    assert before["session"] == after["session"] == later["session"]


async def test_pages_duration_and_count(api):
    """The first pageview is the entry, the last the exit; custom events move neither."""
    await api.event("Signup", url="https://example.com/form")
    api.clock.now += 10
    await api.event(url="https://example.com/in")
    api.clock.now += 10
    await api.event(url="https://example.com/out")
    api.clock.now += 10
    stats = await visit_of(api, name="Download", url="https://example.com/file")
    assert stats["entry_pages"] == [{"name": "/in", "visitors": 1, "visits": 1}]
    assert stats["exit_pages"] == [{"name": "/out", "visitors": 1, "visits": 1}]
    assert (stats["pageviews"], stats["visit_duration"], stats["views_per_visit"]) == (2, 20, 2.0)


@pytest.mark.parametrize(
    ("second", "bounce"),
    [
        ({"name": "pageview"}, 0),
        ({"name": "Click"}, 0),
        ({"name": "Scroll", "interactive": False}, 100),
        ({"name": "engagement", "sd": 50}, 100),
    ],
)
async def test_what_clears_a_bounce(api, second, bounce):
    """A second pageview or an interactive event does; a passive one and engagement do not."""
    await api.event()
    assert (await visit_of(api, **second))["bounce_rate"] == bounce


async def test_engagement_keeps_a_visit_alive(api):
    """It moves the end of the pause and nothing else."""
    await api.event()
    api.clock.now += 25 * 60
    await api.event("engagement", sd=20)
    api.clock.now += 25 * 60
    stats = await visit_of(api, url="https://example.com/b")
    assert (stats["visits"], stats["pageviews"]) == (1, 2)


async def test_the_first_event_fixes_the_source(api):
    """Where a visit came from is decided once; later tags are the event's own."""
    await api.event(referrer="https://www.google.com/")
    stats = await visit_of(api, url="https://example.com/?utm_source=news&utm_campaign=spring")
    assert [row["name"] for row in stats["sources"]] == ["Google"]
    assert stats["campaigns"] == []
    assert (await api.events())[-1]["utm"]["campaign"] == "spring"


async def test_visits_and_visitors_survive_a_restart(tmp_path):
    """With a file the salt and the open visits are found again."""
    async with ClientSession() as session:
        for _ in range(2):
            async with server.serve(port=0, store_path=tmp_path / "events.db") as running:
                async with session.post(running.url + "/api/event", json=GOOD) as answer:
                    assert answer.status == 202
                async with session.get(running.url + "/api/events") as answer:
                    events = await answer.json()
    before, after = events
    assert (before["visitor"], before["session"], after["id"]) == (after["visitor"], after["session"], 2)


def test_closed_visits_are_forgotten():
    """What has been quiet for half an hour takes no memory."""
    open_visits = visits.Visits()
    for n in range(100):
        open_visits.put(Visit(n, "s", f"v{n}", started=n * 60, last=n * 60))
    assert len(open_visits) == 31
    assert open_visits.find("s", "v99", 99 * 60)
    assert open_visits.find("s", "v1", 99 * 60) is None


async def test_turns_come_in_order_and_end():
    """A visitor's turn goes to who waited longest; who waits too long goes without."""
    line = turns.Turns(patience=0.05)
    assert await line.take("v")
    second = asyncio.create_task(line.take("v"))
    third = asyncio.create_task(line.take("v"))
    await asyncio.sleep(0)
    assert await line.take("w")
    line.leave("v")
    assert await second
    assert not await third
    line.leave("v")
    line.leave("w")
    assert await line.take("v")


async def test_a_cancelled_wait_passes_the_turn_on():
    """Whoever gives up while waiting does not hold the others up."""
    line = turns.Turns(patience=5)
    await line.take("v")
    gone = asyncio.create_task(line.take("v"))
    waiting = asyncio.create_task(line.take("v"))
    await asyncio.sleep(0)
    line.leave("v")  # gone's turn has come ...
    gone.cancel()  # ... and is not taken
    assert (await asyncio.gather(gone, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert await waiting


async def test_one_visitor_in_parallel_is_a_lock_timeout():
    """While an event of the visitor is still being stored, another one waits its time and is dropped."""
    line, salts, now = turns.Turns(patience=0.01), Salts(), 1_760_000_000
    async with Store(None) as store:
        take = intake.Intake(
            store, Gate([]), salts, spam_hosts=frozenset(), keep_addresses=False, clock=lambda: now, turns=line
        ).take
        await line.take(visitors.identify(salts.at(now)[0], "Firefox", "203.0.113.7", "example.com", "example.com"))
        assert await take(payload.read(GOOD), intake.Sender("203.0.113.7", "Firefox")) == 1
        assert await take(payload.read(GOOD), intake.Sender("203.0.113.8", "Firefox")) == 0
        rows = await store.read(lambda found: last_events(found, 2))
    assert [(row["dropped"], bool(row["visitor"])) for row in rows] == [("lock_timeout", False), ("", True)]


# --- sites' own settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "reason"),
    [
        (Site("example.com"), None),
        (Site("example.com", threshold=0), "block"),
        (Site("example.com", paid_until=1.0), "payment_required"),
        (Site("example.com", paid_until=2e9), None),
        (Site("example.com", hostnames=("shop.example.com", "*.example.net")), "site_hostname_allowlist"),
        (Site("example.com", hostnames=("exam*",)), None),
        (Site("example.com", pages=("/admin/**",)), "site_page_blocklist"),
        (Site("example.com", pages=("/adm",)), None),
        (Site("example.com", addresses=frozenset({"203.0.113.7"})), "site_ip_blocklist"),
        (Site("example.com", countries=frozenset({"A1"})), None),
    ],
)
async def test_a_sites_settings(start, site, reason):
    """What is set drops under its own reason; unset, nothing does."""
    api = await start(sites=[site])
    assert (await api.event(url="https://example.com/admin/x"))["dropped"] == reason


async def test_a_country_can_be_blocked(start):
    """The only country a receiver without a geo database knows is that of an anonymous VPN."""
    api = await start(sites=[Site("example.com", countries=frozenset({"A1"}))])
    event = await api.event(headers={"X_Plausible_IP_Type": "anonymous_vpn_ip"})
    assert event["dropped"] == "site_country_blocklist"


async def test_a_threshold_counts_by_window(start):
    """The third event of a window of two is throttled; the next window starts anew."""
    api = await start(sites=[Site("example.com", threshold=2, window=60)])
    for _ in range(3):
        await api.event()
    api.clock.now += 60
    await api.event()
    assert [event["dropped"] for event in await api.events()] == [None, None, "throttle", None]


async def test_revenue_goals(start):
    """With goals set, the revenue of other events is left out."""
    api = await start(sites=[Site("example.com", revenue_goals=frozenset({"Buy"}))])
    money = {"currency": "USD", "amount": 5}
    assert (await api.event("Buy", revenue=money))["revenue"] == money
    assert (await api.event("Look", revenue=money))["revenue"] is None
