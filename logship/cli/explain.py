"""`logship explain`: what each line of a log would become, and why. Sends nothing."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from logship import compressed, explain, plan, settings
from logship.cli import progress
from logship.cli.main import config_option
from logship.errors import LogshipError
from logship.plan import Plan, SourcePlan
from logship.settings import Settings
from logship.source import paths

_BLOCK = 1 << 17
_LONGEST = 1 << 20  # the longest line that `run` reads, too


@click.command(
    epilog="""\b
Examples:
  logship explain -c logship.yaml /var/log/nginx/access.log
  logship explain --format combined --site https://example.com access.log
  tail -n 100 access.log | logship explain --format auto --site https://example.com --json -
"""
)
@config_option
@click.argument("log", default="-")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--summary", "only_summary", is_flag=True, help="Print the summary alone.")
@click.option("--source", metavar="NAME", help="Use this source of the configuration.")
@click.option("--format", "format_", metavar="FORMAT", help="No configuration file: the log's format.")
@click.option("--site", metavar="URL", help="No configuration file: the site, as https://example.com.")
@click.option("--trusted-proxy", "proxies", multiple=True, metavar="CIDR", help="No configuration file: repeat it.")
@click.pass_context
def command(
    ctx: click.Context,
    config: Path,
    log: str,
    as_json: bool,
    only_summary: bool,
    source: str | None,
    format_: str | None,
    site: str | None,
    proxies: tuple[str, ...],
) -> None:
    """Explain what each line of LOG (or standard input, -) would become.

    Ends with a summary: lines, events by name, drops by reason, and the events a month at this rate.
    """
    if format_ is not None or site is not None or proxies:
        built = plan.build(_without_file(log, format_ or "auto", site, proxies))
    else:
        built = plan.load(config, os.environ)
    chosen = _choose(built, log, source)
    with _open(log) as stream, progress.of_file(stream, enabled=log != "-" and not sys.stdout.isatty()) as watched:
        blocks = _blocks(watched)
        first = next(blocks, b"")
        parser = explain.parser_for(chosen, first)
        summary = explain.Summary()
        for each in explain.explain(chosen, parser, itertools.chain([first], blocks)):
            summary.add(each)
            if as_json and not only_summary:
                sys.stdout.buffer.write(orjson.dumps(each.as_json(built.settings.destinations)) + b"\n")
            elif not only_summary:
                click.echo(_text(each))
    if only_summary and as_json:
        click.echo(orjson.dumps(summary.as_json()))
    elif not as_json:
        click.echo(_summary(summary, parser.format.name))


def _without_file(log: str, format_: str, site: str | None, proxies: tuple[str, ...]) -> Settings:
    """Make the settings that a minimal file would hold."""
    document = {"sources": [{"path": str(Path(log).absolute()), "format": format_}]}
    if site is not None:
        document["sources"][0]["site"] = site
    if proxies:
        document["sources"][0]["client_ip"] = {"trusted_proxies": list(proxies)}  # type: ignore[assignment]
    # JSON is YAML: the options are validated by the same walk, with the same messages.
    loaded, problems = settings.read(orjson.dumps(document).decode(), "command line", os.environ)
    faults = [problem for problem in problems if not problem.warning]
    if faults:
        raise click.UsageError("\n".join(f"{problem.where}: {problem.message}" for problem in faults))
    return loaded


def _choose(built: Plan, log: str, name: str | None) -> SourcePlan:
    """Return the named source, else the one whose path matches the log, else the first."""
    if name is not None:
        if name not in built.sources:
            raise click.UsageError(f"--source: {name!r} is none of {', '.join(built.sources) or 'no sources at all'}")
        return built.sources[name]
    if not built.sources:
        raise LogshipError("the configuration has no source; add one, or use --format and --site")
    path, sources = os.path.abspath(log), list(built.sources.values())
    return next((each for each in sources if paths.owns(each.followed(once=False), path)), sources[0])


def _open(log: str) -> BinaryIO:
    """Open the log, or standard input; compressed ones are told by their first bytes."""
    if log == "-":
        return compressed.reader(sys.stdin.buffer)
    path = Path(log)
    if not path.is_file() and not path.is_fifo():
        raise LogshipError(
            f"{log} is {'a directory' if path.is_dir() else 'no file'}; name an access log, or - for stdin"
        )
    try:
        return compressed.reader(path.open("rb"))
    except OSError as error:
        raise LogshipError(f"{log} cannot be read: {error.strerror}") from error


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines, some 128 KiB at a time; what is longer than any line `run` would read is cut."""
    rest = b""
    while more := _read(stream):
        data = rest + more
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        rest = data[end:]
        if len(rest) > _LONGEST:
            rest = rest[:_LONGEST]
    if rest:
        yield rest + b"\n"


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(_BLOCK)
    except OSError as error:
        raise LogshipError(f"the log cannot be read any further: {error.strerror}") from error


def _text(each: explain.Explained) -> str:
    if each.result != "event":
        verb = "unparsed" if each.result == "unparsed" else "dropped "
        rule = f"  (rule: {each.decision.rule})" if each.decision is not None and each.decision.rule else ""
        return f"{each.line:>7}  {click.style(verb, fg='yellow')}  {each.reason}{rule}"
    events = [f"{sent.event.name}  {sent.event.url}" for sent in (each.decision.deliveries if each.decision else ())]
    return f"{each.line:>7}  {click.style('event   ', fg='green')}  " + "\n                   ".join(events)


def _summary(summary: explain.Summary, format_: str) -> str:
    """Return what the lines came to, as an aligned table."""
    rows: list[tuple[str, int]] = [(f"lines ({format_})", summary.lines)]
    for title, counts in (("event", summary.events), ("dropped", summary.dropped), ("unparsed", summary.unparsed)):
        rows += [(f"{title}: {name}", number) for name, number in counts.most_common()]
    width = max(len(name) for name, _ in rows)
    text = "\n".join(f"  {name:<{width}}  {number:>11,d}" for name, number in rows)
    month = summary.events_per_month()
    projected = f"{month:,d}" if month is not None else "unknown: the log spans less than a minute"
    return f"\n{text}\n\n  events a month at this rate: {projected}"
