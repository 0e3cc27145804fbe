"""Visitors and visits of a dry run are those that the receiver, and so Plausible, would count."""

import random
from collections import Counter
from dataclasses import fields

import pytest

from logship.explain.visits import Visits
from logship.receiver import values, visits
from logship.records import Delivery, Event

START = 1760054400.0  # 10 October 2025, midnight UTC


def delivery(at, name="pageview", *, ip="203.0.113.7", agent="Firefox", url="https://example.com/", interactive=None):
    return Delivery("plausible", Event(name, "example.com", url, agent, ip, interactive=interactive), START + at)


def counted(*deliveries):
    found = Visits()
    found.add(deliveries)
    return found.sites["example.com"]


def test_a_pause_of_31_minutes_ends_a_visit():
    """Plausible counts whole minutes, up to 30: a second less is the same visit, 31 minutes are another."""
    assert counted(delivery(0), delivery(31 * 60 - 1)).visits == 1
    assert counted(delivery(0), delivery(31 * 60)).visits == 2


def test_who_comes_back_tomorrow_is_another_visitor():
    """The salt is new every day; a visit over midnight goes on, and its visitor is counted on both days."""
    figures = counted(delivery(86400 - 60), delivery(86400 + 60))
    assert (figures.visitors, figures.visits) == (2, 1)


def test_subdomains_share_their_visitors():
    """The registrable domain names the visitor, so the shop's guest is the blog's."""
    figures = counted(delivery(0, url="https://shop.example.com/"), delivery(1, url="https://blog.example.com/"))
    assert (figures.visitors, figures.visits) == (1, 1)


def test_an_event_without_a_time_counts_as_event_alone():
    """A log without times tells nothing of visits, and does not pretend to."""
    found = Visits()
    found.add([Delivery("plausible", Event("pageview", "example.com", "https://example.com/", "Firefox", "192.0.2.1"))])
    figures = found.sites["example.com"]
    assert (figures.events, figures.pageviews, figures.visitors, figures.visits) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("address", "inside"), [("10.1.2.3", 1), ("192.168.0.9", 1), ("172.15.0.1", 0), ("fd00::1", 1), ("2606:4700::1", 0)]
)
def test_an_address_that_no_visitor_from_outside_has_is_noticed(address, inside):
    """Whoever logs the proxy's address counts one visitor; the address gives it away."""
    found = Visits()
    found.add([delivery(0, ip=address)])
    assert found.inside == inside


def test_an_address_of_cloudflares_is_noticed():
    """Behind it stand all the visitors; somebody else's address is not counted."""
    found = Visits()
    found.add([delivery(0, ip=address) for address in ("172.64.0.9", "2606:4700::1", "203.0.113.7")])
    assert (found.cloudflare, found.inside) == (2, 0)


def test_the_busiest_visit_is_remembered():
    """It shows a machine that no list knows."""
    found = Visits()
    found.add([delivery(second, agent="Patient") for second in range(9)])
    found.add([delivery(10, agent="Brief")])
    assert found.busiest.events == 9
    assert found.busiest.who[2] == "Patient"


def test_figures_are_those_of_the_receiver():
    """A month of random events, folded by the receiver's own code, comes to the same visits, bounces and durations."""
    dice = random.Random(7)
    events, now = [], 0
    for _ in range(3000):
        now += dice.choice((1, 20, 200, 2000, 4000))
        who = f"203.0.113.{dice.randrange(9)}"
        name = dice.choice(("pageview", "pageview", "File Download", "404"))
        events.append(delivery(now, name, ip=who, interactive=dice.choice((None, None, False))))
    figures = counted(*events)
    assert figures.visits == len(folded(events))
    assert figures.bounces == sum(visit.bounce for visit in folded(events))
    assert figures.seconds == sum(visit.duration for visit in folded(events))
    assert figures.pageviews == sum(visit.pageviews for visit in folded(events))
    days = Counter((each.event.client_ip, each.time // 86400) for each in events)
    assert figures.visitors == len(days)


def folded(events):
    known, ended = visits.Visits(), {}
    for number, each in enumerate(events):
        event, now = each.event, int(each.time)
        blank = {field.name: "" for field in fields(values.Arrival)}
        arrival = values.Arrival(
            **blank
            | {"time": now, "site": "example.com", "name": event.name, "pathname": "/"}
            | {"interactive": int(event.interactive is not False)}
        )
        found = known.find("example.com", event.client_ip, now)
        visit = (
            visits.join(found, arrival, event.client_ip)
            if found is not None
            else visits.begin(number, arrival, event.client_ip)
        )
        known.put(visit)
        ended[visit.id] = visit
    return list(ended.values())
