"""What events cost at Plausible: its tiers by events a month. Facts from outside, with their date, to be checked.

Source: the tiers of `priv/plans_v5.json` in plausible/analytics (since May 2025; the same eight since 2023), and the
prices of the smallest on https://plausible.io/#pricing in August 2026. Page views and custom events of all sites of an
account count; what Plausible drops does not. A self-hosted Plausible counts nothing.
"""

from __future__ import annotations

TIERS = (10_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000)
KNOWN_SINCE = "August 2026"
SMALLEST = "the smallest costs $9 (Starter), $14 (Growth) or $19 (Business) a month"
PRICES = "https://plausible.io/#pricing"


def tier(events: int) -> int | None:
    """Return the smallest tier that holds so many events a month; None: they are too many for all."""
    return next((most for most in TIERS if events <= most), None)


def short(number: int) -> str:
    """Return a tier as people say it: 10k, 2M."""
    return f"{number // 1_000_000}M" if number >= 1_000_000 else f"{number // 1000}k"
