"""A format's name, string or mapping becomes a compiled LogFormat, or a FormatError that says why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from logship.parser import apache, layout, nginx
from logship.parser.fields import Field, FormatError, Piece, did_you_mean

__all__ = ["FormatError", "LogFormat", "compile"]

WRAPPERS = ("auto", "none", "docker", "cri", "syslog")
_COMMON = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
_COMBINED = _COMMON + ' "$http_referer" "$http_user_agent"'


@dataclass(frozen=True, slots=True)
class LogFormat:
    """How the lines of a log are written. ``facts`` are what it tells, ``logs`` its ``log.NAME`` names."""

    name: str
    family: str  # nginx, apache
    wrapper: str = "auto"
    pieces: tuple[Piece, ...] = ()
    escape: str = "default"
    facts: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()


def compile(spec: str | Mapping[str, Mapping[str, str] | str], *, wrapper: str = "auto") -> LogFormat:  # noqa: A001
    """Return the format that a name, a log_format or LogFormat string, or a mapping stands for.

    Raises:
        FormatError: It is none of these, it does not hold the client's address, or a line could be read in two ways.
    """
    if wrapper not in WRAPPERS:
        raise FormatError(
            f"wrapper {wrapper!r}: expected one of {', '.join(WRAPPERS)}{did_you_mean(wrapper, WRAPPERS)}"
        )
    found = _from_text(spec.strip()) if isinstance(spec, str) else _from_mapping(spec)
    return replace(found, wrapper=wrapper)


def _from_text(text: str) -> LogFormat:
    if re.fullmatch(r"[A-Za-z0-9_-]*", text):
        return named(text)
    if nginx.is_format(text):
        return _text_format("nginx", "nginx", *nginx.read(text))
    if apache.is_format(text):
        return _text_format("apache", "apache", *apache.read(text))
    raise FormatError(f"{text!r} is neither a format's name nor an nginx or Apache format string")


def _from_mapping(spec: Mapping[str, Mapping[str, str] | str]) -> LogFormat:
    raise FormatError("not yet")


def _text_format(name: str, family: str, pieces: tuple[Piece, ...], escape: str) -> LogFormat:
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    facts = frozenset(field.fact for field in fields if field.fact)
    _require_client(facts, frozenset(field.name for field in fields))
    layout.check(pieces)
    logs = frozenset(field.name for field in fields)
    return LogFormat(name, family, pieces=pieces, escape=escape, facts=facts, logs=logs)


def _require_client(facts: frozenset[str], names: frozenset[str]) -> None:
    if not facts & {"client_ip", "x_forwarded_for"}:
        raise FormatError(
            "the format does not hold the client's address, without which Plausible cannot count a visitor; "
            "add $remote_addr (nginx) or %h (Apache)"
        )


def _nginx(text: str) -> Callable[[str], LogFormat]:
    return lambda name: _text_format(name, "nginx", *nginx.read(text))


def _apache(text: str) -> Callable[[str], LogFormat]:
    return lambda name: _text_format(name, "apache", *apache.read(text))


NAMED: Mapping[str, Callable[[str], LogFormat]] = {
    "combined": _nginx(_COMBINED),
    "common": _nginx(_COMMON),
    "vhost_combined": _apache('%v %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"'),
    "vhost_common": _apache('%v %h %l %u %t "%r" %>s %b'),
    "nginx_main": _nginx(_COMBINED + ' "$http_x_forwarded_for"'),
    "ingress_nginx": _nginx(
        _COMBINED + " $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name]"
        " $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"
    ),
}


def named(name: str) -> LogFormat:
    """Return the format of that name."""
    make = NAMED.get(name)
    if make is None:
        raise FormatError(f"{name!r} is no known format{did_you_mean(name, NAMED)}; known are {', '.join(NAMED)}")
    return make(name)
