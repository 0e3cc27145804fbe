"""The page at `/`: what it says of a daemon, in words and bars, and that it is a page without its script."""

import copy
import re
from html.parser import HTMLParser

import pytest

from logship.admin.page import render

STATUS = {
    "version": "1.2.3",
    "pid": 42,
    "started": 1000.0,
    "config": "/etc/logship/logship.yaml",
    "ready": True,
    "stopping": False,
    "checkpoint_saved": True,
    "sources_without_files": [],
    "unsettled_lines": 2,
    "oldest_unsettled_seconds": 3.0,
    "reload": {"number": 1, "hash": "abcdef012345678", "at": 1000.0, "problems": [], "changes": []},
    "rates": {
        "window": 10,
        "lines_per_second": 120.0,
        "events_per_second": 12.5,
        "history": {"step": 5, "steps": 60, "lines": [100.0, 140.0], "events": [10.0, 15.0]},
    },
    "files": [
        {
            "source": "shop",
            "path": "/var/log/shop.log",
            "size": 4096,
            "offset": 1024,
            "behind": 3072,
            "state": "following",
        }
    ],
    "destinations": [
        {
            "name": "plausible",
            "url": "https://plausible.io/api/event",
            "state": "ok",
            "cause": None,
            "retry_in": None,
            "queued": 1,
            "in_flight": 1,
            "counts": {"delivered": 1234567, "retries": 3, "ambiguous": 0},
            "dropping": [],
            "last_error": None,
        }
    ],
    "lines": {
        "shop": {"read": 900, "events": 100, "dropped": 700, "unparsed": 50, "expired": 50},
        "blog": {"read": 100, "events": 0, "dropped": 100, "unparsed": 0, "expired": 0},
    },
    "reasons": {
        "shop": {"dropped": {"asset": 600, "bot": 100}, "unparsed": {"format": 50}},
        "blog": {"dropped": {"bot": 100}, "unparsed": {}},
    },
}


def page(**changes):
    return render(copy.deepcopy(STATUS) | changes, 4720.0)


def funnel(**changes):
    """Return (label, x, width, lines, share) of each row."""
    row = re.compile(
        r'<th scope="row">([^<]*)</th><td class="pic">.*?x="([\d.]+)" width="([\d.]+)".*?<td class="n">([\d,]+)</td>'
        r'<td class="n">([^<]*)</td>'
    )
    return row.findall(page(**changes))


def test_the_funnel_takes_each_reason_off_what_is_left():
    """Bars step down from all lines to the events: each begins where the lines left after it end."""
    assert funnel() == [
        ("Lines read", "0.0", "1000.0", "1,000", "100 %"),
        ("Dropped: asset", "400.0", "600.0", "600", "60 %"),
        ("Dropped: bot", "200.0", "200.0", "200", "20 %"),
        ("Expired: older than max_event_age", "150.0", "50.0", "50", "5 %"),
        ("Unparsed: format", "100.0", "50.0", "50", "5 %"),
        ("Lines that became events", "0.0", "100.0", "100", "10 %"),
    ]


def test_rare_reasons_share_a_bar():
    """Rules name reasons as they like; the picture stays a picture."""
    reasons = {"shop": {"dropped": {f"reason{n}": 100 - n for n in range(40)}, "unparsed": {}}}
    labels = [row[0] for row in funnel(reasons=reasons, lines={"shop": {"read": 5000, "expired": 0}})]
    assert len(labels) == 18
    assert labels[-2].endswith("other reasons")


def test_what_is_there_can_be_seen():
    """One line in a million is still a sliver, and not nothing."""
    reasons = {"shop": {"dropped": {"bot": 1}, "unparsed": {}}}
    lines = {"shop": {"read": 1_000_000, "expired": 0}}
    assert funnel(reasons=reasons, lines=lines)[1] == ("Dropped: bot", "997.0", "3.0", "1", "&lt; 0.1 %")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "Delivering, catching up"),
        ({"ready": False}, "Not ready"),
        ({"ready": False, "stopping": True}, "Stopping"),
        ({"checkpoint_saved": False}, "The checkpoint cannot be saved"),
        ({"files": []}, "No file is followed"),
        (
            {"files": [{"source": "s", "path": "/x.log", "state": "unreadable", "error": "Permission denied"}]},
            "/x.log: Permission denied",
        ),
        (
            {"destinations": [STATUS["destinations"][0] | {"dropping": ["shop.example"]}]},
            "plausible drops nearly all events for shop.example",
        ),
        (
            {
                "destinations": [
                    STATUS["destinations"][0]
                    | {
                        "state": "backing off",
                        "cause": "down",
                        "retry_in": 12.0,
                        "last_error": {"time": "2026-11-22T02:46:04+00:00", "status": 502, "reason": "HTTP 502"},
                    }
                ]
            },
            "backing off (down), tried again in 12 s",
        ),
        ({"sources_without_files": ["blog", "shop"]}, "No file fits the path of: blog, shop."),
        (
            {"reload": STATUS["reload"] | {"problems": ["logship.yaml:3:1: destinatons: unknown key"]}},
            "logship.yaml:3:1: destinatons: unknown key",
        ),
        ({"reload": STATUS["reload"] | {"number": 2, "changes": ['rule "a" added']}}, "rule &quot;a&quot; added"),
        ({"reload": STATUS["reload"] | {"number": 2}}, "read again 1 h 2 min ago; hash abcdef012345"),
        ({}, "1.2.3, pid 42, up 1 h 2 min"),
        ({}, "1,234,567"),
        ({"lines": {}}, "No line was read yet"),
    ],
)
def test_it_says_what_there_is_to_say(changes, told):
    """State, faults, and what the last reload brought."""
    assert told in page(**changes)


def test_all_is_well_raises_no_alarm():
    """Red is for what somebody must do."""
    assert 'class="alarm"' not in page()


class Outline(HTMLParser):
    """What a screen reader, or a browser without scripts and styles, has to go by."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_it_is_made_for_eyes_ears_and_keyboards():
    """Language, headings in order, cells that name their row and column, pictures that are told as figures."""
    outline = Outline(page(ready=False))
    assert outline.all("html") == [{"lang": "en"}]
    headings = [tag for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert headings == ["h1", *["h2"] * 6]
    ids = [each["id"] for _, each in outline.tags if "id" in each]
    assert len(ids) == len(set(ids))
    assert {each["aria-labelledby"] for each in outline.all("section") if "aria-labelledby" in each} <= set(ids)
    assert all(each.get("scope") in ("row", "col") for each in outline.all("th"))
    assert all(each["aria-hidden"] == "true" for each in outline.all("svg"))
    scrolled = [each for each in outline.all("div") if each.get("class") == "scroll"]
    assert all(each["tabindex"] == "0" and each["role"] == "region" for each in scrolled)
    assert [each["role"] for _, each in outline.tags if each.get("data-part") == "state"] == ["status"]


def test_it_is_whole_by_itself():
    """No address of anything else but its own views; without a script it asks for itself again."""
    text = page()
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,", "status", "metrics", "healthz", "readyz"]
    assert "url(" not in text
    assert " style=" not in text
    assert re.search(r'<noscript><meta http-equiv="refresh" content="\d+"></noscript>', text)


def test_it_escapes_what_strangers_wrote():
    """Paths, names, reasons, errors and problems are text, whatever is in them."""
    evil = "<script>alert('1')</script>\"'&"
    text = page(
        config=evil,
        version=evil,
        files=[{"source": evil, "path": evil, "state": evil, "error": evil}],
        destinations=[
            STATUS["destinations"][0]
            | {
                "name": evil,
                "url": evil,
                "state": evil,
                "cause": evil,
                "counts": {evil: 1},
                "dropping": [evil],
                "last_error": {"time": evil, "status": evil, "reason": evil},
            }
        ],
        reasons={evil: {evil: {evil: 3}}},
        reload={"number": 2, "hash": evil, "at": 0.0, "problems": [evil], "changes": [evil]},
    )
    assert text.count("<script>") == 1
    assert "alert('" not in text
    assert page(reload={"number": 2, "hash": evil, "at": 0.0, "problems": [], "changes": [evil]}).count("<script>") == 1


def test_every_cell_says_what_it_is_where_headings_do_not_fit():
    """On a phone a row of destinations or files is a list; what a heading says stands at each of its values."""
    drawn = render(STATUS, now=1060.0)
    for label in ("state", "delivered", "waiting", "last error", "besides", "behind", "read", "size", "source"):
        assert f'<td data-label="{label}"' in drawn
