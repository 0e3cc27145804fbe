"""`logship receive`: run the embedded receiver until stopped."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
from pathlib import Path

import click
import uvloop

from logship.errors import LogshipError
from logship.receiver import names, server, spam

_ADDRESS = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})\Z", re.ASCII)
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPEN = """warning: {host} can be reached from other machines. Like Plausible, the receiver believes the headers of
whoever calls it, and shows what it stored to anyone: put a firewall or a proxy in front of it."""


@click.command("receive")
@click.option("--listen", default="127.0.0.1:8000", show_default=True, metavar="ADDR", help="HOST:PORT to listen on.")
@click.option("--site", "sites", multiple=True, metavar="S", help="A known site; repeat it. Default: every domain is.")
@click.option("--store", metavar="FILE", type=click.Path(path_type=Path), help="SQLite file. Default: a temporary one.")
@click.option("--keep-addresses", is_flag=True, help="Store visitors' addresses and User-Agents too.")
@click.option(
    "--spam-referrers",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Hosts of spam referrers, one a line, instead of the built-in list.",
)
def command(
    listen: str, sites: tuple[str, ...], store: Path | None, keep_addresses: bool, spam_referrers: Path | None
) -> None:
    """Run a local /api/event that answers as Plausible does.

    It stores events in SQLite and shows them live on a web page.

    \b
    Examples:
      logship receive
      logship receive --site example.com --store events.db
      logship receive --listen 127.0.0.1:9000 --keep-addresses
    """  # noqa: D301 - click reads \b
    host, port = _address(listen)
    try:
        spam_hosts = spam.load(spam_referrers)
        uvloop.run(_receive(host, port, sites, store, keep_addresses, spam_hosts))
    except LogshipError as error:
        raise click.ClickException(str(error)) from error


async def _receive(
    host: str, port: int, sites: tuple[str, ...], store: Path | None, keep_addresses: bool, spam_hosts: frozenset[str]
) -> None:
    stopped = asyncio.Event()
    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    serving = server.serve(
        host, port, sites=sites, store_path=store, keep_addresses=keep_addresses, spam_hosts=spam_hosts
    )
    async with serving as running:
        _spare_the_collector()
        _greet(running, host, store)
        await stopped.wait()


def _spare_the_collector() -> None:
    # An event makes no circles: looking for them as often as usual costs a twentieth of all the work.
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def _greet(running: server.Running, host: str, store: Path | None) -> None:
    click.echo(f"Live page:  {running.url}/")
    click.echo(f"Events to:  {running.url}/api/event")
    click.echo(f"Sites:      {', '.join(running.sites) or 'every domain is known (name yours with --site)'}")
    click.echo(f"Store:      {store or 'a temporary file, gone when this stops (keep it with --store FILE)'}")
    if not names.is_local(host):
        click.secho(_OPEN.format(host=host), fg="yellow", err=True)


def _address(text: str) -> tuple[str, int]:
    found = _ADDRESS.match(text)
    if found is None or int(found["port"]) > 65535:
        raise click.UsageError(f"--listen: got {text!r}, want HOST:PORT, for example 127.0.0.1:8000")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])
