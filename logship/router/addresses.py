"""A set of networks, asked by address: sorted ranges, bisect, and a bounded memo."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable

_MEMO = 4096


class AddressError(ValueError):
    """Not an address or a network. The text is for people."""


class Networks:
    """Addresses and CIDR networks, IPv4 and IPv6."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Raise AddressError for the first that cannot be read."""
        ranges = sorted(_range(network) for network in networks)
        self._starts: list[tuple[int, int]] = []
        self._ends: list[tuple[int, int]] = []
        for start, end in ranges:
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)
        self._memo: dict[str, bool] = {}
        self.hold_all = {(4, 0), (6, 0)} <= set(self._starts) and {(4, 2**32 - 1), (6, 2**128 - 1)} <= set(self._ends)

    def __contains__(self, address: str) -> bool:
        known = self._memo.get(address)
        if known is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            known = self._memo[address] = self._holds(address)
        return known

    def _holds(self, address: str) -> bool:
        try:
            key = _key(ipaddress.ip_address(address))
        except ValueError:
            return False
        at = bisect_right(self._starts, key) - 1
        return at >= 0 and key <= self._ends[at]


def canonical(address: str) -> str | None:
    """Return an address as Plausible should see it (no mapped IPv4, compressed, lower case), or None if it is none."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    return str(getattr(parsed, "ipv4_mapped", None) or parsed).partition("%")[0]


def _range(network: str) -> tuple[tuple[int, int], tuple[int, int]]:
    try:
        parsed = ipaddress.ip_network(network, strict=False)
    except ValueError:
        raise AddressError(f"{network!r} is no address and no network such as 192.0.2.0/24 or 2001:db8::/32") from None
    return _key(parsed.network_address), _key(parsed.broadcast_address)


def _key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[int, int]:
    return address.version, int(address)
