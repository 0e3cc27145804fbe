"""Find the visitor's address: walk from the server's peer towards the visitor, for as long as the word is trusted.

A proxy appends the address it saw, so only what trusted proxies appended is true; the left end of X-Forwarded-For is
whatever the visitor wrote. The walk goes from the right and stops at the first address that is no trusted proxy. Where
it ends at a proxy, or at an address that nobody on the Internet has, the visitor is not known.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from logship.parser.fields import FormatError, did_you_mean

# https://www.cloudflare.com/ips-v4 and ips-v6, changed last on 2023-09-28. A daily copy of both held these networks on
# the day below: https://github.com/rezmoss/cloud-provider-ip-addresses, cloudflare/cloudflare.netset
CLOUDFLARE_DATE = "2026-07-02"
CLOUDFLARE = (
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
)
SETS = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
    ),
    "cloudflare": CLOUDFLARE,
}
# Nobody on the Internet has these: https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 sibling,
# without the ranges of documentation (examples hold them) and without those that translate to a visitor's own.
_NOBODYS = (
    *(*SETS["loopback"], *SETS["private"], "0.0.0.0/8", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/3"),
    *("::/128", "100::/64", "fec0::/10", "ff00::/8"),
)
_UNIX = frozenset(("unix", "unix:"))
_MAPPED = b"\0" * 10 + b"\xff\xff"
_PORT = re.compile(r":\d{1,5}")
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s"]*))', re.IGNORECASE)
_CACHE = 4096
_LONG = 256  # a chain of more characters is resolved anew each time, lest strangers fill the memory


def address_of(text: str) -> str | None:
    """Return the address in text in its canonical form, without port, brackets and zone; None when it is none."""
    packed = _packed(text.strip())
    return None if packed is None else _written(packed)


class ClientRule:
    """Which peers are believed, and which field holds what they say.

    ``private``: visitors may have private addresses, as on an intranet. Otherwise, where proxies are trusted, such an
    address is no visitor's; where none are, the log's word is all there is, and taken as it is.
    """

    def __init__(
        self, trusted_proxies: Sequence[str], field: str = "x_forwarded_for", *, private: bool = False
    ) -> None:
        words = [word.strip() for word in trusted_proxies]
        expanded = [item for word in words for item in SETS.get(word.lower(), (word,))]
        self.field = field
        self._unix = any(word in _UNIX for word in expanded)
        self._ranges = _Ranges(_network(word) for word in expanded if word not in _UNIX)
        self._trusting = bool(expanded)
        self._nobodys = _Ranges(() if private or not expanded else map(_network, _NOBODYS))
        self._remembered = lru_cache(_CACHE)(self._resolve)

    def resolve(self, peer: str | None, chain: str | None) -> str | None:
        """Return the visitor's address in canonical form, None when it is not known.

        ``peer`` is the address that connected to the server, None when the format does not hold it (then the last
        element of ``chain`` stands for it). ``chain`` is the field as logged.
        """
        if not self._trusting and peer is not None and ":" not in peer and _are_plain((peer,)):
            return peer
        if len(peer or "") + len(chain or "") > _LONG:
            return self._resolve(peer, chain)
        return self._remembered(peer, chain)

    def resolve_all(self, peers: Sequence[str | None], chains: Sequence[str | None]) -> Sequence[str | None]:
        """Return what `resolve` does of each pair."""
        if not self._trusting and _are_plain(peers):
            return peers
        return list(map(self.resolve, peers, chains))

    def _resolve(self, peer: str | None, chain: str | None) -> str | None:
        if peer is not None and not self._trusting:
            return address_of(peer.rpartition(",")[2])
        hops = self._hops(chain) if chain else []
        if peer is not None:
            hops += peer.split(",")
        return self._walk(reversed(hops))

    def _hops(self, chain: str) -> list[str]:
        if self.field == "forwarded" or self.field.endswith("http_forwarded"):
            return [_forwarded_for(element) for element in _elements(chain)]
        return chain.split(",")

    def _walk(self, hops: Iterable[str]) -> str | None:
        """Return the first that is no trusted proxy; None where all are, or one says that it does not know."""
        for hop in hops:
            word = hop.strip()
            if not word:
                continue
            packed = _packed(word)
            if packed is None and self._unix and word.startswith("unix:"):
                continue
            if packed is None or packed not in self._ranges:
                # What stands further left proves nothing.
                return None if packed is None or packed in self._nobodys else _written(packed)
        return None


def _elements(chain: str) -> list[str]:
    """Divide ``Forwarded`` (RFC 7239) at its commas, those in quotes aside.

    From the right: what the last proxy wrote is well formed, whatever a visitor has written before it.
    """
    parts, found = chain.split(","), []
    while parts:
        element = parts.pop()
        while element.count('"') % 2 and parts:
            element = f"{parts.pop()},{element}"
        found.append(element)
    return found[::-1]


def _forwarded_for(element: str) -> str:
    """Return whom an element is for; ``unknown`` where its proxy does not say: the one before it is another's word."""
    found = _FOR.search(element)
    if found is None:
        return "unknown" if element.strip() else ""
    return found[1] if found[1] is not None else found[2]


class _Ranges:
    """A set of networks, as sorted ranges of packed addresses. IPv4 and IPv6 differ in length, so they never mix."""

    def __init__(self, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self._by_length: dict[int, tuple[list[bytes], list[bytes]]] = {}
        found = list(networks)
        fours = [network for network in found if isinstance(network, ipaddress.IPv4Network)]
        sixes = [network for network in found if isinstance(network, ipaddress.IPv6Network)]
        self._add(4, ipaddress.collapse_addresses(fours))
        self._add(16, ipaddress.collapse_addresses(sixes))

    def _add(self, length: int, networks: Iterable[ipaddress.IPv4Network] | Iterable[ipaddress.IPv6Network]) -> None:
        ordered = sorted((network[0].packed, network[-1].packed) for network in networks)
        self._by_length[length] = ([first for first, _ in ordered], [last for _, last in ordered])

    def __contains__(self, packed: bytes) -> bool:
        firsts, lasts = self._by_length[len(packed)]
        at = bisect_right(firsts, packed) - 1
        return at >= 0 and packed <= lasts[at]


def _are_plain(texts: Sequence[str | None]) -> bool:
    """Tell whether texts are IPv4 addresses as they are: then they are canonical, for inet_pton takes no other."""
    try:
        for _ in map(inet_pton, repeat(AF_INET), texts):  # type: ignore[arg-type]
            pass
    except (OSError, ValueError, TypeError):
        return False
    return True


def _packed(word: str) -> bytes | None:
    bare = word
    if word[:1] == "[":
        bare, bracket, port = word[1:].partition("]")
        if not bracket or (port and _PORT.fullmatch(port) is None):
            return None
    elif word.count(":") == 1 and "." in word:
        bare, _, port = word.partition(":")
        if _PORT.fullmatch(":" + port) is None:
            return None
    family = AF_INET6 if ":" in bare else AF_INET
    try:
        # inet_pton refuses what inet_aton takes for an address: octal, hexadecimal, short forms.
        packed = inet_pton(family, bare.partition("%")[0] if family == AF_INET6 else bare)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _written(packed: bytes) -> str:
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(word, strict=False)
    except ValueError:
        names = ", ".join(sorted(SETS))
        raise FormatError(
            f"{word!r} is no address, no network and none of {names}, unix:{did_you_mean(word, SETS)}"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return ipaddress.ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96), strict=False)
    return network
