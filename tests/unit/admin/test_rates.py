"""How fast it goes, from totals noted once a second."""

from logship.admin.rates import Rates


def noted(seconds, lines=100, events=10):
    rates = Rates()
    for second in range(seconds + 1):
        rates.note(1000.0 + second, second * lines, second * events)
    return rates.as_json()


def test_a_steady_flow_is_its_rate():
    """Now, and in each step of the history."""
    told = noted(20)
    assert (told["lines_per_second"], told["events_per_second"]) == (100.0, 10.0)
    assert told["history"]["events"] == [10.0] * 4


def test_nothing_noted_is_no_rate():
    """Nor is a single moment."""
    assert Rates().as_json()["lines_per_second"] == 0.0
    assert noted(0)["history"]["events"] == []


def test_now_is_the_last_ten_seconds():
    """A flow that ended long ago is history."""
    rates = Rates()
    for second in range(41):
        rates.note(float(second), min(second, 20) * 50, 0)
    told = rates.as_json()
    assert told["lines_per_second"] == 0.0
    assert told["history"]["lines"] == [50.0] * 4 + [0.0] * 4


def test_history_is_bounded():
    """Five minutes, however long it runs."""
    assert len(noted(4000)["history"]["lines"]) == 60


def test_a_burst_stays_where_it_was():
    """Steps are counted from the beginning, so a bar that is drawn does not change when the next second is noted."""
    rates = Rates()
    rates.note(0.0, 0, 0)
    for second in range(1, 13):
        rates.note(float(second), 0, 900)
        history = rates.as_json()["history"]["events"]
        assert history[0] == (900.0 / second if second < 5 else 180.0)
        assert not any(history[1:])
