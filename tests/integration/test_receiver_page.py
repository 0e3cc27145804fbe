"""The live page in a real browser: it draws what arrives, on a phone too, and runs nobody's script but its own.

With LOGSHIP_SHOTS naming a directory the pictures are kept there, to be looked at.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from logship import demo, traffic
from logship.receiver import server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]


class Tab:
    """A page in a browser without a window, spoken to in Chromium's own protocol (DevTools)."""

    def __init__(self, socket: ClientWebSocketResponse, shots: Path) -> None:
        self._socket = socket
        self._shots = shots
        self._asked = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def listen(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                return
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Network.requestWillBeSent":
                self.requests.append(said["params"]["request"]["url"])
            elif said["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(str(said["params"]))

    async def send(self, method: str, **params: Any) -> Any:
        self._asked += 1
        answer = self._answers[self._asked] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._asked, "method": method, "params": params})
        said = await asyncio.wait_for(answer, 60)
        assert "error" not in said, said
        return said["result"]

    async def open(self, url: str, width: int = 1280, height: int = 1000, *, dark: bool = False) -> None:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.send("Emulation.setEmulatedMedia", features=scheme)
        mobile = {"deviceScaleFactor": 1, "mobile": width < 600}
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, **mobile)
        await self.send("Emulation.setFocusEmulationEnabled", enabled=True)
        await self.send("Page.navigate", url=url)

    async def ask(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        said = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def until(self, script: str, seconds: float = 60.0) -> Any:
        """Wait until an expression is true."""
        async with asyncio.timeout(seconds):
            while not (value := await self.ask(script)):
                await asyncio.sleep(0.05)
            return value

    async def click(self, selector: str, text: str = "") -> None:
        """Click the first element that fits and holds the text."""
        found = f"[...document.querySelectorAll({selector!r})].find(one => one.textContent.includes({text!r}))"
        await self.until(f"Boolean({found})")
        await self.ask(f"{found}.click()")

    async def shoot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        shot = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        (self._shots / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    async def figures(self) -> dict[str, str]:
        return dict(
            await self.ask(
                "[...document.querySelectorAll('#figures button')]"
                ".map(one => [one.dataset.figure, one.querySelector('b').textContent])"
            )
        )

    async def rows(self, name: str) -> list[tuple[str, int]]:
        """Return a list's names and its first numbers."""
        found = await self.until(
            f"document.getElementById({name!r}) && [...document.querySelectorAll('#{name} > li')]"
            ".map(one => [one.querySelector('span').textContent, one.querySelector('b').textContent])"
        )
        return [(label, int(number.replace(",", ""))) for label, number in found]


@pytest.fixture
async def browse(tmp_path: Path) -> AsyncIterator[Any]:
    """Open a page in a tab of a browser of its own; all are closed at the end."""
    shots = Path(os.environ.get("LOGSHIP_SHOTS") or tmp_path / "shots")
    shots.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def _browse(url: str, *options: str, **how: Any) -> AsyncIterator[Tab]:
        profile = tmp_path / f"profile-{os.urandom(4).hex()}"
        process = await asyncio.create_subprocess_exec(
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", *options, "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(profile / "DevToolsActivePort")
            async with ClientSession() as session:
                async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                    where = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
                async with session.ws_connect(where, max_msg_size=0) as socket:
                    tab = Tab(socket, shots)
                    listening = asyncio.create_task(tab.listen())
                    await tab.open(url, **how)
                    yield tab
                    await socket.close()
                    await listening
        finally:
            process.terminate()
            await process.wait()

    return _browse


async def _port(announced: Path) -> int:
    async with asyncio.timeout(60):
        while not announced.exists() or not announced.read_text():
            await asyncio.sleep(0.05)
    return int(announced.read_text().split()[0])


async def post(session: ClientSession, root: str, agent: str = FIREFOX, **event: object) -> None:
    body = {"name": "pageview", "domain": "example.com", "url": "https://example.com/"} | event
    async with session.post(root + "/api/event", json=body, headers={"User-Agent": agent}) as answer:
        assert answer.status == 202


LIVE = "document.getElementById('state')?.className === 'live' && document.getElementById('main')?.hidden === false"


async def test_the_page_draws_what_arrived_and_goes_on_by_itself(browse):
    """Figures, lists, props, drops with their reasons and the tail; the next event needs no reload."""
    async with server.serve(port=0, sites=["example.com"]) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/pricing", referrer="https://duckduckgo.com/")
        await post(session, running.url, name="File Download", props={"url": "https://example.com/a.pdf"})
        await post(session, running.url, domain="unknown.example")
        await post(session, running.url, GOOGLEBOT)
        async with browse(running.url) as tab:
            await tab.until(LIVE)
            seen = await tab.ask("document.body.innerText")
            for text in ("/pricing", "DuckDuckGo", "File Download", "not_found", "compare `domain` with --site"):
                assert text in seen
            assert await tab.rows("drops") == [("bot", 1), ("not_found", 1)]
            assert (await tab.figures())["visitors"] == "1"
            await post(session, running.url, url="https://example.com/later")
            await tab.until("document.querySelector('#tail td.p').textContent === '/later'")
            await tab.until("document.querySelector('#pages').textContent.includes('/later')")
            assert tab.requests
            assert all(url.startswith((running.url, "data:", "about:")) for url in tab.requests)
            assert tab.complaints == []


async def test_everything_can_be_chosen(browse):
    """A figure chooses the chart, a tab the list, a button the period, and a row of the tail tells all."""
    async with server.serve(port=0, keep_addresses=True) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/in?utm_medium=mail", props={"plan": "pro"})
        await post(session, running.url, url="https://example.com/out", domain="other.org")
        await post(session, running.url, GOOGLEBOT)
        async with browse(running.url) as tab:
            await tab.until(LIVE)
            assert await tab.ask("document.getElementById('chart').ariaLabel") == "Unique visitors over time"
            await tab.click("#figures button", "Bounce rate")
            assert await tab.ask("document.getElementById('chart').ariaLabel") == "Bounce rate over time"
            await tab.click("#panels button", "Entry page")
            assert {name for name, _ in await tab.rows("entry_pages")} == {"/in", "/out"}
            await tab.click("#panels button", "Medium")
            assert await tab.rows("utm_mediums") == [("mail", 1)]
            await tab.click("#which button", "Dropped")
            await tab.until("document.querySelectorAll('#tail tr.event').length === 1")
            await tab.click("#tail tr.event")
            assert GOOGLEBOT in await tab.ask("document.querySelector('#tail tr.more').innerText")
            await tab.click("#periods button", "7 days")
            await tab.until("document.querySelector('#periods [aria-pressed=true]').textContent === '7 days'")
            await tab.ask("(site => { site.value = 'other.org'; site.onchange({target: site}); })($('site'))")
            await tab.until("document.querySelectorAll('#entry_pages li').length === 1")
            assert await tab.rows("entry_pages") == [("/out", 1)]
            assert tab.complaints == []


async def test_the_keyboard_stays_where_it_is_while_the_page_goes_on(browse):
    """A figure, a tab and a row that have the focus keep it through updates; an open row stays open."""
    async with server.serve(port=0) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/first")
        async with browse(running.url) as tab:
            await tab.until(LIVE)
            for n, focus in enumerate(("#figures button:nth-child(2)", "#panels .tabs button", "#tail tr.event")):
                await tab.until(f"Boolean(document.querySelector({focus!r}))")
                await tab.ask(f"document.querySelector({focus!r}).focus()")
                if n == 2:
                    await tab.ask("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: ' '}))")
                held = await tab.ask("document.activeElement.textContent")
                await post(session, running.url, url=f"https://example.com/{n}")
                await tab.until(f"document.querySelector('#tail td.p').textContent === '/{n}'")
                await tab.until(f"document.querySelector('#pages').textContent.includes('/{n}')")
                assert (await tab.ask("document.activeElement.textContent")).startswith(held.rstrip("0123456789"))
                assert await tab.ask("document.activeElement.tagName") == ("TR" if n == 2 else "BUTTON")
            widths = "[...document.querySelectorAll('#tail th')].reduce((all, one) => all + one.offsetWidth, 0)"
            assert await tab.ask(widths) == await tab.ask("document.getElementById('tail').offsetWidth")
            assert await tab.ask("document.activeElement.ariaExpanded") == "true"
            assert "visitor" in await tab.ask("document.activeElement.nextSibling.textContent")
            assert tab.complaints == []


async def test_the_tail_follows_the_site_and_finds_old_drops(browse):
    """A chosen site narrows the tail as well; of what was dropped the newest is there, however much came since."""
    async with server.serve(port=0) as running, ClientSession() as session:
        await post(session, running.url, GOOGLEBOT, url="https://example.com/crawled")
        await post(session, running.url, url="https://other.org/elsewhere", domain="other.org")
        for n in range(110):
            await post(session, running.url, url=f"https://example.com/{n}")
        async with browse(running.url) as tab:
            await tab.until(LIVE)
            await tab.until("document.querySelectorAll('#tail tr.event').length === 20")
            await tab.click("#longer")
            assert await tab.ask("document.querySelectorAll('#tail tr.event').length") == 100
            await tab.click("#which button", "Dropped")
            await tab.until("document.querySelector('#tail tbody').textContent.includes('/crawled')")
            assert await tab.ask("document.querySelectorAll('#tail tr.event').length") == 1
            await tab.click("#which button", "All")
            await tab.ask("(site => { site.value = 'other.org'; site.onchange({target: site}); })($('site'))")
            await tab.until("document.querySelector('#tail tbody').textContent.includes('/elsewhere')")
            assert await tab.ask("document.querySelectorAll('#tail tr.event').length") == 1
            await tab.click("#which button", "Pause")
            await post(session, running.url, url="https://other.org/later", domain="other.org")
            await tab.until("document.querySelector('#pages').textContent.includes('/later')")
            assert "/later" not in await tab.ask("document.querySelector('#tail tbody').textContent")
            await tab.click("#which button", "Pause")
            await tab.until("document.querySelector('#tail td.p').textContent === '/later'")
            assert tab.complaints == []


async def test_a_list_can_be_seen_whole_and_long_names_keep_their_ends(browse):
    """Ten rows and a button to the others; a name that does not fit loses its middle."""
    async with server.serve(port=0) as running, ClientSession() as session:
        for n in range(15):
            await post(session, running.url, url=f"https://example.com/{'long-path/' * 12}end-{n:02}")
        async with browse(running.url, width=375, height=812) as tab:
            await tab.until(LIVE)
            await tab.until("document.querySelectorAll('#pages > li').length === 10")
            ends = "[...document.querySelectorAll('#pages .name span:last-child')].map(one => [one.textContent, "
            ends += "one.scrollWidth <= one.clientWidth, one.getBoundingClientRect().right < innerWidth])"
            for text, is_whole, is_inside in await tab.ask(ends):
                assert text.startswith("-path/end-")
                assert is_whole
                assert is_inside
            await tab.click("[aria-label=Pages] button", "More")
            await tab.until("document.querySelectorAll('#pages > li').length === 15")
            await tab.click("[aria-label=Pages] button", "Fewer")
            await tab.until("document.querySelectorAll('#pages > li').length === 10")
            assert tab.complaints == []


async def test_the_chart_is_read_with_the_keyboard_too(browse):
    """The arrow keys go from point to point, what stands there is told, and an update leaves it open."""
    async with server.serve(port=0) as running, ClientSession() as session:
        await post(session, running.url)
        async with browse(running.url) as tab:
            await tab.until(LIVE)
            await tab.ask("$('plot').focus()")
            press = "$('plot').dispatchEvent(new KeyboardEvent('keydown', {key: %r, cancelable: true}))"
            await tab.ask(press % "End")
            last = await tab.ask("pointed")
            assert "unique visitors" in await tab.ask("$('tip').textContent")
            await tab.ask(press % "ArrowLeft")
            assert await tab.ask("pointed") == last - 1
            await post(session, running.url, url="https://example.com/meanwhile")
            await tab.until("document.querySelector('#pages').textContent.includes('/meanwhile')")
            await tab.until("document.getElementById('state').className === 'live'")
            assert "unique visitors" in await tab.ask("$('tip').textContent")
            assert tab.complaints == []
            await tab.ask("$('plot').blur()")
            assert await tab.ask("$('tip').hidden")


async def test_strangers_markup_is_shown_and_not_run(browse):
    """An event full of markup is text on the page; no script of its own has run, or was stopped in the attempt."""
    async with server.serve(port=0, keep_addresses=True) as running, ClientSession() as session:
        await post(
            session,
            running.url,
            name=EVIL[:120],
            domain=f"{EVIL},example.com",
            url=f"https://example.com/{EVIL}?utm_source={EVIL}&utm_campaign={EVIL}",
            referrer=f"https://evil.example/{EVIL}",
            props={EVIL: EVIL},
        )
        async with browse(running.url) as tab:
            await tab.until(LIVE)
            await tab.click("#tail tr.event")
            assert await tab.ask("document.title") == "logship receive"
            assert await tab.ask("document.images.length + document.querySelectorAll('script').length") == 1
            assert "<img src=x" in await tab.ask("document.body.innerText")
            assert tab.complaints == []


async def test_an_empty_receiver_says_what_to_do(browse):
    """Nothing has arrived: the page shows how to try it by hand, and what is shown works."""
    async with server.serve(port=0) as running, browse(running.url) as tab:
        await tab.until(LIVE)
        assert "Nothing has arrived yet" in await tab.ask("document.body.innerText")
        command = await tab.ask("document.getElementById('try').textContent")
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE, stderr=-3)
        assert b" 202 " in (await process.communicate())[0]
        await tab.until("document.getElementById('empty').hidden")


@pytest.mark.parametrize("dark", [False, True])
async def test_a_phone_can_show_it(browse, dark):
    """At a phone's width nothing is wider than the screen, by day and by night."""
    async with server.serve(port=0, keep_addresses=True) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/" + "long-path/" * 20, referrer="https://t.co/x")
        await post(session, running.url, GOOGLEBOT, url="https://example.com/" + "x" * 300)
        await post(session, running.url, name="Download " + "y" * 99, props={"url": "z" * 500})
        async with browse(running.url, width=375, height=812, dark=dark) as tab:
            await tab.until(LIVE)
            await tab.click("#tail tr.event")
            await tab.shoot(f"phone-{'dark' if dark else 'light'}")
            assert await tab.ask("document.documentElement.scrollWidth") <= 375
            shade = await tab.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]")
            assert (int(shade) < 100) is dark


async def test_a_rebound_name_shows_nothing(browse):
    """A web page whose name was made to point here gets no figures."""
    async with server.serve(port=0) as running, ClientSession() as session:
        await post(session, running.url, url="https://example.com/secret-page")
        there = f"http://rebound.example:{urlsplit(running.url).port}/"
        async with browse(there, "--host-resolver-rules=MAP rebound.example 127.0.0.1") as tab:
            await tab.until("document.body?.innerText.includes('under')")
            assert "Ask for 127.0.0.1 or localhost" in await tab.ask("document.body.innerText")
            stolen = await tab.ask("fetch('/api/events').then(answer => answer.status)")
            assert stolen == 403


# --- the demo, from its start to its end


SOURCES = {
    "www.google.com": "Google",
    "duckduckgo.com": "DuckDuckGo",
    "www.bing.com": "Bing",
    "news.ycombinator.com": "Hacker News",
    "www.reddit.com": "Reddit",
    "t.co": "Twitter",
    "github.com": "GitHub",
    "l.facebook.com": "Facebook",
}
TAGGED = {"utm_source=chatgpt.com": "ChatGPT", "utm_source=newsletter": "newsletter", "ref=producthunt": "producthunt"}
Visits = dict[tuple[str, str], list[traffic.Hit]]


def true_visits(life: demo.Demo) -> Visits:
    """Live the made-up site's life once more, and return what each person did there, in order."""
    site = traffic.Site(start=life.began, visits=life.rate, origin=demo.SITE)
    visits: Visits = {}
    for hit in islice(site.lines(life.began + 3600), life.tally.lines):
        if hit.kind in ("pageview", "download", "not_found"):
            visits.setdefault((hit.ip, hit.user_agent), []).append(hit)
    return visits


def views(hits: Iterable[traffic.Hit]) -> list[str]:
    return [unquote(urlsplit(hit.target).path) for hit in hits if hit.kind == "pageview"]


def source(first: traffic.Hit) -> str:
    tagged = next((name for tag, name in TAGGED.items() if tag in first.target), None)
    return tagged or SOURCES.get(urlsplit(first.referrer or "").netloc, "Direct / None")


def browser(agent: str) -> str:
    names = {"Edg/": "Microsoft Edge", "Firefox/": "Firefox", "Chrome/": "Chrome", "Version/": "Safari"}
    return next(name for sign, name in names.items() if sign in agent)


def size(agent: str) -> str:
    return "Tablet" if "iPad" in agent else "Mobile" if "Mobile" in agent else "Desktop"


def same(shown: list[tuple[str, int]], true: Counter[str]) -> None:
    """Hold a list of the page against the truth: ten rows at most, the most frequent first, no number wrong."""
    assert len(shown) == min(10, len(true)), (shown, true)
    assert all(true[name] == number for name, number in shown), (shown, true)
    assert [number for _, number in shown] == sorted(true.values(), reverse=True)[:10]


async def test_the_demo_is_watched_from_start_to_end(browse):
    """The page fills while the demo runs, and at its end every figure is the one that the truth gives."""
    life = demo.Demo(7, rate=25)
    run = life.run()
    await anext(run)
    async with browse(life.url) as tab:
        await tab.until(LIVE)
        assert "Nothing has arrived yet" in await tab.ask("document.body.innerText")
        await tab.shoot("demo-1-before")
        moments = []
        async for tally in run:
            if tally.settled:
                await tab.until(f"latest.length && latest[0].id === {tally.arrived.total()}")
                await tab.until(f"stats.last_id === {tally.arrived.total()}")
                await check_figures(tab, true_visits(life))
                await tab.shoot("demo-3-after")
            else:
                moments.append(int((await tab.figures())["pageviews"].replace(",", "") or 0))
                if len(moments) == 4:
                    await tab.shoot("demo-2-midway")
    assert (life.tally.lost, life.tally.doubled) == (0, 0)
    assert moments == sorted(moments)
    assert len(set(moments)) >= 3
    assert tab.complaints == []
    assert all(url.startswith((life.url, "data:", "about:")) for url in tab.requests)


async def check_figures(tab: Tab, visits: Visits) -> None:
    """Hold all the page shows against visits that only the generator knows of."""
    seen = {who: views(hits) for who, hits in visits.items()}
    number, pages = len(visits), sum(map(len, seen.values()))
    bounces = sum(len(hits) == 1 for hits in visits.values())
    durations = [max(hit.time for hit in hits if hit.kind == "pageview") - hits[0].time for hits in visits.values()]
    figures = await tab.figures()
    assert int(figures["visitors"]) == int(figures["visits"]) == number
    assert int(figures["pageviews"].replace(",", "")) == pages
    assert figures["views_per_visit"] == f"{pages / number:.2f}"
    assert abs(int(figures["bounce_rate"].rstrip("%")) - 100 * bounces / number) <= 0.5
    assert abs(int(figures["visit_duration"].rstrip("s")) - sum(durations) / number) <= 1
    assert await tab.ask("document.querySelector('#state b').textContent") == str(number)
    same(await tab.rows("pages"), Counter(page for paths in seen.values() for page in set(paths)))
    await tab.click("#panels button", "Entry page")
    same(await tab.rows("entry_pages"), Counter(paths[0] for paths in seen.values()))
    await tab.click("#panels button", "Exit page")
    same(await tab.rows("exit_pages"), Counter(paths[-1] for paths in seen.values()))
    same(await tab.rows("sources"), Counter(source(hits[0]) for hits in visits.values()))
    same(await tab.rows("browsers"), Counter(browser(agent) for _, agent in visits))
    await tab.click("#panels button", "Size")
    same(await tab.rows("devices"), Counter(size(agent) for _, agent in visits))
    campaigns = [name for name in ("autumn", "brand") for hits in visits.values() if name in hits[0].target]
    if campaigns:
        same(await tab.rows("campaigns"), Counter(campaigns))
    names = {"pageview": "pageview", "download": "File Download", "not_found": "404"}
    same(await tab.rows("events"), Counter(names[hit.kind] for hits in visits.values() for hit in hits))


@pytest.mark.parametrize(("name", "dark"), [("desktop", False), ("desktop-dark", True)])
async def test_a_day_on_a_large_screen(browse, name, dark):
    """A whole day's chart and all panels, by day and by night, without a sideways scroll."""
    clock = [1_760_000_000.0]
    async with server.serve(port=0, sites=["demo.example"], clock=lambda: clock[0]) as running:
        async with ClientSession() as session:
            for hit in traffic.Site(start=clock[0], visits=0.005).lines(clock[0] + 86_000):
                clock[0] = hit.time
                if hit.kind in ("pageview", "bot"):
                    body = {"url": demo.SITE + hit.target, "domain": "demo.example", "referrer": hit.referrer}
                    await post(session, running.url, hit.user_agent or "-", **body)
        async with browse(running.url, dark=dark) as tab:
            await tab.until(LIVE)
            await tab.click("#periods button", "24 h")
            await tab.until("stats.period === '24h' && document.querySelectorAll('#chart .rule').length > 2")
            await tab.shoot(name)
            assert await tab.ask("document.documentElement.scrollWidth") <= 1280
            assert tab.complaints == []
