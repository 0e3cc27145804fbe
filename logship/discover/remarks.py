"""What a person should know about a followed log, about one that is not followed, and about a server without a log."""

from __future__ import annotations

from collections.abc import Iterable

from logship.discover import hosts, layouts, sites
from logship.discover.choice import Choice, Use
from logship.discover.servers import Found, Server
from logship.discover.wording import called, listed, short


def of_log(found: Found, path: str, serving: list[Use], choice: Choice) -> Iterable[str]:
    """Yield what to know about a followed log."""
    logs = list(dict.fromkeys(use.log for use in serving))
    formats = list({log.format.text: log for log in logs}.values())
    if len(formats) > 1:
        places = listed(f"{log.format.name} ({log.place})" for log in formats)
        yield f"Written in several formats: {places}. Only the first is read; the others' lines count as unparsed."
    yield from dict.fromkeys(remark for log in logs for remark in log.remarks)
    if all(use.where for use in serving):
        yield f"Written only by {listed(dict.fromkeys(use.where for use in serving))}."
    for log in logs:
        if log.condition:
            yield f"Written only where {log.condition} holds ({log.place})."
    doubled = [use for use, other in choice.repeated.get(path, []) if other != path]
    if doubled:
        twice = "write to another followed log as well, and are counted twice: leave one of the two out"
        yield f"{listed(called(use.server) for use in doubled)} {twice} in {found.program}."
    yield from _addresses(found, serving)
    yield from dict.fromkeys(remark for use in serving for remark in use.server.remarks)
    if logs[0].format.text is not None and not layouts.holds(logs[0].format, "user_agent"):
        yield (
            "The format has no User-Agent: people cannot be told from machines, and the preset `pageviews` sends "
            f'nothing. Have {found.program} write "combined".'
        )


def _addresses(found: Found, serving: list[Use]) -> Iterable[str]:
    resolved = list(dict.fromkeys(use.server.real_ip for use in serving if use.server.real_ip))
    if resolved:
        how = listed(resolved)
        yield f"{found.program} finds the visitor's address itself ({how}): X-Forwarded-For is left alone."
    without = [use.server for use in serving if not use.server.real_ip]
    if resolved and without:
        yield f"It does not so for {listed(map(called, without))}."


def of_unfollowed(found: Found, choice: Choice) -> Iterable[str]:
    """Yield what it means for each log that is no file, and for each server without a log."""
    troubled: dict[tuple[str, str, str], list[Server]] = {}
    for server in (server for server in found.servers if server.serves):
        for each in server.logs:
            for log in each.logs:
                if log.path is None:
                    elsewhere = any(other.path for other in each.logs if not other.condition)
                    also = "Its requests are in a file as well" if elsewhere else advice(found)
                    troubled.setdefault((str(log.place), log.written, f"{log.trouble}. {also}"), []).append(server)
        if not any(each.logs for each in server.logs):
            yield f"{server.place}: {called(server)} writes no access log; its visits cannot be counted"
    for (place, written, trouble), servers in troubled.items():
        whose = listed(called(server) for server in servers)
        yield f"{place}: the log {short(written)} of {whose} is not followed: {trouble}"


def advice(found: Found) -> str:
    """Return how to make the web server write a file."""
    directive = (
        "access_log /var/log/nginx/NAME.log combined;"
        if found.program == "nginx"
        else "CustomLog /path/NAME.log combined"
    )
    return f"Have {found.program} write a file as well: {directive}"


def nameless(servers: Iterable[Server]) -> list[str]:
    """Return the servers without a host name, as they are called."""
    return [called(server) for server in dict.fromkeys(servers) if not sites.all_hosts([server])]


def of_regexes(site: list[Server], *, filtered: bool) -> list[str]:
    """Return a remark for each server_name that is a regular expression, or a pattern of everything."""
    others = [name for name in hosts.sort(name for server in site for name in server.names).others if name[0] in "~*"]
    meaning = "is no list of hosts: add those that count" if filtered else "is not looked at: all its requests count"
    return [f"server_name {short(name)} {meaning}." for name in others]


def of_ports(site: list[Server], origin: str) -> list[str]:
    """Return a remark if a site listens only on unusual ports, so that a proxy may stand in front."""
    ports = {port for server in site for port in server.ports}
    if not origin.startswith("http:") or ports & {"80", "443", "*"} or not ports:
        return []
    return [f"It listens on {listed(sorted(ports))} only. If visitors come by https, through a proxy, write https."]
