"""Compression is told by the first bytes, never by the name."""

import bz2
import gzip
import io
import lzma

import pytest

from logship import compressed
from logship.errors import LogshipError

LOG = b"a line\nanother\n"


@pytest.mark.parametrize("data", [LOG, gzip.compress(LOG), bz2.compress(LOG), lzma.compress(LOG)])
def test_log_is_read_whatever_it_is_compressed_with(data):
    """gzip, bzip2, xz and plain text give the same bytes."""
    assert compressed.reader(io.BytesIO(data)).read() == LOG


def test_empty_log_is_empty():
    """No first bytes, no compression."""
    assert compressed.reader(io.BytesIO(b"")).read() == b""


def test_zstd_is_refused_with_what_to_do():
    """Never parsed as text."""
    with pytest.raises(LogshipError, match="zstdcat"):
        compressed.reader(io.BytesIO(b"\x28\xb5\x2f\xfd rest"))
