"""Take off what surrounds a line: Docker's JSON, the Kubernetes (CRI) prefix, a syslog header.

Pure and per line, so that no state outlives a chunk: container runtimes cut lines of more than 16 KiB into partial
ones, and `cut` ends a chunk where no line is half written, so that `lines` finds all parts of a line in the same chunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import accumulate, islice
from operator import itemgetter
from typing import NamedTuple

import orjson

from logship.records import Unparsed

Cut = Callable[[bytes], int]
Unwrap = Callable[[bytes], bytes | Unparsed]
UnwrapAll = Callable[[Sequence[bytes]], Sequence[bytes] | None]

_BUT_LAST_BYTE: Callable[[bytes], bytes] = itemgetter(slice(-1))
KINDS = ("auto", "none", "docker", "cri", "syslog")
_CUTTING = frozenset(("cri", "docker", "auto"))  # whose lines may come in parts
DOCKER = b'{"log"'  # how each line of Docker's begins
_HOPELESS = 1 << 18  # a line without end: its parts are given up as partial, before the reader gives up the line

# https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
_CRI = re.compile(rb"(\d{4}-\d\d-\d\dT[^ ]+ (stdout|stderr) )([PF])(?::[^ ]*)? ?(.*)", re.DOTALL)
_CRI_BEGINS = rb"\d{4}-\d\d-\d\dT[^ \n]+ (?:stdout|stderr) "
_CRI_HEAD = re.compile(_CRI_BEGINS + b"[PF]")
_PARTIALS = (b" stdout P", b" stderr P")
# Docker's json-file driver ends with a newline what the container ended with one, and nothing else:
# https://github.com/moby/moby/blob/master/daemon/logger/copier.go
# The second spelling is what other programs make of an entry that they pass on.
_DOCKER_SPELLINGS = ((b'{"log":"', b'","stream":"'), (b'{"log": "', b'", "stream": "'))
_DOCKER_ENTRY = re.compile(rb'(\{"log": ?")((?:[^"\\]++|\\.)*+)(", ?"stream": ?"(\w+)".*)', re.DOTALL)
# RFC 3164 as nginx sends and rsyslog writes it (with an ISO time too), the host and the <PRI> may be missing.
_SYSLOG_HEAD = (
    rb"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[^ \n]+) (?:[^ \n]+ )?[^\s:\[\]]+"
    rb"(?:\[[^\] \n]*\])?: "
)
_SYSLOG_5424_HEAD = (
    rb"<\d{1,3}>1 [^ \n]+ [^ \n]+ [^ \n]+ [^ \n]+ [^ \n]+"
    rb' (?:-|(?:\[(?:[^\]"\n]|"(?:[^"\\\n]|\\.)*")*\])+)(?: (?:\xef\xbb\xbf)?|(?=\n|\Z))'
)
_SYSLOG = re.compile(_SYSLOG_HEAD)
_SYSLOG_5424 = re.compile(_SYSLOG_5424_HEAD)


def unwrap(kind: str) -> Unwrap:
    """Return a function that gives the line inside; for ``auto`` the very line where nothing surrounds it."""
    return _UNWRAP[kind]


def unwrap_all(kind: str) -> UnwrapAll:
    """Return a function that gives what is inside of each line, None where one of them holds nothing or a NUL."""
    unwrap_each = _UNWRAP[kind]

    def inside(lines: Sequence[bytes]) -> Sequence[bytes] | None:
        if kind == "auto" and _are_bare(lines):
            return lines
        text = b"\n".join((*lines, b""))
        if b"\0" in text:
            return None
        for find in _ALIKE[kind]:
            found: list[bytes] = find.findall(text) if find.match(text) else []
            if len(found) == len(lines):
                return found
        each = list(map(unwrap_each, lines))
        return None if Unparsed in set(map(type, each)) else each  # type: ignore[return-value]

    return inside


def cut(kind: str) -> Cut | None:
    """Return a function that tells how many bytes of whole lines are complete logical lines; None: always all."""
    return _cut if kind in _CUTTING else None


def lines(kind: str, data: bytes) -> Iterable[tuple[int, bytes]]:
    """Yield the logical lines of a chunk, without newlines, with the offset at which each starts, ascending.

    A partial line whose end is missing comes as it is; one of CRI is unparsed as ``partial``.
    """
    return zip(*split(kind, data), strict=True)


def split(kind: str, data: bytes, start: int = 0) -> tuple[list[int], list[bytes]]:
    """Return what `lines` yields as two lists: where each line starts, the first of all at ``start``; and the lines."""
    starts, found = _physical(data, start)
    part_of = _parts_in(data) if kind in _CUTTING else None
    return (starts, found) if part_of is None else _joined(starts, found, part_of)


def some_at_a_time(kind: str, data: bytes, start: int, most: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield what `split` returns, ``most`` lines at a time: a chunk may hold a hundred thousand empty ones."""
    if kind in _CUTTING and _parts_in(data) is not None:
        starts, found = split(kind, data, start)
        for at in range(0, len(found), most):
            yield starts[at : at + most], found[at : at + most]
        return
    stream = BytesIO(data)
    while found := list(islice(stream, most)):
        starts, lines = _stripped(found, start)
        start = starts[-1] + len(found[-1])
        yield starts, lines


def _docker(line: bytes) -> bytes | Unparsed:
    return _text_of(_docker_entry(line))


def _text_of(entry: Mapping[str, object]) -> bytes | Unparsed:
    text = entry.get("log")
    return text.encode("utf-8", "replace").rstrip(b"\r\n") if isinstance(text, str) else Unparsed("wrapper")


def _docker_entry(line: bytes) -> Mapping[str, object]:
    try:
        found = orjson.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _cri(line: bytes) -> bytes | Unparsed:
    match = _CRI.fullmatch(line)
    if match is None:
        return Unparsed("wrapper")
    return Unparsed("partial") if match[3] == b"P" else match[4]


def _syslog(line: bytes) -> bytes | Unparsed:
    match = _SYSLOG_5424.match(line) or _SYSLOG.match(line)
    return Unparsed("wrapper") if match is None else line[match.end() :]


def _bare(line: bytes) -> bytes | Unparsed:
    return line


def _auto(line: bytes) -> bytes | Unparsed:
    kind = FIRST_BYTES.get(line[:1])
    return line if kind is None else kind(line)


def _perhaps_docker(line: bytes) -> bytes | Unparsed:
    """A JSON access log is no wrapper, whatever it calls its fields."""
    entry = _docker_entry(line) if line.startswith(DOCKER) else {}
    return _text_of(entry) if "stream" in entry else line


def _perhaps_cri(line: bytes) -> bytes | Unparsed:
    """An address begins with a digit as well, but has no dash in fifth place."""
    if line[4:5] != b"-":
        return line
    return _perhaps_syslog(line) if _CRI.match(line) is None else _cri(line)


def _perhaps_syslog(line: bytes) -> bytes | Unparsed:
    inner = _syslog(line)
    return line if isinstance(inner, Unparsed) else inner


_UNWRAP: Mapping[str, Unwrap] = {"auto": _auto, "none": _bare, "docker": _docker, "cri": _cri, "syslog": _syslog}
FIRST_BYTES: Mapping[bytes, Unwrap] = {
    b"{": _perhaps_docker,
    b"<": _perhaps_syslog,
    **{bytes([byte]): _perhaps_syslog for byte in b"ADFJMNOS"},  # the months
    **{bytes([byte]): _perhaps_cri for byte in b"12"},  # the years
}


# The same for many lines at once. What follows a head fits whatever it is, so a head is divided from it as in one line.


def _alike(head: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"^" + head + rb"([^\n]*)\n", re.MULTILINE)


_CRI_WHOLE = _CRI_BEGINS + rb"F(?::[^ \n]*)? ?"
_ANY_SYSLOG = rb"(?:" + _SYSLOG_5424_HEAD + rb"|" + _SYSLOG_HEAD + rb")"
_IF_YEAR, _IF_DATE = rb"(?=[12])", rb"(?=[<ADFJMNOS12])"
_NO_CRI = rb"(?!" + _CRI_BEGINS + rb"[PF])"
_ALIKE: Mapping[str, Sequence[re.Pattern[bytes]]] = {
    "auto": (
        _alike(_IF_YEAR + _CRI_WHOLE),
        _alike(_IF_DATE + _NO_CRI + _ANY_SYSLOG),
        _alike(rb"(?!" + DOCKER + rb")(?!" + _IF_YEAR + _CRI_BEGINS + rb"[PF])(?!" + _IF_DATE + _ANY_SYSLOG + rb")"),
    ),
    "cri": (_alike(_CRI_WHOLE),),
    "syslog": (_alike(_ANY_SYSLOG),),
    "docker": (),
    "none": (_alike(b""),),
}
_FIRST_BYTE: Callable[[bytes], bytes] = itemgetter(slice(1))
_FIFTH_BYTE: Callable[[bytes], bytes] = itemgetter(slice(4, 5))
_LETTERS = frozenset(byte for byte in FIRST_BYTES if byte.isalpha() or byte == b"<")
_HEAD: Callable[[bytes], bytes] = itemgetter(slice(len(DOCKER)))


def _are_bare(lines: Sequence[bytes]) -> bool:
    """Tell quickly of most logs' lines that nothing surrounds them."""
    firsts = set(map(_FIRST_BYTE, lines))
    if not _LETTERS.isdisjoint(firsts) or (DOCKER[:1] in firsts and DOCKER in map(_HEAD, lines)):
        return False
    if b"-" in b"".join(map(_FIFTH_BYTE, lines)):  # they begin with a date, as many formats of one's own do
        text = b"".join(lines)
        return not (b" stdout " in text or b" stderr " in text or b": " in text)
    return True


def _physical(data: bytes, start: int = 0) -> tuple[list[int], list[bytes]]:
    return _stripped(BytesIO(data).readlines(), start)  # looks for newlines four times as fast as `bytes.split`


def _stripped(found: list[bytes], start: int) -> tuple[list[int], list[bytes]]:
    """Return where lines start, and the lines without their newlines, which only the last may be without."""
    # Every line of every log comes through here; iterators of C cost half of what a loop does.
    starts = list(accumulate(map(len, found), initial=start))
    starts.pop()
    lines = list(map(_BUT_LAST_BYTE, found))
    if found and found[-1][-1:] != b"\n":
        lines[-1] = found[-1]
    return starts, lines


class _Part(NamedTuple):
    """A line of a runtime: which stream it is of, whether the container's line ends with it, and its text."""

    stream: bytes
    ends: bool
    head: bytes
    text: bytes
    tail: bytes


_PartOf = Callable[[bytes], _Part | None]


def _parts_in(data: bytes) -> _PartOf | None:
    """Return what takes half lines apart, None where there are none among these.

    What a runtime wrote begins every line alike, so the first tells whose they are.
    """
    for head, stream in _DOCKER_SPELLINGS:
        if data.startswith(head):
            return _docker_part if data.count(stream) != data.count(b"\\n" + stream) else None
    return _cri_part if _CRI_HEAD.match(data) is not None and any(mark in data for mark in _PARTIALS) else None


def _cri_part(line: bytes) -> _Part | None:
    match = _CRI.fullmatch(line)
    return None if match is None else _Part(match[2], match[3] == b"F", match[1] + b"F ", match[4], b"")


def _docker_part(line: bytes) -> _Part | None:
    match = _DOCKER_ENTRY.fullmatch(line)
    if match is None:
        return None
    head, text, tail, stream = match.groups()
    before = text[:-1]
    escaped = (len(before) - len(before.rstrip(b"\\"))) % 2 == 1
    return _Part(stream, escaped and text[-1:] == b"n", head, text, tail)


def _joined(starts: Sequence[int], lines: Sequence[bytes], part_of: _PartOf) -> tuple[list[int], list[bytes]]:
    """Join partial lines, of stdout and stderr apart. What never ends stays as it was."""
    result: list[tuple[int, bytes]] = []
    opened: dict[bytes, list[tuple[int, bytes, bytes]]] = {}
    for at, line in zip(starts, lines, strict=True):
        part = part_of(line)
        if part is None:
            result.append((at, line))
        elif not part.ends:
            opened.setdefault(part.stream, []).append((at, line, part.text))
        elif parts := opened.pop(part.stream, []):
            text = b"".join([*(text for _, _, text in parts), part.text])
            result.append((parts[0][0], part.head + text + part.tail))
        else:
            result.append((at, line))
    result += [(at, line) for parts in opened.values() for at, line, _ in parts]
    result.sort()
    return [at for at, _ in result], [line for _, line in result]


def _cut(data: bytes) -> int:
    """Return where the last line ends after which neither stream has half a line."""
    part_of = _parts_in(data)
    if part_of is None:
        return len(data)
    complete = 0
    opened: set[bytes] = set()
    for at, line in zip(*_physical(data), strict=True):
        part = part_of(line)
        if part is not None:
            (opened.discard if part.ends else opened.add)(part.stream)
        if not opened:
            complete = at + len(line) + 1
    return len(data) if len(data) - complete > _HOPELESS else min(complete, len(data))
