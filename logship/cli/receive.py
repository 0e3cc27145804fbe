"""`logship receive`: run the embedded receiver until stopped."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import click
import uvloop

from logship.errors import LogshipError
from logship.receiver import server

_ADDRESS = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})\Z", re.ASCII)


@click.command("receive")
@click.option("--listen", default="127.0.0.1:8000", show_default=True, metavar="ADDR", help="HOST:PORT to listen on.")
@click.option("--site", "sites", multiple=True, metavar="S", help="A known site; repeat it. Default: every domain is.")
@click.option("--store", metavar="FILE", type=click.Path(path_type=Path), help="SQLite file. Default: memory.")
@click.option("--keep-addresses", is_flag=True, help="Store visitors' addresses and User-Agents too.")
def command(listen: str, sites: tuple[str, ...], store: Path | None, keep_addresses: bool) -> None:
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
        uvloop.run(_receive(host, port, sites, store, keep_addresses))
    except LogshipError as error:
        raise click.ClickException(str(error)) from error


async def _receive(host: str, port: int, sites: tuple[str, ...], store: Path | None, keep_addresses: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with server.serve(host, port, sites=sites, store_path=store, keep_addresses=keep_addresses) as running:
        click.echo(f"Listening on {running.url}")
        await stopped.wait()


def _address(text: str) -> tuple[str, int]:
    found = _ADDRESS.match(text)
    if found is None or int(found["port"]) > 65535:
        raise click.ClickException(f"--listen: got {text!r}, want HOST:PORT, for example 127.0.0.1:8000")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])


if __name__ == "__main__":
    command()
