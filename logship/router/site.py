"""What a source says of its lines: scheme, host, Plausible site, which hosts are ours, which parameters are sent."""

from __future__ import annotations

import re

from logship.records import Record
from logship.router import globs, query
from logship.settings import SourceSettings

_HOST = re.compile(r"[^\x00-\x20\x7f\ud800-\udfff\"#$%&'()*+,/:;<=>?@\[\\\]^`{|}]+", re.ASCII)
_ADDRESS = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_PLACES = 1024  # hosts remembered; a stranger can name any number of them


class Site:
    """One source's site. `origin` and `domain` are remembered by host, so that asking costs a look-up."""

    def __init__(self, source: SourceSettings) -> None:
        """Raise globs.GlobError for a fault in ``hosts``."""
        self.name = source.name
        self.scheme, self.host, self._port = _split(source.site)
        self.reduce = query.reducer(source.query)
        self._fixed_domain = source.domain or (_bare(self.host) if self.host else None)
        self._hosts = [globs.compile_glob(host, ignore_case=True) for host in source.hosts]
        self._ours: dict[str | None, bool] = {}
        self._origins: dict[tuple[str | None, str | None], str | None] = {}
        self.filters_hosts = bool(source.hosts)

    def is_ours(self, record: Record) -> bool:
        """Tell whether the request is for a host that counts.

        Without ``hosts`` all count, except one that an absolute-form target names and that is not the site's:
        only clients looking for an open proxy send those.
        """
        if not self.filters_hosts and not record.absolute:
            return True
        host = record.host
        ours = self._ours.get(host)
        if ours is None:
            if len(self._ours) >= _PLACES:
                self._ours.clear()
            ours = self._ours[host] = self._is_ours(host or self.host)
        return ours

    def origin(self, scheme: str | None, host: str | None) -> str | None:
        """Return ``scheme://host[:port]``, or None when there is no host or it cannot be one."""
        place = (scheme, host)
        if place in self._origins:
            return self._origins[place]
        if len(self._origins) >= _PLACES:
            self._origins.clear()
        origin = self._origins[place] = self._origin(scheme, host or self.host)
        return origin

    def domain(self, host: str | None) -> str | None:
        """Return the Plausible site: the source's own, else the host's name without ``www.``."""
        return self._fixed_domain or (_bare(host) if host else None)

    def _is_ours(self, host: str | None) -> bool:
        if host is None:
            return True
        if self._hosts:
            return any(fits(host) for fits in self._hosts)
        return self._fixed_domain is not None and _bare(host) in {self._fixed_domain, _bare(self.host or "")}

    def _origin(self, scheme: str | None, host: str | None) -> str | None:
        scheme = scheme if scheme in _DEFAULT_PORTS else self.scheme
        if not host or not (_HOST.fullmatch(host) or _ADDRESS.fullmatch(host)):
            return None
        authority = f"[{host}]" if ":" in host else host
        port = f":{self._port}" if self._port and host == self.host and scheme == self.scheme else ""
        return f"{scheme}://{authority}{port}"


def _split(site: str | None) -> tuple[str, str | None, str]:
    scheme, _, authority = (site or "https://").partition("://")
    host, _, port = _host_and_port(authority.lower())
    return scheme.lower(), host.strip("[]") or None, "" if port == _DEFAULT_PORTS.get(scheme.lower()) else port


def _host_and_port(authority: str) -> tuple[str, str, str]:
    if authority.startswith("["):
        return authority.partition("]:") if "]:" in authority else (authority, "", "")
    return authority.partition(":")


def _bare(host: str) -> str:
    return host.removeprefix("www.")
