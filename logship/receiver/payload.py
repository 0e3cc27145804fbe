"""Read what was posted: bytes to a body, a body to a Posted event, or the very errors that Plausible answers with.

A key is looked up in its short and its long spelling; the first that is neither null nor false wins, else the last
one's value stands, which is why ``"i": false`` is lost and ``"interactive": false`` is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from functools import lru_cache
from typing import Any

import orjson

from logship.receiver import uri

JSON_LIMIT = 8_000_000
TEXT_LIMIT = 1_000_000
URL_LIMIT = 2000
NAME_LIMIT = 120
REFERRER_LIMIT = 2000
PROPS_LIMIT, PROP_KEY_LIMIT, PROP_VALUE_LIMIT = 30, 300, 2000
_THIRTY_DAYS = 30 * 24 * 60 * 60 * 1000
_NO_SCROLL_DEPTH = 255

BLANK = "can't be blank"
_LONG_PROPS = f"keys should have at most {PROP_KEY_LIMIT} bytes and values {PROP_VALUE_LIMIT} bytes"
_NO_ENGAGEMENT = "engagement event requires a valid integer value for at least one of 'sd' or 'e' fields"

# Names whose missing prop `path` Plausible fills in.
_NAMES_WITH_PATH = frozenset({"404", "WP Form Completions", "Form: Submission"})
_INTEGER = re.compile(r"[+-]?\d+\Z", re.ASCII)
_AMOUNT = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)

# ISO 4217, current codes: https://www.iso.org/iso-4217-currency-codes.html
_CURRENCIES = frozenset(
    """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
    CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
    KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
    NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN
    SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD
    XOF XPF YER ZAR ZMW ZWG ZWL""".split()  # noqa: SIM905 - a table reads better as text
)


class Unreadable(Exception):  # noqa: N818 - it is an answer, not a fault of ours
    """The framework's own refusal, before any field is looked at: a status and a plain page."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class Invalid(Exception):  # noqa: N818 - it is an answer, not a fault of ours
    """A 400 with the fields at fault: ``{field: [message, ...]}``."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors = dict(errors)
        super().__init__(str(self.errors))


@dataclass(slots=True)
class Posted:
    """A valid event as it was posted, for one or several sites. It is remembered: nobody changes it."""

    name: str
    url: str
    parts: uri.Uri
    sites: list[str]
    hostname: str
    pathname: str
    referrer: str | None = None
    props: dict[str, str] = field(default_factory=dict)
    revenue: dict[str, str | int | float] | None = None
    interactive: bool = True
    scroll_depth: int = _NO_SCROLL_DEPTH
    engagement_time: int = 0


# --- bytes to a body -------------------------------------------------------------------------------------------------


def decode(content_type: str | None, body: bytes) -> Mapping[str, Any]:
    """Return the fields of a request's body by its content type.

    Raises:
        Unreadable: malformed or oversized JSON under a JSON type.
        Invalid: a text body that is not a JSON object.
    """
    kind = _media_type(content_type)
    if not kind:
        return {}
    if is_json(kind):
        return _decode_json(body)
    if kind == "application/x-www-form-urlencoded":
        return uri.form(body.decode("utf-8", "replace"))
    if kind.startswith("multipart/"):
        return _decode_multipart(content_type or "", body)
    return _decode_text(body)


def is_json(content_type: str | None) -> bool:
    """Say whether the framework's own JSON parser takes a type: ``application/json``, or any ``application/*+json``."""
    kind = _media_type(content_type)
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


@lru_cache(maxsize=256)
def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _decode_json(body: bytes) -> Mapping[str, Any]:
    if len(body) > JSON_LIMIT:
        raise Unreadable(413, "Request Entity Too Large")
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unreadable(400, "Bad Request") from None
    return value if isinstance(value, dict) else {"_json": value}


def _decode_text(body: bytes) -> Mapping[str, Any]:
    value = _json_object(body) if len(body) <= TEXT_LIMIT else None
    if value is None:
        raise Invalid({"request": ["Unable to parse request body as json"]})
    return value


def _decode_multipart(content_type: str, body: bytes) -> Mapping[str, Any]:
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    parts = BytesParser(policy=HTTP).parsebytes(head + body).walk()
    named = ((part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts)
    return {
        name: value.decode("utf-8", "replace")
        for name, value in named
        if isinstance(name, str) and isinstance(value, bytes)
    }


def _json_object(text: bytes | str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


# --- a body to an event ----------------------------------------------------------------------------------------------


def read(body: Mapping[str, Any]) -> Posted:
    """Return the event that a body holds.

    Raises:
        Invalid: with every field at fault, in Plausible's words.
    """
    errors: dict[str, list[str]] = {}
    url = _url(_pick(body, "u", "url"), errors)
    parts = uri.split(url)
    sites = _sites(_pick(body, "d", "domain"), parts.host, errors)
    name = _name(_pick(body, "n", "name"), errors)
    props = _props(_pick(body, "m", "meta", "p", "props"), errors)
    hash_mode = _hash_mode(_pick(body, "h", "hashMode"), errors)
    depth, engaged = _engagement(body, errors) if name == "engagement" else (_NO_SCROLL_DEPTH, 0)
    if errors:
        raise Invalid(errors)
    pathname = _pathname(parts, hash_mode)
    if name in _NAMES_WITH_PATH:
        props.setdefault("path", pathname)
    return Posted(
        name=name,
        url=url,
        parts=parts,
        sites=sites,
        hostname=uri.without_www(parts.host) if parts.host else "(none)",
        pathname=pathname,
        referrer=_referrer(_pick(body, "r", "referrer")),
        props=props,
        revenue=_revenue(_pick(body, "revenue", "$")),
        interactive=_pick(body, "i", "interactive") is not False,
        scroll_depth=depth,
        engagement_time=engaged,
    )


def _pick(body: Mapping[str, Any], *keys: str) -> Any:
    for key in keys[:-1]:
        value = body.get(key)
        if value is not None and value is not False:
            return value
    return body.get(keys[-1])


def _url(value: Any, errors: dict[str, list[str]]) -> str:
    if value is None:
        errors["url"] = ["is required"]
    elif not isinstance(value, str) or len(value.encode()) > URL_LIMIT:
        errors["url"] = ["must be a valid url"]
    elif value[:5].lower() == "data:":
        errors["url"] = ["scheme is not allowed"]
    else:
        return value
    return ""


def _sites(value: Any, host: str | None, errors: dict[str, list[str]]) -> list[str]:
    listed = value.strip() if isinstance(value, str) else (host or "").strip()
    if listed:
        return [uri.without_www(site) for site in listed.split(",")]
    errors["domain"] = [BLANK]
    return []


def _name(value: Any, errors: dict[str, list[str]]) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        errors["event_name"] = [BLANK]
    elif not isinstance(value, str):
        errors["event_name"] = ["is invalid"]
    elif len(value) > NAME_LIMIT:
        errors["event_name"] = [f"should be at most {NAME_LIMIT} character(s)"]
    else:
        return value
    return ""


def _props(value: Any, errors: dict[str, list[str]]) -> dict[str, str]:
    found = _json_object(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        return {}
    texts = ((key, _text(item)) for key, item in found.items() if key.strip())
    props = dict([(key, text) for key, text in texts if text.strip()][:PROPS_LIMIT])
    if any(len(key.encode()) > PROP_KEY_LIMIT or len(text.encode()) > PROP_VALUE_LIMIT for key, text in props.items()):
        errors["props"] = [_LONG_PROPS]
    return props


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (list, dict)):
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _hash_mode(value: Any, errors: dict[str, list[str]]) -> bool:
    if value is None:
        return False
    number = _integer(value)
    if number is None:
        errors["hash_mode"] = ["is invalid"]
    return number == 1


def _integer(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and len(value) < 20 and _INTEGER.match(value) else None


def _engagement(body: Mapping[str, Any], errors: dict[str, list[str]]) -> tuple[int, int]:
    depth, engaged = _integer(body.get("sd")), _integer(body.get("e"))
    has_depth = depth is not None and depth >= 0
    has_time = engaged is not None and 0 <= engaged < _THIRTY_DAYS
    if not (has_depth or has_time) and "event_name" not in errors:
        errors["event_name"] = [_NO_ENGAGEMENT]
    return min(depth or 0, 100) if has_depth else _NO_SCROLL_DEPTH, engaged or 0 if has_time else 0


def _pathname(parts: uri.Uri, hash_mode: bool) -> str:
    path = uri.decoded(parts.path).rstrip() or "/"
    return f"{path}#{uri.decoded(parts.fragment)}" if hash_mode and parts.fragment else path


def _referrer(value: Any) -> str | None:
    return value[:REFERRER_LIMIT] if isinstance(value, str) else None


def _revenue(value: Any) -> dict[str, str | int | float] | None:
    found = _json_object(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        return None
    currency, amount = found.get("currency"), _amount(found.get("amount"))
    if not isinstance(currency, str) or currency not in _CURRENCIES or amount is None:
        return None
    return {"currency": currency, "amount": amount}


def _amount(value: Any) -> str | int | float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    number = _AMOUNT.match(value) if isinstance(value, str) else None
    return number[0] if number else None
