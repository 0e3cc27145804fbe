"""Names of machines: our own short table, the catalogue of crawler-user-agents, and browsers that look like machines.

Our own table comes first. It holds what is-bot misses, what the catalogue classes or names badly, and what fills most
logs. A name counts as a whole word only: ``bot`` inside a phone's brand makes nobody a machine.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from logship.linear import compile_expression
from logship.records import readable

_OWN: dict[str, tuple[str, ...]] = {
    # Those that read to train models, or to fill data sets.
    "ai-crawler": (
        *("GPTBot", "ClaudeBot", "Claude-Web", "anthropic-ai", "CCBot", "Bytespider", "TikTokSpider", "Amazonbot"),
        *("Applebot-Extended", "Google-Extended", "GoogleOther", "GoogleOther-Image", "GoogleOther-Video"),
        *("meta-externalagent", "FacebookBot", "cohere-ai", "Diffbot", "AI2Bot", "DeepSeekBot", "Timpibot"),
        *("ImagesiftBot", "Kangaroo Bot", "PanguBot", "FirecrawlAgent", "omgili", "omgilibot", "TSM-turingos"),
        *("img2dataset", "ChatGLM-Spider", "SBIntuitionsBot", "ICC-Crawler", "Brightbot", "Spawning-AI", "crawl4ai"),
        "OpenAI",
    ),
    # Those that build the index of an assistant, or of a search that answers.
    "ai-assistant": (
        *("OAI-SearchBot", "PerplexityBot", "Claude-SearchBot", "DuckAssistBot", "YouBot", "Amzn-SearchBot"),
        *("AzureAI-SearchBot", "TavilyBot", "PhindBot", "LinkupBot", "iAskBot", "iaskspider", "AISearchBot"),
        *("Google-CloudVertexBot", "KendraBot", "Aranet-SearchBot", "bigsur.ai", "Cloudflare-AutoRAG", "LinerBot"),
        *("Andibot", "Cotoyogi", "QuillBot", "WRTNBot", "EchoboxBot"),
    ),
    # Those that fetch a page because a person is asking an assistant now.
    "ai-user-fetch": (
        *("ChatGPT-User", "ChatGPT Agent", "Claude-User", "claude-code", "Perplexity-User", "PerplexityUser"),
        *("MistralAI-User", "meta-externalfetcher", "Google-NotebookLM", "Gemini-Deep-Research", "Amzn-User"),
        *("Manus-User", "Devin", "Operator", "NovaAct", "kagi-fetcher", "IsonAI-User", "Google-Agent", "linkReader"),
    ),
    "search": (
        *("Googlebot", "Googlebot-Image", "Googlebot-News", "Googlebot-Video", "Storebot-Google", "bingbot"),
        *("DuckDuckBot", "YandexBot", "Baiduspider", "Applebot", "Slurp", "SeznamBot", "PetalBot", "Qwantbot"),
        *("MojeekBot", "Sogou web spider", "Google-InspectionTool", "Bravebot", "coccocbot-web", "Marginalia"),
    ),
    "seo": ("AhrefsBot", "SemrushBot", "MJ12bot", "DotBot", "BLEXBot", "DataForSeoBot", "rogerbot", "serpstatbot"),
    "monitor": (
        *("kube-probe", "ELB-HealthChecker", "GoogleHC", "Amazon-Route53-Health-Check-Service", "UptimeRobot"),
        *("Uptime-Kuma", "Pingdom", "StatusCake", "Site24x7", "Blackbox Exporter", "Blackbox-Exporter", "Prometheus"),
        *("Better Uptime Bot", "BetterStack", "HetrixTools", "DatadogSynthetics", "Datadog", "NewRelicPinger"),
        *("check_http", "Zabbix", "Checkly", "Nagios", "Consul Health Check", "HAProxy", "Traefik", "Envoy/HC"),
        *("Cloudflare-Healthchecks", "Chrome-Lighthouse", "updown.io", "monitoring-plugins", "OhDear", "Gatus"),
        *("GTmetrix", "YLT Chrome", "Miniature.io", "HealthChecker", "HealthCheck", "Health Check", "Freshping"),
        *("SSL Labs", "NodePing", "GoogleStackdriverMonitoring-UptimeChecks", "AzureTrafficManager", "AlwaysOn"),
    ),
    "preview": (
        *("Slackbot", "Slackbot-LinkExpanding", "Slack-ImgProxy", "facebookexternalhit", "Facebot", "Discordbot"),
        *("TelegramBot", "Twitterbot", "LinkedInBot", "SkypeUriPreview", "redditbot", "Pinterestbot", "Iframely"),
        *("Embedly", "Mastodon", "Bluesky Cardyb", "Google-PageRenderer", "MicrosoftPreview", "BingPreview"),
        *("vkShare", "Viberbot", "Snap URL Preview Service", "Misskey", "Pleroma", "Akkoma", "Lemmy", "GroupMeBot"),
        "github.com/matrix-org/synapse",
    ),
    "feed": (
        *("Feedly", "FeedlyBot", "NewsBlur", "Miniflux", "FreshRSS", "Tiny Tiny RSS", "Feedbin", "inoreader"),
        *("Inoreader", "Feedfetcher-Google", "NetNewsWire", "Thunderbird-RSS", "BazQux", "The Old Reader", "CommaFeed"),
        *("theoldreader.com", "NextCloud-News", "Nextcloud-News", "Superfeedr", "SimplePie", "Newsboat", "newsboat"),
        *("Liferea", "Akregator", "RSS Guard", "Reeder", "Feedspot", "Overcast", "PocketCasts", "FeedBurner", "Yarr"),
        *("Blogtrottr", "Selfoss", "Vienna", "QuiteRSS", "RSSOwl", "UniversalFeedParser", "feedparser", "Rome"),
        *("rss2email", "PodcastAddict", "AntennaPod", "gPodder", "iTMS", "NewsGator", "Podcasts", "Castro"),
        *("Pocket Casts", "Podbean", "newsraft", "sfeed", "Elfeed", "Emacs Elfeed", "FeedDemon"),
        "Fluent Reader",
    ),
    "library": (
        *("Go-http-client", "okhttp", "python-requests", "python-httpx", "Python-urllib", "Python", "aiohttp", "curl"),
        *("libcurl", "PycURL", "Wget", "Wget2", "libwww-perl", "LWP", "lwp-request", "Apache-HttpClient", "axios"),
        *("Apache-HttpAsyncClient", "node-fetch", "undici", "got", "superagent", "GuzzleHttp", "Guzzle", "Faraday"),
        *("Ruby", "reqwest", "hyper", "Java-http-client", "Jakarta Commons-HttpClient", "HTTPie", "xh", "aria2"),
        *("Dart", "RestSharp", "PostmanRuntime", "insomnia", "Typhoeus", "HTTPClient", "libsoup", "PHP", "WinHTTP"),
        *("WinHttp.WinHttpRequest", "Microsoft-CryptoAPI", "CFNetwork", "colly", "Scrapy", "HTTrack", "fasthttp"),
        *("Symfony HttpClient", "WordPress", "Deno", "Bun", "urllib3", "Mechanize", "ktor-client", "Java", "node"),
        *("PowerShell", "WindowsPowerShell", "pip", "Docker-Client", "docker", "Dalvik", "git"),
        *("Microsoft Office", "Microsoft BITS", "Debian APT-HTTP", "Ktor client", "Elixir", "hackney", "lftp", "Expo"),
        *("REST Client", "rest-client", "http.rb", "Net::HTTP", "CakePHP", "Laravel", "GStreamer", "unirest-java"),
        *("lua-resty-http", "containerd", "npm", "yarn", "pnpm", "Composer", "Bundler", "cargo", "Homebrew"),
        *("Microsoft-WebDAV-MiniRedir", "gvfs", "davfs2", "rclone", "Cpp-httplib", "HttpUnit", "akka-http"),
        *("Jersey", "Vert.x-WebClient", "ReactorNetty", "Spring", "AsyncHttpClient", "req", "Finch"),
        "Tesla",
    ),
    "headless": (
        *("HeadlessChrome", "PhantomJS", "Puppeteer", "Playwright", "Selenium", "SlimerJS", "Splash", "Cypress"),
        *("wkhtmltopdf", "wkhtmltoimage", "HeadlessEdg", "HtmlUnit", "jsdom", "WebDriver", "Lightpanda"),
    ),
    "scanner": (
        *("Nuclei", "zgrab", "Nmap Scripting Engine", "masscan", "masscan-ng", "Nikto", "sqlmap", "WPScan"),
        *("Expanse", "InternetMeasurement", "l9explore", "l9tcpid", "l9scan", "Acunetix", "Nessus", "OpenVAS"),
        *("DirBuster", "gobuster", "ffuf", "feroxbuster", "httpx", "Fuzz Faster U Fool", "ZmEu", "Qualys", "WhatWeb"),
        *("Odin", "Shodan", "fimap", "jaeles", "dirsearch", "Detectify", "Netcraft", "wfuzz", "CensysInspect"),
        *("ModatScanner", "GenomeCrawlerd", "libredtail-http", "Custom-AsyncHttpClient", "Hello, world", "Hello World"),
        *("xfa1", "visionheight.com/scan", "Mozlila", "Moblie", "Bulid", "paloaltonetworks.com", "getodin.com"),
        *("Palo Alto Networks", "LeakIX", "Project Discovery", "w3af", "Morfeus", "Jorgee", "muhstik", "Keydrop"),
    ),
}

# Words that browsers hold as well: they count only where they cannot be a browser's.
_ALONE = frozenset(
    (
        *("Python", "Ruby", "Dart", "PHP", "LWP", "hyper", "got", "xh", "insomnia", "HTTPClient", "WordPress", "Deno"),
        *("Bun", "httpx", "OpenAI", "Rome", "Reeder", "Vienna", "Yarr", "Overcast", "Expanse", "Prometheus", "node"),
        *("Splash", "Qualys", "Datadog", "HAProxy", "Traefik", "Lemmy", "Mastodon", "Misskey", "Java", "Operator"),
        *("Mechanize", "libsoup", "colly", "pip", "Docker-Client", "docker", "Dalvik", "git"),
        *("Microsoft Office", "Elixir", "Expo", "REST Client", "rest-client", "http.rb", "CakePHP", "Laravel"),
        *("containerd", "npm", "yarn", "pnpm", "Composer", "Bundler", "cargo", "Homebrew"),
        *("gvfs", "davfs2", "rclone", "Jersey", "Spring", "req", "Finch", "Tesla", "iTMS", "Podcasts", "Castro"),
        *("AlwaysOn", "Health Check", "HealthCheck", "Devin", "Feedly", "sfeed", "xfa1"),
        *("Hello, world", "Hello World", "QuillBot", "Odin", "Detectify"),
    )
)

_TAGS = {  # crawler-user-agents' tags, the telling ones first: a crawler may carry several
    "ai-crawler": "ai-crawler",
    "search-engine": "search",
    "social-preview": "preview",
    "feed-reader": "feed",
    "monitoring": "monitor",
    "scanner": "scanner",
    "browser-automation": "headless",
    "http-library": "library",
    "seo": "seo",
    "advertising": "seo",
    "archiver": "search",
    "academic": "search",
}

_BROWSERS = re.compile(r"(?:Lynx/|w3m/|Links \(|ELinks[/ (]|NetSurf/|Dillo/|edbrowse/|retawq/|Emacs-)", re.ASCII)
# A brand of phones; LG's television sets; a URL in quotes, which is somebody's try at injecting fields into the log: a
# crawler's contact address stands without.
_FALSE_FRIENDS = re.compile(r'cubot|WebAppManager|SmartNews/|"https?://[^"]*"', re.IGNORECASE)
_ROOM = 4 << 20  # bytes at most: with half of it the automaton is built anew again and again
_WORD = re.compile(r"[^\s/();,:]+")
_DULL = frozenset({"mozilla", "compatible", "like", "gecko", "khtml", "applewebkit", "windows", "linux", "x11"})


def find(text: str) -> tuple[str, str] | None:
    """Return class and name from our own table."""
    found = _own().search(text) if _hint().search(readable(text)) else None
    if found is None or found.lastgroup is None:
        return None
    kind, word = found.lastgroup.removesuffix("_alone").replace("_", "-"), found[0]
    return kind, _spelling().get(word.lower(), word)


def is_browser(text: str) -> bool:
    """Tell whether it begins like a text browser, or like another that is-bot takes for a machine."""
    return _BROWSERS.match(text) is not None


def without_false_friends(text: str) -> str:
    """Remove what is-bot wrongly takes for a machine."""
    return _FALSE_FRIENDS.sub("", text)


def first_word(text: str) -> str:
    """Return the first telling word, as the name of an unknown machine."""
    words = _WORD.findall(text)
    return next(
        (word for word in words if word.lower() not in _DULL and not word[0].isdigit()), words[0] if words else ""
    )


def find_in_catalogue(text: str) -> tuple[str, str] | None:
    """Return class and name by crawler-user-agents: the longest match names it."""
    hits = [
        (found[0], kind)
        for chunk, entries in _catalogue()
        if chunk.search(text)
        for found, kind in _hits(entries, text)
    ]
    if not hits:
        return None
    name, kind = max(hits, key=lambda hit: (hit[1] != "library", len(hit[0])))
    return kind, name.strip(" /;()") or first_word(text)


def _hits(entries: list[tuple[str, str]], text: str) -> list[tuple[re.Match[str], str]]:
    return [(found, kind) for pattern, kind in entries if (found := re.search(pattern, text))]


@cache
def _own() -> re.Pattern[str]:
    """One pattern for the table, a group a class. ``alone``: at the start, where no browser is."""
    parts = []
    for kind, names in ((kind.replace("-", "_"), names) for kind, names in _OWN.items()):
        words = sorted((name for name in names if name not in _ALONE), key=len, reverse=True)
        parts.append(f"(?P<{kind}>" + "|".join(map(re.escape, words)) + ")")
        if alone := [name for name in names if name in _ALONE]:
            parts.append(rf"(?P<{kind}_alone>(?<!.)(?:" + "|".join(map(re.escape, alone)) + "))")
    return re.compile(r"(?<![a-z0-9])(?:" + "|".join(parts) + r")(?![a-z0-9])", re.IGNORECASE)


@cache
def _hint() -> Any:
    """Whatever `_own` finds holds one of these words: a twentieth of the time says that there is none."""
    words = sorted({re.escape(name) for names in _OWN.values() for name in names})
    return quick(rf"(?:^|[^a-z0-9])(?:{'|'.join(words)})(?:[^a-z0-9]|$)")


def quick(pattern: str) -> Any:
    """Compile a pattern of many words for RE2, with room enough that it need not fall back to its slow way."""
    return compile_expression(pattern, ignore_case=True, capture=False, most_memory=_ROOM)


@cache
def _spelling() -> dict[str, str]:
    return {name.lower(): name for names in _OWN.values() for name in names}


@cache
def _catalogue() -> list[tuple[re.Pattern[str], list[tuple[str, str]]]]:
    entries = [(entry["pattern"], _class(entry["tags"])) for entry in _listed()]
    chunks = [entries[at : at + 50] for at in range(0, len(entries), 50)]
    return [(re.compile("|".join(pattern for pattern, _ in chunk)), chunk) for chunk in chunks]


def _listed() -> list[dict[str, Any]]:
    """Read the package's data, at first use. Its module would do so as well, and keep 2 MB of it for good."""
    spec = find_spec("crawleruseragents")
    assert spec is not None
    assert spec.origin is not None
    listed: list[dict[str, Any]] = orjson.loads(Path(spec.origin).with_name("crawler-user-agents.json").read_bytes())
    return listed


def _class(tags: list[str]) -> str:
    return next((kind for tag, kind in _TAGS.items() if tag in tags), "other")
