"""Whole lines out of any blocks; every byte in one piece."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logship.source.lines import BLOCK, HOLE, LIMIT, Lines


def pieces(data, lines=None, step=BLOCK):
    """Feed a file that has grown to ``data``, as a reader does, until its end."""
    lines, found = lines or Lines(), []
    while True:
        size, at = lines.want()
        block = data[at : at + size]
        if piece := lines.feed(block):
            found.append(piece)
        elif len(block) < size:
            return found


def tiles(found, start=0):
    for piece in found:
        assert piece.start == start
        assert not piece.data or len(piece.data) == piece.end - piece.start
        start = piece.end
    return start


def test_whole_lines_and_the_rest_waits():
    """A partial line is held back until its end, and costs no memory meanwhile."""
    lines = Lines()
    assert [piece.data for piece in pieces(b"one\ntwo\nthr", lines)] == [b"one\ntwo\n"]
    assert (lines.offset, lines.seen) == (8, 11)
    assert pieces(b"one\ntwo\nthree", lines) == []
    assert [piece.data for piece in pieces(b"one\ntwo\nthree\n", lines)] == [b"three\n"]


def test_bytes_are_not_altered():
    """CR, NUL and bytes that are no UTF-8 are the parser's business."""
    data = b"a\r\n\0b\0\n\xff\xfe\n\n"
    assert [piece.data for piece in pieces(data)] == [data]


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT])
def test_line_at_the_limit_travels(length):
    """Up to and including 1 MiB, its end not counted."""
    data = b"before\n" + b"x" * length + b"\nafter\n"
    found = pieces(data)
    assert tiles(found) == len(data)
    assert b"".join(piece.data for piece in found) == data
    assert not any(piece.oversized for piece in found)


@pytest.mark.parametrize("length", [LIMIT + 1, LIMIT + BLOCK, 5 * LIMIT])
def test_line_over_the_limit_is_skipped_to_its_end(length):
    """Its neighbours are intact, its place is empty, and it is counted once."""
    data = b"before\n" + b"x" * length + b"\nafter\n"
    found = pieces(data)
    assert tiles(found) == len(data)
    assert [piece.data for piece in found] == [b"before\n", b"", b"after\n"]
    assert [piece.oversized for piece in found] == [0, 1, 0]


def test_line_over_the_limit_that_grows_slowly():
    """It is looked through once, not again at every growth."""
    lines, data = Lines(), b"x" * (LIMIT + BLOCK + 5)
    assert pieces(data, lines) == []
    assert lines.want() == (BLOCK, len(data))
    [piece] = pieces(data + b"y\n", lines)
    assert (piece.start, piece.end, piece.oversized) == (0, len(data) + 2, 1)


def test_hole_is_passed_over():
    """NULs that a truncation left make no line too long."""
    data = b"\0" * (3 * LIMIT) + b"text\n"
    found = pieces(data)
    assert tiles(found) == len(data)
    assert sum(piece.nuls for piece in found) + len(found[-1].data) == len(data)
    assert found[-1].data.strip(b"\0") == b"text\n"
    assert len(found[-1].data) < HOLE + 10
    assert not any(piece.oversized for piece in found)


def only_even(data):
    """Cut: two physical lines make one logical line."""
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    return ends[len(ends) // 2 * 2 - 1] if len(ends) > 1 else 0


def test_cut_holds_back_half_a_logical_line():
    """What the cut does not let go waits, and is passed on with the rest."""
    lines = Lines(0, only_even)
    assert [piece.data for piece in pieces(b"1a\n1b\n2a\n", lines)] == [b"1a\n1b\n"]
    assert [piece.data for piece in pieces(b"1a\n1b\n2a\n2b\n", lines)] == [b"2a\n2b\n"]


def test_cut_cannot_hold_back_more_than_the_limit():
    """A logical line that does not end is let go, whole physical lines of it."""
    data = b"x" * 999 + b"\n"
    found = pieces(data * 3000, Lines(0, lambda _: 0))
    assert found
    assert all(piece.data.endswith(b"\n") and len(piece.data) <= LIMIT + BLOCK for piece in found)


def test_rest_of_a_finished_file():
    """What is left without an end is passed on once; over the limit it is counted."""
    lines = Lines()
    pieces(b"one\ntwo", lines)
    assert lines.rest(b"two").data == b"two"
    assert lines.rest(b"") is None
    lines = Lines()
    pieces(b"x" * (2 * LIMIT), lines)
    rest = lines.rest(b"x" * (LIMIT + BLOCK))
    assert (rest.data, rest.end, rest.oversized) == (b"", 2 * LIMIT, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * BLOCK), max_size=8), st.lists(st.integers(0, 6 * BLOCK), max_size=6))
def test_any_lines_however_the_file_grows(lengths, growth):
    """Whatever the line lengths and however the file grows, the pieces give back the bytes of all whole lines."""
    data = b"".join(b"%d" % index * (length // len(str(index))) + b"\n" for index, length in enumerate(lengths))
    lines, found, size = Lines(), [], 0
    for more in [*growth, len(data)]:
        size = min(size + more, len(data))
        found += pieces(data[:size], lines)
    assert tiles(found) == len(data)
    assert b"".join(piece.data for piece in found) == data
