"""Counts that reach the metrics complete, and the alarm when Plausible drops everything."""

import random

import pytest

from logship.dispatcher.tally import OTHER, Tally
from logship.metrics import Metrics
from logship.records import Delivered, Delivery, Event, Outcome, TryAgain

KEPT, DROPPED = Delivered(), Delivered(202, 1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def tally(metrics: Metrics) -> Tally:
    return Tally(metrics, "plausible")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"logship_{name}", {"destination": "plausible"} | labels)


def samples(metrics: Metrics) -> dict[tuple[str, str | None], float]:
    (seconds,) = metrics.request_seconds.collect()
    return {(s.name, s.labels.get("le")): s.value for s in seconds.samples if not s.name.endswith("_created")}


def accept(tally: Tally, verdict: Delivered, number: int, domain: str = "example.com") -> list[bool | None]:
    return [tally.delivered(domain, verdict, 0.001, 1) for _ in range(number)]


def test_seconds_are_added_as_if_each_had_been_observed(metrics: Metrics, tally: Tally) -> None:
    """Adding a histogram's observations in bulk uses prometheus_client's insides: they must mean the same."""
    seconds = [random.Random(1).expovariate(20.0) for _ in range(500)] + [0.001, 0.25, 15.0, 99.0]
    plain = Metrics()
    for each in seconds:
        tally.delivered("example.com", KEPT, each, 1)
        plain.request_seconds.labels("plausible").observe(each)
    tally.flush()
    assert samples(metrics) == pytest.approx(samples(plain))


def test_many_at_once_count_as_each_alone(metrics: Metrics, tally: Tally) -> None:
    """Drops among the last fifty, alarms that end, retries, several domains: counted together or one by one."""
    dice, plain = random.Random(4), Tally(Metrics(), "plausible")
    for _ in range(30):
        domains = dice.choices(["a.example", "b.example", "a.example,b.example"], k=dice.randint(1, 40))
        deliveries = [
            Delivery("p", Event("pageview", each, "", "", ""), attempts=dice.randint(1, 2)) for each in domains
        ]
        verdict = dice.choice([KEPT, DROPPED, DROPPED])
        news = [plain.delivered(each.event.domain, KEPT, 0.01, each.attempts) for each in deliveries]
        told = tally.accepted(deliveries, [0.01] * len(deliveries))
        assert sorted(alarm for _, alarm in told) == sorted(alarm for alarm in news if alarm is not None)
        assert tally.dropping() == plain.dropping()
        for each in (tally, plain):
            for domain in set(domains):
                accept(each, verdict, 30, domain)
    tally.flush()
    plain.flush()
    assert tally.totals == plain.totals
    assert tally.totals["retries"]


def test_flush_adds_each_count_once(metrics: Metrics, tally: Tally) -> None:
    """What was flushed is not counted again, and the totals keep it for the status."""
    for _ in range(2):
        accept(tally, KEPT, 3)
        tally.failed(TryAgain("timeout: no answer within 15 s", ambiguous=True), 15.0, 1)
        tally.failed(TryAgain("answered 503", status=503), 0.1, 2)
        tally.settled(Outcome.EXPIRED)
        tally.flush()
    tally.flush()
    assert value(metrics, "events_total", outcome="delivered") == 6
    assert value(metrics, "events_total", outcome="expired") == 2
    assert value(metrics, "answers_total", status="202") == 6
    assert value(metrics, "answers_total", status="timeout") == 2
    assert value(metrics, "answers_total", status="503") == 2
    assert value(metrics, "retries_total") == 2
    assert value(metrics, "events_ambiguous_total") == 2
    assert tally.totals["delivered"] == 6
    assert tally.totals["ambiguous"] == 2


def test_alarm_rises_once_when_nearly_all_of_the_last_fifty_were_dropped(tally: Tally) -> None:
    """People have lost weeks to a wrong domain that answered 202."""
    assert accept(tally, DROPPED, 49) == [None] * 49
    assert accept(tally, DROPPED, 51) == [True] + [None] * 50
    assert tally.dropping() == ["example.com"]


def test_alarm_rises_however_long_all_was_well_before(tally: Tally) -> None:
    """A plan that ran out after a year is noticed within fifty events."""
    accept(tally, KEPT, 10_000)
    assert True in accept(tally, DROPPED, 50)


def test_no_alarm_for_spam_among_the_good(tally: Tally) -> None:
    """Logs are full of spam referrers; that Plausible drops them is harmless."""
    mixed = [answer for _ in range(50) for answer in accept(tally, DROPPED, 9) + accept(tally, KEPT, 1)]
    assert not any(mixed)


def test_alarm_ends_when_half_is_kept_again(tally: Tally) -> None:
    """Once, and it can rise again."""
    accept(tally, DROPPED, 60)
    assert [answer for answer in accept(tally, KEPT, 60) if answer is not None] == [False]
    assert tally.dropping() == []
    assert True in accept(tally, DROPPED, 60)


def test_domains_are_watched_apart(metrics: Metrics, tally: Tally) -> None:
    """One site's wrong domain does not hide behind another's good one."""
    for _ in range(60):
        accept(tally, DROPPED, 1, "wrong.example")
        accept(tally, KEPT, 1, "right.example")
    tally.flush()
    assert tally.dropping() == ["wrong.example"]
    assert value(metrics, "events_plausible_dropped_total", domain="wrong.example") == 60
    assert value(metrics, "events_plausible_dropped_total", domain="right.example") is None


def test_a_dropped_count_beyond_the_sites_of_an_event_is_not_believed(metrics: Metrics, tally: Tally) -> None:
    """x-plausible-dropped says for how many of the listed sites."""
    accept(tally, Delivered(202, 9000), 1, "a.example,b.example")
    tally.flush()
    assert value(metrics, "events_plausible_dropped_total", domain="a.example,b.example") == 2


def test_endless_domains_share_one_name(metrics: Metrics, tally: Tally) -> None:
    """Hosts of the log are chosen by strangers: memory and metrics stay bounded."""
    for number in range(1200):
        accept(tally, DROPPED, 1, f"{number}.example")
    tally.flush()
    assert value(metrics, "events_plausible_dropped_total", domain=OTHER) == 200
