"""Decide which logs to follow, as which site, and what to say about each. Pure.

Two rules come before all others. No request is counted twice: of several logs with the same requests, one is followed.
No visit is invented: if a log does not tell which site was visited, its source is commented out.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from logship.discover import hosts, layouts
from logship.discover.servers import Found, Log, LogSet, Server

_HOST_VARIABLE = re.compile(r"\$\{?(?:host|server_name|http_host|ssl_server_name)\b\}?")
_LISTED = 5  # names in a sentence


@dataclass(frozen=True, slots=True)
class Source:
    """One source. With a ``trouble`` it is commented out, and the trouble says what to do about it."""

    path: tuple[str, ...]
    format: str
    origin: str  # where the format stands
    site: str | None = None
    hosts: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    name: str = ""
    remarks: tuple[str, ...] = ()
    trouble: str = ""
    steps: tuple[str, ...] = ()  # lines for the web server's configuration that would help
    needs: str = ""  # "site" or "host": all that is missing
    behind_proxy: bool = False  # the format has X-Forwarded-For, and nothing has resolved it yet
    program: str = ""


@dataclass(frozen=True, slots=True)
class _Use:
    """A server that writes to a log, and where in it."""

    server: Server
    log: Log
    where: str


@dataclass(slots=True)
class _Choice:
    """Which logs are followed, by path, and who writes to them; and which only repeat what others hold."""

    followed: dict[str, list[_Use]] = field(default_factory=dict)
    repeated: dict[str, list[tuple[_Use, str]]] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """What is to be written: sources, and notes on what else is worth knowing."""

    sources: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def decide(configurations: Sequence[Found], look: Callable[[str], str]) -> Decision:
    """Return the sources of one or several web servers. ``look`` returns why a path is no file here, or ""."""
    secure = {
        hosts.bare(name)
        for found in configurations
        for server in found.servers
        if server.https
        for name in hosts.sort(server.names).real
    }
    decision = Decision()
    for found in configurations:
        decision.sources += _of(found, secure, look, decision)
        decision.notes += found.notes
    decision.sources = _named(_without_rivals(decision.sources))
    # A file that two sources match belongs to the first one, so exact paths come before globs.
    decision.sources.sort(key=lambda source: any(map(_is_glob, source.path)))
    return decision


def suggested(configurations: Sequence[Found], look: Callable[[str], str]) -> Source:
    """Return a source for a web server that writes no file yet: where it could write one, and for which site."""
    found = configurations[0]
    servers = [server for server in found.servers if server.serves]
    sites = _sites(servers)
    path = found.fallback if not look(found.fallback) else os.path.join(os.path.dirname(found.fallback), "logship.log")
    secure = {hosts.bare(name) for server in servers if server.https for name in server.names}
    origin = _origin(sites[0], secure) if len(sites) == 1 and _real(sites[0]) else None
    format_, steps = layouts.suggested(found.program, many=len(sites) > 1)
    return Source(
        path=(path,),
        format=format_,
        origin="",
        site=origin,
        hosts=tuple(name for site in sites for name in _all_hosts(site)) if len(sites) > 1 else (),
        trouble=f"{found.program} writes no access log yet that could be followed. Add this to its configuration:",
        steps=tuple(step.replace("PATH", path) for step in steps),
        needs="" if origin else "host" if len(sites) > 1 else "site",
        program=found.program,
    )


def _of(found: Found, secure: set[str], look: Callable[[str], str], decision: Decision) -> list[Source]:
    choice = _choose(found)
    decision.notes += _unfollowed(found, choice)
    sources = []
    for path, uses in choice.followed.items():
        sources += _sources(found, path, uses, secure, look(path), choice)
    for path, repeats in choice.repeated.items():
        if path not in choice.followed:
            use, other = repeats[0]
            trouble = f"It holds the same requests as {other}: following both would count each visit twice."
            sources.append(_bare_source(found, (path,), use.log, trouble))
    return sources


# Which of several logs: each request once.


def _choose(found: Found) -> _Choice:
    choice = _Choice()
    waiting: list[tuple[Server, LogSet, list[Log]]] = []
    for server in found.servers:
        for each in server.logs:
            files = list({log.path: log for log in each.logs if log.path is not None}.values())
            whole = [log for log in files if not log.condition]
            if len(whole) > 1:
                waiting.append((server, each, files))
            else:
                _follow(choice, server, each, whole or files, files)
    for server, each, files in waiting:
        whole = [log for log in files if not log.condition]
        known = [log for log in whole if log.path in choice.followed]
        _follow(choice, server, each, [(known or sorted(whole, key=_merit))[0]], files)
    return choice


def _merit(log: Log) -> tuple[bool, ...]:
    return tuple(not held for held in layouts.merit(log.format))


def _follow(choice: _Choice, server: Server, where: LogSet, chosen: list[Log], files: list[Log]) -> None:
    for log in files:
        use = _Use(server, log, where.where)
        assert log.path is not None
        if log in chosen:
            choice.followed.setdefault(log.path, []).append(use)
        else:
            choice.repeated.setdefault(log.path, []).append((use, str(chosen[0].path)))


def _unfollowed(found: Found, choice: _Choice) -> Iterable[str]:
    """Yield what it means for each log that is no file, and for each server without a log."""
    troubled: dict[tuple[str, str, str], list[Server]] = {}
    for server in (server for server in found.servers if server.serves):
        for each in server.logs:
            for log in each.logs:
                if log.path is None:
                    elsewhere = any(other.path for other in each.logs if not other.condition)
                    also = "Its requests are in a file as well" if elsewhere else _advice(found)
                    troubled.setdefault((str(log.place), log.written, f"{log.trouble}. {also}"), []).append(server)
        if not any(each.logs for each in server.logs):
            yield f"{server.place}: {_called(server)} writes no access log; its visits cannot be counted"
    for (place, written, trouble), servers in troubled.items():
        whose = _listed(_called(server) for server in servers)
        yield f"{place}: the log {_short(written)} of {whose} is not followed: {trouble}"


def _advice(found: Found) -> str:
    directive = (
        "access_log /var/log/nginx/NAME.log combined;"
        if found.program == "nginx"
        else "CustomLog /path/NAME.log combined"
    )
    return f"Have {found.program} write a file as well: {directive}"


# One log: whose visits, and what is to be said.


def _sources(found: Found, path: str, uses: list[_Use], secure: set[str], seen: str, choice: _Choice) -> list[Source]:
    serving = [use for use in uses if use.server.serves] or uses
    log = serving[0].log
    remarks = tuple(_remarks(found, path, serving, choice))
    plain = replace(_bare_source(found, (path,), log, ""), remarks=remarks, behind_proxy=_is_behind(serving))
    if seen:
        return [replace(plain, trouble=f"{seen} {_advice(found)}")]
    if log.format.text is None:
        trouble = f'The format "{_short(log.format.name)}" is defined nowhere in what was read: put its string in.'
        return [replace(plain, trouble=trouble)]
    if not serving[0].server.serves:
        return [replace(plain, trouble="Only redirects and errors are written here, no page: nothing to count.")]
    return _placed(found, plain, serving, secure)


def _placed(found: Found, plain: Source, serving: list[_Use], secure: set[str]) -> list[Source]:
    """Return the source with its site or its hosts; several sources if the path tells sites apart."""
    log = serving[0].log
    has_host = layouts.holds(log.format, "host")
    sites = _sites([use.server for use in serving])
    named = [site for site in sites if _real(site)]
    patterns = tuple(dict.fromkeys(name for site in sites for name in _all_hosts(site)))
    if len(named) == 1 and (len(sites) == 1 or (has_host is False and not _patterns_only(sites))):
        return [_of_one_site(plain, named[0], secure, serving, has_host=has_host)]
    if has_host:
        return [_of_many_hosts(plain, patterns, sites, serving, secure)]
    if named and len(named) == len(sites) and _HOST_VARIABLE.search(log.written):
        return [_of_own_file(plain, site, secure, log) for site in named]
    return [_of_nobody(found, plain, sites, patterns, serving)]


def _of_one_site(plain: Source, site: list[Server], secure: set[str], serving: list[_Use], *, has_host: bool) -> Source:
    origin = _origin(site, secure)
    host = origin.partition("://")[2]
    names = _all_hosts(site)
    remarks = list(plain.remarks)
    others = [name for name in names if hosts.bare(name) != hosts.bare(host)]
    if others:
        remarks.append(f"Counted on the same site: {_listed(others)}.")
    strangers = _nameless([use.server for use in serving])
    if strangers and not has_host:
        whose = _listed(strangers)
        remarks.append(f"Requests for any other host ({whose}) are counted, too, as the lines do not tell them apart.")
    remarks += _regexes(site, filtered=has_host)
    remarks += _ports(site, origin)
    return replace(plain, site=origin, hosts=names if has_host else (), remarks=tuple(remarks), name=host)


def _of_many_hosts(
    plain: Source, names: tuple[str, ...], sites: list[list[Server]], serving: list[_Use], secure: set[str]
) -> Source:
    remarks = list(plain.remarks)
    if not names:
        remarks.append(
            "No host is named in the configuration, so all that are asked for count. Better list yours: hosts: [...]"
        )
    else:
        remarks.append("Many hosts, each a site of Plausible of its own (without www.); others are dropped.")
    remarks += [remark for site in sites for remark in _regexes(site, filtered=bool(names))]
    insecure = [name for name in names if hosts.bare(name) not in secure and "*" not in name]
    if insecure and not layouts.holds(serving[0].log.format, "scheme"):
        remarks.append(f"Their events say https, though no certificate is set up here for {_listed(insecure)}.")
    return replace(plain, hosts=names, remarks=tuple(dict.fromkeys(remarks)))


def _of_own_file(plain: Source, site: list[Server], secure: set[str], log: Log) -> Source:
    """Return a source for the files that are named after the hosts of one site."""
    origin = _origin(site, secure)
    names = hosts.sort(name for server in site for name in server.names).real
    assert log.path is not None
    paths = tuple(dict.fromkeys(log.path.replace("*", glob.escape(name), 1) for name in names))
    return replace(plain, path=paths, exclude=(), site=origin, name=origin.partition("://")[2])


def _of_nobody(
    found: Found, plain: Source, sites: list[list[Server]], names: tuple[str, ...], serving: list[_Use]
) -> Source:
    """Return the source for a log that does not tell which site was visited."""
    log = serving[0].log
    if not names:
        whose = _listed(_called(use.server) for use in serving)
        trouble = f"site: unknown. No host is named for what is written here, by {whose}. Put in the site's address."
        return replace(plain, trouble=trouble, needs="site")
    better, directive = layouts.with_host(log.format)
    use = (
        f"access_log {log.written} {better.name};"
        if found.program == "nginx"
        else f"CustomLog {log.written} {better.name}"
    )
    trouble = (
        f"site: unknown. {_listed(_called(use.server) for use in serving)} write to this log, and its lines do not "
        "hold the host: hosts cannot be told apart. Give each a log of its own, or have the host written:"
    )
    return replace(
        plain,
        trouble=trouble,
        steps=(directive, use),
        format=layouts.value(better),
        origin=f"once {found.program} writes it",
        hosts=names,
        needs="host",
    )


def _bare_source(found: Found, path: tuple[str, ...], log: Log, trouble: str) -> Source:
    place = f", {log.format.place}" if log.format.place else ""
    defined = f"{'log_format' if found.program == 'nginx' else 'LogFormat'} {log.format.name}".strip() + place
    origin = "" if log.format.text is None or not log.format.place else defined
    value = layouts.value(log.format) if log.format.text is not None else "auto"
    return Source(path, value, origin, exclude=_exclude(path[0]), trouble=trouble, program=found.program)


def _exclude(path: str) -> tuple[str, ...]:
    """Return what a glob must leave out besides the default: error logs that it would match."""
    if not _is_glob(path):
        return ()
    matched = any(
        fnmatch.fnmatchcase(name, os.path.basename(path)) for name in ("error.log", "a.error.log", "a-error.log")
    )
    return ("*.gz", "*error.log*") if matched else ()


def _remarks(found: Found, path: str, serving: list[_Use], choice: _Choice) -> Iterable[str]:
    logs = list(dict.fromkeys(use.log for use in serving))
    formats = list({log.format.text: log for log in logs}.values())
    if len(formats) > 1:
        places = _listed(f"{log.format.name} ({log.place})" for log in formats)
        yield f"Written in several formats: {places}. Only the first is read; the others' lines count as unparsed."
    yield from dict.fromkeys(remark for log in logs for remark in log.remarks)
    if all(use.where for use in serving):
        yield f"Written only by {_listed(dict.fromkeys(use.where for use in serving))}."
    for log in logs:
        if log.condition:
            yield f"Written only where {log.condition} holds ({log.place})."
    doubled = [use for use, other in choice.repeated.get(path, []) if other != path]
    if doubled:
        twice = "write to another followed log as well, and are counted twice: leave one of the two out"
        yield f"{_listed(_called(use.server) for use in doubled)} {twice} in {found.program}."
    yield from _addresses(found, serving)
    yield from dict.fromkeys(remark for use in serving for remark in use.server.remarks)
    if logs[0].format.text is not None and not layouts.holds(logs[0].format, "user_agent"):
        yield (
            "The format has no User-Agent: people cannot be told from machines, and the preset `pageviews` sends "
            f'nothing. Have {found.program} write "combined".'
        )


def _addresses(found: Found, serving: list[_Use]) -> Iterable[str]:
    resolved = list(dict.fromkeys(use.server.real_ip for use in serving if use.server.real_ip))
    if resolved:
        how = _listed(resolved)
        yield f"{found.program} finds the visitor's address itself ({how}): X-Forwarded-For is left alone."
    without = [use.server for use in serving if not use.server.real_ip]
    if resolved and without:
        yield f"It does not so for {_listed(map(_called, without))}."


def _is_behind(serving: list[_Use]) -> bool:
    return layouts.holds(serving[0].log.format, "chain") and not any(use.server.real_ip for use in serving)


# Names and sites.


def _sites(servers: Sequence[Server]) -> list[list[Server]]:
    """Return the servers that have a name, grouped by shared names."""
    unique = [each for each in dict.fromkeys(servers) if _all_hosts([each])]
    groups = hosts.joined([[hosts.bare(name) for name in _all_hosts([server])] for server in unique])
    return [[unique[number] for number in group] for group in groups]


def _real(site: list[Server]) -> tuple[str, ...]:
    return hosts.sort(name for server in sorted(site, key=lambda each: not each.https) for name in server.names).real


def _all_hosts(site: list[Server]) -> tuple[str, ...]:
    names = hosts.sort(name for server in site for name in server.names)
    return names.real + names.patterns


def _patterns_only(sites: list[list[Server]]) -> bool:
    return any(not _real(site) for site in sites)


def _origin(site: list[Server], secure: set[str]) -> str:
    """Return the site's address: its first real name, https if any server of that name has it."""
    name = (_real(site) or ("",))[0]
    return f"{'https' if hosts.bare(name) in secure else 'http'}://{name}"


def _nameless(servers: Iterable[Server]) -> list[str]:
    return [_called(server) for server in dict.fromkeys(servers) if not _all_hosts([server])]


def _regexes(site: list[Server], *, filtered: bool) -> list[str]:
    others = [name for name in hosts.sort(name for server in site for name in server.names).others if name[0] in "~*"]
    meaning = "is no list of hosts: add those that count" if filtered else "is not looked at: all its requests count"
    return [f"server_name {_short(name)} {meaning}." for name in others]


def _ports(site: list[Server], origin: str) -> list[str]:
    ports = {port for server in site for port in server.ports}
    if not origin.startswith("http:") or ports & {"80", "443", "*"} or not ports:
        return []
    return [f"It listens on {_listed(sorted(ports))} only. If visitors come by https, through a proxy, write https."]


def _called(server: Server) -> str:
    named = server.names[0] if server.names else "without a name"
    return f"the server {_short(named)} ({server.place})" if not _all_hosts([server]) else _short(named)


def _listed(words: Iterable[str]) -> str:
    unique = list(dict.fromkeys(words))
    more = f" and {len(unique) - _LISTED} more" if len(unique) > _LISTED else ""
    return ", ".join(unique[:_LISTED]) + more


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."


# All sources together.


def _without_rivals(sources: list[Source]) -> list[Source]:
    """Comment out a site's second web server: with nginx in front of Apache, each visit is in two logs."""
    taken: dict[str, str] = {}
    result = []
    for source in sources:
        names = {hosts.bare(name) for name in (*source.hosts, (source.site or "").partition("://")[2]) if name}
        rival = next((name for name in sorted(names) if taken.get(name, source.program) != source.program), "")
        if rival and not source.trouble:
            trouble = (
                f"{taken[rival]} serves {rival} as well. If one stands before the other, each visit is in both logs:"
            )
            source = replace(source, trouble=f"{trouble} follow one of them.")
        if not source.trouble:
            taken |= {name: taken.get(name, source.program) for name in names}
        result.append(source)
    return result


def _named(sources: list[Source]) -> list[Source]:
    """Make the names of sources unique."""
    taken: set[str] = set()
    result = []
    for source in sources:
        name = source.name if len(source.name) <= 90 else ""
        number = 2
        while name and name in taken:
            name, number = f"{source.name}-{number}", number + 1
        taken.add(name)
        result.append(replace(source, name=name))
    return result


def _is_glob(path: str) -> bool:
    return glob.has_magic(re.sub(r"\[[*?[]\]", "", path))
