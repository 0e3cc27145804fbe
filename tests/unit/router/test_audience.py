# ruff: noqa: E501 - a User-Agent stands on one line
import random
import time

import is_bot
import pytest

from logship.router import audience
from logship.router.presets import NEUTRAL_USER_AGENT

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)

MACHINES = [
    (
        "ai-crawler",
        "GPTBot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    ),
    (
        "ai-user-fetch",
        "ChatGPT-User",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    ),
    (
        "ai-crawler",
        "ClaudeBot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    ),
    (
        "ai-user-fetch",
        "Claude-User",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Claude-User/1.0; +Claude-User@anthropic.com)",
    ),
    (
        "ai-assistant",
        "PerplexityBot",
        "Mozilla/5.0 (compatible; PerplexityBot/1.0; +https://perplexity.ai/perplexitybot)",
    ),
    ("ai-crawler", "CCBot", "CCBot/2.0 (https://commoncrawl.org/faq/)"),
    (
        "ai-crawler",
        "Bytespider",
        "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
    ),
    ("search", "Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    ("search", "bingbot", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
    ("seo", "AhrefsBot", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
    ("monitor", "kube-probe", "kube-probe/1.28"),
    ("monitor", "ELB-HealthChecker", "ELB-HealthChecker/2.0"),
    ("monitor", "UptimeRobot", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"),
    ("monitor", "W3C-checklink", "W3C-checklink/4.5 [4.160] libwww-perl/5.823"),
    ("preview", "Slackbot-LinkExpanding", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"),
    ("preview", "facebookexternalhit", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
    ("preview", "WhatsApp", "WhatsApp/2.23.20.0 A"),
    ("preview", "Discordbot", "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"),
    ("preview", "TelegramBot", "TelegramBot (like TwitterBot)"),
    ("preview", "Twitterbot", "Twitterbot/1.0"),
    ("feed", "Feedly", "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers)"),
    ("feed", "Miniflux", "Mozilla/5.0 (compatible; Miniflux/2.1.0; +https://miniflux.app)"),
    ("feed", "FreshRSS", "FreshRSS/1.24.0 (Linux; https://freshrss.org)"),
    ("feed", "NewsBlur", "NewsBlur Feed Fetcher - 5 subscribers"),
    ("library", "curl", "curl/8.5.0"),
    ("library", "Wget", "Wget/1.21.4"),
    ("library", "python-requests", "python-requests/2.31.0"),
    ("library", "Go-http-client", "Go-http-client/1.1"),
    ("library", "okhttp", "okhttp/4.12.0"),
    ("library", "libwww-perl", "libwww-perl/6.72"),
    ("library", "Java", "Java/17.0.9"),
    ("library", "Apache-HttpClient", "Apache-HttpClient/4.5.14 (Java/17.0.9)"),
    ("library", "axios", "axios/1.6.2"),
    ("library", "node-fetch", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)"),
    ("headless", "HeadlessChrome", CHROME.replace("Chrome/", "HeadlessChrome/")),
    (
        "headless",
        "PhantomJS",
        "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
    ),
    ("scanner", "Nuclei", CHROME + " Nuclei"),
    ("scanner", "zgrab", "Mozilla/5.0 zgrab/0.x"),
    ("scanner", "sqlmap", "sqlmap/1.7.2#stable (https://sqlmap.org)"),
    ("other", "Frobnicator", "Frobnicator/1.0 (+https://frob.example/bot)"),
    ("none", "", None),
    ("none", "", ""),
    ("none", "", "   "),
]


@pytest.mark.parametrize(("kind", "name", "user_agent"), MACHINES)
def test_a_machine_is_told_by_class_and_name(kind, name, user_agent):
    """is-bot, the catalogue and the own table together know what fills logs."""
    assert audience.classify(user_agent) == audience.Audience(kind, name)


PEOPLE = [
    CHROME,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 6.0; CUBOT NOTE S Build/MRA58K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 9;CUBOT_X18_Plus) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/21.0 Chrome/110.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; SM-A536B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/118.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/436.0.0.35.101;]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 302.0.0.23.114 (iPhone14,5; iOS 17_0; de_DE)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21B74 Twitter for iPhone/10.14",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 LinkedInApp",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.42(0x18002a2c) NetType/WIFI",
    "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0 Mobile Safari/537.36 GoogleApp/14.33",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
    "Mozilla/5.0 (Linux; U; Android 10; en-US; RMX1971) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/78.0 UCBrowser/13.4.0.1306 Mobile Safari/537.36",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
    "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 WebAppManager",
    "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
    "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/601.6 (KHTML, like Gecko) NF/4.0.0.5.10 NintendoBrowser/5.1.0.13343",
    "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.4.6 like Chrome/108.0.5359.220 Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 2.3.6; de-de; GT-S5830i Build/GINGERBREAD) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; WOW64; Trident/4.0; SLCC2; Media Center PC 6.0; InfoPath.2; MS-RTC LM 8)",
    "Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
    "Mozilla/5.0 (Linux; arm_64; Android 13) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 YaSearchApp/24.12 YaApp_Android/24.12 Mobile Safari/537.36",
    "Lynx/2.8.9rel.1 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/1.1.1d",
    "w3m/0.5.3",
    "Links (2.28; Linux 6.1.0-13-amd64 x86_64; GNU C 12.2; text)",
    "ELinks/0.16.1.1 (textmode; Linux 6.1; 80x24-2)",
    "NetSurf/3.10 (Linux; amd64)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.115.0 Chrome/142.0 Electron/39.8.5 Safari/537.36",
    'Mozilla/5.0 a" 404 9 "https://evil.example/" "b',
    NEUTRAL_USER_AGENT,
]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_are_kept_whatever_they_browse_with(user_agent):
    """Phones whose brand holds "bot", browsers in apps, television sets and terminals are people."""
    assert audience.classify(user_agent) == audience.PERSON


def test_every_class_of_the_catalogue_is_known():
    """What crawlers are tagged with leads to one of the documented classes."""
    kinds = {audience.classify(user_agent).kind for _, _, user_agent in MACHINES}
    assert kinds == set(audience.KINDS) - {"ai"}  # which is for the user's own patterns, and for all of AI together


def test_memory_is_bounded_whatever_strangers_send(monkeypatch):
    """Neither many User-Agents nor long ones are kept."""
    monkeypatch.setattr(audience, "_REMEMBERED", 64)
    classifier = audience.Classifier()
    for number in range(audience._REMEMBERED + 10):
        classifier.classify(f"Mozilla/5.0 (X11; Linux x86_64; rv:{number}) Gecko/20100101")
    classifier.classify("x" * 1_000_000)
    assert len(classifier._known) <= audience._REMEMBERED
    assert all(len(known or "") <= audience._LONGEST for known in classifier._known)


@pytest.mark.parametrize(
    "hostile", ["a " * 500_000, "(" * 100_000, "Mozilla/5.0 " * 50_000, "1/" * 100_000, "\udcff" * 9]
)
def test_a_hostile_user_agent_costs_little(hostile):
    """Only the first half kilobyte is looked at."""
    audience.classify("warm up")
    started = time.process_time()
    audience.classify(hostile)
    assert time.process_time() - started < 2


def test_python_looks_behind_for_the_same_texts_as_is_bots_own_engine():
    """A text behind which nothing may stand, or one of several: each is looked for by itself."""
    bots = is_bot.Bots()
    pieces = ["java", "java;", " channel/", "google/", "google", "googlewv", "Google Pixel", "g", "newssapphire"]
    pieces += ["news", " cu", "bot", "bots_", "robots", "lib", "http", "cam", "SCAN", " ", "/", ";", "Mozilla/5.0 (x) "]
    dice = random.Random(1)
    texts = ["".join(dice.choices(pieces, k=dice.randint(1, 6))) for _ in range(3000)]
    assert [text for text in texts if audience._is_bot(text) != bots.is_bot(text)] == []
