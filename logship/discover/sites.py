"""Sites: servers that share a name, and the address under which visitors know them."""

from __future__ import annotations

from collections.abc import Sequence

from logship.discover import hosts
from logship.discover.servers import Server


def grouped(servers: Sequence[Server]) -> list[list[Server]]:
    """Return the servers that have a name, grouped by shared names."""
    unique = [each for each in dict.fromkeys(servers) if all_hosts([each])]
    groups = hosts.joined([[hosts.bare(name) for name in all_hosts([server])] for server in unique])
    return [[unique[number] for number in group] for group in groups]


def real(site: list[Server]) -> tuple[str, ...]:
    """Return the real host names of a site, those served by https first."""
    return hosts.sort(name for server in sorted(site, key=lambda each: not each.https) for name in server.names).real


def all_hosts(site: list[Server]) -> tuple[str, ...]:
    """Return the host names of a site, real ones before patterns."""
    names = hosts.sort(name for server in site for name in server.names)
    return names.real + names.patterns


def patterns_only(groups: list[list[Server]]) -> bool:
    """Tell whether one of the sites has no real name, only patterns."""
    return any(not real(site) for site in groups)


def origin(site: list[Server], secure: set[str]) -> str:
    """Return the site's address: its first real name, https if any server of that name has it."""
    name = (real(site) or ("",))[0]
    return f"{'https' if hosts.bare(name) in secure else 'http'}://{name}"
