"""Read browser, operating system and size class from a User-Agent, in the words of Plausible's dashboard.

Ordered tables, the first match wins: nearly every browser also names the ones it descends from, so the youngest
stand first. What no table knows stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from logship.receiver.values import Device

_VERSION = r"[/ ]v?(\d+(?:\.\d+)?)?"


def _table(*rows: tuple[str, str]) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), name) for pattern, name in rows]


# Group 1, where there is one, holds the version: major and minor.
_BROWSERS = _table(
    (r"FBAN|FBAV|FB_IAB|Instagram |LinkedInApp|Pinterest/|Snapchat|musical_ly|BytedanceWebview|MicroMessenger", ""),
    (rf"\b(?:GSA|Line){_VERSION}", ""),
    (rf"\bEdg(?:e|A|iOS)?{_VERSION}", "Microsoft Edge"),
    (rf"\bOPR{_VERSION}|\bOPX{_VERSION}|\bOPT{_VERSION}", "Opera"),
    (rf"\bOpera (?:Mini|Mobi){_VERSION}|\bOpera{_VERSION}", "Opera"),
    (rf"\bSamsungBrowser{_VERSION}", "Samsung Browser"),
    (rf"\bYaBrowser{_VERSION}|\bYaApp", "Yandex Browser"),
    (rf"\bVivaldi{_VERSION}", "Vivaldi"),
    (rf"\bBrave{_VERSION}", "Brave"),
    (rf"\bDuckDuckGo{_VERSION}|\bDdg{_VERSION}", "DuckDuckGo Privacy Browser"),
    (rf"\bUCBrowser{_VERSION}", "UC Browser"),
    (rf"\bMiuiBrowser{_VERSION}", "MIUI Browser"),
    (rf"\bHuaweiBrowser{_VERSION}", "Huawei Browser"),
    (rf"\bWhale{_VERSION}", "Whale Browser"),
    (rf"\bFocus{_VERSION}|\bKlar{_VERSION}", "Firefox Focus"),
    (rf"\bSeaMonkey{_VERSION}", "SeaMonkey"),
    (rf"\bPaleMoon{_VERSION}", "Pale Moon"),
    (rf"\bFxiOS{_VERSION}|\bFirefox{_VERSION}", "Firefox"),
    (r"; wv\)", ""),
    (rf"\bChromium{_VERSION}", "Chromium"),
    (rf"\bCriOS{_VERSION}|\bChrome{_VERSION}", "Chrome"),
    (r"\bMSIE (\d+\.\d+)|\bTrident/.*\brv:(\d+\.\d+)", "Internet Explorer"),
    (rf"\bAndroid.*\bVersion{_VERSION}.*\bSafari/", "Android Browser"),
    (rf"\bVersion{_VERSION}.*\bSafari/", "Safari"),
    (r"\b(?:iPhone|iPad|iPod)\b.*\bAppleWebKit/(?!.*\bSafari/)", ""),
    (r"^Lynx/(\d+\.\d+)", "Lynx"),
    (r"\bLinks \((\d+\.\d+)", "Links"),
    (rf"\bw3m{_VERSION}", "w3m"),
)
_APP = "Mobile App"

_SYSTEMS = _table(
    (r"\bWindows Phone(?: OS)? (\d+\.\d+)?", "Windows Phone"),
    (r"\bXbox\b", "Windows"),
    (r"\bWindows NT (\d+\.\d+)", "Windows"),
    (r"\bWindows\b", "Windows"),
    (r"\biPad\b.*?\bOS (\d+_\d+)|\biPad\b", "iPadOS"),
    (r"\b(?:iPhone|iPod)\b.*?\bOS (\d+_\d+)|\b(?:iPhone|iPod)\b", "iOS"),
    (r"\bAppleTV\b|\bApple TV\b", "tvOS"),
    (r"\bMac OS X (\d+[_.]\d+)", "Mac"),
    (r"\bMacintosh\b|\bMac OS X\b", "Mac"),
    (r"\bCrOS \S+ (\d+\.\d+)?", "Chrome OS"),
    (r"\bKAIOS/(\d+\.\d+)", "KaiOS"),
    (r"\bTizen[ /](\d+\.\d+)?", "Tizen"),
    (r"\bWeb0S\b|\bwebOS\b", "webOS"),
    (r"\bHarmonyOS\b|\bOpenHarmony (\d+\.\d+)?", "HarmonyOS"),
    (r"\bFire OS (\d+\.\d+)?", "Fire OS"),
    (r"\bAndroid (\d+(?:\.\d+)?)|\bAndroid\b", "Android"),
    (r"\bUbuntu(?:/(\d+\.\d+))?", "Ubuntu"),
    (r"\bFedora\b", "Fedora"),
    (r"\bFreeBSD\b", "FreeBSD"),
    (r"\bOpenBSD\b", "OpenBSD"),
    (r"\bPlayStation (?:Vita |Portable )?(\d)?", "PlayStation"),
    (r"\bLinux\b|\bX11\b", "GNU/Linux"),
)
_WINDOWS = {"10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista", "5.2": "XP", "5.1": "XP"}

_SIZES = _table(
    (r"\bSMART-TV\b|\bSmartTV\b|\bGoogleTV\b|\bAppleTV\b|\bApple TV\b|\bBRAVIA\b|\bAFT[A-Z]|\bWeb0S\b", "Desktop"),
    (r"\bXbox\b|\bPlayStation\b|\bNintendo\b", "Desktop"),
    (r"\biPad\b|\bTablet\b|\bKindle\b|\bKF[A-Z]{3,}|\bNexus (?:7|9|10)\b|\bSM-[TPX]\d|\bPlayBook\b", "Tablet"),
    (r"\biPhone\b|\biPod\b|\bWindows Phone\b|\bMobile\b|\bMobi\b|\bOpera Mini\b|\bKAIOS\b|\bBlackBerry\b", "Mobile"),
    (r"\bAndroid\b", "Tablet"),
    (r"\bWindows\b|\bMacintosh\b|\bMac OS X\b|\bX11\b|\bCrOS\b|\bLinux\b|\b(?:Free|Open)BSD\b", "Desktop"),
)


@lru_cache(maxsize=4096)
def of(user_agent: str) -> Device:
    """Return what a User-Agent says of its device."""
    browser, browser_version = _first(_BROWSERS, user_agent)
    system, system_version = _first(_SYSTEMS, user_agent)
    if system == "Windows":
        system_version = _WINDOWS.get(system_version, "")
    if browser is not None and not browser:
        browser, browser_version = _APP, ""
    size, _ = _first(_SIZES, user_agent)
    return Device(size or "", browser or "", browser_version, system or "", system_version.replace("_", "."))


def _first(table: Sequence[tuple[re.Pattern[str], str]], text: str) -> tuple[str | None, str]:
    for pattern, name in table:
        if found := pattern.search(text):
            return name, next((group for group in found.groups() if group), "")
    return None, ""
