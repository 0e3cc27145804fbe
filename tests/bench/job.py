"""The log everyone is measured on: combined format, a fixed seed, and a mix whose every share is exact.

60 % of the lines are assets, 15 % come from crawlers and HTTP libraries, 5 % are errors (some lines are two of these),
and 23.83 % are page views: what is left when the other three are taken away. The times end now, so that no line is
too old to be sent and the check for it still has to be made.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from logship import traffic

# kind -> share of a million lines. Crawlers and libraries: 15 %, of which 2 % fetch assets.
# Errors: 5 %, of which 1 % are missing assets and 2 % crawlers'. Their sum is exactly one.
_SHARES = {
    "pageview": 238_336,
    "asset": 570_004,
    "asset by a machine": 20_000,
    "asset missing": 10_000,
    "crawler": 70_000,
    "library": 40_000,
    "crawler's error": 20_000,
    "error": 20_000,
    "redirect": 6_660,
    "form": 5_000,
}
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Job:
    """A log on disk, and what a right answer to it is."""

    path: Path
    lines: int
    size: int
    pageviews: int
    mix: dict[str, int]
    source: str = "format: combined"  # what the configuration has to say of it

    def __str__(self) -> str:
        shares = ", ".join(f"{kind} {count:,} ({100 * count / self.lines:.1f} %)" for kind, count in self.mix.items())
        return f"{self.lines:,} lines, {self.size / 1e6:.1f} MB, {self.pageviews:,} page views: {shares}"


def write(
    path: Path,
    lines: int,
    *,
    seed: int = 1,
    pageviews_only: bool = False,
    now: float | None = None,
    style: str = "combined",
) -> Job:
    """Write the log, anew: same seed, same lines but for their times, which end at ``now``.

    ``style`` names one of `STYLES`: the same requests as another server would have written them.
    """
    written = STYLES[style]
    mix = {"pageview": lines} if pageviews_only else _mix(lines)
    kinds = [kind for kind, count in mix.items() for _ in range(count)]
    dice = random.Random(seed)
    dice.shuffle(kinds)
    makers = _makers(dice, written, visitors=min(40_000, max(100, lines)))
    end = time.time() if now is None else now
    with path.open("w", encoding="ascii") as log:
        for start in range(0, lines, _CHUNK):
            some = kinds[start : start + _CHUNK]
            log.write("".join(makers[kind](int(end - (lines - start - i) // 100)) for i, kind in enumerate(some)))
    return Job(path, lines, path.stat().st_size, mix["pageview"], mix, written.source)


@dataclass(frozen=True, slots=True)
class Request:
    """What a line of any style is made of."""

    address: str
    when: int  # epoch seconds
    method: str
    target: str
    status: int
    size: int
    referrer: str
    agent: str


@dataclass(frozen=True, slots=True)
class Style:
    """How a server writes its log: a line of a request, and what a source's configuration says of it."""

    line: Callable[[Request], str]
    source: str


def _combined(of: Request) -> str:
    return (
        f'{of.address} - - [{_local(of.when)}] "{of.method} {of.target} HTTP/1.1" {of.status} {of.size} '
        f'"{of.referrer}" "{of.agent}"\n'
    )


def _main(of: Request) -> str:
    """As nginx's packaged configuration has it, behind a proxy."""
    return (
        f'10.0.0.7 - - [{_local(of.when)}] "{of.method} {of.target} HTTP/1.1" {of.status} {of.size} '
        f'"{of.referrer}" "{of.agent}" "{of.address}"\n'
    )


def _custom(of: Request) -> str:
    return (
        f'{_iso(of.when)} {of.address} example.com "{of.method} {of.target} HTTP/1.1" {of.status} {of.size} 0.004 '
        f'"{of.referrer}" "{of.agent}" 0.003 TLSv1.3\n'
    )


_CUSTOM = (
    '$time_iso8601 $remote_addr $host "$request" $status $body_bytes_sent $request_time '
    '"$http_referer" "$http_user_agent" $upstream_response_time $ssl_protocol'
)


def _escaped(of: Request) -> str:
    """Every line holds what nginx escapes: a quote in the User-Agent."""
    return (
        f'{of.address} - - [{_local(of.when)}] "{of.method} {of.target} HTTP/1.1" {of.status} {of.size} '
        f'"{of.referrer}" "{of.agent} \\x22x\\x22"\n'
    )


def _nginx_json(of: Request) -> str:
    fields = {
        "time_iso8601": _iso(of.when),
        "remote_addr": of.address,
        "host": "example.com",
        "request": f"{of.method} {of.target} HTTP/1.1",
        "status": of.status,
        "body_bytes_sent": of.size,
        "request_time": 0.004,
        "http_referer": of.referrer.strip("-"),
        "http_user_agent": of.agent,
    }
    return json.dumps(fields) + "\n"


def _caddy(of: Request) -> str:
    """As Caddy's access log is, with a clock of microseconds: https://caddyserver.com/docs/logging."""
    headers = {"User-Agent": [of.agent], "Accept": ["*/*"], "Accept-Encoding": ["gzip, deflate, br"]}
    request: Mapping[str, object] = {
        "remote_ip": of.address,
        "remote_port": "50123",
        "client_ip": of.address,
        "proto": "HTTP/2.0",
        "method": of.method,
        "host": "example.com",
        "uri": of.target,
        "headers": headers | ({"Referer": [of.referrer]} if of.referrer != "-" else {}),
        "tls": {"resumed": False, "version": 772, "cipher_suite": 4865, "proto": "h2", "server_name": "example.com"},
    }
    fields = {
        "level": "info",
        "ts": of.when + of.size % 1000 / 1000 + 0.000123,
        "logger": "http.log.access.log0",
        "msg": "handled request",
        "request": request,
        "bytes_read": 0,
        "user_id": "",
        "duration": 0.000929675,
        "size": of.size,
        "status": of.status,
        "resp_headers": {"Server": ["Caddy"], "Content-Type": [_type_of(of.target)]},
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _traefik(of: Request) -> str:
    """As Traefik writes JSON with the two headers kept: https://doc.traefik.io/traefik/observability/access-logs/."""
    fields = {
        "ClientAddr": f"{of.address}:50123",
        "ClientHost": of.address,
        "ClientPort": "50123",
        "ClientUsername": "-",
        "DownstreamContentSize": of.size,
        "DownstreamStatus": of.status,
        "Duration": 929675 + of.size,
        "OriginContentSize": of.size,
        "OriginDuration": 829675 + of.size,
        "OriginStatus": of.status,
        "Overhead": 100000,
        "RequestAddr": "example.com",
        "RequestContentSize": 0,
        "RequestCount": of.size,
        "RequestHost": "example.com",
        "RequestMethod": of.method,
        "RequestPath": of.target,
        "RequestPort": "-",
        "RequestProtocol": "HTTP/2.0",
        "RequestScheme": "https",
        "RetryAttempts": 0,
        "RouterName": "web@docker",
        "ServiceAddr": "172.18.0.3:80",
        "ServiceName": "web@docker",
        "ServiceURL": "http://172.18.0.3:80",
        "StartLocal": f"{_iso(of.when)[:19]}.{of.size * 11_000:09}Z",
        "StartUTC": f"{_iso(of.when)[:19]}.{of.size * 11_000:09}Z",
        "entryPointName": "websecure",
        "level": "info",
        "msg": "",
        **({"request_Referer": of.referrer} if of.referrer != "-" else {}),
        "request_User-Agent": of.agent,
        "time": _iso(of.when),
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _type_of(target: str) -> str:
    return "text/javascript" if target.startswith("/static/") else "text/html; charset=utf-8"


def _vhost(of: Request) -> str:
    return "example.com " + _combined(of)


def _apache(of: Request) -> str:
    return (
        f'example.com:443 {of.address} - - [{_local(of.when)}] "{of.method} {of.target} HTTP/1.1" {of.status} '
        f'{of.size} {of.size * 7} "{of.referrer}" "{of.agent}"\n'
    )


_APACHE = '%v:%p %h %l %u %t "%r" %>s %O %D "%{Referer}i" "%{User-Agent}i"'


def _escape_json(of: Request) -> str:
    """As people write nginx's own JSON, without blanks."""
    return (
        f'{{"time":"{_iso(of.when)}","addr":"{of.address}","host":"example.com","request":"{of.method} {of.target} '
        f'HTTP/1.1","status":"{of.status}","size":"{of.size}","rt":"0.004","referrer":"{of.referrer.strip("-")}",'
        f'"agent":"{of.agent}"}}\n'
    )


_ESCAPE_JSON = (
    'log_format j escape=json \'\'{"time":"$time_iso8601","addr":"$remote_addr","host":"$host","request":"$request",'
    '"status":"$status","size":"$body_bytes_sent","rt":"$request_time","referrer":"$http_referer",'
    '"agent":"$http_user_agent"}\'\';'
)


def _cri(of: Request) -> str:
    return f"{_iso(of.when)[:19]}.{of.size * 11_000:09}Z stdout F {_combined(of)}"


def _syslog(of: Request) -> str:
    return f"<190>{_written(of.when, '%b %e %H:%M:%S')} web1 nginx: {_combined(of)}"


_NAMED_GROUPS = (
    r'^(?P<client_ip>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<bytes>\d+)'
    r' "(?P<referrer>[^"]*)" "(?P<user_agent>[^"]*)"$'
)

STYLES = {
    "combined": Style(_combined, "format: combined"),
    "nginx main, X-Forwarded-For": Style(
        _main, "format: nginx_main, client_ip: {trusted_proxies: ['10.0.0.0/8'], field: x_forwarded_for}"
    ),
    "vhost_combined": Style(_vhost, "format: vhost_combined"),
    "custom log_format": Style(_custom, f"format: '{_CUSTOM}'"),
    "custom LogFormat": Style(_apache, f"format: '{_APACHE}'"),
    "escapes in every line": Style(_escaped, "format: combined"),
    "combined in CRI": Style(_cri, "format: combined"),
    "combined in syslog": Style(_syslog, "format: combined"),
    "regular expression": Style(_combined, f"format: {{regex: '{_NAMED_GROUPS}'}}"),
    "nginx JSON": Style(_nginx_json, "format: nginx_json"),
    "nginx JSON by its log_format": Style(_escape_json, f"format: '{_ESCAPE_JSON}'"),
    "Caddy JSON": Style(_caddy, "format: caddy"),
    "Traefik JSON": Style(_traefik, "format: traefik"),
}


def _mix(lines: int) -> dict[str, int]:
    counts = {kind: lines * share // 1_000_000 for kind, share in _SHARES.items()}
    counts["asset"] += lines - sum(counts.values())
    return counts


def _makers(dice: random.Random, style: Style, visitors: int) -> dict[str, Callable[[int], str]]:
    """Return for each kind what makes a line of it at a time."""
    people = [(_address(dice), dice.choice(traffic.PEOPLE)) for _ in range(visitors)]
    machines = {
        "crawler": [(_address(dice), agent) for agent in traffic.CRAWLERS for _ in range(20)],
        "library": [(_address(dice), agent) for agent in traffic.LIBRARIES if agent for _ in range(20)],
    }
    pages = [f"/{section}/{_slug(dice)}" for section in ("blog", "docs", "shop", "about") for _ in range(120)] + ["/"]
    assets = [f"/static/{_slug(dice)}.{extension}" for extension in _EXTENSIONS for _ in range(25)]
    inner = [f"https://example.com{page}" for page in pages]
    referrers = ["-"] * len(inner) + ["https://www.google.com/"] * (len(inner) // 5) + inner
    choose = dice.choice

    def line(who: list[tuple[str, str]], targets: list[str], status: int, method: str = "GET") -> Callable[[int], str]:
        def make(when: int) -> str:
            address, agent = choose(who)
            target = choose(targets)
            if dice.random() < 0.1:
                target += choose(_QUERIES)
            size, referrer = dice.randrange(200, 90_000), choose(referrers)
            return style.line(Request(address, when, method, target, status, size, referrer, agent))

        return make

    return {
        "pageview": line(people, pages, 200),
        "asset": line(people, assets, 200),
        "asset by a machine": line(machines["crawler"], assets, 200),
        "asset missing": line(people, assets, 404),
        "crawler": line(machines["crawler"], pages, 200),
        "library": line(machines["library"], pages, 200),
        "crawler's error": line(machines["crawler"], pages, 404),
        "error": line(people, pages, 404),
        "redirect": line(people, pages, 301),
        "form": line(people, pages, 200, "POST"),
    }


_EXTENSIONS = ("css", "js", "png", "jpg", "webp", "avif", "svg", "woff2", "ico", "map")
_QUERIES = ("?v=3", "?page=2", "?utm_source=newsletter&utm_medium=email", "?q=access+log&sort=new", "?ref=friend")
_WORDS = ("access", "agent", "banner", "cookie", "daemon", "event", "filter", "graph", "index", "kernel", "ledger")


def _slug(dice: random.Random) -> str:
    return "-".join(dice.sample(_WORDS, 3))


def _address(dice: random.Random) -> str:
    """Visitors' addresses: no private or reserved ones, which are nobody's behind a proxy."""
    return f"{dice.choice((193, 195, 203))}.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"


def _local(second: int) -> str:
    return _written(second, "%d/%b/%Y:%H:%M:%S +0000")


def _iso(second: int) -> str:
    return _written(second, "%Y-%m-%dT%H:%M:%S+00:00")


@lru_cache(maxsize=8)
def _written(second: int, form: str) -> str:
    return time.strftime(form, time.gmtime(second))
