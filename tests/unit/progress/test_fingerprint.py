import pytest

from logship.progress.fingerprint import BEFORE, HEAD, Anchor, Fingerprint

LINE = b'203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET /p HTTP/1.1" 200 512 "-" "Mozilla/5.0"\n'


def test_file_that_grew_still_matches():
    """A head that is longer than the fingerprint is compared over the fingerprint's length."""
    assert Fingerprint.of(LINE).matches(LINE * 40)


@pytest.mark.parametrize("head", [b"", LINE[:-1], b"x" + LINE, LINE[:-2] + b"?\n"])
def test_shorter_or_other_file_does_not_match(head: bytes):
    """A file that is shorter, or begins otherwise, is not the one we left."""
    assert not Fingerprint.of(LINE).matches(head)


def test_fingerprint_looks_at_the_first_kib_only():
    """What comes after 1 KiB does not matter, so that a big file costs no more than a small one."""
    head = LINE * 40
    assert Fingerprint.of(head) == Fingerprint.of(head[:HEAD]) == Fingerprint.of(head[:HEAD] + b"other")
    assert Fingerprint.of(head).length == HEAD


def test_fingerprint_grows_with_the_file():
    """As the file grows up to 1 KiB, the proof grows; after that it stays."""
    young = Fingerprint.of(LINE)
    older = young.grown(LINE * 2)
    assert older == Fingerprint.of(LINE * 2)
    full = older.grown(LINE * 40)
    assert full == Fingerprint.of(LINE * 40)
    assert full.grown(LINE * 80) is full


def test_fingerprint_does_not_grow_over_another_file():
    """A head that does not match is no reason to believe it."""
    young = Fingerprint.of(LINE)
    assert young.grown(b"other" * 100) is young
    assert young.grown(LINE) is young
    assert young.grown(LINE[:5]) is young


def test_empty_file_proves_nothing():
    """The fingerprint of an empty file matches any, and grows with the first bytes."""
    empty = Fingerprint.of(b"")
    assert empty.length == 0
    assert empty.matches(b"")
    assert empty.matches(LINE)
    assert empty.grown(LINE) == Fingerprint.of(LINE)


def test_anchor_matches_the_bytes_before_an_offset():
    """The last 256 bytes decide; how much more is handed over does not matter."""
    before = LINE * 10
    anchor = Anchor.of(before)
    assert anchor.length == BEFORE
    assert anchor == Anchor.of(before[-BEFORE:])
    assert anchor.matches(before)
    assert anchor.matches(before[-BEFORE:])
    assert anchor.matches(b"any" + before)


def test_anchor_refuses_other_and_too_few_bytes():
    """A file that was truncated and grew back to the same size is noticed."""
    anchor = Anchor.of(LINE * 10)
    assert not anchor.matches((LINE * 10).replace(b"/p", b"/q"))
    assert not anchor.matches((LINE * 10)[-BEFORE + 1 :])
    assert not anchor.matches(b"")


def test_anchor_before_the_beginning_matches_always():
    """Before offset 0 there is nothing to prove; a short file's anchor covers what there is."""
    assert Anchor.of(b"").matches(b"")
    assert Anchor.of(b"").matches(LINE)
    assert Anchor.of(b"abc") == Anchor(3, Anchor.of(b"abc").digest)
    assert Anchor.of(b"abc").matches(b"xabc")
