"""Figures as people read them: numbers, sizes, time spans, shares. For the page and for `logship status`."""

from __future__ import annotations


def number(value: float) -> str:
    """Return a number as people read it: ``1,234``, ``12.5``, ``0.25``."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def size(value: float | None) -> str:
    """Return bytes with their unit: ``512 B``, ``1.5 MiB``; nothing for None."""
    if value is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError  # the loop ends with its last unit


def duration(seconds: float) -> str:
    """Return a time span by its two greatest units: ``3 s``, ``4 min 10 s``, ``2 d 3 h``."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s".replace(".0 s", " s")
    left, parts = round(seconds), list[str]()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def share(part: float, whole: float) -> str:
    """Return a percentage; what is there is never shown as nothing, nor what is missing as all."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.9 < percent < 100 else f"{percent:.1f} %".replace(".0 %", " %")
