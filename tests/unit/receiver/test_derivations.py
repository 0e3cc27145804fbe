"""What is derived from an event: address, source and campaign, device, bot, registrable domain, visitor."""

import pytest

from logship.receiver import acquisition, address, bots, brands, device, domains, spam, uri, visitors
from logship.receiver.values import Campaign, Device

# --- the client's address ---------------------------------------------------------------------------------------------

ALL = {
    "x-plausible-ip": "198.51.100.1",
    "cf-connecting-ip": "198.51.100.2",
    "b-forwarded-for": "198.51.100.3, 10.0.0.1",
    "x-forwarded-for": "198.51.100.4, 10.0.0.1",
    "forwarded": "by=1.1.1.1;for=198.51.100.5;proto=http",
}


def test_headers_have_an_order():
    """The first header that is present and not empty wins; the peer comes last."""
    headers = dict(ALL)
    for expected in range(1, 6):
        assert address.of(headers, "127.0.0.1") == f"198.51.100.{expected}"
        del headers[next(iter(headers))]
    assert address.of(headers, "127.0.0.1") == "127.0.0.1"
    assert address.of({"x-plausible-ip": "", "x-forwarded-for": "10.1.1.1"}, "127.0.0.1") == "10.1.1.1"


@pytest.mark.parametrize("name", ["X-Real-IP", "True-Client-IP", "Fly-Client-IP"])
def test_other_headers_are_never_looked_at(name):
    """Headers that Plausible does not read are not read."""
    assert address.of({name.lower(): "198.51.100.1"}, "127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("1.2.3.4:123", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("2001:DB8::1", "2001:DB8::1"),
        (" unknown ", "unknown"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_ports_and_brackets_go_and_nothing_else(text, bare):
    """The text of the address counts: no spelling is normalised, no word skipped."""
    assert address.of({"x-forwarded-for": f"{text}, 9.9.9.9"}, "") == bare


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("For=192.0.2.60; proto=http", "192.0.2.60"),
        ("for=192.0.2.43, for=198.51.100.17", "192.0.2.43"),
        ("proto=https", "peer"),
    ],
)
def test_forwarded_gives_its_first_for(header, found):
    """Quotes, brackets and ports go; without `for=` the peer counts."""
    assert address.of({"forwarded": header}, "peer") == found


# --- source and campaign ----------------------------------------------------------------------------------------------


def of(url: str, referrer: str | None = None):
    return acquisition.of(uri.split(url), referrer)


@pytest.mark.parametrize(
    ("referrer", "source", "cleaned"),
    [
        ("https://www.google.co.uk/search?q=x", "Google", "google.co.uk/search"),
        ("https://facebook.com/page/", "Facebook", "facebook.com/page"),
        ("http://m.facebook.com/", "Facebook", "m.facebook.com"),
        ("https://www.indiehackers.com/page?query=param#hash", "indiehackers.com", "indiehackers.com/page"),
        ("https://blog.example.com/", "blog.example.com", "blog.example.com"),
        ("android-app://com.google.android.gm", "Gmail", "android-app://com.google.android.gm"),
        ("android-app://org.unknown.app/x", "org.unknown.app", "android-app://org.unknown.app/x"),
        ("https://example.com/other", None, ""),
        ("https://www.example.com", None, ""),
        ("http://localhost:4000/", None, ""),
        ("ftp://files.example.org/", None, ""),
        ("not a url", None, ""),
        ("", None, ""),
        (None, None, ""),
        (" https://t.co/abc ", "Twitter", "t.co/abc"),
    ],
)
def test_a_foreign_referrer_gives_source_and_referrer(referrer, source, cleaned):
    """Known hosts have their brand's name, others their own; internal, local and odd ones give nothing."""
    found = of("https://www.example.com/", referrer)
    assert (found.source or None, found.referrer) == (source, cleaned)


@pytest.mark.parametrize(
    ("query", "source", "tagged"),
    [
        ("utm_source=betalist", "betalist", "betalist"),
        ("utm_source=GOOGLE", "Google", "GOOGLE"),
        ("utm_source=ig", "Instagram", "ig"),
        ("source=fb&ref=x", "Facebook", "fb"),
        ("ref=my+friend", "my friend", "my friend"),
        ("utm_source=&ref=yt", "Youtube", "yt"),
        ("utm_source=adwords", "Google", "adwords"),
        ("utm_source=t.me", "Telegram", "t.me"),
    ],
)
def test_a_tagged_source_beats_the_referrer(query, source, tagged):
    """utm_source, then source, then ref; short forms get the brand's name, the tag stays as it was."""
    found = of(f"https://example.com/?{query}", "https://news.ycombinator.com/")
    assert (found.source, found.campaign.source, found.referrer) == (source, tagged, "news.ycombinator.com")


def test_campaign_tags_are_form_decoded():
    """Plus signs and escapes are undone, as in a form."""
    query = "utm_source=a+b&utm_medium=e%2Dmail&utm_campaign=x%20y&utm_content=%C3%BC&utm_term=t"
    assert of("https://example.com/?" + query).campaign == Campaign("a b", "e-mail", "x y", "ü", "t")


@pytest.mark.parametrize(
    ("query", "referrer", "medium", "click_id"),
    [
        ("gclid=secret", "https://google.com", "(gclid)", "gclid"),
        ("gclid=secret", "https://bing.com", "", "gclid"),
        ("msclkid=secret", "https://bing.com", "(msclkid)", "msclkid"),
        ("gclid=secret&utm_medium=cpc", "https://google.com", "cpc", "gclid"),
        ("fbclid=secret", None, "", "fbclid"),
        ("gclid=", "https://google.com", "", ""),
    ],
)
def test_of_a_click_id_only_its_name_is_kept(query, referrer, medium, click_id):
    """The value is gone; with no medium, Google's and Bing's own ids imply one."""
    found = of(f"https://example.com/?{query}", referrer)
    assert (found.campaign.medium, found.campaign.click_id) == (medium, click_id)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("host", "brand"),
    [
        ("google.com.br", "Google"),
        ("mail.google.com", "Gmail"),
        ("gemini.google.com", "Gemini"),
        ("google.evil.example", None),
        ("notgoogle.com", None),
        ("en.m.wikipedia.org", "Wikipedia"),
        ("yandex.com.tr", "Yandex"),
        ("web.telegram.org", "Telegram"),
        ("chat.openai.com", "ChatGPT"),
        ("copilot.microsoft.com", "Microsoft Copilot"),
        ("duckduckgo.com", "DuckDuckGo"),
        ("old.reddit.com", "Reddit"),
        ("lnkd.in", "LinkedIn"),
        ("localhost", None),
        ("", None),
    ],
)
def test_brands_are_known_by_their_hosts(host, brand):
    """A host stands for its subdomains and the longest that fits wins; a look-alike is nobody."""
    assert brands.of_host(host) == brand


# --- device and bot ---------------------------------------------------------------------------------------------------

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_4) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/70.0.3538.110 Safari/537.36"
            ),
            Device("Desktop", "Chrome", "70.0", "Mac", "10.13"),
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/120.0.2210.91",
            Device("Desktop", "Microsoft Edge", "120.0", "Windows", "10"),
        ),
        (
            f"Mozilla/5.0 (Windows NT 6.1) {CHROME} Safari/537.36 OPR/106.0.0.0",
            Device("Desktop", "Opera", "106.0", "Windows", "7"),
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            Device("Desktop", "Firefox", "120.0", "Ubuntu", ""),
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) {WEBKIT} Version/17.2 Mobile/15E148 Safari/604.1",
            Device("Mobile", "Safari", "17.2", "iOS", "17.2"),
        ),
        (
            f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} CriOS/119.0.6045.169 Mobile/15E148 Safari/604.1",
            Device("Tablet", "Chrome", "119.0", "iPadOS", "16.6"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 13; SM-S901B) {CHROME} Mobile Safari/537.36",
            Device("Mobile", "Chrome", "120.0", "Android", "13"),
        ),
        (
            (
                "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 "
                "Chrome/115.0.0.0 Mobile Safari/537.36"
            ),
            Device("Mobile", "Samsung Browser", "23.0", "Android", "13"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 12; SM-T970) {CHROME} Safari/537.36",
            Device("Tablet", "Chrome", "120.0", "Android", "12"),
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) {WEBKIT} Mobile/20A362 [FBAN/FBIOS;FBAV/390.0]",
            Device("Mobile", "Mobile App", "", "iOS", "16.0"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 12; Pixel 6 Build/SD1A; wv) {CHROME} Mobile Safari/537.36",
            Device("Mobile", "Mobile App", "", "Android", "12"),
        ),
        (
            f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36",
            Device("Desktop", "Chrome", "120.0", "Chrome OS", "14541.0"),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko",
            Device("Desktop", "Internet Explorer", "11.0", "Windows", "10"),
        ),
        ("curl/8.4.0", Device()),
        ("", Device()),
        ("\N{PILE OF POO}" * 4000, Device()),
    ],
)
def test_devices_are_read_from_user_agents(user_agent, expected):
    """Browser, system and size in the dashboard's words; the unknown stays empty, however long it is."""
    assert device.of(user_agent) == expected


@pytest.mark.parametrize(
    "user_agent",
    [
        "generic crawler",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        f"Mozilla/5.0 (X11; Linux x86_64) {CHROME.replace('Chrome', 'HeadlessChrome')} Safari/537.36",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "facebookexternalhit/1.1",
        "Scrapy/2.11 (+https://scrapy.org)",
    ],
)
def test_crawlers_and_headless_chrome_are_bots(user_agent):
    """Known crawlers, a general word for one, and Headless Chrome."""
    assert bots.is_bot(user_agent)


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        *("curl/8.4.0", "Wget/1.21", "python-requests/2.31.0", "Go-http-client/2.0", "okhttp/4.12.0", "axios/1.6"),
        *("libwww-perl/6.72", "Apache-HttpClient/4.5", "node-fetch/1.0", "Python-urllib/3.11", "HTTPie/3.2"),
        "Mozilla/5.0 (compatible; logship)",
        f"Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) {CHROME} Mobile Safari/537.36",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36",
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) {WEBKIT} Mobile/20A362 [FBAN/FBIOS;FBAV/390.0]",
    ],
)
def test_libraries_and_people_are_not_bots(user_agent):
    """HTTP libraries pass as they pass Plausible, and so do a missing User-Agent and a phone called Cubot."""
    assert not bots.is_bot(user_agent)


def test_a_list_of_spam_referrers_can_be_replaced(tmp_path):
    """Ours ships; another file takes its place; one that cannot be read is named."""
    assert "semalt.com" in spam.load()
    own = tmp_path / "spammers.txt"
    own.write_text("# mine\nwww.Spam.Example # loud\n\n")
    assert spam.load(own) == {"spam.example"}
    with pytest.raises(spam.SpamListError, match=r"nowhere\.txt: cannot be read"):
        spam.load(tmp_path / "nowhere.txt")


# --- visitors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("app.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("one.netlify.app", "one.netlify.app"),
        ("x.one.netlify.app", "one.netlify.app"),
        ("shop.firma.com.br", "firma.com.br"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("(none)", "(none)"),
    ],
)
def test_root_domains(host, root):
    """Subdomains are one, platforms' customers are several, an address stands for itself."""
    assert visitors.root_domain(host) == root
    assert root.startswith("192") or domains.registrable(host) == root


FACTS = ("UA", "203.0.113.7", "example.com", "example.com")


def test_a_visitor_is_the_same_on_every_subdomain():
    """Another subdomain is the same visitor; another root domain, site, address text or User-Agent is not."""
    salt = b"s" * 16
    me = visitors.identify(salt, *FACTS)
    assert visitors.identify(salt, *FACTS[:3], "app.example.com") == me
    for other in (("UB", *FACTS[1:]), ("UA", "203.0.113.07", *FACTS[2:]), (*FACTS[:2], "x.com", FACTS[3])):
        assert visitors.identify(salt, *other) != me
    assert visitors.identify(salt, *FACTS[:3], "example.org") != me
    assert visitors.identify(b"t" * 16, *FACTS) != me
    assert len(me) == 16


DAY = 86_400


def test_a_salt_lives_for_two_days():
    """Each day has its own; yesterday's is still known, the one before is gone."""
    salts = visitors.Salts()
    first, before = salts.at(100 * DAY)
    assert before is None
    second, yesterday = salts.at(101 * DAY)
    assert yesterday == first != second
    assert salts.at(101 * DAY + 5) == (second, first)
    assert salts.at(102 * DAY)[1] == second
    assert salts.at(110 * DAY)[1] is None


def test_salts_outlive_a_restart_in_a_file_of_their_own(tmp_path):
    """The file is readable by its owner alone and holds nothing older than a day."""
    path = tmp_path / "events.db.salts"
    first = visitors.Salts(path).at(100 * DAY)
    assert visitors.Salts(path).at(100 * DAY + 9) == first
    assert path.stat().st_mode & 0o777 == 0o600
    visitors.Salts(path).at(102 * DAY)
    assert first[0].hex() not in path.read_text()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": "y"}', '{"100": 5}', '{"100": "00"}'])
def test_a_damaged_salt_file_costs_a_day_and_no_more(tmp_path, text):
    """Whatever stands in the file, there is a salt."""
    path = tmp_path / "salts"
    path.write_text(text)
    assert len(visitors.Salts(path).at(100 * DAY)[0]) == 16
