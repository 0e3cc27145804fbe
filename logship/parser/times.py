"""Read a log's time: bytes to seconds since the epoch, UTC, or None when there is no such moment.

Strict: 29 February 2025 is no time, and neither is one outside of 1970 to 9999. A leap second (60) is the second after
59. Within a minute only the seconds change, so the minute is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

MONTHS = {name: at + 1 for at, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())}

_SECONDS = {b"%02d" % second: second for second in range(61)}
_MINUTE = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d): ([+-]\d{4})")
_ISO = re.compile(
    rb"(\d{4})[-/](\d\d)[-/](\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d{0,9})?(?: ?([Zz]|[+-]\d\d(?::?\d\d)?))?"
)
_EPOCH = re.compile(rb"\d{1,19}(?:\.\d{1,19})?")
_LONGEST = 48  # no time is longer; what is, is not remembered either
_END = 253_402_300_800.0  # 1 January 10000
# Servers write seconds, milliseconds (Caddy, Traefik's relatives), microseconds (Apache's usec) or nanoseconds. A
# number of seconds from now until the year 5138 is below the first bound.
LATEST = 1e11  # a number below it is one of seconds
_UNITS = ((LATEST, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))


def clf(value: bytes) -> float | None:
    """Read ``10/Oct/2025:13:55:36 +0000``."""
    if len(value) != 26:
        return None
    minute = _minute(value[:18] + value[20:])
    second = _SECONDS.get(value[18:20])
    return None if minute is None or second is None else minute + second


def iso(value: bytes) -> float | None:
    """Read ISO 8601 with an optional fraction; without an offset it is UTC."""
    match = _ISO.fullmatch(value)
    if match is None:
        return None
    *minute, second, fraction, zone = match.groups()
    start = _iso_minute(*minute, zone or b"Z")
    if start is None or int(second) > 60:
        return None
    return start + int(second) + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)


def epoch(value: bytes) -> float | None:
    """Read seconds since the epoch with a fraction, or milli-, micro- and nanoseconds, told by their size."""
    if _EPOCH.fullmatch(value) is None:
        return None
    number = float(value)
    return next((number / unit for bound, unit in _UNITS if number < bound), None)


def seconds(value: bytes) -> float | None:
    """Read seconds since the epoch, as ``$msec`` and ``%{sec}t`` are."""
    number = float(value) if _EPOCH.fullmatch(value) else _END
    return number if number < _END else None


def any_of(value: bytes) -> float | None:
    """Read whichever of the three it is, in brackets or without."""
    return _any_of(value) if len(value) <= _LONGEST else None


@lru_cache(256)
def _any_of(value: bytes) -> float | None:
    if value[:1] == b"[" and value[-1:] == b"]":
        value = value[1:-1]
    if value[2:3] == b"/":
        return clf(value)
    return iso(value) if value[4:5] in (b"-", b"/") else epoch(value)


Time = Callable[[bytes], float | None]
READERS: Mapping[str, Time] = {"clf": clf, "iso": iso, "seconds": seconds, "epoch": epoch, "any": any_of}


def reader(name: str) -> Time:
    """Return the function that reads times: one of `READERS`, or ``strftime:`` and a form."""
    return READERS[name] if name in READERS else strftime(name.removeprefix("strftime:"))


def expression(form: str) -> bytes:
    """Return an expression of the times that a strftime form writes. Raises ValueError for what it cannot read back."""
    return _GROUP.sub(b"(?:", _with_groups(form))


def strftime(form: str) -> Time:
    """Return a function that reads back what strftime wrote; without an offset (%z) it is taken as UTC."""
    fits = re.compile(_with_groups(form)).fullmatch

    def read(value: bytes) -> float | None:
        match = fits(value)
        return None if match is None else _composed(match.groupdict())

    return read


def moment(date: tuple[int, int, int, int, int], offset: timedelta | None) -> float | None:
    """Return the first second of a minute, None when the calendar has no such minute."""
    if offset is None:
        return None
    try:
        start = datetime(*date, tzinfo=timezone(offset)).timestamp()
    except (ValueError, OverflowError):
        return None
    return start if 0 <= start < _END - 60 else None


_CONVERSION = re.compile(r"%(.)|[^%]+", re.DOTALL)
_LONG_FORMS = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y", "h": "%b", "e": "%d"}
_CONVERSIONS = {
    "Y": rb"(?P<year>\d{4})",
    "y": rb"(?P<short_year>\d\d)",
    "m": rb"(?P<month>\d\d)",
    "b": rb"(?P<name>[A-Z][a-z]{2})",
    "d": rb"(?P<day>[\d ]\d)",
    "H": rb"(?P<hour>\d\d)",
    "M": rb"(?P<minute>\d\d)",
    "S": rb"(?P<second>\d\d)",
    "z": rb"(?P<zone>[+-]\d{4})",
    "s": rb"(?P<seconds>\d{1,12})",
    "f": rb"(?P<fraction>\d{1,9})",  # Apache's msec_frac and usec_frac
    "Z": rb"[A-Za-z0-9+-]+",  # names of zones are ambiguous: passed over
    "a": rb"[A-Z][a-z]{2}",
    "A": rb"[A-Z][a-z]+",
    "%": rb"%",
    "n": rb"\n",
    "t": rb"\t",
}


_CLOCK = frozenset(("day", "hour", "minute", "second"))
_WHOLE = tuple(_CLOCK | {year, month} for year in ("year", "short_year") for month in ("month", "name"))


_GROUP = re.compile(rb"\(\?P<[a-z_]+>")


def _with_groups(form: str) -> bytes:
    found = b"".join(_part(match) for match in _CONVERSION.finditer(_spelled_out(form)))
    try:
        names = re.compile(found).groupindex.keys()
    except re.error:
        raise ValueError("something stands in it twice") from None
    if "seconds" not in names and not any(whole <= names for whole in _WHOLE):
        raise ValueError("it holds no whole moment: %s, or %Y, %m, %d, %H, %M and %S")
    return found


def _spelled_out(form: str) -> str:
    return re.sub("%([TRFDhe])", lambda match: _LONG_FORMS[match[1]], form)


def _part(match: re.Match[str]) -> bytes:
    letter = match[1]
    if letter is None:
        return re.escape(match[0]).encode()
    if letter not in _CONVERSIONS:
        raise ValueError(f"%{letter} cannot be read back")
    return _CONVERSIONS[letter]


def _composed(parts: Mapping[str, bytes]) -> float | None:
    fraction = parts.get("fraction")
    part = int(fraction) / 10 ** len(fraction) if fraction else 0.0
    if "seconds" in parts:
        whole = seconds(parts["seconds"])
        return None if whole is None else whole + part
    year = int(parts["year"]) if "year" in parts else 2000 + int(parts["short_year"])
    month = int(parts["month"]) if "month" in parts else MONTHS.get(parts["name"], 0)
    second = int(parts["second"])
    start = moment(
        (year, month, int(parts["day"]), int(parts["hour"]), int(parts["minute"])), _offset(parts.get("zone", b"Z"))
    )
    return None if start is None or second > 60 else start + second + part


@lru_cache(256)
def _minute(value: bytes) -> float | None:
    match = _MINUTE.fullmatch(value)
    if match is None:
        return None
    day, month, year, hour, minute, zone = match.groups()
    return moment((int(year), MONTHS.get(month, 0), int(day), int(hour), int(minute)), _offset(zone))


@lru_cache(256)
def _iso_minute(year: bytes, month: bytes, day: bytes, hour: bytes, minute: bytes, zone: bytes) -> float | None:
    return moment((int(year), int(month), int(day), int(hour), int(minute)), _offset(zone))


def _offset(zone: bytes) -> timedelta | None:
    if zone in b"Zz":
        return UTC.utcoffset(None)
    digits = zone[1:].replace(b":", b"").ljust(4, b"0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        return None
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[:1] == b"-" else 1)
