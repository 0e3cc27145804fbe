"""The page to share asks nobody for anything, runs nothing, and shows nobody's address."""

import re
from html.parser import HTMLParser

import pytest

from logship.explain import foreseen, page
from logship.explain.survey import Surveyor

EVIL = "<img src=x onerror=alert(1)><script>alert(1)</script>"


@pytest.fixture
def made(planned, line):
    """The page on a log that holds all that a page must not show."""
    log = [
        line("/p?token=s3cret", ip="198.51.100.77", ref="https://other.example/?session=s3cret"),
        line(f"/{EVIL}"),
        line(f"/x.css?{EVIL}", ip="2001:db8:aaaa:bbbb::7"),
        line("/a.png", agent=f"{EVIL} of 198.51.100.77"),
        b"198.51.100.77 s3cret@example.com garbage\n",
        line("/gone", status=404, ip="198.51.100.78"),
    ]
    surveyor = Surveyor(next(iter(planned().sources.values())), foreseen.foresight())
    surveyor.add(b"".join(log))
    return page.html(surveyor.survey, f"{EVIL}.log")


def test_no_address_and_no_query_is_shown(made):
    """Neither in examples, nor in pages, nor of lines that were not understood."""
    assert "198.51.x.x" in made
    assert not re.search(r"198\.51\.100|aaaa:bbbb|s3cret|token", made)


def test_it_asks_for_nothing_and_runs_nothing(made):
    """No element can load or run anything, and the page's own policy forbids it besides."""

    tags, attributes = set(), set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)
            attributes.update(name for name, _ in attrs)

    Tags().feed(made)
    assert tags >= {"html", "style", "section", "code"}
    assert not tags & {"script", "img", "link", "iframe", "form", "object"}
    assert not attributes & {"src", "href", "onerror", "onclick", "srcset", "action"}
    assert "default-src 'none'" in made
    assert "url(" not in made
    assert "@import" not in made


def test_strangers_markup_is_text(made):
    """The path, the User-Agent and the file's name are escaped."""
    assert "&lt;img src=x" in made
    assert "<img" not in made
