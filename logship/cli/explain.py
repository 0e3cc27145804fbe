"""`logship explain`: what each line of a log would become, and why, and what it all comes to. Sends nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson
import yaml

from logship import compressed, plan
from logship.cli import progress, table
from logship.cli.main import config_option
from logship.environment import Variables
from logship.errors import ConfigError, LogshipError, Problem
from logship.explain import blocks, foreseen, lines, page, survey, text, way
from logship.explain.lines import Describe, Explained
from logship.explain.survey import Survey
from logship.parser import detect, formats
from logship.parser.fields import FormatError
from logship.plan import Plan, SourcePlan
from logship.settings import loader
from logship.source import paths

_TASTE = 20  # lines shown one by one on a terminal, before the report; a pipe gets them all
_SAMPLE = 1 << 16
_WIDTH = 120  # of a report that goes to a pipe or a file
_STAND_IN = "https://example.com"
_TONES: dict[str, dict[str, Any]] = {
    "title": {"bold": True},
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warn": {"fg": "yellow"},
    "soft": {"dim": True},
}
_OPTIONS = (
    ("sources[0].format", "--format"),
    ("sources[0].site", "--site"),
    ("sources[0].client_ip", "--trusted-proxy"),
)


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
        built = _without_file(log, format_ or "auto", site, proxies)
    else:
        built = plan.load(config, Variables())
    chosen = _choose(built, log, source)
    log = log or _own_log(chosen)
    describe = lines.describer(built.settings.destinations)
    quiet = log == "-" or (sys.stdout.isatty() and not only_summary)
    sums, troubles = None, list[str]()
    with _open(log) as stream, progress.of_file(stream, enabled=not quiet) as watched:
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
        _report(sums, _name(log), html, as_json=as_json)
    if troubles:
        raise LogshipError(f"{_name(log)} was read only so far: {troubles[0]}")
    if not understood:
        sys.exit(1)


def _no_file(ctx: click.Context, config: Path) -> bool:
    """Tell whether nobody named a configuration, and none is where it would be."""
    named = ctx.get_parameter_source("config") is not click.core.ParameterSource.DEFAULT
    return not named and "LOGSHIP_CONFIG" not in os.environ and not config.exists()


def _without_file(log: str, format_: str, site: str | None, proxies: tuple[str, ...]) -> Plan:
    """Compile what a minimal file would hold. Without a site, one stands in where the lines do not carry theirs."""
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
    """Return a format as a configuration would have it: a text, or what stands in braces, `{json: {...}}`."""
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
    with _open(log) as stream:
        found = detect.detect(stream.read(_SAMPLE).split(b"\n")[:-1]).format
    return found is not None and "host" in found.facts


def _tells_hosts(format_: str) -> bool:
    try:
        return "host" in formats.compile(_given(format_)).facts
    except FormatError:  # reported when the settings are read
        return True


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
    """Return what to read where no log is named: what is piped in, else the source's newest file."""
    if not sys.stdin.isatty():
        return "-"
    found = paths.find([source.followed(once=False)]).matches
    if not found:
        raise click.UsageError("name an access log, or - for standard input")
    return max((match.path for match in found), key=os.path.getmtime)


def _open(log: str) -> BinaryIO:
    """Open the log, or standard input; compressed ones are recognised by their first bytes."""
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


def _until_broken(found: Iterator[bytes], troubles: list[str]) -> Iterator[bytes]:
    """Yield blocks up to where no more can be read, as of a compressed log that is cut; note why."""
    try:
        yield from found
    except OSError as error:
        troubles.append(error.strerror or str(error))


def _name(log: str) -> str:
    return "standard input" if log == "-" else log


def _print_json(found: Iterable[bytes], source: SourcePlan, describe: Describe) -> bool:
    """Print an object a line; return whether there is a format that fits, or nothing at all."""
    explainer, output, is_empty = lines.Explainer(source), sys.stdout.buffer, True
    for block in found:
        is_empty = False
        for each in explainer.explain(block):
            output.write(orjson.dumps(describe(each)) + b"\n")
        output.flush()
    return is_empty or explainer.parser is not None


def _survey(found: Iterable[bytes], source: SourcePlan, describe: Describe, *, only_sums: bool) -> Survey:
    """Sum up the log; print its lines one by one on the way, unless the sums alone are wanted."""
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
    """Print spans as a line, coloured on a terminal. Whatever a stranger wrote into the log is shown as text."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    spans = [(table.clean(words), _TONES.get(tone)) for words, tone in line]
    styled = "".join(words if plain or tones is None else click.style(words, **tones) for words, tones in spans)
    sys.stdout.write(styled + "\n")


def _width() -> int:
    return max(60, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH


def _write(path: Path, content: str) -> None:
    """Write the page, over an earlier one perhaps, and never over anything else: it might be the log."""
    try:
        if path.exists() and not path.read_bytes().startswith(page.BEGINNING.encode()):
            raise LogshipError(f"{path} is there and is no earlier report; name another file")
        with contextlib.closing(path.open("w", encoding="utf-8")) as file:
            file.write(content)
    except OSError as error:
        raise LogshipError(f"{path} cannot be written: {error.strerror}") from error
