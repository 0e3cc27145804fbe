"""`logship reload`: make the running daemon read its configuration again, and wait for the outcome."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from logship.cli import state
from logship.cli.main import config_option
from logship.cli.status import ask
from logship.cli.table import clean
from logship.environment import Variables
from logship.errors import ConfigError, LogshipError


@click.command(epilog="\b\nExample:\n  logship reload || journalctl -u logship -n 20")
@config_option
@click.option("--timeout", default=15.0, show_default=True, help="Seconds to wait for the outcome.")
def command(config: Path, timeout: float) -> None:
    """Ask the running daemon to read its configuration again.

    Waits for the outcome: prints what changed, or fails with the problems if the file was refused.
    """
    try:
        before = _ours(config)
    except LogshipError as error:
        click.echo(_unasked(config, error))
        return
    _hang_up(before["pid"])
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        reload = ask(config)["reload"]
        if reload["number"] != before["reload"]["number"]:
            break
        time.sleep(0.1)
    else:
        raise click.ClickException(f"the daemon (pid {before['pid']}) did not answer within {timeout:g} s")
    if reload["problems"]:
        raise click.ClickException(
            "the configuration was refused, the previous one stays in use:\n" + "\n".join(reload["problems"])
        )
    for change in reload["changes"] or _nothing_since(before["reload"]):
        click.echo(clean(change))
    click.echo(f"reloaded: {reload['hash'][:12]}")


def _ours(config: Path) -> dict[str, Any]:
    """Return the status of the daemon that runs with this file. Raise LogshipError when it cannot be asked."""
    status = ask(config)
    runs = str(status.get("config"))
    # A relative path is relative to where the daemon was started, which we do not know.
    other = os.path.isabs(runs) and os.path.realpath(runs) != os.path.realpath(config)
    if other or not isinstance(status.get("pid"), int):
        raise LogshipError(f"the daemon that answers runs with {clean(runs)}, not with {config}")
    return status


def _unasked(config: Path, error: LogshipError) -> str:
    """Tell a daemon that cannot be asked: `admin` is off, or the file says another address than it started with."""
    from logship import plan
    from logship.upkeep import remains

    try:
        pid = remains.look(state.directory(config))["pid"]
        if pid is not None:
            _hang_up(pid)
        plan.load(config, Variables())
    except ConfigError as refused:
        message = f"the configuration cannot be used, and a daemon that runs keeps the old one:\n{refused}"
        raise click.ClickException(message) from error
    if pid is None:
        raise error
    return f"told the daemon (pid {pid}) to read it, and cannot ask what came of it: {error}"


def _hang_up(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError as error:
        raise LogshipError(
            f"the daemon (pid {pid}) is another user's; run this as root, or as the user that logship runs as"
        ) from error


def _nothing_since(before: dict[str, Any]) -> list[str]:
    """Say that nothing changed; and since a saved edit is noticed without being asked, what it was that did."""
    if not before["changes"]:
        return ["nothing changed"]
    noticed = datetime.fromtimestamp(before["at"]).astimezone()
    return [f"nothing changed since {noticed:%H:%M:%S}, when the saved file was noticed:", *before["changes"]]
