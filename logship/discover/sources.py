"""Decide which logs to follow, as which site, and what to say about each. Pure.

Two rules come before all others. No request is counted twice: of several logs with the same requests, one is followed.
No visit is invented: if a log does not tell which site was visited, its source is commented out.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from logship.discover import hosts, layouts, remarks, sites
from logship.discover.choice import Choice, Use, choose
from logship.discover.servers import Found, Log, Server
from logship.discover.wording import called, listed, short

_HOST_VARIABLE = re.compile(r"\$\{?(?:host|server_name|http_host|ssl_server_name)\b\}?")


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
        decision.sources += _for_server(found, secure, look, decision)
        decision.notes += found.notes
    decision.sources = _named(_without_rivals(decision.sources))
    # A file that two sources match belongs to the first one, so exact paths come before globs.
    decision.sources.sort(key=lambda source: any(map(_is_glob, source.path)))
    return decision


def suggested(configurations: Sequence[Found], look: Callable[[str], str]) -> Source:
    """Return a source for a web server that writes no file yet: where it could write one, and for which site."""
    found = configurations[0]
    servers = [server for server in found.servers if server.serves]
    groups = sites.grouped(servers)
    path = found.fallback if not look(found.fallback) else os.path.join(os.path.dirname(found.fallback), "logship.log")
    secure = {hosts.bare(name) for server in servers if server.https for name in server.names}
    origin = sites.origin(groups[0], secure) if len(groups) == 1 and sites.real(groups[0]) else None
    format_, steps = layouts.suggested(found.program, many=len(groups) > 1)
    return Source(
        path=(path,),
        format=format_,
        origin="",
        site=origin,
        hosts=tuple(name for site in groups for name in sites.all_hosts(site)) if len(groups) > 1 else (),
        trouble=f"{found.program} writes no access log yet that could be followed. Add this to its configuration:",
        steps=tuple(step.replace("PATH", path) for step in steps),
        needs="" if origin else "host" if len(groups) > 1 else "site",
        program=found.program,
    )


def _for_server(found: Found, secure: set[str], look: Callable[[str], str], decision: Decision) -> list[Source]:
    choice = choose(found)
    decision.notes += remarks.of_unfollowed(found, choice)
    sources = []
    for path, uses in choice.followed.items():
        sources += _for_log(found, path, uses, secure, look(path), choice)
    for path, repeats in choice.repeated.items():
        if path not in choice.followed:
            use, other = repeats[0]
            trouble = f"It holds the same requests as {other}: following both would count each visit twice."
            sources.append(_bare_source(found, (path,), use.log, trouble))
    return sources


# One log: whose visits, and what is to be said.


def _for_log(found: Found, path: str, uses: list[Use], secure: set[str], seen: str, choice: Choice) -> list[Source]:
    serving = [use for use in uses if use.server.serves] or uses
    log = serving[0].log
    notes = tuple(remarks.of_log(found, path, serving, choice))
    plain = replace(_bare_source(found, (path,), log, ""), remarks=notes, behind_proxy=_is_behind(serving))
    if seen:
        return [replace(plain, trouble=f"{seen} {remarks.advice(found)}")]
    if log.format.text is None:
        trouble = f'The format "{short(log.format.name)}" is defined nowhere in what was read: put its string in.'
        return [replace(plain, trouble=trouble)]
    if not serving[0].server.serves:
        return [replace(plain, trouble="Only redirects and errors are written here, no page: nothing to count.")]
    return _placed(found, plain, serving, secure)


def _placed(found: Found, plain: Source, serving: list[Use], secure: set[str]) -> list[Source]:
    """Return the source with its site or its hosts; several sources if the path tells sites apart."""
    log = serving[0].log
    has_host = layouts.holds(log.format, "host")
    groups = sites.grouped([use.server for use in serving])
    named = [site for site in groups if sites.real(site)]
    patterns = tuple(dict.fromkeys(name for site in groups for name in sites.all_hosts(site)))
    if len(named) == 1 and (len(groups) == 1 or (has_host is False and not sites.patterns_only(groups))):
        return [_for_one_site(plain, named[0], secure, serving, has_host=has_host)]
    if has_host:
        return [_for_many_hosts(plain, patterns, groups, serving, secure)]
    if named and len(named) == len(groups) and _HOST_VARIABLE.search(log.written):
        return [_for_own_files(plain, site, secure, log) for site in named]
    return [_for_unknown_site(found, plain, groups, patterns, serving)]


def _for_one_site(plain: Source, site: list[Server], secure: set[str], serving: list[Use], *, has_host: bool) -> Source:
    origin = sites.origin(site, secure)
    host = origin.partition("://")[2]
    names = sites.all_hosts(site)
    notes = list(plain.remarks)
    others = [name for name in names if hosts.bare(name) != hosts.bare(host)]
    if others:
        notes.append(f"Counted on the same site: {listed(others)}.")
    strangers = remarks.nameless([use.server for use in serving])
    if strangers and not has_host:
        whose = listed(strangers)
        notes.append(f"Requests for any other host ({whose}) are counted, too, as the lines do not tell them apart.")
    notes += remarks.of_regexes(site, filtered=has_host)
    notes += remarks.of_ports(site, origin)
    return replace(plain, site=origin, hosts=names if has_host else (), remarks=tuple(notes), name=host)


def _for_many_hosts(
    plain: Source, names: tuple[str, ...], groups: list[list[Server]], serving: list[Use], secure: set[str]
) -> Source:
    notes = list(plain.remarks)
    if not names:
        notes.append(
            "No host is named in the configuration, so all that are asked for count. Better list yours: hosts: [...]"
        )
    else:
        notes.append("Many hosts, each a site of Plausible of its own (without www.); others are dropped.")
    notes += [remark for site in groups for remark in remarks.of_regexes(site, filtered=bool(names))]
    insecure = [name for name in names if hosts.bare(name) not in secure and "*" not in name]
    if insecure and not layouts.holds(serving[0].log.format, "scheme"):
        notes.append(f"Their events say https, though no certificate is set up here for {listed(insecure)}.")
    return replace(plain, hosts=names, remarks=tuple(dict.fromkeys(notes)))


def _for_own_files(plain: Source, site: list[Server], secure: set[str], log: Log) -> Source:
    """Return a source for the files that are named after the hosts of one site."""
    origin = sites.origin(site, secure)
    names = hosts.sort(name for server in site for name in server.names).real
    assert log.path is not None
    paths = tuple(dict.fromkeys(log.path.replace("*", glob.escape(name), 1) for name in names))
    return replace(plain, path=paths, exclude=(), site=origin, name=origin.partition("://")[2])


def _for_unknown_site(
    found: Found, plain: Source, groups: list[list[Server]], names: tuple[str, ...], serving: list[Use]
) -> Source:
    """Return the source for a log that does not tell which site was visited."""
    log = serving[0].log
    if not names:
        whose = listed(called(use.server) for use in serving)
        trouble = f"site: unknown. No host is named for what is written here, by {whose}. Put in the site's address."
        return replace(plain, trouble=trouble, needs="site")
    better, directive = layouts.with_host(log.format)
    use = (
        f"access_log {log.written} {better.name};"
        if found.program == "nginx"
        else f"CustomLog {log.written} {better.name}"
    )
    trouble = (
        f"site: unknown. {listed(called(use.server) for use in serving)} write to this log, and its lines do not "
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


def _is_behind(serving: list[Use]) -> bool:
    return layouts.holds(serving[0].log.format, "chain") and not any(use.server.real_ip for use in serving)


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
