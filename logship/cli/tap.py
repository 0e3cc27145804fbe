"""`logship tap`: the live stream of decisions of a running daemon, sampled, with addresses masked."""

from __future__ import annotations

import itertools
import json
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from logship.admin import tap
from logship.cli import state
from logship.cli.main import config_option
from logship.cli.table import clean
from logship.environment import Variables
from logship.errors import LogshipError
from logship.settings import loader

_PATIENCE = 5.0  # seconds without a line, after which to say that this is alive
_COLOURS = {"event": "green", "dropped": "yellow", "expired": "magenta", "unparsed": "red"}


@click.command(
    epilog="""\b
Examples:
  logship tap                                   ten lines a second, and what became of them
  logship tap --only unparsed                   what the format does not fit
  logship tap --reason bot -n 20 --json | jq -r .request.agent
"""
)
@config_option
@click.option("--source", metavar="NAME", help="Lines of this source only.")
@click.option("--only", type=click.Choice(list(_COLOURS)), help="Lines with this result only.")
@click.option("--reason", metavar="REASON", help="Lines dropped, or not parsed, for this reason only.")
@click.option(
    "--rate",
    type=click.FloatRange(0, tap.MOST_A_SECOND, min_open=True),
    default=10.0,
    show_default=True,
    help="Lines a second that are shown at most.",
)
@click.option("-n", "--number", type=click.IntRange(1), help="End after so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    config: Path,
    source: str | None,
    only: str | None,
    reason: str | None,
    rate: float,
    number: int | None,
    as_json: bool,
) -> None:
    """Show lines as the running daemon reads them, and what became of each.

    A sample: "1 of N" says how many lines were read for the one that is shown. Addresses are cut and queries left
    out; for whole lines use `explain`. What is dropped for a visitor's behaviour is shown as the rules alone have it.
    Only root and the daemon's own user may look.
    """
    _check_source(config, source)
    wish = {"rate": rate, "source": source, "result": only, "reason": reason}
    for decision in itertools.islice(_decisions(state.directory(config), wish), number):
        click.echo(json.dumps(decision) if as_json else _line(decision))
        sys.stdout.flush()
    if number is None:
        raise LogshipError("the daemon has ended the stream; it stopped, or this terminal did not read for long")


def _check_source(config: Path, name: str | None) -> None:
    """Refuse a name that no source has: no line would ever come."""
    known = [each.name for each in loader.read_file(config, Variables())[0].sources]
    if name is not None and known and name not in known:
        raise LogshipError(f'no source is called "{name}"; there are: {", ".join(known)}')


def _decisions(state_dir: Path, wish: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with _connected(state_dir) as connection, connection.makefile("rwb") as stream:
        stream.write(json.dumps(wish).encode() + b"\n")
        stream.flush()
        if not select.select([connection], [], [], _PATIENCE)[0]:
            narrow = " that fits" if any(wish[key] for key in ("source", "result", "reason")) else ""
            click.echo(f"No line{narrow} was read for {_PATIENCE:g} s; waiting (Ctrl-C ends).", err=True)
        for line in stream:
            decision = json.loads(line)
            if "error" in decision:
                raise LogshipError(f"the daemon refused: {clean(decision['error'])}")
            yield decision


def _connected(state_dir: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with tap.address(state_dir) as name:
            connection.connect(name)
    except PermissionError as error:
        connection.close()
        raise LogshipError(
            f"{state_dir} is not yours: run this as root, or as the user that logship runs as"
        ) from error
    except OSError as error:
        connection.close()
        problem = f"no daemon is running with the state directory {state_dir} ({error.strerror})"
        raise LogshipError(f"{problem}; is this its configuration?") from error
    return connection


def _line(decision: dict[str, Any]) -> str:
    result = click.style(f"{decision['result']:<8}", fg=_COLOURS.get(decision["result"]))
    of = click.style(f"(1 of {decision['of']})", dim=True) if decision["of"] > 1 else ""
    return " ".join(filter(None, (result, clean(f"{_asked(decision)} -> {_fate(decision)}"), of)))


def _asked(decision: dict[str, Any]) -> str:
    request = decision["request"]
    if request is None:
        return f"{decision['source']}  {decision['path']} at byte {decision['offset']}"
    query = "?…" if request["has_query"] else ""
    asked = f"{request['method']} {request['host'] or ''}{request['path']}{query} {request['status']}"
    agent = "no User-Agent" if request["agent"] == "none" else request["agent"]
    return f"{decision['source']}  {asked}  {request['client'] or '-'} {agent}"


def _fate(decision: dict[str, Any]) -> str:
    """Say what is sent, or why nothing is, and which rule decided."""
    sent = ", ".join(f"{each['name']} for {each['domain']} to {each['destination']}" for each in decision["events"])
    rule = f', rule "{decision["rule"]}"' if decision["rule"] else ""
    return f"{sent or decision['reason']}{rule}"
