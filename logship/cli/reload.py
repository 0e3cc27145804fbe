"""`logship reload`: have the running daemon read its configuration again, and wait for the outcome."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from logship.cli.main import config_option
from logship.cli.status import ask
from logship.cli.table import clean


@click.command(epilog="\b\nExample:\n  logship reload || journalctl -u logship -n 20")
@config_option
@click.option("--timeout", default=15.0, show_default=True, help="Seconds to wait for the outcome.")
def command(config: Path, timeout: float) -> None:
    """Ask the running daemon to read its configuration again.

    Waits for the outcome: prints what changed, or fails with the problems if the file was refused.
    """
    before = ask(config)
    os.kill(before["pid"], signal.SIGHUP)
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
            "the configuration was refused, the old one runs on:\n" + "\n".join(reload["problems"])
        )
    for change in reload["changes"] or _nothing_since(before["reload"]):
        click.echo(clean(change))
    click.echo(f"reloaded: {reload['hash'][:12]}")


def _nothing_since(before: dict[str, Any]) -> list[str]:
    """Say that nothing changed; and since a saved edit is noticed without being asked, what it was that did."""
    if not before["changes"]:
        return ["nothing changed"]
    noticed = datetime.fromtimestamp(before["at"]).astimezone()
    return [f"nothing changed since {noticed:%H:%M:%S}, when the saved file was noticed:", *before["changes"]]
