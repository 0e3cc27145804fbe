"""Read a request line, its target and a host's name. Odd ones give what can be told; nothing is refused here.

``GET /p?q HTTP/1.1`` is what people send; scanners send binary, single words, HTTP/0.9, proxies' absolute targets and
raw spaces. A method is a token or it is none, and without one there is no path either.
"""

from __future__ import annotations

import re
from socket import AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from logship.language.notations import ascii_host

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_COMMON = frozenset(("GET", "HEAD", "POST", "OPTIONS"))
_NO_HOST = frozenset(("", "_", "-", "*"))


class Target(NamedTuple):
    """What a request target says. ``path`` is None for CONNECT's authority and for what is no target at all."""

    path: str | None = None
    query: str | None = None
    host: str | None = None
    scheme: str | None = None
    absolute: bool = False


def split(line: str) -> tuple[str | None, str | None, str | None]:
    """Split a request line into method, target and protocol. The target may hold raw blanks; HTTP/0.9 has no third."""
    method, blank, rest = line.partition(" ")
    if not blank or (method not in _COMMON and _TOKEN.fullmatch(method) is None):
        return None, None, None
    target, _, protocol = rest.rpartition(" ")
    if protocol.startswith("HTTP/"):
        return method, target, protocol
    return method, rest, None


def method_of(text: str | None) -> str | None:
    """Return the method if it is a token."""
    return text if text and _TOKEN.fullmatch(text) else None


def target_of(method: str | None, text: str | None) -> Target:
    """Read a target in origin, absolute, authority or asterisk form."""
    if not text or method == "CONNECT":
        return Target()
    if text[0] == "/" or text == "*":
        return Target(*_path_and_query(text))
    match = _ABSOLUTE.fullmatch(text)
    if match is None:
        return Target()
    scheme, authority, rest = match.groups()
    path, query = _path_and_query(rest if rest[:1] == "/" else "/" + rest)
    return Target(path, query, host_of(authority.rpartition("@")[2]), scheme.lower(), absolute=True)


def host_of(text: str | None) -> str | None:
    """Return a host as browsers name it; None for ``_``, ``-``, "".

    In lower case without port, brackets and last dot, IPv6 compressed, letters beyond ASCII as punycode.
    """
    if not text or text in _NO_HOST:
        return None
    host = text.lower()
    if host[0] == "[":
        host = _compressed(host[1:].partition("]")[0])
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    host = host.removesuffix(".")
    return None if host in _NO_HOST else ascii_host(host) or host


def _compressed(host: str) -> str:
    """Return an IPv6 address in its one spelling, any other text as it is."""
    try:
        return inet_ntop(AF_INET6, inet_pton(AF_INET6, host))
    except (OSError, ValueError):
        return host


def _path_and_query(text: str) -> tuple[str, str | None]:
    path, mark, query = text.partition("?")
    return path, query if mark else None
