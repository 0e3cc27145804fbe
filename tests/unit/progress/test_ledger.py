import pytest

from logship.progress.ledger import Ledger, Reach
from logship.records import Span


def begun(offset: int = 0) -> Ledger:
    ledger = Ledger()
    ledger.begin(1, offset)
    return ledger


def test_watermark_waits_for_the_slowest_delivery():
    """A later line that is settled does not move the watermark past an earlier one that is not."""
    ledger = begun()
    first, second = ledger.open(1, 0, 100, [(0, 1), (50, 1)])

    ledger.settle([second])
    assert ledger.watermark(1) == 0

    ledger.settle([first])
    assert ledger.watermark(1) == 100


def test_chunk_without_survivors_is_settled_at_once():
    """Bytes that no delivery depends on move the watermark as they are read."""
    ledger = begun(10)
    assert ledger.open(1, 10, 90, []) == []
    assert (ledger.watermark(1), ledger.read_to(1), ledger.unsettled(1)) == (90, 90, 0)


def test_chunk_without_survivors_waits_behind_an_open_line():
    """Dropped lines after an open one are settled, but the watermark stays before the open one."""
    ledger = begun()
    (span,) = ledger.open(1, 0, 10, [(5, 1)])
    ledger.open(1, 10, 20, [])
    assert ledger.watermark(1) == 5
    ledger.settle([span])
    assert ledger.watermark(1) == 20


def test_bytes_before_the_first_survivor_are_settled_at_once():
    """The watermark moves up to the first line that became a delivery."""
    ledger = begun()
    ledger.open(1, 0, 100, [(30, 1), (60, 2)])
    assert ledger.watermark(1) == 30


def test_a_span_reaches_to_the_next_survivor():
    """Spans tile what was read, from the first survivor to the end."""
    spans = begun().open(1, 0, 100, [(30, 1), (60, 2)])
    assert [(span.start, span.end, span.parts) for span in spans] == [(30, 60, 1), (60, 100, 2)]


def test_line_for_two_destinations_waits_for_both():
    """A span with two parts is open until both are settled."""
    ledger = begun()
    (span,) = ledger.open(1, 0, 10, [(0, 2)])
    ledger.settle([span])
    assert (ledger.watermark(1), ledger.unsettled(1)) == (0, 1)
    ledger.settle([span])
    assert (ledger.watermark(1), ledger.unsettled(1)) == (10, 0)


def test_late_ack_of_an_ended_file_moves_nothing():
    """An answer that arrives after its file was truncated and read anew is ignored, however often it comes."""
    ledger = begun()
    (span,) = ledger.open(1, 0, 10, [(0, 1)])
    ledger.end(1)
    ledger.begin(2, 0)
    ledger.open(2, 0, 10, [(0, 1)])
    ledger.settle([span])
    ledger.settle([span])
    assert ledger.files() == (2,)
    assert (ledger.watermark(2), ledger.unsettled(2)) == (0, 1)


def test_one_settled_twice_leaves_the_others_of_its_batch_settled():
    """Whoever made the mistake, the position on disk must not stand still for ever."""
    ledger = begun()
    spans = ledger.open(1, 0, 15, [(0, 1), (5, 1), (10, 1)])
    with pytest.raises(ValueError, match="bytes 0 to 5 of file 1 are settled already"):
        ledger.settle([spans[0], spans[0], spans[1], spans[2]])
    assert (ledger.watermark(1), ledger.unsettled(1)) == (15, 0)


@pytest.mark.parametrize("order", [(0,), (1, 0), (1,)])
def test_settling_once_too_often_is_an_error(order: tuple[int, ...]):
    """A span settled more often than it has parts is a fault of the caller, in the queue or out of it."""
    ledger = begun()
    spans = ledger.open(1, 0, 10, [(0, 1), (5, 1)])
    for index in order:
        ledger.settle([spans[index]])
    with pytest.raises(ValueError, match="are settled already"):
        ledger.settle([spans[order[0]]])
    assert ledger.unsettled(1) == 2 - len(order)


@pytest.mark.parametrize(("start", "end"), [(9, 20), (11, 20), (0, 10), (10, 9)])
def test_open_refuses_gaps_and_overlaps(start: int, end: int):
    """What is opened follows what was read: a gap would never be settled, an overlap twice."""
    ledger = begun()
    ledger.open(1, 0, 10, [])
    with pytest.raises(ValueError, match="file 1 is read to 10"):
        ledger.open(1, start, end, [])
    assert ledger.read_to(1) == 10


@pytest.mark.parametrize(
    "parts",
    [[(-1, 1)], [(10, 1)], [(11, 1)], [(5, 1), (5, 1)], [(5, 1), (4, 1)], [(0, 0)], [(0, 1), (5, -1)]],
)
def test_open_refuses_parts_that_are_no_lines(parts: list[tuple[int, int]]):
    """A line outside the chunk, out of order or without deliveries changes nothing."""
    ledger = begun()
    with pytest.raises(ValueError, match="not ascending lines"):
        ledger.open(1, 0, 10, parts)
    assert (ledger.read_to(1), ledger.unsettled(1), ledger.watermark(1)) == (0, 0, 0)


def test_a_file_begins_once():
    """A second begin would throw away open spans."""
    with pytest.raises(ValueError, match="begun already"):
        begun().begin(1, 5)


def test_unknown_file_is_an_error_except_for_settle_and_end():
    """Nobody may open or ask about a file that did not begin; ending it twice is harmless."""
    ledger = Ledger()
    for call in (ledger.watermark, ledger.read_to, ledger.unsettled, ledger.oldest):
        with pytest.raises(KeyError):
            call(7)
    ledger.settle([Span(7, 0, 1, 1)])
    ledger.end(7)


def test_oldest_is_when_the_first_open_line_was_read():
    """The oldest open span's time, per file and over all; None when nothing is open."""
    ledger = begun()
    ledger.begin(2, 0)
    assert ledger.oldest() is None
    (first,) = ledger.open(1, 0, 10, [(0, 1)], now=5.0)
    ledger.open(1, 10, 20, [], now=6.0)
    (second,) = ledger.open(1, 20, 30, [(25, 1)], now=7.0)
    ledger.open(2, 0, 10, [(0, 1)], now=6.5)
    assert (ledger.oldest(1), ledger.oldest(2), ledger.oldest()) == (5.0, 6.5, 5.0)
    assert ledger.unsettled() == 3

    ledger.settle([first])
    assert (ledger.oldest(1), ledger.oldest()) == (7.0, 6.5)
    ledger.settle([second])
    assert (ledger.oldest(1), ledger.oldest(), ledger.unsettled()) == (None, 6.5, 1)


def test_nothing_piles_up_when_nobody_asks():
    """Memory is that of the open spans, whether or not anyone ever asks for the oldest."""
    ledger = begun()
    for at in range(0, 10_000, 10):
        (span,) = ledger.open(1, at, at + 10, [(at, 1)], now=float(at))
        ledger.settle([span])
    entry = ledger._files[1]
    assert len(entry.spans) == 0
    assert len(entry.reads) <= 1


def test_lines_of_a_file_that_ended_meanwhile_are_still_delivered():
    """They were read, then it was truncated, and only then they are opened: they are no less true for that."""
    ledger = begun()
    ledger.open(1, 0, 10, [(0, 1)])
    ledger.end(1)
    (span,) = ledger.open(1, 10, 20, [(12, 1)])
    ledger.settle([span])
    assert ledger.unsettled() == 0
    with pytest.raises(KeyError):
        ledger.open(2, 0, 10, [])


def test_reach_names_what_is_open_up_to_where_it_was_read():
    """One line is stuck, all behind it are settled: a restart is told which one it is."""
    ledger = begun()
    first, second, third = ledger.open(1, 0, 30, [(0, 1), (10, 1), (20, 1)])
    ledger.settle([first, third])
    assert ledger.reach(1) == Reach(30, (10,))
    ledger.settle([second])
    assert ledger.reach(1) == Reach(30, ())
    assert [Reach(30, (10,)).settles(*line) for line in ((0, 10), (10, 20), (20, 30), (30, 40))] == [1, 0, 1, 0]
    assert not Reach(30, (10,)).settles(0, 20)  # other rules make one event of what was two lines


def test_reach_of_an_earlier_life_holds_until_it_was_read_again():
    """A second crash in the middle of it forgets nothing."""
    ledger = Ledger()
    ledger.begin(1, 10, Reach(90, (10, 40, 60)))
    assert ledger.reach(1) == Reach(90, (10, 40, 60))
    (span,) = ledger.open(1, 10, 50, [(40, 1)])
    assert ledger.reach(1) == Reach(90, (40, 60))
    ledger.settle([span])
    assert (ledger.reach(1), ledger.known(1)) == (Reach(90, (60,)), Reach(90, (10, 40, 60)))
    ledger.open(1, 50, 95, [(60, 1), (90, 1)])
    assert (ledger.reach(1), ledger.known(1)) == (Reach(95, (60, 90)), None)


def test_reach_is_bounded():
    """However much is open, what is saved of it is not: the rest is sent again."""
    ledger = begun()
    ledger.open(1, 0, 50_000, [(at, 1) for at in range(0, 50_000, 2)])
    reach = ledger.reach(1)
    assert (reach.end, len(reach.open), reach.open[-1]) == (20_000, 10_000, 19_998)


def test_nothing_piles_up_behind_a_line_that_is_stuck():
    """It may be stuck for a day while thousands a second are settled behind it, in ever so small chunks."""
    ledger = begun()
    stuck, later = ledger.open(1, 0, 10, [(0, 1), (5, 1)], now=1.0)
    for at in range(10, 1_000_000, 10):
        (span,) = ledger.open(1, at, at + 10, [(at, 1)], now=float(at))
        ledger.settle([span])
    assert len(ledger._files[1].spans) < 10_000
    assert len(ledger._files[1].reads) < 10_000
    assert (ledger.watermark(1), ledger.oldest(1), ledger.unsettled(1)) == (0, 1.0, 2)
    ledger.settle([stuck])
    assert (ledger.watermark(1), ledger.oldest(1)) == (5, 1.0)
    ledger.settle([later])
    assert (ledger.watermark(1), ledger.oldest(1), ledger.unsettled(1)) == (1_000_000, None, 0)
