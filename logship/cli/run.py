"""`logship run`: the daemon, in the foreground."""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path

import click

from logship.cli.main import config_option


@click.command(
    epilog="""\b
Examples:
  logship run                             with /etc/logship/logship.yaml
  logship run -c logship.yaml --once      deliver what is there, then exit
"""
)
@config_option
@click.option("--once", is_flag=True, help="Deliver what is there, save the checkpoint, exit.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", show_default=True)
def command(config: Path, once: bool, log_level: str, log_format: str) -> None:
    """Follow the logs and deliver events, until stopped.

    Logs to standard error: coloured text on a terminal, JSON lines elsewhere. SIGTERM stops cleanly, a second one at
    once. SIGHUP, or saving the file, reloads the configuration.
    """
    _listen_early()
    gc.disable()  # nothing of what is imported and built now is garbage; the daemon lets it run
    from logship import lean

    lean.leave_closed("aiohttp", "prometheus_client", "is_bot")
    lean.import_connector()
    from logship import logs

    logs.configure(level=log_level, style=log_format)

    import uvloop

    from logship import daemon
    from logship.cli import progress

    running = daemon.Daemon(config, once=once)
    with progress.of_daemon(running, enabled=once):
        uvloop.run(running.run())


def _listen_early() -> None:
    """Take signals while everything is imported. The daemon takes them over before it reads anything.

    A hang-up asks for what comes anyhow: to read the configuration. A stop has nothing to stop, but it must be heard:
    for the first process of a container, a signal that nobody listens for is lost.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
