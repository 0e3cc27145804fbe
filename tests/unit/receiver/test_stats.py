"""`GET /api/stats`: the figures of the live page."""

import sqlite3
from contextlib import closing

import pytest

from logship.receiver import figures

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


async def test_the_figures_of_a_small_morning(api):
    """Two people and a crawler: visitors, visits, pages, sources, drops and events add up."""
    await api.event(url="https://example.com/in", referrer="https://www.google.com/")
    api.clock.now += 60
    await api.event(url="https://example.com/out")
    await api.event("Signup", url="https://example.com/out", props={"plan": "pro"})
    await api.event(url="https://example.com/in?utm_campaign=spring", headers={"X_Forwarded_For": "203.0.113.8"})
    await api.event(headers={"User_Agent": GOOGLEBOT})
    await api.post({"domain": "example.com"})
    stats = await api.get("/api/stats")
    expected = {
        "period": "24h",
        "site": None,
        "time": "2025-10-09T08:54:20+00:00",
        "since": "2025-10-08T08:54:20+00:00",
        "current_visitors": 2,
        "visitors": 2,
        "visits": 2,
        "pageviews": 3,
        "views_per_visit": 1.5,
        "bounce_rate": 50,
        "visit_duration": 30,
        "received": 5,
        "recorded": 4,
        "dropped": 1,
        "last_id": 5,
        "began": "2025-10-09T08:53:20+00:00",
        "answers": {"202": 5, "400": 1},
        "pages": [{"name": "/in", "visitors": 2, "pageviews": 2}, {"name": "/out", "visitors": 1, "pageviews": 1}],
        "entry_pages": [{"name": "/in", "visitors": 2, "visits": 2}],
        "exit_pages": [{"name": "/in", "visitors": 1, "visits": 1}, {"name": "/out", "visitors": 1, "visits": 1}],
        "sources": [
            {"name": "Direct / None", "visitors": 1, "visits": 1},
            {"name": "Google", "visitors": 1, "visits": 1},
        ],
        "referrers": [{"name": "google.com", "visitors": 1, "visits": 1}],
        "campaigns": [{"name": "spring", "visitors": 1, "visits": 1}],
        "devices": [{"name": "Desktop", "visitors": 2, "visits": 2}],
        "browsers": [{"name": "Firefox", "visitors": 2, "visits": 2}],
        "systems": [{"name": "GNU/Linux", "visitors": 2, "visits": 2}],
        "utm_sources": [],
        "utm_mediums": [],
        "utm_contents": [],
        "utm_terms": [],
        "events": [
            {"name": "pageview", "visitors": 2, "events": 3, "props": {}},
            {
                "name": "Signup",
                "visitors": 1,
                "events": 1,
                "props": {"plan": [{"value": "pro", "visitors": 1, "events": 1}]},
            },
        ],
        "drops": [
            {
                "reason": "bot",
                "events": 1,
                "last": {"id": 5, "site": "example.com", "name": "pageview", "pathname": "/"},
            }
        ],
        "sites": [{"site": "example.com", "recorded": 4, "dropped": 1}],
    }
    bars = stats.pop("timeseries")
    assert stats == expected
    assert len(bars) == 24
    assert bars[-1] == {
        "time": "2025-10-09T08:00:00+00:00",
        "visitors": 2,
        "pageviews": 3,
        "recorded": 4,
        "dropped": 1,
        "visits": 2,
        "views_per_visit": 1.5,
        "bounce_rate": 50,
        "visit_duration": 30,
    }


async def test_props_are_counted_by_value(api):
    """Of every event's keys the most frequent values, ten of them; other events' keys stay apart."""
    for number in range(12):
        await api.event("Download", props={"url": f"/{number % 11}", "kind": "pdf"})
    await api.event("Other", props={"kind": 1})
    named = {row["name"]: row["props"] for row in (await api.running.stats())["events"]}
    assert named["Download"]["kind"] == [{"value": "pdf", "visitors": 1, "events": 12}]
    assert named["Download"]["url"][0] == {"value": "/0", "visitors": 1, "events": 2}
    assert len(named["Download"]["url"]) == 10
    assert named["Other"] == {"kind": [{"value": "1", "visitors": 1, "events": 1}]}


async def test_every_tag_of_a_campaign_is_listed(api):
    """What the first event of a visit was tagged with."""
    await api.event(url="https://example.com/?utm_source=a&utm_medium=b&utm_campaign=c&utm_content=d&utm_term=e")
    stats = await api.running.stats()
    lists = ("utm_sources", "utm_mediums", "campaigns", "utm_contents", "utm_terms")
    assert [stats[name][0]["name"] for name in lists] == ["a", "b", "c", "d", "e"]


async def test_an_empty_store_has_figures_too(api):
    """Nothing has arrived: zeros, no ratios, a flat chart."""
    for period in ("5m", "30m", "24h", "7d", "30d", "all"):
        stats = await api.get(f"/api/stats?period={period}")
        assert (stats["visitors"], stats["visits"], stats["bounce_rate"], stats["pages"]) == (0, 0, None, [])
        assert all(bar["pageviews"] == 0 for bar in stats["timeseries"])
        assert stats["timeseries"]


async def test_periods_and_sites_narrow_the_figures(api):
    """A period looks back so far, a site is one of several; the list of sites is always whole."""
    await api.event()
    api.clock.now += 3600
    await api.event(url="https://other.org/", domain="other.org")
    assert (await api.get("/api/stats?period=30m"))["pageviews"] == 1
    assert (await api.get("/api/stats?period=24h"))["pageviews"] == 2
    one = await api.get("/api/stats?site=example.com")
    assert (one["site"], one["pageviews"], len(one["sites"])) == ("example.com", 1, 2)
    assert (await api.running.stats(site="other.org"))["pageviews"] == 1
    assert (await api.running.stats())["pageviews"] == 2


async def test_current_visitors_are_those_of_five_minutes(api):
    """A visitor is current for five minutes."""
    await api.event()
    api.clock.now += 299
    assert (await api.running.stats())["current_visitors"] == 1
    api.clock.now += 2
    assert (await api.running.stats())["current_visitors"] == 0


@pytest.mark.parametrize(("age", "bars"), [(0, 1), (1800, 31), (86_400 * 2, 49), (86_400 * 50, 51)])
async def test_everything_has_some_sixty_bars(api, age, bars):
    """The chart of all there is chooses its step by how long that is."""
    await api.event()
    api.clock.now += age
    assert len((await api.running.stats())["timeseries"]) == bars


async def test_the_chart_begins_with_a_whole_step(api):
    """A period that begins within an hour has no point for the rest of that hour, which would look like a dip."""
    await api.event()
    api.clock.now += 86_400 - 60
    stats = await api.get("/api/stats?period=24h")
    assert stats["pageviews"] == 1
    assert len(stats["timeseries"]) == 24
    assert stats["timeseries"][0]["time"] > stats["since"]


async def test_lists_are_as_long_as_asked_for(api):
    """Ten rows where nobody says how many; no more than a thousand."""
    for n in range(12):
        await api.event(url=f"https://example.com/{n}", props={"n": n})
    usual, longer = await api.get("/api/stats"), await api.get("/api/stats?limit=11")
    assert [len(usual["pages"]), len(usual["events"][0]["props"]["n"])] == [10, 10]
    assert [len(longer["pages"]), len(longer["events"][0]["props"]["n"])] == [11, 11]
    async with api.session.get(api.running.url + "/api/stats?limit=1001") as answer:
        assert answer.status == 400
        assert "limit: want at most 1000" in await answer.text()


async def test_an_unknown_period_is_refused(api):
    """The periods are named."""
    async with api.session.get(api.running.url + "/api/stats?period=1y") as answer:
        assert answer.status == 400
        assert "5m, 30m, 24h, 7d, 30d, all" in (await answer.json())["error"]


async def test_a_site_called_like_sql_is_a_text(api):
    """What comes from outside is bound, never part of a query."""
    await api.event()
    stats = await api.get("/api/stats?site=' OR 1=1 --")
    assert stats["pageviews"] == 0


async def test_all_figures_are_of_one_moment(start, tmp_path):
    """What is written while they are counted changes none of them: there are never more visits than were seen."""
    api = await start(store_path=tmp_path / "events.db")
    await api.event()
    store = tmp_path / "events.db"
    with closing(sqlite3.connect(store)) as reader, closing(sqlite3.connect(store)) as writer:
        reader.row_factory = sqlite3.Row

        def meddle(statement: str) -> None:
            if "FROM visits" in statement:
                writer.execute("DELETE FROM visits")
                writer.commit()

        reader.set_trace_callback(meddle)
        stats = figures.of(reader, int(api.clock.now))
        assert (stats["visitors"], stats["visits"], stats["sources"][0]["visits"]) == (1, 1, 1)
        assert figures.of(reader, int(api.clock.now))["visits"] == 0
