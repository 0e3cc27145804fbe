"""Warn of a log that shows the addresses of proxies instead of visitors.

When a proxy's address is taken for the visitor's, all visitors count as one, and Plausible drops what comes from a data
centre. Nothing else shows it: the lines look fine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from logship.parser.client import CLOUDFLARE_DATE, ClientRule
from logship.parser.record import Parser
from logship.records import Record
from logship.router import audience
from logship.settings.source import ClientIpSettings

_ENOUGH = 10  # requests; fewer may well be the administrator's own
_NEARLY_ALL = 0.95  # of them; somebody always finds a way past the proxy

# Whose addresses they are, by the sets to be trusted then; the narrow ones first.
_FRONTS = {
    ("loopback",): "this machine's own",
    ("private", "loopback"): "private",
    ("cloudflare",): f"Cloudflare's (by its list of {CLOUDFLARE_DATE})",
}


def warning(client_ip: ClientIpSettings, parser: Parser, lines: Sequence[bytes]) -> str | None:
    """Return what is wrong with the addresses in a log's last lines, and what to do; None when nothing is."""
    records = [record for line in lines if isinstance(record := parser.parse(line), Record)]
    if len(records) < _ENOUGH:
        return None
    if client_ip.trusted_proxies:
        return _none_found(client_ip.field) if all(record.client_ip is None for record in records) else None
    addresses = Counter(record.client_ip for record in _of_people(records) if record.client_ip is not None)
    requests = addresses.total()
    shares = {sets: _proxies(sets, addresses) for sets in _FRONTS}
    front = next((sets for sets, count in shares.items() if count and count >= requests * _NEARLY_ALL), None)
    return None if front is None else _all_proxies(front, parser, shares[front], requests)


def _of_people(records: Sequence[Record]) -> Sequence[Record]:
    """Return those of people, if there are enough: monitors and scanners need not come through the proxy."""
    people = [record for record in records if not audience.classify(record.user_agent).kind]
    return people if len(people) >= _ENOUGH else records


def _proxies(sets: Sequence[str], addresses: Counter[str]) -> int:
    """Return how many requests came from addresses in these sets: behind one that is trusted, no client is found."""
    rule = ClientRule(sets, private=True)
    return sum(count for address, count in addresses.items() if rule.resolve(address, None) is None)


def _none_found(field: str) -> str:
    return (
        f"the field {field} held no visitor's address in any of the last requests, so every line is dropped as "
        "no_client_ip; does the log hold that field, and does the proxy in front fill it?"
    )


def _all_proxies(front: tuple[str, ...], parser: Parser, proxied: int, requests: int) -> str:
    which = "each" if proxied == requests else proxied
    known = "x_forwarded_for" in parser.format.facts
    remedy = (
        f"the log holds X-Forwarded-For: add client_ip: {{trusted_proxies: [{', '.join(front)}]}}"
        if known
        else "log X-Forwarded-For as well, and name the proxies in client_ip.trusted_proxies"
    )
    return (
        f"{which} of the last {requests} requests came from an address that is {_FRONTS[front]}, so a proxy's: all "
        f"visitors would count as one, and Plausible drops what is no visitor's; {remedy}. On an intranet, all is well"
    )
