"""`logship explain`: what each line of a log would become, why, and what it all adds up to. Sends nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import orjson

from logship import plan
from logship.cli import logfile, progress, table, unconfigured
from logship.cli.main import config_option
from logship.environment import Variables
from logship.errors import LogshipError
from logship.explain import blocks, foreseen, lines, page, survey, text, way
from logship.explain.lines import Describe, Explained
from logship.explain.survey import Survey
from logship.plan import Plan, SourcePlan
from logship.source import paths

_TASTE = 20  # lines shown one by one on a terminal, before the report; a pipe gets them all
_WIDTH = 120  # of a report that goes to a pipe or a file
_TONES: dict[str, dict[str, Any]] = {
    "title": {"bold": True},
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warn": {"fg": "yellow"},
    "soft": {"dim": True},
}


@click.command(
    epilog="""\b
Examples:
  logship explain --site https://example.com access.log            a stranger's log, without a configuration
  logship explain --summary /var/log/nginx/access.log.2.gz         the report alone
  logship explain --line 17 access.log                             why became line 17 what it became?
  logship explain --html report.html access.log                    to share: addresses and queries masked
  tail -n 100 access.log | logship explain --json - | jq .reason
"""
)
@config_option
@click.argument("log", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; with --summary one object of figures.")
@click.option("--summary", "only_summary", is_flag=True, help="Print the summary alone.")
@click.option("--line", "number", type=click.IntRange(min=1), metavar="N", help="Follow line N through every rule.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the summary as a page to share.")
@click.option("--source", metavar="NAME", help="Use this source of the configuration.")
@click.option("--format", "format_", metavar="FORMAT", help="No configuration file: the log's `format`.")
@click.option("--site", metavar="URL", help="No configuration file: the site, as https://example.com.")
@click.option("--trusted-proxy", "proxies", multiple=True, metavar="CIDR", help="No configuration file: repeat it.")
@click.pass_context
def command(
    ctx: click.Context,
    config: Path,
    log: str,
    as_json: bool,
    only_summary: bool,
    number: int | None,
    html: Path | None,
    source: str | None,
    format_: str | None,
    site: str | None,
    proxies: tuple[str, ...],
) -> None:
    """Explain what each line of LOG (or standard input, -) would become.

    Ends with a summary: what will be sent, what will not and why, what it will cost. LOG may be compressed. A
    terminal gets the first lines and the summary, a pipe gets every line.

    Exit code 1 when no known format fits the log.
    """
    if format_ is not None or site is not None or proxies or _no_file(ctx, config):
        log = log or "-"
        built = unconfigured.plan_of(log, format_ or "auto", site, proxies)
    else:
        built = plan.load(config, Variables())
    chosen = _choose(built, log, source)
    log = log or _own_log(chosen)
    describe = lines.describer(built.settings.destinations)
    if html is not None:
        if number is not None or (as_json and not only_summary):
            raise click.UsageError("--html shows the summary: leave out --line and --json, or add --summary to --json")
        _check(html)  # now, rather than after a long log
    quiet = log == "-" or (sys.stdout.isatty() and not only_summary)
    sums, troubles = None, list[str]()
    with logfile.open_log(log) as stream, progress.of_file(stream, enabled=not quiet) as watched:
        found = _until_broken(blocks.blocks(watched, chosen.settings.wrapper, live=log == "-"), troubles)
        if number is not None:
            _follow(found, chosen, number, describe, as_json=as_json)
            return
        if as_json and not only_summary:
            understood = _print_json(found, chosen, describe)
        else:
            sums = _survey(found, chosen, describe, only_sums=only_summary or html is not None)
            understood = bool(sums.formats) or not sums.lines
    if sums is not None:
        _report(sums, logfile.name(log), html, as_json=as_json)
    if troubles:
        raise LogshipError(f"{logfile.name(log)} was read only so far: {troubles[0]}")
    if not understood:
        sys.exit(1)


def _no_file(ctx: click.Context, config: Path) -> bool:
    """Tell whether no configuration was named, and there is none in the default place."""
    named = ctx.get_parameter_source("config") is not click.core.ParameterSource.DEFAULT
    return not named and "LOGSHIP_CONFIG" not in os.environ and not config.exists()


def _choose(built: Plan, log: str, name: str | None) -> SourcePlan:
    """Return the named source, else the one whose path matches the log, else the first."""
    if name is not None:
        if name not in built.sources:
            raise click.UsageError(f"--source: {name!r} is none of {', '.join(built.sources) or 'no sources at all'}")
        return built.sources[name]
    if not built.sources:
        raise LogshipError("the configuration has no source; add one, or use --format and --site")
    path, sources = os.path.abspath(log), list(built.sources.values())
    return next((each for each in sources if log and paths.owns(each.followed(once=False), path)), sources[0])


def _own_log(source: SourcePlan) -> str:
    """Return what to read if no log is named: what is piped in, else the source's newest file."""
    if not sys.stdin.isatty():
        return "-"
    found = paths.find([source.followed(once=False)]).matches
    if not found:
        raise click.UsageError("name an access log, or - for standard input")
    return max((match.path for match in found), key=os.path.getmtime)


def _until_broken(found: Iterator[bytes], troubles: list[str]) -> Iterator[bytes]:
    """Yield blocks until no more can be read, as in a truncated compressed log; note why."""
    try:
        yield from found
    except OSError as error:
        troubles.append(error.strerror or str(error))


def _print_json(found: Iterable[bytes], source: SourcePlan, describe: Describe) -> bool:
    """Print an object per line; return whether a format fits, or the log is empty."""
    explainer, output, is_empty = lines.Explainer(source), sys.stdout.buffer, True
    for block in found:
        is_empty = False
        for each in explainer.explain(block):
            output.write(orjson.dumps(describe(each)) + b"\n")
        output.flush()
    return is_empty or explainer.parser is not None


def _survey(found: Iterable[bytes], source: SourcePlan, describe: Describe, *, only_sums: bool) -> Survey:
    """Sum up the log; print its lines on the way, unless only the sums are wanted."""
    surveyor, explainer = survey.Surveyor(source, foreseen.foresight()), lines.Explainer(source)
    left = 0 if only_sums else _TASTE if sys.stdout.isatty() else sys.maxsize
    for block in found:
        surveyor.add(block)
        if left > 0:
            left -= _print_lines(explainer.explain(block), left, describe)
    return surveyor.survey


def _print_lines(explained: Iterator[Explained], most: int, describe: Describe) -> int:
    count = 0
    for count, each in enumerate(explained, 1):
        for line in text.verdict(each, describe):
            _print(line)
        if count == most:
            _print((("      … and so on; | less shows every line, --json all that is known of each", "soft"),))
            break
    return count


def _report(sums: Survey, name: str, html: Path | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(sums.as_json()))
    else:
        for line in text.page(sums, name, width=_width()):
            for row in text.fit(line, _width()) if sys.stdout.isatty() else (line,):
                _print(row)
    if html is not None:
        _write(html, page.html(sums, Path(name).name))
        click.echo(f"{html}: written, addresses and queries masked", err=True)


def _follow(found: Iterable[bytes], source: SourcePlan, number: int, describe: Describe, *, as_json: bool) -> None:
    explainer = lines.Explainer(source)
    each = explainer.find(found, number)
    if each is None:
        raise LogshipError(f"there is no line {number}; the log has {explainer.line:,}")
    if as_json:
        click.echo(orjson.dumps(describe(each)))
        return
    for line in way.follow(each, source, describe, width=_width()):
        _print(line)


def _print(line: text.Line) -> None:
    """Print spans as a line, coloured on a terminal. What strangers wrote into the log is shown as text."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    spans = [(table.clean(words), _TONES.get(tone)) for words, tone in line]
    styled = "".join(words if plain or tones is None else click.style(words, **tones) for words, tones in spans)
    sys.stdout.write(styled + "\n")


def _width() -> int:
    return max(60, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH


def _check(path: Path) -> None:
    try:
        path.parent.stat()
        if path.exists() and not path.read_bytes().startswith(page.BEGINNING.encode()):
            raise LogshipError(f"{path} exists and is no earlier report; name another file")
    except OSError as error:
        raise LogshipError(f"{path} cannot be written: {error.strerror}") from error


def _write(path: Path, content: str) -> None:
    """Write the page. It may replace an earlier one, but nothing else: that might be the log."""
    _check(path)
    try:
        with contextlib.closing(path.open("w", encoding="utf-8")) as file:
            file.write(content)
    except OSError as error:
        raise LogshipError(f"{path} cannot be written: {error.strerror}") from error
