"""How values are written: durations, addresses, URLs, host names. Text in; a value, or MisfitError for people, out.

A message may quote what it got through `quoted` alone, which never shows what an environment variable held.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from difflib import get_close_matches
from urllib.parse import SplitResult, urlsplit

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 3650 * 86400.0  # ten years: beyond it a typing error is certain, and timers overflow
_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")

IDENTIFIER = r"^[a-z][a-z0-9_]{0,39}$"
ADDRESS_SETS = ("cloudflare", "loopback", "private")
METHODS = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PURGE", "REPORT", "SEARCH"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"),
)


class MisfitError(ValueError):
    """The text does not say what is wanted here; the message says what to write."""


class Secret(str):
    """Text that an environment variable took part in. It is the real text; only its ``repr`` is masked."""

    written: str

    def __new__(cls, text: str, written: str = "***") -> Secret:
        """Return the text, which messages show as it was written in the file."""
        secret = super().__new__(cls, text)
        secret.written = written
        return secret

    def __repr__(self) -> str:
        return "'***'"


def shown(text: str) -> str:
    """Return the text for a message, bounded; a Secret as it was written, a URL without its password."""
    written = text.written if isinstance(text, Secret) else _USERINFO.sub("***@", text)
    return written if len(written) <= 60 else written[:57] + "..."


def quoted(text: str) -> str:
    """Return what `shown` returns, in quotes."""
    return f'"{shown(text)}"'


def akin(source: str, text: str) -> str:
    """Return ``text``, derived from ``source``, as a Secret if that one is."""
    return Secret(text, source.written) if isinstance(source, Secret) else text


def meant(text: str, known: Iterable[str], closeness: float = 0.6) -> str:
    """Return `` (did you mean "x"?)``, or nothing when no known word is close."""
    close = get_close_matches(text, list(known), n=1, cutoff=closeness)
    return f" (did you mean {quoted(close[0])}?)" if close else ""


def listed(known: Iterable[str]) -> str:
    """Return ``known: a, b``."""
    return f"known: {', '.join(shown(text) for text in known)}"


def _write(text: str, better: str) -> str:
    return "" if isinstance(text, Secret) else f'; write "{better}"'


# Numbers and times.


def duration(text: str) -> float:
    """Return seconds: ``500ms``, ``30s``, ``5m``, ``24h``, ``7d``, or a bare ``0``."""
    if text == "0":
        return 0.0
    found = _DURATION.fullmatch(text)
    if not found:
        unit = _write(text, f"{text}s") if re.fullmatch(r"\d+(\.\d+)?", text) else ""
        raise MisfitError(f'{quoted(text)} is no duration; it needs a unit, as in "500ms", "30s", "5m", "24h"{unit}')
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise MisfitError(f"{quoted(text)} is more than ten years")
    return seconds


def shown_duration(seconds: float) -> str:
    """Return the duration as a person writes it: ``60s``, ``24h``."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    unit = next((unit for unit in ("d", "h", "m") if seconds >= 2 * _UNITS[unit] and not seconds % _UNITS[unit]), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"


def whole_number(text: str) -> int:
    """Return a whole number written in decimal digits."""
    if not re.fullmatch(r"-?\d{1,12}", text, re.ASCII):
        raise MisfitError(f'{quoted(text)} is no whole number, as in "60"')
    return int(text)


def number(text: str) -> float:
    """Return a number: ``5``, ``0.1``."""
    if not re.fullmatch(r"-?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})", text, re.ASCII):
        raise MisfitError(f'{quoted(text)} is no number, as in "0.5"')
    return float(text)


def share(text: str) -> float:
    """Return a share above 0 and up to 1."""
    if re.fullmatch(r"\d+(\.\d+)?%", text):
        raise MisfitError(f"{quoted(text)} is a percentage{_write(text, f'{float(text[:-1]) / 100:g}')}")
    value = number(text)
    if not 0 < value <= 1:
        raise MisfitError(f"{quoted(text)} is not above 0 and up to 1; 0.1 takes every tenth visitor")
    return value


TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def flag(text: str) -> bool:
    """Return true or false; YAML's older words for them are understood."""
    if text.lower() not in TRUTH:
        raise MisfitError(f"{quoted(text)} is neither true nor false")
    return TRUTH[text.lower()]


# Texts.


def some_text(text: str) -> str:
    """Return a text that is not blank and holds no control characters."""
    if not text.strip():
        raise MisfitError("is an empty text; write one, or leave it out")
    return printable(text)


def printable(text: str) -> str:
    """Return a text without control characters."""
    found = _CONTROL.search(text)
    if found:
        raise MisfitError(f"holds the control character U+{ord(found[0]):04X}")
    return text


def word(text: str) -> str:
    """Return a short name: printable, without blanks at its ends."""
    some_text(text)
    if text != text.strip() or len(text) > 100:
        raise MisfitError(f"{quoted(text)} is no name; up to 100 characters, no blanks at its ends")
    return text


def identifier(text: str) -> str:
    """Return a lower-case identifier."""
    if not re.fullmatch(IDENTIFIER, text, re.ASCII):
        raise MisfitError(f"{quoted(text)} is no reason; write true, or a word of a-z, 0-9 and _, up to 40 characters")
    return text


def field_name(text: str) -> str:
    """Return the name of a field of a log format."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", text, re.ASCII):
        raise MisfitError(f"{quoted(text)} is no field name; name one as x_forwarded_for or log.http_cf_connecting_ip")
    return text


def prop_key(text: str) -> str:
    """Return the key of a prop: not blank, at most 300 bytes (the API's limit)."""
    if not text.strip():
        raise MisfitError("a prop without a name; give it one")
    printable(text)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > 300:
        raise MisfitError(f"this key has {size} bytes, and Plausible takes 300")
    return text


def event_name(text: str) -> str:
    """Return the name of an event."""
    if some_text(text) == "engagement":
        raise MisfitError('"engagement" is reserved by Plausible; choose another name')
    return text


def absolute_path(text: str) -> str:
    """Return an absolute path of the file system."""
    printable(text)
    if text.startswith("~"):
        raise MisfitError(f'{quoted(text)}: "~" is not expanded; write the path from "/"')
    if not text.startswith("/"):
        raise MisfitError(f'{quoted(text)} is relative, and a service has no directory of its own; write it from "/"')
    return text


def log_path(text: str) -> str:
    """Return an absolute path of log files, which may be a glob."""
    absolute_path(text)
    if text.endswith("/"):
        raise MisfitError(f"{quoted(text)} is a directory{_write(text, text + '*.log')}")
    return text


def header_name(text: str) -> str:
    """Return a header's name."""
    if not _TOKEN.fullmatch(text):
        raise MisfitError(f"{quoted(text)} is no header name")
    return text


_OWN_HEADERS = ("connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent")


def extra_header(text: str) -> str:
    """Return the name of a header that may be added to every request."""
    if header_name(text).lower() in _OWN_HEADERS:
        raise MisfitError(f"{quoted(text)} is set by logship itself; leave it out")
    return text


def header_value(text: str) -> str:
    """Return a header's value: no line breaks, as an environment variable filled from a file often has one."""
    found = re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text)
    if found:
        raise MisfitError(f"a header cannot hold the character U+{ord(found[0]):04X} (a line break at the end?)")
    if not text.isascii():
        raise MisfitError("a header holds ASCII only")
    return text


def template(text: str) -> str:
    """Return the text of a template; the router compiles it."""
    return some_text(text)


def prop_value(text: str) -> str:
    """Return the template of a prop's value, which may be empty."""
    return text


def format_text(text: str) -> str:
    """Return a format's name or string; it may run over several lines."""
    if not text.strip():
        raise MisfitError("is an empty text; write one, or leave it out")
    return text


def currency(text: str) -> str:
    """Return an ISO 4217 code such as EUR, or a template."""
    if "{" not in text and not re.fullmatch(r"[A-Z]{3}", text, re.ASCII):
        better = _write(text, text.upper()) if re.fullmatch(r"[A-Za-z]{3}", text, re.ASCII) else ""
        raise MisfitError(f'{quoted(text)} is no currency; three capitals, as in "EUR"{better}')
    return text


def amount(text: str) -> str:
    """Return a decimal amount such as 12.50, or a template."""
    if "{" not in text and not re.fullmatch(r"-?\d{1,15}(\.\d{1,10})?", text, re.ASCII):
        raise MisfitError(f'{quoted(text)} is no amount; digits and a point, as in "12.50", or a template')
    return text


# Hosts, addresses and URLs.


def listen(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:9469`` or ``[::1]:9469``."""
    host, _, port = text.rpartition(":")
    if (
        not re.fullmatch(r"\d{1,5}", port, re.ASCII)
        or int(port) > 65535
        or (":" in host and host[0] + host[-1] != "[]")
    ):
        raise MisfitError(f'{quoted(text)} is no host:port, as in "127.0.0.1:9469" or "[::1]:9469"')
    if not host:
        raise MisfitError(
            f"{quoted(text)} names no host{_write(text, f'127.0.0.1:{port}')}, or 0.0.0.0 for all addresses"
        )
    return host_name(host, text).strip("[]"), int(port)


_LONGEST_HOST = 253  # characters
_NO_NAME = 'holds no valid host name; letters, digits and hyphens between dots, as in "www.example.com"'
_NO_HOST = 'holds neither a host name nor an IP address, as in "www.example.com" or "192.0.2.7"'


def host_name(host: str, text: str) -> str:
    """Return a host as a browser sends it: lower case, IDN as punycode, an IPv6 address canonical in brackets.

    ``text`` is what the host was found in; messages quote it.
    """
    if host.startswith("["):
        return f"[{_address(host.strip('[]'), text).compressed}]"
    host = _ascii(host, text).lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise MisfitError(f"{quoted(text)} {_NO_NAME}")
    return str(_address(host, text)) if labels[-1].isdigit() else host


def _address(address: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(address)
    except ValueError as error:
        raise MisfitError(f"{quoted(text)} {_NO_HOST}") from error


def _ascii(host: str, text: str) -> str:
    found = ascii_host(host)
    if found is None:
        raise MisfitError(f"{quoted(text)} {_NO_NAME}")
    return found


def ascii_host(host: str) -> str | None:
    """Return a host's name as a browser sends it, each label by itself; None where one of them is none."""
    if host.isascii():
        return host
    import idna  # comes with aiohttp (yarl); its tables are large, and few need them

    if len(host) > _LONGEST_HOST:
        return None
    try:
        return ".".join(each if each.isascii() else idna.encode(each, uts46=True).decode() for each in host.split("."))
    except UnicodeError:  # idna's own, and for bytes that are no text
        return None


def host_pattern(text: str) -> str:
    """Return a virtual host's name in lower case, in which ``*`` stands for any part."""
    if "/" in text or re.search(r":\d+$", text):
        raise MisfitError(f'{quoted(text)} must be a host alone, as in "www.example.com": no scheme, port or path')
    if not re.search(r"[*?[{]", text):
        return akin(text, host_name(text, text))
    if re.search(r"\s", text):
        raise MisfitError(f'{quoted(text)} is no host pattern, as in "*.example.com"')
    return akin(text, ".".join(_ascii(part, text) for part in text.lower().split(".")))


def site(text: str) -> str:
    """Return scheme, host and port as a browser's origin: ``https://example.com``, no default port, no path."""
    if "://" not in text:
        raise MisfitError(f"{quoted(text)} has no scheme{_with_scheme(text)}")
    url = _split(text)
    if url.path not in ("", "/") or url.query:
        raise MisfitError(f"{quoted(text)} has a path; a site is scheme and host{_write(text, _origin(url, text))}")
    return akin(text, _origin(url, text))


def _with_scheme(text: str) -> str:
    """Return what to write instead of a URL without a scheme: the same with one, if that would be a URL."""
    better = f"https://{text}"
    try:
        _origin(_split(better), text)
    except MisfitError:
        return '; write scheme and host, as in "https://example.com"'
    return _write(text, better)


def api_url(text: str) -> str:
    """Return the complete URL of an events API: ``/api/event`` is added when there is no path."""
    if "://" not in text:
        raise MisfitError(f"{quoted(text)} has no scheme{_with_scheme(text)}")
    url = _split(text)
    path = "/api/event" if url.path in ("", "/") else url.path
    return akin(text, _origin(url, text) + path + (f"?{url.query}" if url.query else ""))


def proxy_url(text: str) -> str:
    """Return the URL of an HTTP proxy; it may hold a user and a password."""
    if not text.lower().startswith("http://"):
        raise MisfitError(f'{quoted(text)} is no HTTP proxy, as in "http://proxy.example.com:3128"')
    url = _split(text, userinfo=True)
    if url.path not in ("", "/") or url.query:
        raise MisfitError(f"{quoted(text)} has a path; a proxy is scheme, host and port")
    user = f"{url.netloc.rpartition('@')[0]}@" if "@" in url.netloc else ""
    return akin(text, _origin(url, text).replace("://", f"://{user}", 1))


def _split(text: str, *, userinfo: bool = False) -> SplitResult:
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise MisfitError(f"{quoted(text)} holds a blank, a backslash or a control character")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise MisfitError(f'{quoted(text)} is no URL, as "https://example.com:8443" is one') from error
    if url.scheme not in _PORTS:
        raise MisfitError(f"{quoted(text)} must begin with http:// or https://")
    if "@" in url.netloc and not userinfo:
        raise MisfitError(f"{quoted(text)} holds a user or password; send an Authorization header (see headers)")
    if not url.hostname or port == 0:
        raise MisfitError(f"{quoted(text)} names no host")
    if "#" in text:
        raise MisfitError(f'{quoted(text)} has a fragment; leave out what follows "#"')
    if not (url.path + url.query).isascii():
        raise MisfitError(f"{quoted(text)} must be percent-encoded")
    return url


def _origin(url: SplitResult, text: str) -> str:
    host = url.hostname or ""
    port = f":{url.port}" if url.port and url.port != _PORTS[url.scheme] else ""
    return f"{url.scheme}://{host_name(f'[{host}]' if ':' in host else host, text)}{port}"


def domain(text: str) -> str:
    """Return a Plausible site as Plausible stores it: lower case, no scheme. It may hold a path, and no comma."""
    if "://" in text:
        raise MisfitError(f"{quoted(text)} has a scheme{_write(text, text.partition('://')[2].rstrip('/'))}")
    if "," in text:
        raise MisfitError(
            f"{quoted(text)} has a comma; it is one site of Plausible, and a second one takes a second rule"
        )
    if not text or re.search(r"\s", text) or text != text.strip("/"):
        raise MisfitError(f'{quoted(text)} is no site of Plausible; write it as it is called there, "example.com"')
    return akin(text, printable(text).lower())


def domain_template(text: str) -> str:
    """Return a Plausible site, or a template of one."""
    return template(text) if "{" in text and "," not in text else domain(text)


def network(text: str) -> str:
    """Return an address or CIDR as written. Bits of a host may be set behind a prefix, as nginx allows it."""
    if re.fullmatch(r"\d+(\.\d+){0,2}(\.\*)+", text, re.ASCII):
        known = text.split(".*")[0].split(".")
        cidr = ".".join([*known, *["0"] * (4 - len(known))]) + f"/{8 * len(known)}"
        raise MisfitError(f"{quoted(text)} is no CIDR{_write(text, cidr)}")
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise MisfitError(f'{quoted(text)} is no address or CIDR, as in "10.0.0.0/8" or "2001:db8::/32"') from error
    return text


def client(text: str) -> str:
    """Return an address or CIDR, or the empty text: no address."""
    return network(text) if text else text


def trusted(text: str) -> str:
    """Return an address, a CIDR, or the name of a well-known set."""
    if text.lower() in ADDRESS_SETS or text == "unix:":
        return text
    if re.fullmatch(r"[A-Za-z_-]+", text):
        hint = meant(text, ADDRESS_SETS)
        raise MisfitError(f"{quoted(text)} is no known set of addresses{hint}; {listed(ADDRESS_SETS)}")
    return network(text)


# Conditions.


def pattern(text: str) -> str:
    """Return a glob or, after ``re:``, a regular expression; the router compiles it."""
    return printable(text)


def is_pattern(text: str) -> bool:
    """Tell whether a text can match anything but itself."""
    return text.startswith("re:") or any(character in text for character in "*?[{")


def status(text: str) -> str:
    """Return ``404``, ``2xx`` or ``400-499`` as written, or the empty text: no status."""
    found = re.fullmatch(r"([1-9]\d\d)(?:\s*-\s*([1-9]\d\d))?|[1-5][xX]{2}|", text, re.ASCII)
    if not found:
        raise MisfitError(f'{quoted(text)} is no status; write "404", "2xx" or "400-499"')
    if found[2] and found[1] > found[2]:
        raise MisfitError(f"{quoted(text)} is an empty range{_write(text, f'{found[2]}-{found[1]}')}")
    return text


def method(text: str) -> str:
    """Return an HTTP method or a pattern. Methods that few know are taken unless they look like a known one."""
    if not text or text.startswith("re:") or re.search(r"[*?[{]", text) or text.upper() in METHODS:
        return text
    hint = meant(text.upper(), METHODS)
    if hint or not _TOKEN.fullmatch(text):
        raise MisfitError(f"{quoted(text)} is no HTTP method{hint}")
    return text
