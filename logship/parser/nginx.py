"""nginx's ``log_format``: read the string or the whole directive, and know its variables.

https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format, https://nginx.org/en/docs/varindex.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from logship.parser.fields import Field, FormatError, Piece, joined

_PREFIXES = ("http_", "sent_http_", "upstream_", "cookie_", "arg_")
_ESCAPES = ("default", "json", "none")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]*)\}|([A-Za-z0-9_]+))")
_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<end>;) | (?P<bare>[^\s;'"]+)
    | '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)" """,
    re.VERBOSE | re.DOTALL,
)
_CONF_ESCAPE = re.compile(r"\\([\"'\\trn])")
_CONF_LETTERS = {"t": "\t", "r": "\r", "n": "\n"}


def _table() -> Iterator[Field]:
    # (variable, fact, shape, rank, reader)
    yield Field("remote_addr", "client_ip", "peer", 0)
    yield Field("realip_remote_addr", "client_ip", "peer", 2)
    yield Field("proxy_protocol_addr", "client_ip", "peer", 1)
    yield Field("http_x_forwarded_for", "x_forwarded_for", "list")
    yield Field("proxy_add_x_forwarded_for", "x_forwarded_for", "list", 1)
    yield Field("remote_user", "user", "user")
    yield Field("msec", "time", "number", 0, "seconds")
    yield Field("time_iso8601", "time", "word", 1, "iso")
    yield Field("time_local", "time", "clf", 2, "clf")
    yield Field("request", "request", "wide")
    yield Field("request_method", "method", "word")
    yield Field("request_uri", "target", "target")
    yield Field("uri", "path", "path", 0)
    yield Field("document_uri", "path", "path", 1)
    yield Field("args", "query", "args", 0)
    yield Field("query_string", "query", "args", 1)
    yield Field("is_args", "", "mark")
    yield Field("server_protocol", "protocol", "text")
    yield Field("scheme", "scheme", "name")
    yield Field("host", "host", "host", 0)
    yield Field("http_host", "host", "host", 1)
    yield Field("server_name", "host", "host", 2)
    yield Field("status", "status", "status")
    yield Field("body_bytes_sent", "bytes", "size", 0)
    yield Field("bytes_sent", "bytes", "size", 1)
    yield Field("http_referer", "referrer", "text")
    yield Field("http_user_agent", "user_agent", "wide")
    yield Field("sent_http_content_type", "content_type", "wide")
    yield Field("rest_of_line", "", "rest")  # ours: fields that a service adds at the end of its lines
    for name in ("request_time", "request_length", "connection", "connection_requests", "connection_time"):
        yield Field(name, "", "number")
    for name in ("remote_port", "server_port", "pid", "tcpinfo_rtt", "gzip_ratio", "realip_remote_port"):
        yield Field(name, "", "number")
    for name in ("addr", "status", "response_time", "connect_time", "header_time", "response_length", "bytes_received"):
        yield Field(f"upstream_{name}", "", "list")


VARIABLES: Mapping[str, Field] = {field.name: field for field in _table()}


def is_directive(text: str) -> bool:
    """Tell whether text is a whole ``log_format``, or what follows its name."""
    return text.startswith(("log_format", "escape="))


def is_format(text: str) -> bool:
    """Tell whether text holds something that looks like nginx's variables."""
    return _VARIABLE.search(text) is not None


def knows(text: str) -> bool:
    """Tell whether text holds a variable that nginx has: one of ours by name, or a header."""
    names = {match[1] or match[2] or "" for match in _VARIABLE.finditer(text)}
    return any(name in VARIABLES or name.startswith(_PREFIXES) for name in names)


def read(text: str) -> tuple[tuple[Piece, ...], str]:
    """Return the pieces of a format and how it escapes. Raises FormatError."""
    escape, string = _directive(text.strip())
    if escape not in _ESCAPES:
        raise FormatError(f"escape={escape}: nginx knows escape=default, escape=json and escape=none")
    return joined(_pieces(string)), escape


def _directive(text: str) -> tuple[str, str]:
    """Return the escaping and the concatenated string."""
    if not (text.startswith(("log_format", "escape=", "'")) or (text[0] == '"' and '\\"' in text)):
        return "default", text
    words = list(_words(text))
    if words[0][1] == "log_format":
        words = words[2:]
    escape = "default"
    if words and words[0][1].startswith("escape="):
        escape = words.pop(0)[1].removeprefix("escape=")
    return escape, "".join(word for _, word in words)


def _words(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the words of a directive as nginx reads them, and whether they were quoted."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FormatError(f"log_format: a quote is opened and never closed: {text[at : at + 40]!r}")
        at = match.end()
        if match["end"]:
            return
        quoted = match["single"] if match["single"] is not None else match["double"]
        if quoted is not None:
            yield True, _CONF_ESCAPE.sub(lambda found: _CONF_LETTERS.get(found[1], found[1]), quoted)
        elif match["bare"]:
            yield False, match["bare"]


def _pieces(string: str) -> Iterator[Piece]:
    at = 0
    for match in _VARIABLE.finditer(string):
        yield string[at : match.start()].encode()
        yield field(match[1] if match[1] is not None else match[2])
        at = match.end()
    yield string[at:].encode()


def field(name: str) -> Field:
    """Return what a variable means; one that is not in the table is kept under its name."""
    if not name:
        raise FormatError("log_format: ${} names no variable")
    return VARIABLES.get(name) or Field(name)
