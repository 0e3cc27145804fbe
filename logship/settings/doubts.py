"""Settings that are legal and surely not meant: warnings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from urllib.parse import urlsplit

from logship.errors import Problem
from logship.language.notations import quoted
from logship.settings.destination import DestinationSettings
from logship.settings.root import Settings
from logship.settings.rule import RuleSettings

_LONGEST_NAME = 120  # characters
_MANY_CONNECTIONS = 128  # Plausible answers in milliseconds: 16 carry thousands of events a second
_SYSTEMD_PATIENCE = 90.0  # TimeoutStopSec's default: then it kills
_ERROR_LOG = re.compile(r"(^|[._-])errors?([._-]|$)")
_INSIDE = re.compile(r"(^|\.)(local|localhost|internal|svc|lan|intranet|arpa|test)$")


def find(settings: Settings, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield warnings. ``problems``: the faults that were found while reading; a faulty rule is not judged."""
    found = [
        *_global_doubts(settings),
        *(doubt for each in settings.destinations for doubt in _destination_doubts(each)),
        *_error_logs(settings),
        *_braces(settings),
        *_preset_doubts(settings.rules),
        *_long_names(settings.rules),
        *_never_fitting(settings),
        *_never_reached(settings, problems),
    ]
    yield from (Problem(where, message, warning=True) for where, message in found)


def _global_doubts(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.max_event_age is None:
        yield "max_event_age", "null: after an outage, old lines are counted as visits of today"
    if settings.grace_period > _SYSTEMD_PATIENCE:
        yield "grace_period", "systemd kills after 90s; raise TimeoutStopSec in the unit as well"


def _destination_doubts(each: DestinationSettings) -> Iterator[tuple[str, str]]:
    where = f"destinations.{each.name}"
    if each.connections > _MANY_CONNECTIONS:
        yield (
            f"{where}.connections",
            "more than any Plausible needs; 16 carry thousands of events a second",
        )
    if not each.tls.verify:
        yield (
            f"{where}.tls.verify",
            'anyone on the way can read and change events; name the authority in "ca_file" instead',
        )
    if each.url.startswith("http:") and _is_public(each.url):
        yield f"{where}.url", f"visitors' addresses travel unencrypted to {quoted(each.url)}; use https"


def _is_public(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not _INSIDE.search(host)


def _error_logs(settings: Settings) -> Iterator[tuple[str, str]]:
    for source in settings.sources:
        for index, path in enumerate(source.path):
            if _ERROR_LOG.search(path.rpartition("/")[2]):
                where = settings.element(f"{source.where}.path", index)
                yield where, f"{quoted(path)} looks like an error log; only access logs hold requests"


_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def _braces(settings: Settings) -> Iterator[tuple[str, str]]:
    """Paths are the shell's globs as every program knows them, and those have no alternatives."""
    for source in settings.sources:
        for key, patterns in (("path", source.path), ("exclude", source.exclude)):
            for index, pattern in enumerate(patterns):
                if found := _BRACES.search(pattern):
                    each = (pattern[: found.start()] + word + pattern[found.end() :] for word in found[1].split(","))
                    message = (
                        f"{quoted(pattern)}: braces are no alternatives here; write [{', '.join(map(quoted, each))}]"
                    )
                    yield settings.element(f"{source.where}.{key}", index), message


def _preset_doubts(rules: Sequence[RuleSettings]) -> Iterator[tuple[str, str]]:
    used = {rule.preset for rule in rules}
    for rule in rules:
        if rule.preset == "ai-crawlers" and rule.domain is None:
            yield rule.where, 'crawlers are counted among people; add "domain: ai.example.com", a site of their own'
        if rule.preset == "no-js" and "pageviews" in used:
            yield rule.where, "is for sites whose pages a script counts; with pageviews beside it, they count twice"


def _long_names(rules: Sequence[RuleSettings]) -> Iterator[tuple[str, str]]:
    for rule in rules:
        name = rule.event or ""
        if "{" not in name and len(name) > _LONGEST_NAME:
            message = f"has {len(name)} characters; Plausible takes {_LONGEST_NAME}, so the end is cut off"
            yield f"{rule.where}.event", message


# A glob that fits nothing but what begins with no slash.
_RELATIVE = re.compile(r"\*\Z|\*?\?|\*?\{[^/*{}\\,][^{},]*(,[^/*{}\\,][^{},]*)*\}|\*?\[[^]/]+\]")
# Conditions whose text can fit nothing, since it is meant for another one, or for another dialect of globs.
_STRAY = (
    ("url", re.compile("/"), 'a URL begins with scheme and host; write "**{}", or make it a condition on "path"'),
    ("path", re.compile("https?://"), 'a path holds neither scheme nor host; make it a condition on "url"'),
    ("path", _RELATIVE, 'it begins with no "/"; write "/{}", or "**", which goes on beyond a slash'),
    ("url", re.compile(r"\*\Z"), 'a URL holds slashes, at which "*" ends; write "**"'),
    ("host", re.compile("https?://|[^:]*/"), 'a host holds neither scheme nor path; make it a condition on "url"'),
)


def _never_fitting(settings: Settings) -> Iterator[tuple[str, str]]:
    for test in (test for rule in settings.rules for test in rule.when.every_test()):
        for field, shape, why in _STRAY:
            for index, value in enumerate(test.values):
                if test.field == field and shape.match(value):
                    yield settings.element(test.where, index), f"{quoted(value)} fits nothing: {why.format(value)}"


def _never_reached(settings: Settings, problems: Iterable[Problem]) -> Iterator[tuple[str, str]]:
    faulty = {problem.where for problem in problems}
    for rule, following in pairwise(settings.rules):
        if _takes_all(rule) and not any(where.startswith(rule.where) for where in faulty):
            yield following.where, f"never reached: {rule.where} takes every line"
            return


def _takes_all(rule: RuleSettings) -> bool:
    return not (rule.when.tests or rule.continue_ or rule.preset not in (None, "pageviews"))
