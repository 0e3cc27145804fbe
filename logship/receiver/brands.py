"""The names of sources as their dashboards spell them: a compact table of our own, not a copy of anyone's database.

A line is a name and the hosts that mean it. A host stands for its subdomains too, and the longest that fits wins, so
`mail.google.com` is not a search. ``name.*`` is the registrable domain under any suffix (`google.co.uk`). What has no
dot is a short form that people put into `utm_source`; a brand's own name, in any case, is one as well.
"""

from __future__ import annotations

from functools import lru_cache

from logship.receiver import domains

_TABLE = """
Google: google.* com.google.android.googlequicksearchbox adwords googleads google-ads gads google_ads
Gmail: mail.google.com com.google.android.gm
Google News: news.google.com
Google Translate: translate.google.com translate.goog
Google Play: play.google.com
Bing: bing.com bingads bing-ads
DuckDuckGo: duckduckgo.com ddg
Yahoo!: yahoo.com yahoo.co.jp r.search.yahoo.com
Yahoo! Mail: mail.yahoo.com mail.yahoo.co.jp
Ecosia: ecosia.org
Qwant: qwant.com
Startpage: startpage.com
Brave: search.brave.com brave.com
Kagi: kagi.com
Mojeek: mojeek.com
Swisscows: swisscows.com
MetaGer: metager.org metager.de
Searx: searx.* searxng.*
Yandex: yandex.* ya.ru
Baidu: baidu.com
Sogou: sogou.com
Naver: naver.com
Daum: daum.net
Seznam: seznam.cz
Coc Coc: coccoc.com
Petal Search: petalsearch.com
AOL: aol.com search.aol.com
Ask: ask.com
Presearch: presearch.com presearch.org
Marginalia: marginalia.nu marginalia-search.com
Facebook: facebook.com fb.com fb.me messenger.com com.facebook.katana fb facebookads facebook-ads facebook_ads fbads
Instagram: instagram.com ig com.instagram.android instagram-ads
Threads: threads.net threads.com com.instagram.barcelona
WhatsApp: whatsapp.com wa.me com.whatsapp wa
Twitter: twitter.com t.co x.com com.twitter.android tweetdeck.com
Youtube: youtube.com youtu.be com.google.android.youtube yt
LinkedIn: linkedin.com lnkd.in com.linkedin.android li linkedin-ads
Reddit: reddit.com redd.it com.reddit.frontpage reddit-ads
Pinterest: pinterest.* pin.it com.pinterest
TikTok: tiktok.com com.zhiliaoapp.musically tiktok-ads tiktokads
Snapchat: snapchat.com snapchat-ads
Telegram: telegram.org telegram.me t.me web.telegram.org org.telegram.messenger org.telegram.plus tg
Discord: discord.com discordapp.com discord.gg com.discord
Slack: slack.com com.slack com.tinyspeck.chatlyio
Signal: signal.org signal.me org.thoughtcrime.securesms
Microsoft Teams: teams.microsoft.com teams.live.com com.microsoft.teams statics.teams.cdn.office.net
Outlook: outlook.live.com outlook.office.com outlook.office365.com com.microsoft.office.outlook
Proton Mail: mail.proton.me
Skype: skype.com web.skype.com
Line: line.me
WeChat: weixin.qq.com wechat.com
QQ: qq.com
Weibo: weibo.com weibo.cn
VK: vk.com vk.ru away.vk.com vkontakte.ru
Odnoklassniki: ok.ru
Mastodon: mastodon.social mastodon.online mstdn.social fosstodon.org hachyderm.io infosec.exchange mas.to chaos.social
Bluesky: bsky.app bsky.social go.bsky.app
Lemmy: lemmy.world lemmy.ml
Tumblr: tumblr.com
Quora: quora.com
Medium: medium.com
Substack: substack.com
Twitch: twitch.tv
Vimeo: vimeo.com
Flipboard: flipboard.com
Pocket: getpocket.com
Instapaper: instapaper.com
Feedly: feedly.com
Inoreader: inoreader.com
Wikipedia: wikipedia.org wikimedia.org
Hacker News: news.ycombinator.com hckrnews.com hn hackernews
Lobsters: lobste.rs
Product Hunt: producthunt.com
GitHub: github.com
GitLab: gitlab.com
Codeberg: codeberg.org
Bitbucket: bitbucket.org
SourceForge: sourceforge.net
Stack Overflow: stackoverflow.com
Stack Exchange: stackexchange.com
Server Fault: serverfault.com
Super User: superuser.com
Ask Ubuntu: askubuntu.com
DEV Community: dev.to
Hashnode: hashnode.com hashnode.dev
npm: npmjs.com
PyPI: pypi.org
Docker Hub: hub.docker.com
Slashdot: slashdot.org
Habr: habr.com
Trello: trello.com
Notion: notion.so
Jira: atlassian.net
ChatGPT: chatgpt.com chat.openai.com com.openai.chatgpt openai
Claude: claude.ai
Perplexity: perplexity.ai ai.perplexity.app.android
Gemini: gemini.google.com bard.google.com
Microsoft Copilot: copilot.microsoft.com copilot.com copilot
GitHub Copilot: copilot.github.com
Mistral: chat.mistral.ai mistral.ai
DeepSeek: chat.deepseek.com deepseek.com
Grok: grok.com x.ai
Meta AI: meta.ai
You.com: you.com
Phind: phind.com
Poe: poe.com
Kimi: kimi.com kimi.moonshot.cn
Qwen: chat.qwen.ai
"""


def _read(table: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    hosts, labels, names = {}, {}, {}
    for line in table.strip().splitlines():
        brand, _, keys = line.partition(": ")
        names[brand.lower()] = brand
        for key in keys.split():
            if key.endswith(".*"):
                labels[key.removesuffix(".*")] = brand
            elif "." in key:
                hosts[key] = names[key] = brand
            else:
                names[key] = brand
    return hosts, labels, names


_HOSTS, _LABELS, _NAMES = _read(_TABLE)


@lru_cache(maxsize=4096)
def of_host(host: str) -> str | None:
    """Return the brand behind a host (lower case, without ``www.``), None when the table does not know it."""
    rest = host
    while "." in rest:
        if rest in _HOSTS:
            return _HOSTS[rest]
        rest = rest.partition(".")[2]
    return _LABELS.get(domains.registrable(host).partition(".")[0])


def canonical(name: str) -> str:
    """Return a tagged source in its brand's spelling, when it is a brand's name or short form; else as it is."""
    return _NAMES.get(name.lower(), name)
