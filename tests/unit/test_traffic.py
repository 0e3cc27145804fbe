"""The made-up site: the same life for the same seed, lines that are lines, and a log that rotates like nginx's."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from logship import traffic
from logship.traffic import Hit, LogWriter, Site

START = 1_760_000_000.0
COMBINED = re.compile(
    r'\S+ - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "[A-Z]+ \S+ HTTP/1\.1" \d{3} \d+ "[^"]+" "[^"]+"'
)


def a_minute(seed: int = 1) -> list[Hit]:
    return list(Site(start=START, seed=seed).lines(START + 60))


def test_the_same_seed_gives_the_same_life() -> None:
    """A demo can be repeated, and a test can rely on it."""
    assert a_minute() == a_minute()
    assert a_minute(seed=1) != a_minute(seed=2)


def test_asking_often_or_once_gives_the_same_lines() -> None:
    """What happened does not depend on how often somebody looked."""
    site = Site(start=START)
    often = [hit for tenth in range(601) for hit in site.lines(START + tenth / 10)]
    assert often == a_minute()


def test_hits_come_in_the_order_of_time() -> None:
    """A log is written as things happen, and nothing of the future is in it."""
    hits = a_minute()
    assert all(one.time <= two.time for one, two in pairwise(hits))
    assert all(START <= hit.time <= START + 60 for hit in hits)


def test_every_line_is_combined() -> None:
    """Each hit is a line of the format that nginx and Apache write by default."""
    assert all(COMBINED.fullmatch(hit.line) for hit in a_minute())


def test_all_kinds_of_visitors_come() -> None:
    """People, their downloads and their typos; crawlers, programs and scanners."""
    kinds = Counter(hit.kind for hit in a_minute())
    drops = {"asset", "bot", "robots", "sitemap", "feed", "status", "method"}
    assert kinds.keys() == {"pageview", "download", "not_found"} | drops
    assert kinds["asset"] > kinds["pageview"] > kinds["bot"] > 0


def test_only_people_make_pageviews() -> None:
    """The truth beside the line is the truth: no machine's User-Agent under a page view."""
    agents = {hit.user_agent for hit in a_minute() if hit.kind == traffic.PAGEVIEW}
    assert agents <= set(traffic.PEOPLE)
    assert not set(traffic.PEOPLE) & {*traffic.CRAWLERS, *traffic.LIBRARIES}


def test_a_session_follows_the_sites_links() -> None:
    """Who looks at a second page comes from the first, and the first of a visit is not from here."""
    by_visitor: dict[tuple[str, str], list[Hit]] = {}
    for hit in a_minute():
        if hit.kind == traffic.PAGEVIEW:
            by_visitor.setdefault((hit.ip, hit.user_agent), []).append(hit)
    assert max(map(len, by_visitor.values())) > 3
    for pages in by_visitor.values():
        assert not (pages[0].referrer or "").startswith("https://demo.example")
        assert all(two.referrer == f"https://demo.example{one.target}" for one, two in pairwise(pages))


def test_visitors_arrive_in_many_ways() -> None:
    """Searches, links, campaigns, advertisements, and from nowhere."""
    views = [hit for hit in a_minute() if hit.kind == traffic.PAGEVIEW]
    assert len({hit.referrer for hit in views if not (hit.referrer or "").startswith("https://demo.example")}) >= 8
    assert {"utm_campaign=autumn", "gclid", "ref=producthunt"} <= {
        tag for tag in ("utm_campaign=autumn", "gclid", "ref=producthunt") if any(tag in hit.target for hit in views)
    }
    assert {hit.status for hit in views} == {200, 304}


def test_nobody_is_at_home_at_the_addresses() -> None:
    """Addresses are of the documentation ranges only."""
    assert all(hit.ip.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:")) for hit in a_minute())


def test_the_writer_rotates_as_nginx_does(tmp_path: Path) -> None:
    """After the rename one more write goes to the old file; then a new one is there, and no line is lost."""
    log = tmp_path / "access.log"
    hits = a_minute()
    writer = LogWriter(log)
    writer.write(hits[:10])
    writer.rotate()
    assert not log.exists()
    assert writer.write(hits[10:15]) == 5
    writer.write(hits[15:40])
    writer.close()
    lines = [line for name in ("access.log.1", "access.log") for line in (tmp_path / name).read_text().splitlines()]
    assert lines == [hit.line for hit in hits[:40]]
    assert len((tmp_path / "access.log.1").read_text().splitlines()) == 15
