"""What a source says about its lines: scheme, host, Plausible site, which hosts count, which parameters are sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from logship.language.notations import ascii_host
from logship.memo import Memo
from logship.records import Record
from logship.router import audience, event, globs, query
from logship.settings.source import SourceSettings

_HOST = re.compile(r"[^\x00-\x20\x7f\"#$%&'()*+,/:;<=>?@\[\\\]^`{|}]{1,255}")
_ADDRESS = re.compile(r"[0-9a-f:.]{2,45}", re.ASCII)
_PORT = re.compile(r":\d*\Z", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_REMEMBERED = 256  # hosts; a stranger can name any number of them
_LONGEST = 300  # characters of scheme and host together that are worth remembering

_Named = tuple[str | None, str | None]  # scheme and host as a request names them


@dataclass(slots=True)
class Place:
    """Where a request went, as its event will say: the same for all requests of one path and query.

    ``origin`` is ``scheme://host[:port]``, or None when there is no host or it cannot be one; ``path`` is encoded,
    and ``url`` is both and what is sent of the query. ``domain`` is empty when nothing tells it. ``sure``: all of
    it can be sent as it is.
    """

    site: Site
    origin: str | None
    path: str
    url: str
    domain: str
    sure: bool


class Site:
    """One source's site.

    ``classify`` tells who sent a User-Agent; ``logs`` are the ``log.NAME`` fields that a line can hold, None for any.
    """

    def __init__(
        self,
        source: SourceSettings,
        classify: audience.Classify = audience.classify,
        logs: frozenset[str] | None = None,
    ) -> None:
        """Raise globs.GlobError for a fault in ``hosts``."""
        self.classify, self.logs = classify, logs
        self.name = source.name
        self.scheme, self.host, self._port = _split(source.site)
        self._reduce = query.reducer(source.query)
        self._domain = source.domain or _bare(self.host or "")
        self._fits_hosts = globs.compile_globs(source.hosts, ignore_case=True) if source.hosts else None
        self.filters_hosts = bool(source.hosts)
        self._origins = Memo(self._origin, _REMEMBERED, worth=_is_short)

    def is_ours(self, record: Record) -> bool:
        """Tell whether the request is for a host that counts.

        Without ``hosts`` all count, except one that an absolute-form target names and that is not the site's:
        only clients looking for an open proxy send those.
        """
        host = record.host or self.host
        if self._fits_hosts:
            return host is None or self._fits_hosts(host)
        return not record.absolute or host is None or _bare(host) in {self._domain, _bare(self.host or "")}

    def place(self, record: Record) -> Place:
        """Return where the request went."""
        host = record.host or self.host
        origin = self.origin(record)
        path = event.encoded_path(record.path or "/")
        path = path if path.startswith("/") else "/" + path
        url = (origin or "") + path + self._suffix(record.query)
        domain = self._domain or (_bare(host) if host and origin else "")
        sure = origin is not None and len(url) <= event.URL_BYTES and domain != "" and "," not in domain
        sure = sure and record.path is not None  # what was asked for tells no page: nobody saw the front page
        return Place(self, origin, path, url, domain, sure)

    def holds(self, url: str | None, record: Record) -> bool:
        """Tell whether a URL is on the site that a request was for, with or without ``www.``, whatever its scheme."""
        host = (url or "").partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].lower()
        ours = record.host or self.host
        return bool(host) and ours is not None and _bare(_PORT.sub("", host).strip("[]")) == _bare(ours)

    def origin(self, record: Record) -> str | None:
        """Return ``scheme://host[:port]``, or None when there is no host or it cannot be one."""
        return self._origins[record.scheme, record.host]

    def _suffix(self, given: str | None) -> str:
        kept = self._reduce(given) if given else ""
        return f"?{event.encoded_query(kept)}" if kept else ""

    def _origin(self, named: _Named) -> str | None:
        scheme = named[0] if named[0] in _DEFAULT_PORTS else self.scheme
        host = named[1] or self.host
        authority = _authority(host) if host else None
        if authority is None:
            return None
        port = f":{self._port}" if self._port and host == self.host and scheme == self.scheme else ""
        return f"{scheme}://{authority}{port}"


def _is_short(named: _Named) -> bool:
    return sum(map(len, filter(None, named))) <= _LONGEST


def _authority(host: str) -> str | None:
    if ":" in host:
        return f"[{host}]" if _ADDRESS.fullmatch(host) else None
    if not _HOST.fullmatch(host):
        return None
    return ascii_host(host)


def _split(site: str | None) -> tuple[str, str | None, str]:
    scheme, _, authority = (site or "https://").lower().partition("://")
    host, port = authority, ""
    if found := re.fullmatch(r"(.*?):(\d+)", authority):
        host, port = found.groups()
    return scheme, host.strip("[]") or None, "" if port == _DEFAULT_PORTS.get(scheme) else port


def _bare(host: str) -> str:
    return host.removeprefix("www.")
