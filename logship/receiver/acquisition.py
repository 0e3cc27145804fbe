"""Say where a visitor came from: the campaign tags of the URL, the source's brand name, the referrer as stored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from logship.receiver import brands, uri
from logship.receiver.values import Acquisition, Campaign

_CLICK_IDS = ("gclid", "gbraid", "wbraid", "msclkid", "fbclid", "twclid")
_IMPLIED_MEDIUM = {("Google", "gclid"): "(gclid)", ("Bing", "msclkid"): "(msclkid)"}


@lru_cache(maxsize=2048)
def of(url: uri.Uri, referrer: str | None) -> Acquisition:
    """Return the source, the cleaned referrer and the campaign of an event."""
    params = uri.form(url.query or "")
    tagged = params.get("utm_source") or params.get("source") or params.get("ref") or ""
    origin = _foreign(url, referrer)
    source = brands.canonical(tagged) if tagged else _source(origin)
    return Acquisition(source, _cleaned(origin), _campaign(params, tagged, source))


def referrer_host(referrer: str) -> str:
    """Return the host of a referrer without ``www.``, lower case; empty when it has none."""
    return uri.without_www(uri.split(referrer.strip()).host or "").lower()


def _foreign(url: uri.Uri, referrer: str | None) -> uri.Uri | None:
    if not referrer:
        return None
    origin = uri.split(referrer.strip())
    if not origin.host or origin.scheme not in ("http", "https", "android-app") or origin.host == "localhost":
        return None
    return None if uri.without_www(origin.host) == uri.without_www(url.host or "") else origin


def _source(origin: uri.Uri | None) -> str:
    if origin is None or origin.host is None:
        return ""
    host = uri.without_www(origin.host)
    return brands.canonical(brands.of_host(host.lower()) or host)


def _cleaned(origin: uri.Uri | None) -> str:
    if origin is None or origin.host is None:
        return ""
    cleaned = (uri.without_www(origin.host) + origin.path).rstrip("/")
    return f"android-app://{cleaned}" if origin.scheme == "android-app" else cleaned


def _campaign(params: Mapping[str, str], tagged: str, source: str) -> Campaign:
    click_id = next((name for name in _CLICK_IDS if params.get(name)), "")
    return Campaign(
        source=tagged,
        medium=params.get("utm_medium") or _IMPLIED_MEDIUM.get((source, click_id), ""),
        campaign=params.get("utm_campaign", ""),
        content=params.get("utm_content", ""),
        term=params.get("utm_term", ""),
        click_id=click_id,
    )
