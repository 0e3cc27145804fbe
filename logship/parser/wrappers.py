"""Take off what surrounds a line: Docker's JSON, the Kubernetes (CRI) prefix, a syslog header.

Pure and per line, so that no state outlives a chunk: a CRI runtime cuts long lines into partial ones, and `cut` ends a
chunk where no line is half written, so that `lines` finds all parts of a line in the same chunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

import orjson

from logship.records import Unparsed

Cut = Callable[[bytes], int]
Unwrap = Callable[[bytes], bytes | Unparsed]

_AND_NEWLINE = (1).__add__
KINDS = ("auto", "none", "docker", "cri", "syslog")
_HOPELESS = 1 << 18  # a line without end: its parts are given up as partial, before the reader gives up the line

# https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
_CRI = re.compile(rb"(\d{4}-\d\d-\d\dT[^ ]+ (stdout|stderr) )([PF])(?::[^ ]*)? ?(.*)", re.DOTALL)
_CRI_HEAD = re.compile(rb"\d{4}-\d\d-\d\dT[^ \n]+ (?:stdout|stderr) [PF]")
_PARTIALS = (b" stdout P", b" stderr P")
# RFC 3164 as nginx sends and rsyslog writes it (with an ISO time too), the host and the <PRI> may be missing.
_SYSLOG = re.compile(
    rb"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[^ ]+) (?:[^ ]+ )?[^\s:\[\]]+"
    rb"(?:\[[^\] ]*\])?: ",
)
_SYSLOG_5424 = re.compile(
    rb'<\d{1,3}>1 [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ (?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+)(?: (?:\xef\xbb\xbf)?|$)',
    re.DOTALL,
)


def unwrap(kind: str) -> Unwrap:
    """Return a function that gives the line inside; for ``auto`` the very line where nothing surrounds it."""
    return _UNWRAP[kind]


def cut(kind: str) -> Cut | None:
    """Return a function that tells how many bytes of whole lines are complete logical lines; None: always all."""
    return _cut_cri if kind in ("cri", "auto") else None


def lines(kind: str, data: bytes) -> Iterable[tuple[int, bytes]]:
    """Yield the logical lines of a chunk, without newlines, with the offset at which each starts, ascending.

    A partial line whose end is missing comes as it is, and is unparsed as ``partial``.
    """
    return zip(*split(kind, data), strict=True)


def split(kind: str, data: bytes, start: int = 0) -> tuple[list[int], list[bytes]]:
    """Return what `lines` yields as two lists: where each line starts, the first of all at ``start``; and the lines."""
    starts, found = _physical(data, start)
    if kind in ("cri", "auto") and _may_hold_partials(data):
        joined = _joined(zip(starts, found, strict=True))
        return [start for start, _ in joined], [line for _, line in joined]
    return starts, found


def _docker(line: bytes) -> bytes | Unparsed:
    text = _docker_entry(line).get("log")
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
    if not line.startswith(b'{"log"') or "stream" not in _docker_entry(line):
        return line
    return _docker(line)


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


def _physical(data: bytes, start: int = 0) -> tuple[list[int], list[bytes]]:
    found = data.split(b"\n")
    # Every line of every log comes through here; iterators of C cost half of what a loop does.
    starts = list(accumulate(map(_AND_NEWLINE, map(len, found)), initial=start))
    starts.pop()
    if not found[-1]:
        found.pop()
        starts.pop()
    return starts, found


def _may_hold_partials(data: bytes) -> bool:
    """Say whether half lines may be among these. What a runtime wrote begins every line alike, so the first tells."""
    return _CRI_HEAD.match(data) is not None and any(mark in data for mark in _PARTIALS)


def _joined(physical: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Join partial lines, of stdout and stderr apart. What never ends stays as it was."""
    result: list[tuple[int, bytes]] = []
    opened: dict[bytes, list[tuple[int, bytes, bytes]]] = {}
    for at, line in physical:
        match = _CRI.fullmatch(line)
        if match is None:
            result.append((at, line))
        elif match[3] == b"P":
            opened.setdefault(match[2], []).append((at, line, match[4]))
        else:
            parts = opened.pop(match[2], [])
            text = b"".join(part for _, _, part in parts) + match[4]
            result.append((parts[0][0] if parts else at, match[1] + b"F " + text))
    result += [(at, line) for parts in opened.values() for at, line, _ in parts]
    return sorted(result)


def _cut_cri(data: bytes) -> int:
    """Return where the last line ends after which neither stream has half a line."""
    if not _may_hold_partials(data):
        return len(data)
    complete = 0
    opened: set[bytes] = set()
    for at, line in zip(*_physical(data), strict=True):
        match = _CRI.fullmatch(line)
        if match is not None:
            (opened.add if match[3] == b"P" else opened.discard)(match[2])
        if not opened:
            complete = at + len(line) + 1
    return len(data) if len(data) - complete > _HOPELESS else min(complete, len(data))
