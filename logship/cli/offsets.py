"""`logship offsets`: where reading resumes, and how to make it resume elsewhere."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from logship import logs, plan
from logship.cli import state, table
from logship.cli.main import config_option
from logship.environment import Variables
from logship.language.notations import shown_duration
from logship.plan import Plan
from logship.progress.checkpoint import Checkpoint
from logship.source.paths import Followed
from logship.upkeep import offsets
from logship.upkeep.offsets import Place

_STATES = {
    offsets.SAME: "the same",
    offsets.CUT: "the same, cut short",
    offsets.OTHER: "another one",
    offsets.MISSING: "not there",
    offsets.UNREADABLE: "unreadable",
}


@click.group(
    epilog="""\b
Examples:
  logship offsets list                                      works while the daemon runs
  logship offsets list --json | jq 'select(.behind > 0)'
  logship offsets set /var/log/nginx/access.log end         skip what is there
  logship offsets set /var/log/nginx/access.log 1048576     an offset in bytes, the start of a line
  logship offsets reset /var/log/nginx/access.log           forget it, and read it anew
"""
)
def command() -> None:
    """Show and change where reading resumes.

    Stop the daemon before set and reset: they refuse while it holds the state directory.
    """


class _Where(click.ParamType[int | str]):
    name = "offset"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value in (offsets.BEGINNING, offsets.END):
            return value
        if value.isascii() and value.isdecimal():
            return int(value)
        return self.fail(f"got {value!r}, want a number of bytes, {offsets.END} or {offsets.BEGINNING}", param, ctx)


@command.command("list", epilog="\b\nExamples:\n  logship offsets list\n  logship offsets list --json | jq .path")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_(config: Path, as_json: bool) -> None:
    """Show the position of every file: how far it is settled, and which file is at its path now.

    \b
    FILE says whether the position still holds:
      the same             the file that was read: reading resumes at the offset
      the same, cut short  its end was cut off: reading resumes at its new end
      another one          rotated or replaced: the file that was read is looked for among its siblings
      not there            likewise
    SEEN is in UTC, and accurate to the hour.
    """  # noqa: D301 - click reads \b
    logs.configure(level="warning")
    checkpoint = Checkpoint.open(state.directory(config), read_only=True)
    places = [offsets.look(each) for each in checkpoint.positions]
    if as_json:
        for place in places:
            click.echo(json.dumps(_as_json(place)))
        return
    if not places:
        click.echo("no positions: nothing was read with this state directory yet")
        return
    columns = ("source", "path", "offset", "size", "behind", "file", "seen")
    table.show(columns, [_row(place) for place in places], numbers=("offset", "size", "behind"))


def _row(place: Place) -> tuple[object, ...]:
    position = place.position
    file = _STATES[place.state] + (f": {place.error}" if place.error else "")
    finished = ", finished" if position.finished else ""
    seen = _written(position.seen)[:16].replace("T", " ")
    return position.source, position.path, position.offset, place.size, place.behind, file + finished, seen


def _as_json(place: Place) -> dict[str, object]:
    return place.as_json() | {
        "same": place.state in (offsets.SAME, offsets.CUT) if place.size is not None else None,
        "state": place.state,
        "error": place.error or None,
        "finished": place.position.finished,
        "seen": _written(place.position.seen),
    }


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@command.command("set")
@config_option
@click.argument("path")
@click.argument("offset", type=_Where(), metavar="OFFSET|end|beginning")
def set_(config: Path, path: str, offset: int | str) -> None:
    """Make reading of the file at PATH resume elsewhere.

    OFFSET is in bytes, and must be the start of a line; `end` is after the last whole line. PATH may also be a rotated
    file of a followed log. Lines older than max_event_age are counted as expired, and not sent.

    \b
    Examples:
      logship offsets set /var/log/nginx/access.log end
      logship offsets set /var/log/nginx/access.log.1 beginning
    """  # noqa: D301 - click reads \b
    logs.configure(level="warning")
    built = plan.load(config, Variables())
    with (
        offsets.held(built.settings.state_dir, built.sources) as checkpoint,
        state.changed_as_owner(built.settings.state_dir),
    ):
        moved = offsets.move(checkpoint.positions, _followed(built), path, offset, now=time.time())
        offsets.save(checkpoint, moved.positions)
    position = moved.position
    before = f"was {moved.before}" if moved.before is not None else "had no position"
    click.echo(
        f"{table.clean(position.path)} ({position.source}): offset {position.offset} of {moved.size}, {before}; "
        f"{moved.size - position.offset} bytes to read"
    )
    if moved.older:
        click.echo(f"{moved.older} older files of this log keep their positions: what was not read of them is read")


@command.command()
@config_option
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--all", "everything", is_flag=True, help="Forget the positions of all files.")
def reset(config: Path, paths: tuple[str, ...], everything: bool) -> None:
    """Forget positions, and say what the next start does about each file.

    A source that was followed before reads a file unknown to it from its beginning; only for a new source start_at
    decides. To skip what is there, use `set PATH end`.

    \b
    Examples:
      logship offsets reset /var/log/nginx/access.log
      logship offsets reset --all
    """  # noqa: D301 - click reads \b
    if everything == bool(paths):
        raise click.UsageError("name files, or say --all")
    logs.configure(level="warning")
    built = plan.load(config, Variables())
    with (
        offsets.held(built.settings.state_dir, built.sources) as checkpoint,
        state.changed_as_owner(built.settings.state_dir),
    ):
        known = checkpoint.positions
        stay, gone = offsets.forget(known, paths) if not everything else ([], list(known))
        offsets.save(checkpoint, stay)
        seen = checkpoint.sources
    for each in gone:
        expected = offsets.expectation(each, _followed(built), seen)
        click.echo(f"forgot {table.clean(each.path)} ({each.source}, offset {each.offset}): {expected}")
    click.echo(f"{len(gone)} forgotten, {len(stay)} kept{_about_age(built) if gone else ''}")


def _about_age(built: Plan) -> str:
    age = built.settings.max_event_age
    return f"; lines older than max_event_age ({shown_duration(age)}) will be counted as expired" if age else ""


def _followed(built: Plan) -> list[Followed]:
    return [source.followed(once=False) for source in built.sources.values()]
