"""A small website's life, made up: visitors, crawlers and scanners, as lines of a combined log with the truth beside.

`logship demo` shows the product with it and tests compare against it: a `Hit` says what it truly is, so nobody has
to believe logship's own count. The same seed gives the same life. `Site` only makes things up; `LogWriter` is the
one that touches a file, and rotates it the way nginx does.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time as clock
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PAGEVIEW = "pageview"  # every other kind is a drop's reason, or ``download`` and ``not_found`` (events by preset)

_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 {}Safari/537.36"
_FIREFOX = "Mozilla/5.0 ({}; rv:{}.0) Gecko/20100101 Firefox/{}.0"
_SAFARI = "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.{} {}Safari/{}"
_WINDOWS, _MAC, _LINUX = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"
_PHONES = ("Linux; Android 10; K", "Linux; Android 14; Pixel 8", "Linux; Android 15; SM-S928B")

PEOPLE = (
    *(_CHROME.format(system, n, "") for system in (_WINDOWS, _MAC, _LINUX) for n in range(136, 143)),
    *(_CHROME.format(system, n, "Mobile ") for system in _PHONES for n in range(138, 143)),
    *(f"{_CHROME.format(_WINDOWS, n, '')} Edg/{n}.0.0.0" for n in range(139, 143)),
    *(_FIREFOX.format(system, n, n) for system in (_WINDOWS, _MAC, _LINUX) for n in range(140, 146)),
    *(_SAFARI.format(_MAC, 18, minor, "", "605.1.15") for minor in range(7)),
    *(
        _SAFARI.format(f"{device} {system} like Mac OS X", major, minor, "Mobile/15E148 ", "604.1")
        for device in ("iPhone; CPU iPhone OS", "iPad; CPU OS")
        for system, major, minor in (("17_6_1", 17, 6), ("18_1", 18, 1), ("18_5", 18, 5))
    ),
)
CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
)
LIBRARIES = ("curl/8.5.0", "python-requests/2.32.3", "Go-http-client/1.1", "okhttp/4.12.0", "Wget/1.21.4", "")
_MONITOR = "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"
_FEED_READERS = (
    "Feedbin feed-id:1374 - 12 subscribers",
    "Mozilla/5.0 (compatible; Miniflux/2.2.9; +https://miniflux.app)",
    "NetNewsWire (RSS Reader; https://netnewswire.com/)",
)

# Page -> where its links lead. What stands first is where most people land.
_LINKS = {
    "/": ("/pricing", "/docs/", "/blog/", "/docs/install", "/about"),
    "/blog/first-light": ("/blog/no-cookies", "/", "/docs/"),
    "/blog/no-cookies": ("/pricing", "/", "/blog/"),
    "/docs/install": ("/docs/rules", "/docs/", "/docs/api/events"),
    "/pricing": ("/signup", "/docs/", "/"),
    "/docs/": ("/docs/install", "/docs/rules"),
    "/docs/rules": ("/docs/install", "/docs/api/events", "/docs/"),
    "/blog/": ("/blog/first-light", "/blog/no-cookies"),
    "/docs/api/events": ("/docs/rules", "/docs/"),
    "/about": ("/", "/blog/caf%C3%A9-analytics"),
    "/blog/caf%C3%A9-analytics": ("/blog/", "/"),
    "/signup": ("/docs/install",),
}
_PAGES = tuple(_LINKS)
_LANDINGS = (30, 16, 12, 9, 7, 5, 4, 4, 3, 2, 2, 1)
_SHARED_ASSETS = ("/static/site.css?v=31", "/static/site.js?v=31", "/static/inter.woff2", "/static/logo.svg")
_PICTURES = ("/img/hero.avif", "/img/team.jpg", "/img/chart.png", "/favicon.ico", "/site.webmanifest")
_DOWNLOADS = ("/files/handbook.pdf", "/files/logship-1.0.zip")
_MISSING = ("/old-pricing", "/blog/frist-light", "/docs/instal")
_PROBES = ("/wp-login.php", "/.env", "/.git/config", "/xmlrpc.php", "/phpmyadmin/", "/vendor/phpunit/eval-stdin.php")

# How visitors arrive: weight, referrer, what stands in the query.
_ARRIVALS = (
    (34, None, ""),
    (22, "https://www.google.com/", ""),
    (6, "https://duckduckgo.com/", ""),
    (4, "https://www.bing.com/", ""),
    (9, "https://news.ycombinator.com/", ""),
    (4, "https://www.reddit.com/", ""),
    (4, "https://t.co/Xy3kQ1", ""),
    (3, "https://github.com/someone/awesome-analytics", ""),
    (4, "https://chatgpt.com/", "utm_source=chatgpt.com"),
    (5, None, "utm_source=newsletter&utm_medium=email&utm_campaign=autumn"),
    (3, "https://www.google.com/", "gclid=Cj0KCQjw&utm_campaign=brand&utm_term=log+analytics"),
    (2, "https://l.facebook.com/", "fbclid=IwAR2x"),
    (2, "https://www.producthunt.com/", "ref=producthunt"),
)
_PAGES_OF_A_VISIT = (1, 1, 1, 2, 2, 3, 4, 6)


@dataclass(frozen=True, slots=True)
class Hit:
    """One request, and what it truly is: `PAGEVIEW`, ``download``, ``not_found``, or the reason to drop it."""

    time: float  # epoch seconds
    ip: str
    target: str
    kind: str
    user_agent: str
    referrer: str | None = None
    method: str = "GET"
    status: int = 200
    size: int = 5120

    @property
    def line(self) -> str:
        """The line as nginx and Apache write it by default (`combined`), without its line end."""
        when = clock.strftime("%d/%b/%Y:%H:%M:%S +0000", clock.gmtime(self.time))
        request = f"{self.method} {self.target} HTTP/1.1"
        return (
            f'{self.ip} - - [{when}] "{request}" {self.status} {self.size}'
            f' "{self.referrer or "-"}" "{self.user_agent or "-"}"'
        )


class Site:
    """Visitors come and go, ``visits`` a second on average, from ``start`` (epoch seconds) on."""

    def __init__(
        self, *, start: float, seed: int = 1, visits: float = 5.0, origin: str = "https://demo.example"
    ) -> None:
        self._random = random.Random(seed)
        self._visits = visits
        self._origin = origin
        self._next_visit = start
        self._order = itertools.count()  # hits of the same instant stay in the order in which they were made up
        self._ahead: list[tuple[float, int, Hit]] = []

    def lines(self, now: float) -> Iterator[Hit]:
        """Yield what happened since the last call, in order of time."""
        while self._next_visit <= now:
            for hit in self._visit(self._next_visit):
                heapq.heappush(self._ahead, (hit.time, next(self._order), hit))
            self._next_visit += self._random.expovariate(self._visits)
        while self._ahead and self._ahead[0][0] <= now:
            yield heapq.heappop(self._ahead)[2]

    def _visit(self, start: float) -> Iterator[Hit]:
        [visitor] = self._random.choices(_VISITORS, _WEIGHTS)
        return visitor(self, start)

    def _person(self, start: float) -> Iterator[Hit]:
        """A session along the site's links, each page with what belongs to it; a download or a typo now and then."""
        ip, agent = self._address(), self._random.choice(PEOPLE)
        referrer, page, query = self._arrival()
        known: set[str] = set()  # what the browser has cached: it only asks whether that has changed
        for _ in range(self._random.choice(_PAGES_OF_A_VISIT)):
            target = f"{page}?{query}" if query else page
            yield self._page(start, ip, agent, target, referrer, known)
            address = self._origin + target
            yield from self._assets(start, ip, agent, address, known)
            yield from self._aside(start + 0.8, ip, agent, address)
            start += self._random.uniform(1.0, 4.0)
            referrer, page, query = address, self._random.choice(_LINKS[page]), ""

    def _arrival(self) -> tuple[str | None, str, str]:
        [page] = self._random.choices(_PAGES, _LANDINGS)
        [(_, referrer, query)] = self._random.choices(_ARRIVALS, [weight for weight, _, _ in _ARRIVALS])
        return referrer, page, query

    def _page(self, when: float, ip: str, agent: str, target: str, referrer: str | None, known: set[str]) -> Hit:
        unchanged = target in known
        known.add(target)
        size = 0 if unchanged else self._random.randint(4_000, 40_000)
        return Hit(when, ip, target, PAGEVIEW, agent, referrer, status=304 if unchanged else 200, size=size)

    def _assets(self, when: float, ip: str, agent: str, page: str, known: set[str]) -> Iterator[Hit]:
        shared = [asset for asset in _SHARED_ASSETS if asset not in known]
        for asset in (*shared, *self._random.sample(_PICTURES, 2)):
            status = 304 if asset in known else 200
            known.add(asset)
            yield Hit(when + self._random.uniform(0.05, 0.4), ip, asset, "asset", agent, page, status=status)

    def _aside(self, when: float, ip: str, agent: str, page: str) -> Iterator[Hit]:
        dice = self._random.random()
        if dice < 0.07:
            yield Hit(when, ip, self._random.choice(_DOWNLOADS), "download", agent, page, size=2_400_000)
        elif dice < 0.11:
            yield Hit(when, ip, self._random.choice(_MISSING), "not_found", agent, page, status=404, size=312)
        elif dice < 0.15:
            yield Hit(when, ip, "/api/newsletter", "method", agent, page, method="POST", status=204, size=0)
        elif dice < 0.18:
            yield Hit(when, ip, "/docs", "status", agent, page, status=301, size=162)

    def _crawler(self, start: float) -> Iterator[Hit]:
        ip, agent = self._address(), self._random.choice(CRAWLERS)
        yield Hit(start, ip, "/robots.txt", "robots", agent, size=68)
        if self._random.random() < 0.3:
            yield Hit(start + 0.4, ip, "/sitemap.xml", "sitemap", agent, size=2_210)
        for number, page in enumerate(self._random.sample(_PAGES, 3), 1):
            yield Hit(start + number, ip, page, "bot", agent, size=18_000)

    def _program(self, start: float) -> Iterator[Hit]:
        ip, agent = self._address(), self._random.choice(LIBRARIES)
        for number in range(2):
            yield Hit(start + number, ip, self._random.choice(("/", "/pricing")), "bot", agent, size=12_000)

    def _monitor(self, start: float) -> Iterator[Hit]:
        yield Hit(start, "192.0.2.254", "/", "method", _MONITOR, method="HEAD", size=0)

    def _feed_reader(self, start: float) -> Iterator[Hit]:
        yield Hit(start, self._address(), "/feed.xml", "feed", self._random.choice(_FEED_READERS), size=9_400)

    def _scanner(self, start: float) -> Iterator[Hit]:
        """Wears a browser's name; what gives it away is what it asks for."""
        ip, agent = self._address(), self._random.choice(PEOPLE)
        for number, probe in enumerate(self._random.sample(_PROBES, 4)):
            yield Hit(start + number * 0.1, ip, probe, "status", agent, status=404, size=146)
        yield Hit(start + 0.5, ip, "/xmlrpc.php", "method", agent, method="POST", status=405, size=0)
        yield Hit(start + 0.6, ip, "*", "method", agent, method="OPTIONS", status=405, size=0)

    def _address(self) -> str:
        """An address of the documentation ranges (RFC 5737, RFC 3849): nobody's, so that nobody is counted."""
        if self._random.random() < 0.25:
            return f"2001:db8:{self._random.randrange(1, 0xFFFF):x}::{self._random.randrange(1, 0xFFFF):x}"
        return f"{self._random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{self._random.randrange(1, 255)}"


_VISITORS: tuple[Callable[[Site, float], Iterator[Hit]], ...] = (
    Site._person,  # the class's own table
    Site._crawler,
    Site._program,
    Site._scanner,
    Site._monitor,
    Site._feed_reader,
)
_WEIGHTS = (62, 15, 9, 6, 4, 4)


class LogWriter:
    """Appends hits to a log file, and rotates it as nginx and logrotate do together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open(path)
        self._renamed = False

    def write(self, hits: Iterable[Hit]) -> int:
        """Append the hits in one write, and return their number."""
        lines = [hit.line.encode() + b"\n" for hit in hits]
        self._file.write(b"".join(lines))
        if self._renamed:
            self._reopen()
        return len(lines)

    def rotate(self) -> None:
        """Rename the log to ``.1``. One more write still goes there: nginx needs a moment to notice its signal."""
        self._path.rename(f"{self._path}.1")
        self._renamed = True

    def close(self) -> None:
        """Close the file. After a rotation without a write there is a new, empty log."""
        if self._renamed:
            self._reopen()
        self._file.close()

    def _reopen(self) -> None:
        self._file.close()
        self._file = _open(self._path)
        self._renamed = False


def _open(path: Path) -> BinaryIO:
    return path.open("ab", buffering=0)
