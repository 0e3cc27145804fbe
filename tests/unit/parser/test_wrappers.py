"""What surrounds a line is taken off, and partial lines are joined within a chunk."""

from __future__ import annotations

import json

import orjson
import pytest

from logship.parser import client, formats, record, wrappers
from logship.records import Record, Unparsed

LINE = b'203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET /p HTTP/1.1" 200 512 "-" "UA"'
CRI = b"2025-10-10T13:55:36.123456789Z stdout F "
WRAPPED = {
    "docker": orjson.dumps({"log": LINE.decode() + "\n", "stream": "stdout", "time": "2025-10-10T13:55:36.1Z"}),
    "cri": CRI + LINE,
    "cri with tags": CRI.replace(b"F", b"F:x") + LINE,
    "syslog": b"<190>Oct 10 13:55:36 web nginx: " + LINE,
    "syslog without host": b"<190>Oct 10 13:55:36 nginx: " + LINE,
    "syslog of rsyslog": b"Oct  1 13:55:36 web nginx[31]: " + LINE,
    "syslog with ISO time": b"2025-10-10T13:55:36.123456+00:00 web nginx[31]: " + LINE,
    "syslog 5424": b'<190>1 2025-10-10T13:55:36Z web nginx 31 access [id@1 a="\\]x"] \xef\xbb\xbf' + LINE,
    "syslog 5424 without data": b"<190>1 2025-10-10T13:55:36Z web nginx - - - " + LINE,
}


def parser(wrapper):
    return record.Parser(formats.compile("combined", wrapper=wrapper), client.ClientRule([]))


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_line_is_the_line_inside(name):
    """Told by hand or by the line's looks, the wrapper goes and the record is the same, by both ways."""
    expected = parser("none").parse(LINE)
    for wrapper in ("auto", name.partition(" ")[0]):
        here = parser(wrapper)
        assert here.parse(WRAPPED[name]) == expected
        assert here.record(here.outline(WRAPPED[name])) == expected
    assert parser("auto").parse(LINE) == expected
    assert isinstance(parser("none").parse(WRAPPED[name]), Unparsed)


@pytest.mark.parametrize(
    ("wrapper", "line", "reason"),
    [
        ("auto", CRI.replace(b" F ", b" P ") + LINE[:40], "partial"),
        ("cri", CRI.replace(b" F ", b" P ") + LINE[:40], "partial"),
        ("cri", LINE, "wrapper"),
        ("docker", LINE, "wrapper"),
        ("docker", b'{"log": 1}', "wrapper"),
        ("syslog", LINE, "wrapper"),
        ("docker", b'{"log": "\\n"}', "blank"),
        ("cri", CRI, "blank"),
        ("auto", CRI + b"hello", "format"),
    ],
)
def test_what_is_not_wrapped_as_told_names_its_reason(wrapper, line, reason):
    """A partial line, a missing wrapper and an empty inside have their own reasons."""
    assert parser(wrapper).parse(line).reason == reason


def test_json_log_is_not_taken_for_docker():
    """A JSON access log whose first field is called log is no wrapper."""
    here = record.Parser(formats.compile("nginx_json"), client.ClientRule([]))
    assert isinstance(here.parse(b'{"log":"access","remote_addr":"203.0.113.7","request":"GET / HTTP/1.1"}'), Record)


def cri(text, tag=b"F", stream=b"stdout"):
    return b"T".join((b"2025-10-10", b"13:55:36Z ")) + stream + b" " + tag + b" " + text + b"\n"


def test_partial_lines_are_joined_with_the_start_of_the_first():
    """Parts of stdout and stderr are joined apart, and come in the order in which they began."""
    first, second, third = cri(b"one ", b"P"), cri(b"err", b"P", b"stderr"), cri(b"two ", b"P")
    fourth, fifth, sixth = cri(b"!", b"F", b"stderr"), cri(b"three"), cri(b"next")
    data = first + second + third + fourth + fifth + sixth
    found = list(wrappers.lines("auto", data))
    insides = [(at, wrappers.unwrap("cri")(line)) for at, line in found]
    assert insides == [(0, b"one two three"), (len(first), b"err!"), (len(data) - len(sixth), b"next")]


def test_cut_keeps_half_lines_for_the_next_chunk():
    """A chunk ends where neither stream has half a line."""
    whole, half = cri(b"a"), cri(b"b", b"P")
    cut = wrappers.cut("cri")
    assert cut(whole) == len(whole)
    assert cut(whole + half) == len(whole)
    assert cut(half) == 0
    assert cut(half + cri(b"c", b"F", b"stderr")) == 0
    assert cut(whole + half + cri(b"c") + half) == len(whole + half + cri(b"c"))
    assert cut(half * 10_000) == len(half * 10_000)
    assert wrappers.cut("syslog") is None


def test_line_whose_end_is_missing_stays_partial():
    """At the end of a file half a line is what it is: unparsed as partial."""
    half = cri(b"b", b"P")
    assert list(wrappers.lines("cri", cri(b"a") + half)) == [(0, cri(b"a")[:-1]), (len(cri(b"a")), half[:-1])]


def docker(text, stream="stdout"):
    return orjson.dumps({"log": text, "stream": stream, "time": "2025-10-10T13:55:36.1Z"}) + b"\n"


def test_entries_of_docker_are_one_line_up_to_the_newline():
    """A line of more than 16 KiB comes in several entries, of which the last ends with a newline."""
    agent = "Mozilla/5.0 \u00e9 \\" + "x" * 20_000
    line = LINE.decode().replace("UA", agent) + "\n"
    entries = [
        docker(line[:16384]),
        docker("to stderr\n", "stderr"),
        docker(line[16384:]),
        docker(LINE.decode() + "\n"),
    ]
    for kind in ("auto", "docker"):
        found = list(wrappers.lines(kind, b"".join(entries)))
        assert [at for at, _ in found] == [0, len(entries[0]), sum(map(len, entries[:3]))]
        assert [parser(kind).parse(inner).user_agent for _, inner in (found[0], found[2])] == [agent, "UA"]


def test_entries_that_another_program_has_spelled_are_joined_as_well():
    """Who passes Docker's entries on may write them with blanks between key and value."""
    whole = LINE.decode() + "\n"
    entries = [json.dumps({"log": part, "stream": "stdout", "time": "t"}) for part in (whole, whole[:40], whole[40:])]
    data = "".join(entry + "\n" for entry in entries).encode()
    assert b'{"log": "' in data
    for kind in ("auto", "docker"):
        assert [wrappers.unwrap(kind)(line) for _, line in wrappers.lines(kind, data)] == [LINE, LINE]
    assert wrappers.cut("docker")(data[: -len(entries[2]) - 1]) == len(entries[0]) + 1


def test_cut_keeps_half_entries_of_docker_for_the_next_chunk():
    """What has no newline yet waits for it, unless that would take too long."""
    whole, half = docker("a\n"), docker("b")
    cut = wrappers.cut("docker")
    assert cut(whole + whole) == len(whole + whole)
    assert cut(whole + half) == len(whole)
    assert cut(half + docker("c\n", "stderr")) == 0
    assert cut(half + docker("c\n") + whole) == len(half + docker("c\n") + whole)
    assert cut(half * 10_000) == len(half * 10_000)


def test_a_backslash_and_an_n_are_no_newline():
    """In an entry's JSON `\\\\n` is text, `\\n` is the end."""
    entries = [docker("one \\n"), docker(" two\n")]
    assert entries[0].startswith(b'{"log":"one \\\\n","stream"')
    found = list(wrappers.lines("docker", docker("x") + b"".join(entries)))
    assert [wrappers.unwrap("docker")(inner) for _, inner in found] == [b"xone \\n two"]


def test_an_entry_without_end_is_taken_as_it_is():
    """A container that stopped may have left its last line without a newline."""
    last = docker(LINE.decode())
    (found,) = wrappers.lines("docker", last)
    assert isinstance(parser("docker").parse(found[1]), Record)


@pytest.mark.parametrize("data", [b"", b"\n", b"a\n\nb\n", b"a\nb"])
def test_plain_lines_tile_the_chunk(data):
    """Every physical line comes with its offset, blank ones too."""
    found = list(wrappers.lines("none", data))
    assert b"".join(line + b"\n" for _, line in found).rstrip(b"\n") == data.rstrip(b"\n")
    assert all(data[at : at + len(line)] == line for at, line in found)


@pytest.mark.parametrize("data", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\n\n", b"a\n\nb\n" * 5, b"ab\n" * 6 + b"c"])
@pytest.mark.parametrize("most", [1, 2, 3, 6, 7, 100])
@pytest.mark.parametrize("kind", ["none", "auto"])
def test_some_lines_at_a_time_are_all_of_them_in_order(kind, data, most):
    """Whether a chunk ends with a newline or without, and wherever the cut falls."""
    some = list(wrappers.some_at_a_time(kind, data, 100, most))
    assert all(len(starts) == len(lines) <= most for starts, lines in some)
    together = [start for starts, _ in some for start in starts], [line for _, lines in some for line in lines]
    assert together == wrappers.split(kind, data, 100)


def test_parts_of_lines_are_joined_before_some_are_taken():
    """A cut among the parts of a line would make two of it."""
    data = b"".join(cri(b"a%d" % n)[:-1].replace(b" F ", b" P ") + b"\n" + cri(b"b%d" % n) for n in range(5))
    some = list(wrappers.some_at_a_time("cri", data, 0, 3))
    assert [line for _, lines in some for line in lines] == wrappers.split("cri", data)[1]
    assert [len(lines) for _, lines in some] == [3, 2]
