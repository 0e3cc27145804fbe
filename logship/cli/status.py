"""`logship status`: what a running daemon is doing, asked over its admin address."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logship import settings
from logship.cli.main import config_option
from logship.errors import LogshipError

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(epilog="\b\nExamples:\n  logship status --watch\n  logship status --json | jq .files")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print the daemon's /status as it is.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def command(config: Path, as_json: bool, watch: bool) -> None:
    """Show what a running daemon is doing: files, lag, destinations, the last errors."""
    if as_json:
        click.echo(json.dumps(ask(config), indent=2))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not watch:
        console.print(_view(ask(config)))
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_view(ask(config)), refresh=True)
            time.sleep(1)


def ask(config: Path) -> dict[str, Any]:
    """Return the daemon's ``/status``. Raise LogshipError when nobody answers."""
    # A file that is broken now may still say where the daemon listens that runs under an older edition of it.
    admin = settings.read_file(config, os.environ)[0].admin
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


_LEFT_TO_JSON = frozenset(("url", "connections", "dropping"))  # a terminal is narrow


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items() if number)
    return "" if value is None else str(value)


def _view(status: dict[str, Any]) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    def table(title: str, rows: list[dict[str, Any]]) -> Table:
        keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in _LEFT_TO_JSON]
        made = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for key in keys:
            made.add_column(key.replace("_", " "), overflow="fold")
        for row in rows:
            made.add_row(*(escape(_cell(row.get(key))) for key in keys))
        return made

    state = "stopping" if status["stopping"] else "ready" if status["ready"] else "not ready"
    problems = [f"[red]{escape(problem)}[/]" for problem in status["reload"]["problems"]]
    return Group(
        f"logship {status['version']}, pid {status['pid']}: {state}, {status['unsettled_lines']} lines unsettled",
        *problems,
        table("Files", status["files"]),
        table("Destinations", status["destinations"]),
        table("Lines", [{"source": name, **counts} for name, counts in status["lines"].items()]),
    )
