"""`logship dead-letter`: show refused events, and send them again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logship import logs
from logship.cli import state, table
from logship.cli.main import config_option
from logship.environment import Variables
from logship.language.notations import shown_duration
from logship.settings import loader
from logship.settings.root import Settings

if TYPE_CHECKING:
    from logship.upkeep.replay import Replay, Report
    from logship.upkeep.selection import Selection, Survey

_LONGEST_DETAIL = 100  # characters of the API's words; --full shows them all
_MASK = "***"


@click.group(
    epilog="""\b
Examples:
  logship dead-letter list
  logship dead-letter list --json | jq -r .detail | sort | uniq -c
  logship dead-letter replay --dry-run
  logship dead-letter replay 3 5 --to plausible
"""
)
def command() -> None:
    """Show refused events, and send them again. Both work while the daemon runs."""


# list

_COLUMNS = ("#", "time", "destination", "status", "event", "domain", "url", "detail")
_VISITOR = ("client_ip", "user_agent")


@command.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line: the entry and its number.")
@click.option("--full", is_flag=True, help="Show addresses, User-Agents, queries and full details.")
def list_(config: Path, as_json: bool, full: bool) -> None:
    """Show refused events, oldest first.

    Masks addresses, User-Agents, queries and the values of props, unless --full is given. The numbers are those that
    `replay` takes.

    \b
    Examples:
      logship dead-letter list
      logship dead-letter list --json --full | jq 'select(.status == 400) | .event.url'
    """  # noqa: D301 - click reads \b
    logs.configure(level="warning")
    from logship.upkeep.letters import letters

    rows: list[tuple[object, ...]] = []
    count = torn = 0
    for letter in letters(state.directory(config)):
        if letter.entry is None:
            torn += 1
            continue
        count += 1
        entry = letter.entry if full else _masked(letter.entry)
        if as_json:
            click.echo(json.dumps({"number": letter.number, **entry}))
        else:
            rows.append(_row(letter.number, entry, full=full))
    if rows:
        table.show((*_COLUMNS, *_VISITOR) if full else _COLUMNS, rows, numbers=("#",))
    click.echo(f"{count} dead letters" + (f", {torn} torn lines skipped" if torn else ""), err=as_json)


def _masked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry without what tells who the visitor was."""
    detail = str(entry.get("detail") or "")
    short = detail if len(detail) <= _LONGEST_DETAIL else detail[: _LONGEST_DETAIL - 1] + "…"
    event = entry.get("event")
    return {**entry, "detail": short, "event": _masked_event(event) if isinstance(event, Mapping) else None}


def _masked_event(event: Mapping[str, Any]) -> dict[str, Any]:
    masked = {name: _MASK for name in _VISITOR if event.get(name)}
    bare = {name: str(event[name]).partition("?")[0] for name in ("url", "referrer") if event.get(name)}
    props = event.get("props")
    return {**event, **masked, **bare, "props": dict.fromkeys(props, _MASK) if isinstance(props, Mapping) else None}


def _row(number: int, entry: Mapping[str, Any], *, full: bool) -> tuple[object, ...]:
    written = entry.get("event")
    event = written if isinstance(written, Mapping) else {}
    visitor = [event.get(name) for name in _VISITOR] if full else []
    when = str(entry.get("time") or "")[:19].replace("T", " ")
    return (
        number,
        when,
        *(entry.get(name) for name in ("destination", "status")),
        *(event.get(name) for name in ("name", "domain", "url")),
        entry.get("detail"),
        *visitor,
    )


# replay


@command.command()
@config_option
@click.option("--to", metavar="DESTINATION", help="Send all of them to this destination.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent; send nothing, change nothing.")
@click.option("--older", is_flag=True, help="Also send events older than max_event_age.")
@click.argument("numbers", nargs=-1, type=click.IntRange(min=1), metavar="[N]...")
def replay(config: Path, to: str | None, dry_run: bool, older: bool, numbers: tuple[int, ...]) -> None:
    """Send dead letters again: those with the given numbers in `list`, or all.

    Events that are accepted are removed. Those that are refused again are kept, with the new reason; so are those that
    were not sent. Plausible stamps events when they arrive: those older than max_event_age are sent only with --older,
    and count as of now.

    Waits for a destination that is down, and ends at one that is misconfigured. Ctrl-C ends it within the grace
    period. If it is killed, nothing is lost, but the next replay sends what was accepted a second time. Exit code 1 if
    something that was to be sent was not accepted.

    \b
    Examples:
      logship dead-letter replay --dry-run
      logship dead-letter replay
      logship dead-letter replay 3 5 --to plausible
    """  # noqa: D301 - click reads \b
    logs.configure(level="warning")
    import uvloop

    from logship.upkeep.replay import Replay
    from logship.upkeep.selection import Selection

    loaded = loader.load(config, Variables())
    selection = Selection(loaded, to=to, numbers=numbers, older=older)
    survey = selection.survey()
    if dry_run or not survey.send:
        _print_survey(selection, survey, loaded)
        return
    if sys.stderr.isatty():
        click.echo(f"sending {survey.send.total()}; Ctrl-C ends it, and nothing is lost", err=True)
    with state.changed_as_owner(loaded.state_dir):
        report = uvloop.run(_run(Replay(loaded, selection)))
    _print_report(report, loaded)
    if not report.complete:
        sys.exit(1)


async def _run(replaying: Replay) -> Report:
    """Replay until done, or until the first signal; a second one ends the process."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, interrupt)
    return await replaying.run(stop=stop)


def _print_survey(selection: Selection, survey: Survey, loaded: Settings) -> None:
    rows = [
        (number, sent.destination, sent.event.name, sent.event.domain, sent.event.url.partition("?")[0])
        for number, sent in selection.chosen()
    ]
    if rows:
        table.show(("#", "destination", "event", "domain", "url"), rows, numbers=("#",))
    by_name = ", ".join(f"{number} to {name}" for name, number in survey.send.items())
    click.echo(f"would send {by_name}" if by_name else "nothing to send")
    _print_rest(survey.stay, loaded)


def _print_report(report: Report, loaded: Settings) -> None:
    refused = report.refused.total()
    dropped = f" (Plausible says that it dropped {report.dropped} of them)" if report.dropped else ""
    click.echo(f"{report.accepted} accepted{dropped}, {refused} refused again, {report.unsettled} not settled")
    for (destination, status, detail), number in report.refused.most_common():
        click.echo(f"  {number} refused by {destination}: {status or ''} {table.clean(detail)[:_LONGEST_DETAIL]}")
    for destination, reason in report.misconfigured.items():
        click.echo(f"  {destination} is misconfigured: {table.clean(reason)}")
    if report.unsettled:
        click.echo("  what was not settled is kept; what was on its way may be counted twice when it is sent again")
    _print_rest(report.stay, loaded)


def _print_rest(stay: Mapping[str, int], loaded: Settings) -> None:
    """Say what was not sent and stays, except what was not asked for."""
    from logship.upkeep.selection import NO_DESTINATION, TOO_OLD, UNUSABLE

    age = shown_duration(loaded.max_event_age or 0.0)
    reasons = {
        TOO_OLD: f"are older than max_event_age ({age}): sent now they would count as today's visits; "
        "--older sends them all the same",
        NO_DESTINATION: "are for a destination that is not configured: name another with --to",
        UNUSABLE: "hold no event that can be sent: edit or remove them in dead-letter.jsonl",
    }
    for reason, explanation in reasons.items():
        if number := stay.get(reason, 0):
            click.echo(f"warning: {number} not sent, they {explanation}", err=True)
