"""What a format string holds, and how logship's configuration names it. Reads variables, not lines."""

from __future__ import annotations

import re

from logship.discover.apache import COMMON
from logship.discover.nginx import COMBINED, VARIABLE
from logship.discover.servers import Format

_APACHE = re.compile(r"%(?:%|[!<>0-9,]*(?:\{([^}]*)\})?[!<>0-9,]*(\^?[A-Za-z]))")
_HELD = {
    "nginx": {
        "host": {"host", "http_host", "server_name"},
        "user_agent": {"http_user_agent"},
        "chain": {"http_x_forwarded_for", "proxy_add_x_forwarded_for"},
        "peer": {"remote_addr", "realip_remote_addr", "proxy_protocol_addr"},
        "request": {"request", "request_uri", "uri", "document_uri"},
        "scheme": {"scheme"},
    },
    "apache": {
        "host": {"v", "V", "host"},
        "user_agent": {"user-agent"},
        "chain": {"x-forwarded-for"},
        "peer": {"a", "h"},
        "request": {"r", "U"},
        "scheme": set(),
    },
}
_TO_COMBINED = ' "%{Referer}i" "%{User-Agent}i"'
_APACHE_COMMON = '%h %l %u %t "%r" %>s '
# The strings behind logship's own names. A nickname proves nothing: anybody may call anything "combined".
_NAMED = {
    ("nginx", COMBINED): "combined",
    ("nginx", COMBINED.removesuffix(' "$http_referer" "$http_user_agent"')): "common",
    ("nginx", COMBINED + ' "$http_x_forwarded_for"'): "nginx_main",
    ("apache", COMMON): "common",
    ("apache", _APACHE_COMMON + "%O"): "common",
    **{
        ("apache", vhost + _APACHE_COMMON + size + _TO_COMBINED): name
        for size in ("%b", "%O", "%B")
        for vhost, name in (("", "combined"), ("%v ", "vhost_combined"), ("%v:%p ", "vhost_combined"))
    },
    ("apache", f"%v {COMMON}"): "vhost_common",
    ("apache", f"%v:%p {COMMON}"): "vhost_common",
}


def holds(layout: Format, fact: str) -> bool:
    """Tell whether lines of this format hold a fact: host, user_agent, chain, peer or request."""
    text = layout.text or ""
    if layout.family == "nginx":
        found = {match[1] or match[2] for match in VARIABLE.finditer(text)}
    else:
        found = {match[1].lower() if match[2] == "i" and match[1] else match[2] for match in _APACHE.finditer(text)}
    return bool(found & _HELD[layout.family][fact])


def merit(layout: Format) -> tuple[bool, ...]:
    """Return the worth of a format, as a sort key: of several logs with the same requests, the best is followed."""
    return tuple(holds(layout, fact) for fact in ("request", "peer", "user_agent", "host", "chain"))


def value(layout: Format) -> str:
    """Return what to write as ``format``: a name, the string, or the whole directive if the string would be misread."""
    text = layout.text or ""
    if layout.escape == "default" and (layout.family, text) in _NAMED:
        return _NAMED[layout.family, text]
    plain = text == text.strip() and not text.startswith(("'", '"', "log_format", "escape=")) and bool(text)
    if layout.family == "apache":
        return text if plain and not text.lower().startswith("logformat") else f'LogFormat "{_quoted(text)}"'
    if plain and layout.escape == "default" and VARIABLE.search(text):
        return text
    escape = "" if layout.escape == "default" else f"escape={layout.escape} "
    return f"log_format {re.sub(r'[^A-Za-z0-9_.-]', '_', layout.name) or 'x'} {escape}{_in_quotes(text)}"


def with_host(layout: Format) -> tuple[Format, str]:
    """Return a format that also holds the host, and the directive that defines it in the web server."""
    if layout.family == "nginx":
        if value(layout) == "combined":
            better = Format("nginx", "vhost_combined", "$host:$server_port " + COMBINED)
            return better, _log_format(better)
        better = Format("nginx", f"vhost_{layout.name}", f"$host {layout.text}", layout.escape)
        return better, _log_format(better)
    text = layout.text if value(layout) not in ("combined", "common") else _APACHE_COMMON + "%O" + _TO_COMBINED
    better = Format(
        "apache", "vhost_combined" if text != layout.text or value(layout) == "combined" else "vhost", f"%v:%p {text}"
    )
    return better, f'LogFormat "{_quoted(better.text or "")}" {better.name}'


def suggested(program: str, *, many: bool) -> tuple[str, tuple[str, ...]]:
    """Return a format for a server that writes no file yet, and the directives for it, in which PATH is the log's."""
    nginx, apache = (
        Format("nginx", "combined", COMBINED),
        Format("apache", "combined", _APACHE_COMMON + "%O" + _TO_COMBINED),
    )
    plain = nginx if program == "nginx" else apache
    log = "access_log PATH {};" if program == "nginx" else "CustomLog PATH {}"
    if not many:
        return "combined", (log.format("combined"),)
    better, directive = with_host(plain)
    return value(better), (directive, log.format(better.name))


def _log_format(layout: Format) -> str:
    escape = "" if layout.escape == "default" else f"escape={layout.escape} "
    return f"log_format {layout.name} {escape}{_in_quotes(layout.text or '')};"


def _in_quotes(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(text: str) -> str:
    return re.sub(r"([\\\"'])", r"\\\1", text)
