"""Compression is told by the first bytes, never by the name."""

import bz2
import errno
import gzip
import io
import lzma
import struct
import sys
from pathlib import Path

import pytest

from logship import compressed
from logship.errors import LogshipError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    zstd = pytest.importorskip("backports.zstd", reason="a dependency that is not installed; make .venv/.dev")

LOG = b"".join(b"a line, and another: %d\n" % number for number in range(20_000))
PACKED = {
    "gzip": gzip.compress(LOG),
    "bzip2": bz2.compress(LOG),
    "xz": lzma.compress(LOG),
    "zstd": zstd.compress(LOG),
}


@pytest.mark.parametrize("data", [LOG, *PACKED.values()], ids=["plain", *PACKED])
def test_log_is_read_whatever_it_is_compressed_with(data: bytes) -> None:
    """Every compression, and none, give the same bytes."""
    assert compressed.reader(io.BytesIO(data)).read() == LOG


@pytest.mark.parametrize("name", PACKED)
def test_first_bytes_tell(name: str) -> None:
    """The magic is enough; what is too short, or is text, is plain."""
    assert compressed.kind(PACKED[name][: compressed.MAGIC_SIZE]) == name
    assert not compressed.kind(PACKED[name][:1])
    assert not compressed.kind(LOG[: compressed.MAGIC_SIZE])


def test_empty_log_is_empty() -> None:
    """No first bytes, no compression."""
    assert compressed.reader(io.BytesIO(b"")).read() == b""


@pytest.mark.parametrize("name", PACKED)
def test_a_pipe_is_read_too(name: str, tmp_path: Path) -> None:
    """What comes in at standard input can neither seek nor be longer than it is."""
    (tmp_path / "log").write_bytes(PACKED[name])
    with (tmp_path / "log").open("rb", buffering=0) as raw:
        stream = compressed.reader(io.BufferedReader(_Pipe(raw)))  # type: ignore[arg-type]
        assert stream.read(10) + stream.read() == LOG


class _Pipe(io.RawIOBase):
    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._raw.readinto(memoryview(buffer)[:7])


@pytest.mark.parametrize("name", PACKED)
def test_several_members_are_one_log(name: str) -> None:
    """`cat old.gz new.gz` is a compressed file as well."""
    assert compressed.reader(io.BytesIO(PACKED[name] * 2)).read() == LOG * 2


@pytest.mark.parametrize("name", PACKED)
def test_content_can_be_read_again_from_an_earlier_place(name: str) -> None:
    """Going back starts over."""
    stream = compressed.unpacked(io.BytesIO(PACKED[name]), name)
    stream.seek(300_000)
    assert stream.read(10) == LOG[300_000:300_010]
    stream.seek(5)
    assert stream.read(10) == LOG[5:15]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("damage", ["cut", "middle"])
def test_damage_is_one_error_whatever_the_compression(name: str, damage: str) -> None:
    """A file that is still being compressed, or has a bad block, is an OSError that says so, after what was whole."""
    packed = bytearray(PACKED[name])
    if damage == "cut":
        del packed[-len(packed) // 3 :]
    else:
        middle = len(packed) // 2
        packed[middle : middle + 64] = bytes(64)
    with pytest.raises(OSError, match="damaged or not complete") as caught:
        compressed.unpacked(io.BytesIO(packed), name).read()
    assert caught.value.errno == errno.EILSEQ


def test_zstd_skippable_frames_are_passed_over() -> None:
    """pzstd and seekable zstd write frames that hold no content: RFC 8878, 3.1.2."""
    frame = struct.pack("<II", 0x184D2A50, 4) + b"meta"
    assert compressed.reader(io.BytesIO(PACKED["zstd"] + frame + PACKED["zstd"])).read() == LOG * 2


def test_zstd_without_its_library_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never parsed as text."""
    monkeypatch.setitem(sys.modules, "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", None)
    if sys.version_info < (3, 14):
        monkeypatch.setattr("backports.zstd", None, raising=False)
        monkeypatch.delattr("backports.zstd")
    with pytest.raises(LogshipError, match=r"backports\.zstd is not installed.*zstdcat"):
        compressed.reader(io.BytesIO(PACKED["zstd"]))
