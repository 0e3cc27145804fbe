r"""Undo what a server does to a value before it writes it down. Bytes in, bytes out; what is no escape stays as it is.

nginx writes every byte outside of printable ASCII, the quote and the backslash as ``\xHH``; Apache writes ``\"``,
``\\``, C's letters and ``\xhh``. No escape of the one means anything else in the other, so one table undoes both:
https://nginx.org/en/docs/http/ngx_http_log_module.html, https://httpd.apache.org/docs/2.4/mod/mod_log_config.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_DEFAULT = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([\"\\ntrbvf]))")
_JSON = re.compile(
    rb"\\(?:u([dD][89abAB][0-9A-Fa-f]{2})\\u([dD][c-fC-F][0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([\"\\/ntrbf]))"
)
_LETTERS = {
    b'"': b'"',
    b"\\": b"\\",
    b"/": b"/",
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"b": b"\b",
    b"v": b"\v",
    b"f": b"\f",
}
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def undo(value: bytes) -> bytes:
    r"""Undo ``\xHH`` and ``\"``: nginx's default escaping, and Apache's."""
    return _DEFAULT.sub(_byte_or_letter, value) if b"\\" in value else value


def undo_json(value: bytes) -> bytes:
    r"""Undo ``\u00HH`` and ``\"``: nginx's ``escape=json``."""
    return _JSON.sub(_character_or_letter, value) if b"\\" in value else value


def leave(value: bytes) -> bytes:
    """Return the value: with ``escape=none`` a backslash is a backslash."""
    return value


def eased(value: bytes) -> bytes | None:
    r"""Write ``\"`` and ``\\`` as ``\xHH``: then every quote is the format's own. None: other escapes are there too.

    `undo` makes the same of it.
    """
    value = value.replace(rb"\\", rb"\x5c").replace(rb"\"", rb"\x22")
    return value if value.count(b"\\") == value.count(rb"\x") else None


def eased_json(value: bytes) -> bytes | None:
    r"""Do the same for `undo_json`, with ``\u00HH``."""
    value = value.replace(rb"\\", rb"\u005c").replace(rb"\"", rb"\u0022")
    return value if value.count(b"\\") == value.count(rb"\u") else None


EASED: Mapping[str, Callable[[bytes], bytes | None]] = {"default": eased, "json": eased_json, "none": leave}
UNDO: Mapping[str, Callable[[bytes], bytes]] = {"default": undo, "json": undo_json, "none": leave}


def _byte_or_letter(match: re.Match[bytes]) -> bytes:
    code, letter = match.groups()
    return bytes.fromhex(code.decode()) if code else _LETTERS[letter]


def _character_or_letter(match: re.Match[bytes]) -> bytes:
    high, low, code, letter = match.groups()
    if letter:
        return _LETTERS[letter]
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00).encode()
    character = int(code, 16)
    return _REPLACEMENT if 0xD800 <= character < 0xE000 else chr(character).encode()
