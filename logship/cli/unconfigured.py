"""The plan of `logship explain` without a configuration file: made from the options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import orjson
import yaml

from logship import plan
from logship.cli import logfile
from logship.errors import ConfigError, Problem
from logship.parser import detect, formats
from logship.parser.fields import FormatError
from logship.plan import Plan
from logship.settings import loader

_STAND_IN = "https://example.com"
_SAMPLE = 1 << 16  # bytes of a log that its format is detected by
_OPTIONS = (
    ("sources[0].format", "--format"),
    ("sources[0].site", "--site"),
    ("sources[0].client_ip", "--trusted-proxy"),
)


def plan_of(log: str, format_: str, site: str | None, proxies: tuple[str, ...]) -> Plan:
    """Compile what a minimal file would hold. Without a site, one stands in if the lines do not hold their own.

    Raise click.UsageError for options that no configuration could have.
    """
    if site is None and not _has_hosts(log, format_):
        site = _STAND_IN
        click.echo(f"logship: {_STAND_IN} stands in for your site; name it with --site", err=True)
    source: dict[str, object] = {"path": str(Path(log).absolute()), "format": _given(format_)}
    if site is not None:
        source["site"] = site
    if proxies:
        source["client_ip"] = {"trusted_proxies": list(proxies)}
    # JSON is YAML: the options are validated by the same walk, with the same messages.
    loaded, problems = loader.read(orjson.dumps({"sources": [source]}).decode(), "", os.environ)
    faults = [problem for problem in problems if not problem.warning]
    try:
        if not faults:
            return plan.build(loaded)
    except ConfigError as error:
        faults = list(error.problems)
    raise click.UsageError("\n".join(f"{_option(problem)}: {problem.message}" for problem in faults))


def _given(text: str) -> Any:
    """Return a format as a configuration would have it: a text, or the mapping in braces, `{json: {...}}`."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _option(problem: Problem) -> str:
    return next((option for where, option in _OPTIONS if problem.where.startswith(where)), problem.where)


def _has_hosts(log: str, format_: str) -> bool:
    if format_ == "auto" and log == "-":
        return False
    if format_ != "auto":
        return _tells_hosts(format_)
    with logfile.open_log(log) as stream:
        found = detect.detect(stream.read(_SAMPLE).split(b"\n")[:-1]).format
    return found is not None and "host" in found.facts


def _tells_hosts(format_: str) -> bool:
    try:
        return "host" in formats.compile(_given(format_)).facts
    except FormatError:  # reported when the settings are read
        return True
