"""`logship reload`: have the running daemon read its configuration again, and wait for the outcome."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from logship.cli.main import config_option
from logship.cli.status import ask


@click.command(epilog="\b\nExample:\n  logship reload || journalctl -u logship -n 20")
@config_option
@click.option("--timeout", default=15.0, show_default=True, help="Seconds to wait for the outcome.")
def command(config: Path, timeout: float) -> None:
    """Ask the running daemon to read its configuration again; fail with the problems if it was refused."""
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
    click.echo(f"reloaded: {reload['hash'][:12]}")
