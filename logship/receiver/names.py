"""Say for which names a page of this machine may be asked, so that no web page can pass for it.

A stranger's web page can make its own name point to 127.0.0.1 (DNS rebinding) and would then read what is recorded as
its own. So a listener that only this machine can reach answers for addresses, and for names that nobody can have in
the public DNS; `/api/event` answers for all, since logship sends whatever host a destination's URL has.
"""

from __future__ import annotations

import ipaddress
import re

_PORT = re.compile(r":\d*\Z")
_NOBODYS = (".localhost", ".local", ".internal", ".home.arpa", ".test", ".svc")
"""RFC 6761, RFC 6762, RFC 8375, ICANN's reservation of 2024, and Kubernetes' services."""


def is_local(host: str) -> bool:
    """Say whether only this machine can reach a listening address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_name_us(host: str) -> bool:
    """Say whether a ``Host`` header is an address, or a name that cannot be had in the public DNS."""
    name = _PORT.sub("", host).strip("[]").rstrip(".").lower()
    return "." not in name or name.endswith(_NOBODYS) or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
