"""Reduce a query to the parameters that are sent. What stays keeps its order and its bytes.

A secret in a URL is sent to nobody unless its name is in the list that the user wrote: ``all`` is all but those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote

# Words in a parameter's name that show that its value lets somebody log in, or says who they are.
SECRET = frozenset(
    (
        *("token", "password", "passwd", "passphrase", "pass", "pwd", "pin", "otp", "secret", "key", "apikey", "jwt"),
        *("auth", "authorization", "oauth", "credential", "credentials", "signature", "sig", "hmac", "nonce", "ticket"),
        *("session", "sessionid", "sid", "phpsessid", "jsessionid", "cookie", "csrf", "xsrf", "samlresponse"),
        *("email", "mail", "phone", "tel", "ssn", "iban", "birthday", "birthdate", "username", "login"),
    )
)
_SECRET_WHOLE = frozenset(("code",))  # of OAuth, once
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")

CAMPAIGN = ("utm_*", "ref", "source", "gclid", "gbraid", "wbraid", "msclkid", "fbclid", "twclid")

Reduce = Callable[[str], str]


def reducer(policy: str | Sequence[str]) -> Reduce:
    """Return the function for ``campaign``, ``all``, ``none``, or the names to keep (``utm_*`` for a family).

    ``all`` leaves out secrets all the same; a name that is listed is kept whatever it says.
    """
    if policy == "all":
        return _without_secrets
    if policy == "none":
        return lambda query: ""
    return _keeping(CAMPAIGN if isinstance(policy, str) else policy)


def value(query: str | None, name: str) -> str:
    """Return the first value of a parameter, decoded as forms are; empty when there is none."""
    for part in (query or "").split("&"):
        key, _, text = part.partition("=")
        if key == name:
            return decoded(text.replace("+", " "))
    return ""


def decoded(text: str) -> str:
    """Undo percent escapes; bytes that are not UTF-8 stay as they travel in records."""
    return unquote(text, "utf-8", "surrogateescape") if "%" in text else text


def is_secret(name: str) -> bool:
    """Tell whether a parameter's name shows that its value is a secret, or personal: ``accessToken``, ``e-mail``."""
    plain = decoded(name)
    whole = plain.lower()
    words = {word.lower() for word in _WORDS.findall(plain)}
    return whole in _SECRET_WHOLE or whole.replace("-", "").replace("_", "") in SECRET or not SECRET.isdisjoint(words)


def _without_secrets(query: str) -> str:
    parts = query.split("&")
    kept = [part for part in parts if not is_secret(part.partition("=")[0])]
    return query if len(kept) == len(parts) else "&".join(kept)


def _keeping(names: Sequence[str]) -> Reduce:
    exact = frozenset(names)
    families = tuple(name[:-1] for name in names if name.endswith("*"))

    def reduce(query: str) -> str:
        return "&".join(part for part in query.split("&") if wanted(part.partition("=")[0]))

    def wanted(key: str) -> bool:
        return key in exact or key.startswith(families)

    return reduce
