"""Take apart a line whose values have labels: JSON by its keys, LTSV, W3C by its `#Fields:`, and what a loader labels.

A `Loader` turns a line into labels and values; the `Reader` finds the facts among them. A label names a value at the
top, or one inside of objects with dots between (``request.headers.User-Agent``). Where nobody says which label means
what, it is guessed from how people spell them. Many lines at once are looked through by columns (`fastlabels`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import itemgetter, methodcaller
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from logship.memo import Memo
from logship.parser import times
from logship.parser.columns import Outline, Rest, Visits
from logship.parser.fastblock import WORTH_IT, Block, Sheet
from logship.parser.fastlabels import Columns, Lines, Moments, Path, Paths
from logship.parser.fields import FACTS, KEY_FACTS
from logship.parser.parts import STATUSES
from logship.records import Unparsed

Places = Sequence[tuple[int, Paths]]  # where to look, by number: FACTS, after them the chain and the log.NAME values
Keys = Mapping[str, Sequence[str]]

_ABSENT = frozenset((b"", b"-"))
_LAYOUTS = 64  # a log has few sets of keys
_LABELS = 256  # of a line; sets with more are a stranger's, who writes bars into a captured header, and not remembered
_DEEPEST = 4  # objects inside of objects
_KEYS: Callable[[Sequence[bytes]], tuple[bytes, ...]] = itemgetter(*(FACTS.index(name) for name in KEY_FACTS))
_KEY_NUMBERS = tuple(FACTS.index(name) for name in KEY_FACTS)
_REQUESTS = tuple(FACTS.index(name) for name in ("request", "target", "path", "method"))
_REQUEST = itemgetter(*_REQUESTS)
_REST = itemgetter(*(FACTS.index(name) for name in ("client_ip", "bytes", "referrer", "user")))
_TIME, _STATUS, _AGENT = FACTS.index("time"), FACTS.index("status"), FACTS.index("user_agent")
_CHAIN = len(FACTS)
_VISIT = (FACTS.index("client_ip"), _CHAIN, FACTS.index("referrer"))
_DECIDING = frozenset((*_KEY_NUMBERS, _AGENT))
_ABSENT_OR_STATUS = STATUSES | {b""}
# Of what is written behind these, nearly every line has something else.
_MANY = frozenset(FACTS.index(name) for name in ("request", "target", "path", "query", "user_agent"))
_LAST_BRACE: Callable[[bytes], int] = methodcaller("rfind", b"{")  # 0: it has no object inside of it

# Spellings seen in the wild, without case, "_", "-", "@" and "."; the first that a line has is believed.
_SPELLINGS = {
    "time": "timeiso8601 timestamp time timelocal datetime date ts msec timemsec timeunix starttime eventtime",
    "client_ip": "remoteaddr clientip remoteip client ip clientaddr clientaddress remoteaddress remotehost sourceip "
    "srcip remote xrealip httpxrealip realip addr",
    "x_forwarded_for": "httpxforwardedfor xforwardedfor xff forwardedfor proxyaddxforwardedfor",
    "host": "host httphost vhost virtualhost servername requesthost domain authority site",
    "request": "request requestline",
    "target": "requesturi target requesturl requestpath url urloriginal",
    "method": "requestmethod method httpmethod verb",
    "path": "uri path documenturi urlpath",
    "query": "args query querystring requestquery urlquery",
    "status": "status statuscode responsestatus responsecode httpstatus response code",
    "bytes": "bodybytessent bytessent bytes size responsesize responselength bodybytes bytesout sent",
    "referrer": "httpreferer httpreferrer referer referrer",
    "user_agent": "httpuseragent useragent useragentoriginal agent ua browser",
    "user": "remoteuser user authuser username",
    "scheme": "scheme requestscheme",
    "protocol": "serverprotocol protocol proto requestprotocol httpversion httpprotocol",
    # nginx's own $content_type is the request's; a GET has none, so it says nothing wrong.
    "content_type": "senthttpcontenttype responsecontenttype mimetype contenttype",
}
_TOLD_BY: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)  # the facts that a word tells, and how likely
for _fact, _words in _SPELLINGS.items():
    for _rank, _spelling in enumerate(_words.split()):
        _TOLD_BY[_spelling].append((_fact, _rank))
_SIGNS = re.compile("[_@.-]")
# Objects that hold what a request brought along, and what of it is believed: a few headers, by the names they have.
_STRANGERS = ("query", "querystring", "args", "params", "parameters", "cookies", "form", "body")
_HEADS = ("headers", "header", "trailers")
_HEADERS: Mapping[str, Sequence[str]] = {
    "x_forwarded_for": ("x-forwarded-for", "x_forwarded_for"),
    "host": ("host",),
    "referrer": ("referer", "referrer"),
    "user_agent": ("user-agent", "user_agent"),
    "content_type": ("content-type", "content_type"),
}


class Loader(Protocol):
    """Turns lines into labels and values: text, bytes, numbers, lists of them, or objects with labels of their own."""

    def plain(self, line: bytes) -> object:
        """Return a mapping of a line as servers write it nearly always; anything else sends it to `load`."""

    def load(self, line: bytes) -> object | Unparsed:
        """Return a mapping of any line, without NULs and line end, or why there is none."""


@runtime_checkable
class LoadsMany(Protocol):
    """A loader that is quicker with many lines than with each."""

    def plain_all(self, lines: Sequence[bytes]) -> list[object]:
        """Return what `Loader.plain` does of each line."""


class Plan(NamedTuple):
    """Where to look: for what decides most lines, for the time, for what a visit has besides, and for all the rest."""

    deciding: Places
    time: Paths
    visit: Sequence[Paths]  # peer, chain, referrer
    logs: Sequence[Paths]
    others: _Others


class Reader:
    """Reads lines of one format. ``keys`` maps facts to dotted labels; None: they are guessed from spellings."""

    key_names = KEY_FACTS

    def __init__(
        self,
        loader: Loader,
        keys: Keys | None,
        chain: str,
        logs: Sequence[str],
        is_access: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._plain, self._load = loader.plain, loader.load
        self._is_access = is_access
        self._logs = tuple(path_of(name) for name in logs)
        self._chain = None if chain in ("x_forwarded_for", "http_x_forwarded_for") else _named(chain)
        self._count = len(FACTS) + 1 + len(logs)
        self._keys = None if keys is None else [_all(keys.get(fact, ())) for fact in FACTS]
        self._plans: dict[tuple[Path, ...], Plan] = {}
        self._plain_all = loader.plain_all if isinstance(loader, LoadsMany) else self._plain_each
        self._columns, self._moments = Columns(_first), Moments()
        self.block = Block(self._sheet, lambda lines: bytearray(len(lines)))

    def outline(self, line: bytes) -> Outline | None:
        """Return the parts of a plain line, which is one that needs no mending."""
        result = self._take(self._plain(line))
        return result if isinstance(result, tuple) else None

    def read(self, line: bytes) -> Outline | Unparsed:
        """Return the parts of a line, or why it is none of this format."""
        found = self._load(line)
        if isinstance(found, Unparsed):
            return found
        result = self._take(found)
        return result if isinstance(result, tuple) else Unparsed(result)

    def _take(self, found: object) -> Outline | str:
        if not isinstance(found, dict):
            return "json"
        if not self._is_access(found):
            return "not_access"
        plan = self._plan_of(found)
        raws = [b""] * len(FACTS)
        for at, paths in plan.deciding:
            raws[at] = _first(found, paths)
        if not any(_REQUEST(raws)):
            return "not_access"
        time, status = _first(found, plan.time), raws[_STATUS]
        seconds = times.any_of(time) if time else None
        if seconds is None and time:
            return "time"
        if status and status not in STATUSES:
            return "status"
        return _KEYS(raws), raws[_AGENT], cast(Rest, _Later(found, seconds, plan, self._count))

    def _plan_of(self, found: Mapping[str, Any]) -> Plan:
        nested = self._keys is None and dict in map(type, found.values())
        return self._plan_for(tuple(_labels(found)) if nested else tuple(found))

    def _plan_for(self, labels: tuple[Path, ...]) -> Plan:
        """Return where facts are in lines with these labels: given keys are looked for where they can be."""
        plan = self._plans.get(labels)
        if plan is None:
            plan = self._complete(_guessed(labels) if self._keys is None else self._keys, labels)
            if len(labels) <= _LABELS:
                if len(self._plans) >= _LAYOUTS:
                    self._plans.clear()
                self._plans[labels] = plan
        return plan

    def _complete(self, facts: Sequence[Paths], labels: Sequence[Path]) -> Plan:
        """Add what the chain and the log.NAME values need, and leave out what is nowhere."""
        chain = self._chain or facts[FACTS.index("x_forwarded_for")]
        tops = {label if isinstance(label, str) else label[0] for label in labels}
        kept = [_beginning(tops, paths) for paths in (*facts, chain, *self._logs)]
        places = [(at, paths) for at, paths in enumerate(kept) if paths and at != _TIME]
        return Plan(
            tuple(each for each in places if each[0] in _DECIDING),
            kept[_TIME],
            [kept[at] for at in _VISIT],
            [paths for paths in kept[_CHAIN + 1 :] if paths],
            _Others([each for each in places if each[0] not in _DECIDING]),
        )

    # -- many lines at once

    def _sheet(self, lines: Sequence[bytes]) -> Sheet | None:
        """Take apart the lines that are plain requests with the same labels, or with labels that are given."""
        loaded = self._plain_all(lines)
        fits = self._fitting(loaded, nested=self._keys is None and any(map(_LAST_BRACE, lines)))
        found = cast(list[dict[str, Any]], list(compress(loaded, fits)))
        if len(found) < WORTH_IT:
            return None
        plan = self._plan_for(tuple(found[0]) if self._keys is None else _all_labels(found))
        columns = Lines(found)
        raws = {at: self._columns.of(columns, paths, many=at in _MANY) for at, paths in plan.deciding}
        odd = self._odd(columns, plan, raws)
        if odd:
            kept = [at not in odd for at in range(len(found))]
            found, raws = list(compress(found, kept)), {at: list(compress(raw, kept)) for at, raw in raws.items()}
            places = list(compress(range(len(lines)), fits))
            for at in odd:
                fits[places[at]] = 0
        return self._sheet_of(found, plan, raws)._replace(fits=fits if len(found) < len(lines) else None)

    def _plain_each(self, lines: Sequence[bytes]) -> list[object]:
        return list(map(self._plain, lines))

    def _fitting(self, loaded: Sequence[Any], *, nested: bool) -> bytearray:
        """Tell which lines are access entries that one plan serves. ``nested``: there may be objects inside of them."""
        fits = bytearray(b"\1") * len(loaded)
        if set(map(type, loaded)) != {dict} or not self._are_access(loaded):
            fits = bytearray(isinstance(each, dict) and self._is_access(each) for each in loaded)
        if self._keys is not None:
            return fits
        found = list(compress(loaded, fits))
        labels = list(map(tuple, found))
        if nested and dict in set(map(type, chain.from_iterable(map(dict.values, found)))):
            return bytearray(len(loaded))
        if labels and labels.count(labels[0]) != len(loaded):
            usual = Counter(labels).most_common(1)[0][0]
            return bytearray(bool(fit) and tuple(each) == usual for fit, each in zip(fits, loaded, strict=True))
        return fits

    def _are_access(self, found: Sequence[Mapping[str, Any]]) -> bool:
        is_access = self._is_access
        return is_access.holds_for_all(found) if isinstance(is_access, Begins) else is_access is always

    def _odd(self, lines: Lines, plan: Plan, raws: Mapping[int, list[bytes]]) -> set[int]:
        """Return the places of lines that `_take` finds no request in."""
        odd: set[int] = set()
        requests = [raws[at] for at in _REQUESTS if at in raws]
        if all(b"" in each for each in requests):
            odd.update(at for at in range(len(lines.found)) if not any(each[at] for each in requests))
        if _STATUS in raws and not _ABSENT_OR_STATUS.issuperset(raws[_STATUS]):
            odd.update(at for at, raw in enumerate(raws[_STATUS]) if raw not in _ABSENT_OR_STATUS)
        if plan.time and not self._moments.are_plain(lines.values(plan.time[0]) or [None]):
            odd.update(self._moments.none_of(self._columns.of(lines, plan.time)))
        return odd

    def _sheet_of(self, found: Sequence[Mapping[str, Any]], plan: Plan, raws: Mapping[int, list[bytes]]) -> Sheet:
        agents = raws[_AGENT] if _AGENT in raws else [b""] * len(found)
        keys = list(zip(*(raws[at] if at in raws else repeat(b"") for at in _KEY_NUMBERS), strict=False))

        def outline(at: int) -> Outline:
            return keys[at], agents[at], cast(Rest, _Later(found[at], None, plan, self._count))

        return Sheet(keys, agents, outline, lambda some: self._visits([found[at] for at in some], plan))

    def _visits(self, found: Sequence[Mapping[str, Any]], plan: Plan) -> Visits:
        lines = Lines(found)
        peers, chains, referrers = (self._columns.of(lines, paths, many=True) for paths in plan.visit)
        logs = [self._columns.of(lines, paths) for paths in plan.logs]
        logged = list(map(any, zip(*logs, strict=True))) if logs else None
        return self._times(lines, plan.time), [peer or None for peer in peers], chains, referrers, logged

    def _times(self, lines: Lines, paths: Paths) -> Sequence[float | None]:
        values = lines.values(paths[0]) if paths else None
        if values is not None and set(map(type, values)) == {float} and self._moments.are_plain(values):
            return values  # what is read from their text is the same number
        return [_seconds(line, paths) for line in lines.found]


class _Later:
    """The rest of an outline, looked for when it is unpacked: of most lines it never is."""

    __slots__ = ("_count", "_found", "_plan", "_seconds")

    def __init__(self, found: Mapping[str, Any], seconds: float | None, plan: Plan, count: int) -> None:
        self._found, self._seconds, self._plan, self._count = found, seconds, plan, count

    def __iter__(self) -> Iterator[object]:
        raws = [b""] * self._count
        for at, raw in self._plan.others(self._found):
            raws[at] = raw
        seconds = self._seconds
        if seconds is None:
            seconds = _seconds(self._found, self._plan.time)
        peer, size, referrer, user = _REST(raws)
        logs = tuple(raws[_CHAIN + 1 :]) if any(raws[_CHAIN + 1 :]) else ()
        return iter((seconds, peer or None, raws[_CHAIN], size, referrer, user, logs))


def _seconds(found: Mapping[str, Any], paths: Paths) -> float | None:
    value = found.get(paths[0]) if paths and isinstance(paths[0], str) else None
    if value.__class__ is float and 1.0 <= value < times.LATEST:
        return value  # what is read from its text is the same number
    time = _first(found, paths)
    return times.any_of(time) if time else None


class _Others:
    """Looks for values of one line, into each object inside of it once."""

    def __init__(self, places: Places) -> None:
        self._ways: list[
            tuple[int, str]
        ] = []  # objects to look into: inside of which one of those before, by what label
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self._places = [(at, tuple(map(self._place, paths))) for at, paths in places]

    def __call__(self, found: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
        objects = [found]
        for above, label in self._ways:
            inner = objects[above].get(label)
            objects.append(inner if inner.__class__ is dict else _NOTHING)
        for at, places in self._places:
            for number, label in places:
                value = objects[number].get(label)
                if value is not None and (raw := _plain_raw(value)) not in _ABSENT:
                    yield at, raw
                    break

    def _place(self, path: Path) -> tuple[int, str]:
        *way, label = (path,) if isinstance(path, str) else path
        return self._number(tuple(way)), label

    def _number(self, way: tuple[str, ...]) -> int:
        if way not in self._numbers:
            self._ways.append((self._number(way[:-1]), way[-1]))
            self._numbers[way] = len(self._ways)
        return self._numbers[way]


_NOTHING: Mapping[str, Any] = {}


def _all_labels(found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    labels = list(map(list, found))
    if labels.count(labels[0]) == len(labels):
        return tuple(sorted(labels[0]))
    return tuple(sorted(set(chain.from_iterable(labels))))


@dataclass(frozen=True, slots=True)
class Begins:
    """Tells access entries from a program's others by how the value under a label begins, where it has that label."""

    label: str
    text: str

    def __call__(self, found: Mapping[str, Any]) -> bool:
        """Tell whether a line is an access entry."""
        return self._is_such(found.get(self.label, self.text))

    def holds_for_all(self, found: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether all are access entries; a log has few values under such a label."""
        try:
            return all(map(self._is_such, set(map(methodcaller("get", self.label, self.text), found))))
        except TypeError:  # an object or a list
            return False

    def _is_such(self, value: object) -> bool:
        return isinstance(value, str) and value.startswith(self.text)


def always(found: Mapping[str, Any]) -> bool:
    """Every object may be an access entry."""
    return True


def path_of(key: str) -> Paths:
    """Return where a dotted key may be: under that very name, or inside of objects."""
    return (key, tuple(key.split("."))) if "." in key else (key,)


def _all(keys: Sequence[str]) -> Paths:
    return tuple(path for key in keys for path in path_of(key))


def _beginning(tops: Collection[str], paths: Paths) -> Paths:
    """Return the paths that begin with one of the labels."""
    return tuple(path for path in paths if (path if isinstance(path, str) else path[0]) in tops)


def _named(chain: str) -> Paths:
    return _all((chain, "http_" + chain))


def _labels(found: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield the way to every value that is no object; strangers may nest, so not deeper than people do."""
    for label, value in found.items():
        if isinstance(value, dict):
            if len(above) < _DEEPEST:
                yield from _labels(value, (*above, label))
        else:
            yield (*above, label) if above else label


def _guessed(labels: Sequence[Path]) -> Sequence[Paths]:
    """Return where each fact may be, by how people spell them."""
    found = _spelled(labels)
    if not (found["request"] or found["target"] or found["query"]):
        found["target"], found["path"] = found["path"], ()  # no query of its own: what is called path or uri holds it
    return list(found.values())


def _spelled(labels: Sequence[Path]) -> dict[str, Paths]:
    """Return where facts may be, likeliest first: by the whole label, else by its end (``http.request.method``)."""
    found: dict[str, list[tuple[bool, int, int, Path]]] = {fact: [] for fact in FACTS}
    for path in labels:
        for fact, (at, rank) in _TELLS[path].items():
            found[fact].append((at > 0, rank, at, path))
    return {fact: tuple(path for *_, path in sorted(each, key=itemgetter(0, 1, 2))) for fact, each in found.items()}


Ranks = Mapping[str, tuple[int, int]]  # by fact: at which of its parts a label begins to tell it, by which spelling


def _told(path: Path) -> Ranks:
    """Return the facts that a label tells by its spelling."""
    parts = path.split(".") if isinstance(path, str) else path
    holders = [_word(part) for part in parts[:-1]]
    answers = any(holder.startswith("res") for holder in holders)
    if any(holder.endswith(_HEADS) for holder in holders):
        return _told_by_header(parts, answers=answers)
    if not answers and any(holder.endswith(_STRANGERS) for holder in holders):
        return {}  # strangers choose the names: a parameter `client_ip` is no word of the server's
    found: dict[str, tuple[int, int]] = {}
    for at in range(len(parts)):
        for fact, rank in _TOLD_BY.get(_word("".join(parts[at:])), ()):
            found.setdefault(fact, (at, rank))
    return found


def _told_by_header(parts: Sequence[str], *, answers: bool) -> Ranks:
    """Return what a header tells by its very name; another spelling is another header, anybody's own."""
    name, at = parts[-1].lower(), len(parts) - 1
    if not _word(parts[-2]).endswith(_HEADS):
        return {}
    return {
        fact: (at, names.index(name))
        for fact, names in _HEADERS.items()
        if name in names and (fact == "content_type") == answers
    }


# Strangers name headers: where each line has a new one, that one is looked at, and not all the others once more.
_TELLS: Memo[Path, Ranks] = Memo(_told, 1024, worth=lambda path: sum(map(len, path)) <= 200)


def _word(text: str) -> str:
    return _SIGNS.sub("", text).lower()


def _first(found: Mapping[str, Any], paths: Paths) -> bytes:
    """Return the first value that is there, b"" when none is."""
    for path in paths:
        value = found.get(path) if path.__class__ is str else _inside(found, path)
        if value is not None:
            raw = _plain_raw(value)
            if raw not in _ABSENT:
                return raw
    return b""


def _plain_raw(value: Any) -> bytes:
    if value.__class__ is list and len(value) == 1:
        value = value[0]
    if value.__class__ is int:
        return b"%d" % value
    return value.encode() if value.__class__ is str and value.isascii() else _raw(value)


def _inside(found: Any, path: Path) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            return _bytes_that_were(value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        return b"%d" % value
    if isinstance(value, list):  # a header that came several times
        return b", ".join(_raw(item) for item in value)
    return b"" if isinstance(value, dict) or value is None else str(value).encode()


def _bytes_that_were(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, written as \ud800
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
