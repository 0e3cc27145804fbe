"""`logship status`: what a daemon is doing, asked over its admin address; when it is down, what it has left behind."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logship.admin.alarms import error_of
from logship.admin.figures import duration, number, share, size
from logship.cli import state
from logship.cli.main import config_option
from logship.cli.table import clean
from logship.environment import Variables
from logship.errors import LogshipError
from logship.settings import loader

if TYPE_CHECKING:
    from rich.console import RenderableType

_BARS = " ▁▂▃▄▅▆▇█"
_REASONS = 8  # that a terminal shows; /status has them all


@click.command(epilog="\b\nExamples:\n  logship status\n  logship status --watch\n  logship status --json | jq .files")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's /status as it is.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def command(config: Path, as_json: bool, watch: bool) -> None:
    """Show what a daemon is doing: files, lag, where lines go, destinations, the last errors.

    When it is down, shows what its state directory says: where reading will resume, how much is waiting, how many
    events were refused. Exit code 1 when it is not running, or does not answer.
    """
    if watch:
        _watch(config, as_json)
        return
    found = look(config)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    if not found["running"]:
        sys.exit(1)


def ask(config: Path) -> dict[str, Any]:
    """Return the daemon's ``/status``. Raise LogshipError when nobody answers."""
    # A file that is broken now may still say where the daemon listens that runs under an older edition of it.
    admin = loader.read_file(config, Variables())[0].admin
    if admin is None:
        raise LogshipError("admin: null in the configuration, so the daemon cannot be asked")
    host = f"[{admin.host}]" if ":" in admin.host else admin.host
    url = f"http://{host}:{admin.port}/status"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            status: dict[str, Any] = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise LogshipError(f"no daemon answers at {url} ({reason}); is it running with this configuration?") from error
    return status


def look(config: Path) -> dict[str, Any]:
    """Return the daemon's status with ``running: true``; or what it has left, with ``error``: why it is not asked."""
    try:
        return {"running": True, **ask(config)}
    except LogshipError as error:
        from logship.upkeep import remains  # brings what a health check, every half minute, can do without

        left = remains.look(state.directory(config))
        # With `admin: null` a daemon that holds its directory is all that can be known, and it is well.
        unasked = left["pid"] is not None and loader.read_file(config, Variables())[0].admin is None
        return {"running": unasked, "error": str(error), **left}


def _watch(config: Path, as_json: bool) -> None:
    if as_json:
        while True:
            click.echo(json.dumps(look(config)))
            sys.stdout.flush()
            time.sleep(1)
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False, screen=sys.stdout.isatty()) as live:
        while True:
            live.update(_view(look(config)), refresh=True)
            time.sleep(1)


def _print(found: Mapping[str, Any]) -> None:
    from rich.console import Console

    Console().print(_view(found))


def _view(found: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    return Group(*(_running(found) if "files" in found and "ready" in found else _down(found)))


# While it runs


def _running(status: Mapping[str, Any]) -> Iterator[RenderableType]:
    word, colour = _state(status)
    up = duration(time.time() - status["started"])
    yield f"[{colour}]{word}[/]  logship {status['version']}, pid {status['pid']}, up {up}, {_text(status['config'])}"
    yield from _reload(status["reload"])
    yield ""
    yield from _now(status)
    yield _table("Lines since the start", _funnel(status), right=("lines", "share"))
    yield _table(
        "Destinations", [_destination(each) for each in status["destinations"]], right=("delivered", "waiting")
    )
    yield _table("Files", [_file(each) for each in status["files"]], right=("behind", "read", "size"))
    # Absent in the answer of a daemon that is older than this command.
    if names := status.get("sources_without_files"):
        yield f"[yellow]no file fits the path of: {_text(', '.join(names))}[/]"


def _state(status: Mapping[str, Any]) -> tuple[str, str]:
    if status["stopping"]:
        return "stopping", "yellow"
    return ("ready", "bold green") if status["ready"] else ("not ready", "bold red")


def _reload(reload: Mapping[str, Any]) -> Iterator[str]:
    ago = duration(time.time() - reload["at"])
    if reload["problems"]:
        yield f"[red]configuration refused {ago} ago, the previous one stays in use:[/]"
        yield from (f"[red]  {_text(problem)}[/]" for problem in reload["problems"])
    elif reload["changes"]:
        yield f"configuration read again {ago} ago:"
        yield from (f"  {_text(change)}" for change in reload["changes"])


def _now(status: Mapping[str, Any]) -> Iterator[str]:
    rates = status["rates"]
    yield (
        f"{number(rates['lines_per_second'])} lines/s, {number(rates['events_per_second'])} events/s, "
        f"{size(sum(each.get('behind', 0) for each in status['files']))} behind, "
        f"{status['unsettled_lines']:,} lines not settled{_age(status)}"
    )
    if history := rates["history"]["events"]:
        yield f"events/s  {_drawn(history)}  the last {duration(len(history) * rates['history']['step'])}"


def _age(status: Mapping[str, Any]) -> str:
    return f", the oldest for {duration(status['oldest_unsettled_seconds'])}" if status["unsettled_lines"] else ""


def _drawn(history: Sequence[float]) -> str:
    top = max(history) or 1.0
    return "".join(_BARS[round(value / top * (len(_BARS) - 1))] for value in history)


def _funnel(status: Mapping[str, Any]) -> list[dict[str, str]]:
    totals = sum((Counter(each) for each in status["lines"].values()), Counter[str]())
    reasons = Counter({("expired", ""): totals["expired"]})
    for of_source in status["reasons"].values():
        for kind, counts in of_source.items():
            reasons.update({(kind, reason): count for reason, count in counts.items()})
    left = totals["read"] - reasons.total()
    ordered = [(" ".join(name).strip(), count) for name, count in reasons.most_common() if count]
    rest = ordered[_REASONS:]
    rare = [(f"{len(rest)} other reasons", sum(count for _, count in rest))] if rest else []
    rows = [("read", totals["read"]), *ordered[:_REASONS], *rare, ("became events", left)]
    return [{"": name, "lines": f"{count:,}", "share": share(count, totals["read"])} for name, count in rows]


def _destination(each: Mapping[str, Any]) -> dict[str, str]:
    again = f", again in {duration(each['retry_in'])}" if each["retry_in"] else ""
    counts = {name: count for name, count in each["counts"].items() if count and name != "delivered"}
    return {
        "name": each["name"],
        "state": each["state"] + (f" ({each['cause']}{again})" if each["cause"] else ""),
        "delivered": f"{each['counts'].get('delivered', 0):,}",
        "waiting": f"{each['queued'] + each['in_flight']:,}",
        "besides": ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items()),
        "last error": error_of(each["last_error"], time.time()),
    }


def _file(each: Mapping[str, Any]) -> dict[str, str]:
    return {
        "path": each["path"],
        "state": " ".join(filter(None, (each["state"], each.get("error")))),
        "behind": size(each.get("behind")),
        "read": share(each["offset"], each["size"]) if each.get("size") else "",
        "size": size(each.get("size")),
        "source": each["source"],
    }


# When it is down


def _down(left: Mapping[str, Any]) -> Iterator[RenderableType]:
    if left["running"]:
        yield f"[bold green]running[/], pid {left['pid']}; `admin: null`, so this is from {_text(left['state_dir'])}"
    elif left["pid"] is not None:
        yield f"[bold red]running but not answering[/], pid {left['pid']}: {_text(left['error'])}"
    else:
        yield f"[bold red]not running[/]: nothing holds {_text(left['state_dir'])}"
    yield from _checkpoint(left)
    letters = left["dead_letters"]
    if letters["bytes"]:
        counted = f"{letters['events']:,} events" if letters["events"] is not None else size(letters["bytes"])
        yield f"dead letters: {counted}; see `logship dead-letter list`"
    if left["files"]:
        yield _table("Where reading resumes", [_position(each) for each in left["files"]], right=("offset", "behind"))


def _checkpoint(left: Mapping[str, Any]) -> Iterator[str]:
    if left["checkpoint_at"] is None:
        yield "no checkpoint: nothing was read with this state directory yet"
        return
    waiting = sum(each["behind"] or 0 for each in left["files"])
    yield (
        f"last checkpoint {duration(time.time() - left['checkpoint_at'])} ago; "
        f"{size(waiting)} were written since, or not settled"
    )


_FOUND = {
    "same": "the same file",
    "cut": "cut short",
    "other": "another file: searched for among the rotated ones",
    "missing": "not there: searched for among the rotated ones",
    "unreadable": "unreadable",
}


def _position(each: Mapping[str, Any]) -> dict[str, str]:
    return {
        "path": each["path"],
        "offset": f"{each['offset']:,}",
        "behind": size(each["behind"]),
        "found there": _FOUND[each["state"]],
        "source": each["source"],
    }


# On a terminal


def _text(value: object) -> str:
    from rich.markup import escape

    return escape(clean(value))


def _table(title: str, rows: Sequence[Mapping[str, str]], right: Sequence[str]) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in rows[0] if rows else ("none",):
        made.add_column(name, overflow="fold", justify="right" if name in right else "left", no_wrap=name in right)
    for row in rows:
        made.add_row(*map(_text, row.values()))
    return made
