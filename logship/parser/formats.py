"""A format's name, string or mapping becomes a compiled LogFormat, or a FormatError that says why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from logship.parser import (
    apache,
    bunny,
    envoy,
    haproxy,
    jsonlog,
    labelled,
    layout,
    ltsv,
    nginx,
    pattern,
    traefik,
    w3c,
    wrappers,
)
from logship.parser.fields import FACTS, Field, FormatError, Piece, did_you_mean, meaning

__all__ = ["FormatError", "LogFormat", "compile"]

_REQUEST = ("request", "target", "path", "method")
_CHAIN = frozenset(("x_forwarded_for", "http_x_forwarded_for"))
_COMMON = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
_COMBINED = _COMMON + ' "$http_referer" "$http_user_agent"'


@dataclass(frozen=True, slots=True)
class LogFormat:
    """How the lines of a log are written. ``facts`` are what it tells, ``logs`` its ``log.NAME`` names."""

    name: str
    family: str  # nginx, apache, labelled, regex
    wrapper: str = "auto"
    pieces: tuple[Piece, ...] = ()
    escape: str = "default"
    facts: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()
    any_log: bool = False  # labelled: every label of a line is a log.NAME
    keys: labelled.Keys | None = None  # labelled: where facts are; None: guessed
    loader: Callable[[], labelled.Loader] = jsonlog.Loader
    is_access: Callable[[Mapping[str, Any]], bool] = labelled.always
    per_file: bool = False  # lines of a file say how those after them are to be read
    pattern: str = ""
    absolute: bool = False  # every target is written with its host: none of them was meant for a proxy


def compile(spec: str | Mapping[str, Mapping[str, str] | str], *, wrapper: str = "auto") -> LogFormat:  # noqa: A001
    """Return the format that a name, a log_format or LogFormat string, or a mapping stands for.

    Raises:
        FormatError: It is none of these, it does not hold the client's address, or a line could be read in two ways.
    """
    if wrapper not in wrappers.KINDS:
        meant = did_you_mean(wrapper, wrappers.KINDS)
        raise FormatError(f"wrapper {wrapper!r}: expected one of {', '.join(wrappers.KINDS)}{meant}")
    found = _from_text(spec.strip()) if isinstance(spec, str) else _from_mapping(spec)
    return replace(found, wrapper=wrapper)


def _from_text(text: str) -> LogFormat:
    if re.fullmatch(r"[A-Za-z0-9_-]*", text):
        return named(text)
    if text.startswith("#Fields:"):
        return _w3c(text.removeprefix("#Fields:"))
    if (captures := haproxy.captures(text)) is not None:
        return _labelled("haproxy", haproxy.KEYS, captures)
    family = _family(text)
    return _text_format(family, family, *_FAMILIES[family].read(text))


_FAMILIES = {"nginx": nginx, "apache": apache}


def _family(text: str) -> str:
    """Return whose format string it is. What either could have written is believed by the fields that it knows."""
    for family, language in _FAMILIES.items():
        if language.is_directive(text):
            return family
    found = [family for family, language in _FAMILIES.items() if language.is_format(text)]
    if len(found) > 1:
        found = [family for family in found if _FAMILIES[family].knows(text)] or found
    if len(found) > 1:
        raise FormatError(
            "the format can be read as nginx's ($name) and as Apache's (%x); give the whole directive, "
            "log_format NAME '...' or LogFormat \"...\" NAME"
        )
    if not found:
        raise FormatError(f"{text!r} is neither a format's name nor a format string of nginx ($name) or Apache (%x)")
    return found[0]


def _from_mapping(spec: Mapping[str, Mapping[str, str] | str]) -> LogFormat:
    if len(spec) != 1:
        raise FormatError("expected {json: {field: key}} or {regex: pattern}")
    kind, value = next(iter(spec.items()))
    if kind == "json" and isinstance(value, Mapping):
        return _json_map(value)
    if kind == "regex" and isinstance(value, str):
        return _regex(value)
    raise FormatError(f"{kind!r}: expected {{json: {{field: key}}}} or {{regex: pattern}}")


def _json_map(keys: Mapping[str, str]) -> LogFormat:
    jsonlog.check(keys)
    if not keys.keys() & set(_REQUEST):
        raise FormatError(f"json: none of {', '.join(_REQUEST)} is given, so no line is a request")
    return _labelled("json", {meaning(field): (key,) for field, key in keys.items()})


def _labelled(
    name: str,
    keys: labelled.Keys | None,
    loader: Callable[[], labelled.Loader] = jsonlog.Loader,
    *,
    is_access: Callable[[Mapping[str, Any]], bool] = labelled.always,
    per_file: bool = False,
) -> LogFormat:
    facts = frozenset(keys if keys is not None else FACTS)
    _require_client(facts)
    return LogFormat(
        name,
        "labelled",
        facts=facts,
        any_log=True,
        keys=keys,
        loader=loader,
        is_access=is_access,
        per_file=per_file,
    )


def _w3c(header: str) -> LogFormat:
    """Return the format of a `#Fields:` line given as the format: one without it is read as well."""
    facts = w3c.facts_of(header)
    _require_client(facts)
    if not facts & {*_REQUEST}:
        raise FormatError("#Fields: holds neither cs-uri-stem nor cs-uri, so no line is a request")
    return replace(_labelled("w3c", w3c.KEYS, partial(w3c.Loader, header), per_file=True), facts=facts)


def _regex(text: str) -> LogFormat:
    fields = pattern.fields(text)
    facts = frozenset(field.fact for field in fields if field.fact)
    _require_client(facts)
    return LogFormat("regex", "regex", facts=facts, logs=frozenset(field.name for field in fields), pattern=text)


def _text_format(name: str, family: str, pieces: tuple[Piece, ...], escape: str) -> LogFormat:
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    facts = frozenset(field.fact for field in fields if field.fact)
    _require_client(facts)
    layout.check(pieces)
    logs = frozenset(field.name for field in fields)
    return LogFormat(name, family, pieces=pieces, escape=escape, facts=facts, logs=logs)


def _require_client(facts: frozenset[str]) -> None:
    if not facts & {"client_ip", "x_forwarded_for"}:
        raise FormatError(
            "the format does not hold the client's address, without which Plausible cannot count a visitor; "
            "add $remote_addr (nginx), %h (Apache), c-ip (#Fields) or the field client_ip (json, regex)"
        )


def require_field(format: LogFormat, field: str) -> None:  # noqa: A002 - what it is called everywhere else
    """Raise FormatError when a format has no such field for the word of proxies; labelled lines may hold any."""
    if field in _CHAIN or format.any_log or format.logs & {field, f"http_{field}"}:
        return
    own = f"http_{field.lower().replace('-', '_')}"
    hint = f' (did you mean "{own}"?)' if own in format.logs else did_you_mean(field, format.logs)
    known = [piece.name for piece in format.pieces if isinstance(piece, Field)] or sorted(format.logs)
    raise FormatError(f"the format has no field {field!r}{hint}; it has {', '.join(dict.fromkeys(known))}")


def _nginx(text: str) -> Callable[[str], LogFormat]:
    return lambda name: _text_format(name, "nginx", *nginx.read(text))


def _absolute(text: str) -> Callable[[str], LogFormat]:
    """A balancer writes every target with its host, so the format holds it."""

    def make(name: str) -> LogFormat:
        found = _text_format(name, "nginx", *nginx.read(text))
        return replace(found, facts=found.facts | {"host"}, absolute=True)

    return make


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
    "nginx_json": lambda name: _labelled(name, None),
    "apache_json": lambda name: _labelled(name, None),
    "caddy": lambda name: _labelled(name, jsonlog.CADDY, is_access=jsonlog.is_caddy_access),
    "traefik": lambda name: _labelled(name, traefik.KEYS, traefik.Loader),
    "haproxy": lambda name: _labelled(name, haproxy.KEYS, haproxy.Loader),
    "w3c": lambda name: _labelled(name, w3c.KEYS, w3c.Loader, per_file=True),
    "iis": lambda name: _labelled(name, w3c.KEYS, w3c.Loader, per_file=True),
    "cloudfront": lambda name: _labelled(name, w3c.KEYS, w3c.Loader, per_file=True),
    "bunny": lambda name: _labelled(name, bunny.KEYS, bunny.Loader),
    "ltsv": lambda name: _labelled(name, ltsv.KEYS, ltsv.Loader),
    # Neither host documents its lines. These are the layouts of lines that were seen:
    # https://github.com/matomo-org/matomo-log-analytics/pull/316 (Gandi) and /pull/106 (OVH).
    "gandi": _apache('%v %h %l %u %t (%T s) "%r" %>s %O "%{Referer}i" "%{User-Agent}i"'),
    "ovh": _apache('%h %v %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"'),
    "envoy": lambda name: _labelled(name, envoy.KEYS, envoy.Loader),
    "icecast": _nginx(_COMBINED + " $connected_seconds"),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html; fields are added at the end now and then.
    "s3": _nginx(
        "$bucket_owner $bucket [$time_local] $remote_addr $remote_user $request_id $operation $key"
        ' "$request" $status $error_code $bytes_sent $object_size $total_time $turnaround_time'
        ' "$http_referer" "$http_user_agent"$rest_of_line'
    ),
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
    "alb": _absolute(
        "$type $time_iso8601 $elb $remote_addr $target $request_processing_time $target_processing_time"
        " $response_processing_time $status $target_status $request_length $bytes_sent"
        ' "$request" "$http_user_agent"$rest_of_line'
    ),
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html
    "elb": _absolute(
        "$time_iso8601 $elb $remote_addr $backend $request_processing_time $backend_processing_time"
        " $response_processing_time $status $backend_status $request_length $bytes_sent"
        ' "$request" "$http_user_agent"$rest_of_line'
    ),
}


def named(name: str) -> LogFormat:
    """Return the format of that name."""
    make = NAMED.get(name)
    if name == "auto":
        raise FormatError("'auto' is decided by the log's first lines, not by name")
    if make is None:
        raise FormatError(f"{name!r} is no known format{did_you_mean(name, NAMED)}; known are {', '.join(NAMED)}")
    return make(name)
