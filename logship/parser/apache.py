r"""Apache's ``LogFormat``: read the string or the whole directive, and know its fields.

https://httpd.apache.org/docs/2.4/mod/mod_log_config.html#formats, and what other modules add: mod_logio (``%I``,
``%^FB``) and mod_ssl (``%{NAME}x``, ``%{NAME}c``, https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#logformats).
``%t`` is read as ``[`` time ``]``; the strftime forms of ``%{...}t`` are spelled out, so that a time written in several
pieces is one moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from logship.parser import times
from logship.parser.fields import Field, FormatError, Piece, joined

_DIRECTIVE = re.compile(r"%(?:(%)|([!<>0-9,]*)(?:\{([^}]*)\})?([!<>0-9,]*)(\^?[A-Za-z]{2}(?<=\^..)|\^t[io]|[A-Za-z]))")
_WHOLE = re.compile(
    r"""LogFormat\s+(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']\S*))\s*(\S+)?\s*""", re.DOTALL | re.IGNORECASE
)
_AT_TIMES = 4  # added to the rank of what is logged for some statuses alone: `%400,501{User-Agent}i`
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_LETTERS = {"t": "\t", "r": "\r", "n": "\n"}

_LETTER_FIELDS: Mapping[str, Field] = {
    "a": Field("client_ip", "client_ip", "peer", 0),
    "h": Field("remote_host", "client_ip", "peer", 1),
    "A": Field("local_ip", "", "word"),
    "l": Field("remote_logname", "", "word"),
    "u": Field("remote_user", "user", "user"),
    "r": Field("request", "request", "wide"),
    "m": Field("method", "method", "word"),
    "U": Field("path", "path", "path"),
    "q": Field("query", "question", "question"),
    "H": Field("protocol", "protocol", "text"),
    "s": Field("status", "status", "status"),
    "b": Field("bytes", "bytes", "size", 1),
    "B": Field("bytes", "bytes", "size", 0),
    "O": Field("bytes_out", "bytes", "size", 2),
    "I": Field("bytes_in", "", "size"),
    "S": Field("bytes_total", "", "size"),
    "D": Field("duration_us", "", "number"),
    "T": Field("duration_s", "", "number"),
    "v": Field("server_name", "host", "host", 1),
    "V": Field("canonical_host", "host", "host", 0),
    "p": Field("server_port", "", "number"),
    "P": Field("pid", "", "number"),
    "X": Field("connection_status", "", "word"),
    "k": Field("keepalive_requests", "", "number"),
    "L": Field("log_id", "", "word"),
    "f": Field("filename", "", "text"),
    "R": Field("handler", "", "word"),
    "^FB": Field("first_byte_us", "", "number"),
}
_REQUEST_HEADERS: Mapping[str, Field] = {
    "http_x_forwarded_for": Field("http_x_forwarded_for", "x_forwarded_for", "list"),
    "http_referer": Field("http_referer", "referrer", "text"),
    "http_user_agent": Field("http_user_agent", "user_agent", "wide"),
    "http_host": Field("http_host", "host", "host", 2),
}
_ANSWER_HEADERS: Mapping[str, Field] = {
    "sent_http_content_type": Field("sent_http_content_type", "content_type", "wide"),
}
_SECONDS = Field("time_sec", "time", "number", 2, "seconds")
_TIMES: Mapping[str, tuple[Piece, ...]] = {
    "": (b"[", Field("time", "time", "clf", 1, "clf"), b"]"),
    "sec": (_SECONDS,),
    "msec": (Field("time_msec", "time", "number", 0, "epoch"),),
    "usec": (Field("time_usec", "time", "number", 0, "epoch"),),
    "%d/%b/%Y:%H:%M:%S %z": (Field("time", "time", "clf", 1, "clf"),),
    "%d/%b/%Y:%T %z": (Field("time", "time", "clf", 1, "clf"),),
    "[%d/%b/%Y:%H:%M:%S %z]": (b"[", Field("time", "time", "clf", 1, "clf"), b"]"),
    "[%d/%b/%Y:%T %z]": (b"[", Field("time", "time", "clf", 1, "clf"), b"]"),
}


_FRACTIONS = {"msec_frac": "%f", "usec_frac": "%f"}
_BETWEEN = re.compile(rb"[ T.,:/_-]{1,3}")


def is_directive(text: str) -> bool:
    """Tell whether text is a whole ``LogFormat``."""
    return text.lower().startswith("logformat")


def is_format(text: str) -> bool:
    """Tell whether text holds something that looks like Apache's fields."""
    return _DIRECTIVE.search(text) is not None


def knows(text: str) -> bool:
    """Tell whether text holds a field that Apache has."""
    found = (match for match in _DIRECTIVE.finditer(text) if not match[1])
    return any(match[5] in _LETTER_FIELDS or match[5] in _ARGUMENTS for match in found)


def read(text: str) -> tuple[tuple[Piece, ...], str]:
    """Return the pieces of a format and how it escapes. Raises FormatError."""
    string = _string(text.strip())
    return joined(_merged(_pieces(_ESCAPE.sub(lambda found: _LETTERS.get(found[1], found[1]), string)))), "default"


def _string(text: str) -> str:
    if not text.lower().startswith("logformat"):
        quoted = text[:1] == '"' and text[-1:] == '"' and '\\"' in text
        return text[1:-1] if quoted else text
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise FormatError('LogFormat: expected LogFormat "..." [name], with \\" for a quote inside')
    return next(group for group in match.groups() if group is not None)


def _pieces(string: str) -> Iterator[Piece]:
    at = 0
    while at < len(string):
        match = _DIRECTIVE.match(string, at)
        if match is not None:
            yield from _field(match)
            at = match.end()
        elif string[at] == "%":
            raise FormatError(
                f"LogFormat: {string[at : at + 12]!r} is no directive of mod_log_config (%% is a percent sign)"
            )
        else:
            end = string.find("%", at)
            end = len(string) if end < 0 else end
            yield string[at:end].encode()
            at = end


def _field(match: re.Match[str]) -> tuple[Piece, ...]:
    percent, before, argument, after, letter = match.groups()
    if percent:
        return (b"%",)
    pieces = _meant(match, before + after, argument, letter)
    if not re.search(r"\d", before + after):
        return pieces
    return tuple(replace(each, rank=each.rank + _AT_TIMES) if isinstance(each, Field) else each for each in pieces)


def _meant(match: re.Match[str], modifiers: str, argument: str | None, letter: str) -> tuple[Piece, ...]:
    special = _ARGUMENTS.get(letter)
    if special is not None and (argument is not None or letter == "t"):
        return special(argument or "")
    if letter == "s" and "<" in modifiers:
        return (Field("original_status", "status", "status", 2),)
    if letter == "s" and ">" not in modifiers:  # the original request's, too: of one that was redirected inside
        return (replace(_LETTER_FIELDS["s"], rank=1),)
    known = _LETTER_FIELDS.get(letter)
    if known is None:
        raise FormatError(f"LogFormat: {match[0]} is no directive of mod_log_config")
    return (known,)


def _time(argument: str) -> tuple[Piece, ...]:
    form = argument.removeprefix("begin:").removeprefix("end:")
    return _TIMES.get(form) or (Field("time", "time", "strftime", 1, "strftime:" + _FRACTIONS.get(form, form)),)


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Make one time of several that only punctuation divides: ``%{%F %T}t.%{msec_frac}t %{%z}t``."""
    result: list[Piece] = []
    for piece in joined(pieces):
        if _is_form(piece) and len(result) > 1 and _is_form(result[-2]) and _is_between(result[-1]):
            text, first = result.pop(), result.pop()
            form = _form(first) + _text(text) + _form(piece)
            result.append(Field("time", "time", "strftime", 1, "strftime:" + form))
        else:
            result.append(piece)
    for piece in result:
        _check_form(piece)
    return result


def _is_form(piece: Piece) -> bool:
    """Tell whether it is a time, or a part of one, that others may stand beside: ``%{sec}t.%{usec_frac}t``."""
    return isinstance(piece, Field) and (piece.shape == "strftime" or piece == _SECONDS)


def _is_between(piece: Piece) -> bool:
    return isinstance(piece, bytes) and _BETWEEN.fullmatch(piece) is not None


def _text(piece: Piece) -> str:
    return piece.decode() if isinstance(piece, bytes) else ""


def _form(piece: Piece) -> str:
    if piece == _SECONDS:
        return "%s"
    return piece.reader.removeprefix("strftime:") if isinstance(piece, Field) else ""


def _check_form(piece: Piece) -> None:
    if not _is_form(piece) or piece == _SECONDS:
        return
    try:
        times.expression(_form(piece))
    except ValueError as error:
        raise FormatError(f"LogFormat: the time {_form(piece)!r}: {error}; plain %t always works") from None


def _name(argument: str) -> str:
    return argument.lower().replace("-", "_")


def _request_header(argument: str) -> tuple[Piece, ...]:
    name = "http_" + _name(argument)
    return (_REQUEST_HEADERS.get(name) or Field(name),)


def _answer_header(argument: str) -> tuple[Piece, ...]:
    name = "sent_http_" + _name(argument)
    return (_ANSWER_HEADERS.get(name) or Field(name),)


def _address(argument: str) -> tuple[Piece, ...]:
    return (Field("peer_ip", "client_ip", "peer", 2) if argument == "c" else _LETTER_FIELDS["a"],)


def _under(prefix: str, shape: str = "text") -> Callable[[str], tuple[Piece, ...]]:
    return lambda argument: (Field(prefix + _name(argument), "", shape),)


_ARGUMENTS: Mapping[str, Callable[[str], tuple[Piece, ...]]] = {
    "t": _time,
    "i": _request_header,
    "o": _answer_header,
    "a": _address,
    "h": lambda argument: (_LETTER_FIELDS["h"],),
    "e": _under("env_"),
    "n": _under("note_"),
    "C": _under("cookie_"),
    "x": _under(""),
    "c": _under("ssl_"),
    "p": _under("port_", "number"),
    "P": _under("process_", "number"),
    "T": _under("duration_", "number"),
    "^ti": _under("http_trailer_"),
    "^to": _under("sent_http_trailer_"),
}
