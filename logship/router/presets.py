"""Rules that most people want, as ordinary rules: what is here can be printed, copied and changed.

The order within `pageviews` is by what a line shows first: request and status, then who asks, then the rest. `no-js`
is the others without what a script on the pages has counted already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from logship.router import probes
from logship.settings.conditions import AllOf, AnyOf, Not, Test, When
from logship.settings.rule import RuleSettings

# Parts of a page: no person requests them.
PARTS = (
    "**.{css,less,scss,js,mjs,cjs,jsx,ts,tsx,map,wasm,htc,class,swf}",
    "**.{json,jsonld,webmanifest,manifest,appcache,xml,xsl,xslt,rdf,yaml,yml}",
    "**.{png,apng,jpg,jpeg,jpe,jfif,gif,webp,avif,jxl,heic,heif,bmp,tif,tiff,svg,svgz,psd,ico,cur}",
    "**.{woff,woff2,ttf,otf,eot,m3u8,mpd,m4s,vtt,srt,lrc}",
)
# Files that a person requests by name: downloads.
FILES = (
    "**.{pdf,epub,mobi,azw3,djvu,ps,doc,docx,dot,dotx,odt,rtf,pages,tex,txt,asc,sig,sha256,md5,patch,diff}",
    "**.{xls,xlsx,ods,csv,tsv,numbers,key,ppt,pptx,pps,ppsx,odp,odg,ics,vcf,sql,sqlite,db,parquet}",
    "**.{zip,7z,rar,tar,tgz,tbz2,txz,gz,bz2,xz,zst,lz4,br,cab,jar,war,torrent,iso,img,bin}",
    "**.{pkg,dmg,exe,msi,msix,appimage,flatpak,snap,apk,aab,ipa,deb,rpm,crx,xpi,whl,gem,nupkg,crate}",
    "**.{gpx,kml,kmz,geojson,stl,dwg,dxf,mp3,m4a,m4b,aac,ogg,oga,opus,wav,flac,wma,mid,midi,aif,aiff}",
    "**.{mp4,m4v,mov,avi,mkv,webm,ogv,mpg,mpeg,wmv,flv,3gp}",
)
_SITEMAPS = ("**sitemap*.xml", "**sitemap*.xml.gz")
_FEEDS = (
    *("**/feed", "**/feed/", "**/feed/{atom,rss,rss2,rdf,json}", "**/feed/{atom,rss,rss2,rdf,json}/", "**/feed.json"),
    *("**/rss", "**/rss/", "**/atom", "**/atom/", "**.{rss,atom}", "**/{feed,feeds,rss,rss2,atom,index}.xml"),
)
_WELL_KNOWN = "/.well-known/**"

# A UA that no list of machines holds, and that claims to be no browser either. Plausible drops crawlers' own.
NEUTRAL_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) logship"


def expand(rule: RuleSettings) -> tuple[RuleSettings, ...] | None:
    """Return the rules that a preset stands for, with what the rule that uses it adds; None for an unknown preset.

    Its ``when`` narrows every rule of the preset; its actions replace those of the preset's events.
    """
    rules = PRESETS.get(rule.preset or "")
    if rules is None:
        return None
    return tuple(_adapted(each, rule) for each in rules)


def _adapted(rule: RuleSettings, use: RuleSettings) -> RuleSettings:
    name = (rule.name or "").replace(use.preset or "", use.name, 1) if use.name else rule.name
    adapted = replace(rule, name=name, when=_both(use.when, rule.when), where=use.where)
    if rule.event is None:
        return adapted
    changes: dict[str, Any] = {
        key: getattr(use, key) for key, default in _DEFAULTS.items() if getattr(use, key) != default
    }
    return replace(adapted, **changes, props={**rule.props, **use.props})


_OWN = {"name", "when", "drop", "preset", "event", "props", "where"}
_DEFAULTS = {each.name: getattr(RuleSettings(), each.name) for each in fields(RuleSettings) if each.name not in _OWN}


def _both(one: When, two: When) -> When:
    if not one.tests or not two.tests:
        return one if one.tests else two
    keys = [_key(test) for when in (one, two) for test in when.tests]
    if len(keys) == len(set(keys)):
        return When((*one.tests, *two.tests), one.where)
    return When((AllOf((one, two), one.where),), one.where)


def _key(test: Test | AnyOf | AllOf | Not) -> str:
    return test.field if isinstance(test, Test) else type(test).__name__


def _when(**tests: str | Sequence[str]) -> When:
    return When(tuple(Test(key, (value,) if isinstance(value, str) else tuple(value)) for key, value in tests.items()))


def _not(**tests: str | Sequence[str]) -> When:
    return When((Not(_when(**tests)),))


_SEEN = ("2xx", "304")

_PAGEVIEWS = (
    RuleSettings(name="pageviews/method", when=_not(method="GET"), drop="method"),
    RuleSettings(name="pageviews/status", when=_not(status=_SEEN), drop="status"),
    RuleSettings(name="pageviews/robots", when=_when(path="/robots.txt"), drop="robots"),
    RuleSettings(name="pageviews/well_known", when=_when(path=_WELL_KNOWN), drop="well_known"),
    RuleSettings(name="pageviews/sitemap", when=_when(path=_SITEMAPS), drop="sitemap"),
    RuleSettings(name="pageviews/feed", when=_when(path=_FEEDS), drop="feed"),
    RuleSettings(name="pageviews/asset", when=_when(path=(*PARTS, *FILES)), drop="asset"),
    RuleSettings(name="pageviews/bot", when=_when(bot="true"), drop="bot"),
    RuleSettings(
        name="pageviews/content_type",
        when=_both(_when(content_type="*"), _not(content_type=("text/html*", "application/xhtml+xml*"))),
        drop="content_type",
    ),
    RuleSettings(name="pageviews/prefetch", when=_when(prefetch="true"), drop="prefetch"),
    RuleSettings(name="pageviews/no_client_ip", when=_not(client_ip=("0.0.0.0/0", "::/0")), drop="no_client_ip"),
    RuleSettings(name="pageviews", event="pageview"),
)

# Parts of a file: further ones of a visitor who had it, or a part of it, within this time are the same download. A
# player asks for the next part when it has played the last.
_SAME_DOWNLOAD = 1800.0


def _downloads(name: str, **more: str) -> tuple[RuleSettings, ...]:
    whole = RuleSettings(
        name=name,
        when=_narrowed(_when(method="GET", status="200", path=FILES, bot="false"), **more),
        event="File Download",
        url="{page}",
        props={"url": "{site}{path}"},
    )
    parts = _narrowed(_when(method="GET", status="206", path=FILES, bot="false"), **more)
    return whole, replace(whole, name=f"{name}/parts", when=parts, once_within=_SAME_DOWNLOAD)


def _not_found(name: str) -> tuple[RuleSettings, ...]:
    missing = _when(method="GET", status="404", bot="false")
    left_out = _when(path=(_WELL_KNOWN, "/robots.txt", *PARTS, *probes.EXPLOITS, *probes.PROBES))
    return (
        RuleSettings(name=name, when=When((*missing.tests, Not(left_out))), event="404", props={"path": "{pathname}"}),
    )


def _feeds(name: str) -> tuple[RuleSettings, ...]:
    people = RuleSettings(
        name=name,
        when=_when(method="GET", status=_SEEN, path=_FEEDS, bot="false"),
        event="Feed",
        props={"url": "{site}{path}"},
    )
    readers = _when(method="GET", status=_SEEN, path=_FEEDS, bot="feed")
    return replace(people, name=f"{name}/readers", when=readers, user_agent=NEUTRAL_USER_AGENT), people


def _narrowed(when: When, **more: str) -> When:
    return When((*when.tests, *_when(**more).tests))


PRESETS: dict[str, tuple[RuleSettings, ...]] = {
    "pageviews": _PAGEVIEWS,
    "downloads": _downloads("downloads"),
    "not-found": _not_found("not-found"),
    "feeds": _feeds("feeds"),
    "ai-crawlers": (
        RuleSettings(
            name="ai-crawlers",
            when=When(
                (
                    *_when(method="GET", status=_SEEN, bot="ai").tests,
                    Not(_when(path=("/robots.txt", *PARTS))),
                )
            ),
            event="AI Crawler",
            props={"crawler": "{bot.name}", "class": "{bot.class}", "path": "{pathname}"},
            user_agent=NEUTRAL_USER_AGENT,
        ),
    ),
    "no-js": (
        *_downloads("no-js/downloads", same_site="false"),
        *_not_found("no-js/not-found"),
        *_feeds("no-js/feeds"),
    ),
}
