"""`logship demo`: see it work, with nothing to configure."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from logship.demo import Demo, Tally

_FEW = 4  # reasons that fit into a line
_BAR = 28  # characters of the longest bar, where there is room
_WORDS = 40  # characters of a step without its bar and its reasons


@click.command(
    epilog="\b\nExamples:\n"
    "  logship demo\n"
    "  logship demo --seconds 60 --port 8000\n"
    "  logship demo --forever --rate 20                 until Ctrl-C\n"
    "  logship demo --config /etc/logship/logship.yaml  try your own rules on it"
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=20.0, show_default=True, help="How long traffic lasts."
)
@click.option("--forever", is_flag=True, help="Go on until Ctrl-C or SIGTERM; the log rotates every minute.")
@click.option(
    "--rate", type=click.FloatRange(min=0.1, max=200), default=6.0, show_default=True, help="Visits a second."
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Try the rules of this configuration; nothing is sent to its destinations.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the receiver's page.  [default: a free one]"
)
def command(seconds: float, forever: bool, rate: float, config: Path | None, port: int) -> None:
    """Run a receiver, synthetic live traffic and the daemon together, and compare what arrived with the truth.

    Works with no network and leaves nothing behind. Exits with 0 when every event has arrived, once.
    """
    import uvloop

    from logship import logs

    logs.configure(level="warning", style="auto")
    tally = uvloop.run(_show(None if forever else seconds, rate, config, port))
    sys.exit(1 if tally.lost or tally.doubled else 0)


async def _show(seconds: float | None, rate: float, config: Path | None, port: int) -> Tally:
    demo = Demo(seconds, rate=rate, port=port, config=config)
    # Closed here and now if a terminal goes away in the middle, so that the demo cleans up in good order.
    async with contextlib.aclosing(demo.run()) as run:
        with _screen() as draw:
            async for tally in run:
                if not demo.began:
                    _greet(demo.url, seconds, config)
                else:
                    draw(tally)
    click.echo(_table(demo.tally, "by dry run" if config else "truly"))
    click.secho(str(demo.tally), fg="red" if demo.tally.lost or demo.tally.doubled else "green")
    return demo.tally


def _greet(url: str, seconds: float | None, config: Path | None) -> None:
    click.echo(f"Watch the events arrive: {url}/\n")
    long = f"for {seconds:g} s; its log rotates midway" if seconds else "until Ctrl-C; its log rotates every minute"
    click.echo(f"A made-up site is busy {long}. People, crawlers, scanners, monitors.")
    click.echo(f"The rules are those of {config}.\n" if config else "")


# --- while it runs


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Tally], None]]:
    """Yield what shows how it goes: a funnel that is drawn anew on a terminal, else one line a second."""
    began = time.monotonic()
    if not sys.stdout.isatty():
        yield lambda tally: click.echo(_line(time.monotonic() - began, tally))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(refresh_per_second=8) as live:

        def draw(tally: Tally) -> None:
            drawn = Text.from_markup(_funnel(time.monotonic() - began, tally, live.console.width), overflow="ellipsis")
            drawn.no_wrap = True
            live.update(drawn, refresh=True)

        yield draw


def _line(seconds: float, tally: Tally) -> str:
    return (
        f"{seconds:4.0f} s {tally.lines:8,d} lines {tally.read:8,d} read {tally.dropped.total():8,d} dropped "
        f"{tally.due.total():7,d} events due {tally.arrived.total():7,d} arrived"
    )


def _funnel(seconds: float, tally: Tally, width: int) -> str:
    rows = (
        ("written to the log", "lines", tally.lines, f"{tally.rotations} rotated" if tally.rotations else "", "white"),
        ("read by logship", "lines", tally.read, "", "cyan"),
        ("dropped", "lines", tally.dropped.total(), _most(tally.dropped), "yellow"),
        ("due as events", "events", tally.due.total(), _most(tally.due), "blue"),
        ("at the receiver", "events", tally.arrived.total(), _most(tally.refused), "green"),
    )
    most, longest = max(1, tally.lines), max(0, min(_BAR, (width - _WORDS) // 2))
    drawn = [
        f"  {title:<19}[{colour}]{'█' * round(longest * count / most):<{longest}}[/] "
        f"[bold]{count:>8,d}[/] {what:<7}[dim]{more}[/]"
        for title, what, count, more, colour in rows
    ]
    return "\n".join([*drawn, f"  [dim]{seconds:.0f} s, {tally.lost} on their way[/]"])


def _most(counts: Counter[str]) -> str:
    shown = [f"{name} {count:,d}" for name, count in counts.most_common(_FEW)]
    return " · ".join([*shown, "…"] if len(counts) > _FEW else shown)


# --- at the end


def _table(tally: Tally, by: str) -> str:
    """Hold what arrived and what was dropped against what should have been."""
    rows = [*_heading("lines", "written", "read"), _row("in all", tally.lines, tally.read)]
    rows += _heading("events", by, "arrived")
    rows += [_row(name, tally.due[name], tally.arrived[name]) for name in _names(tally.due, tally.arrived)]
    rows += _heading("no event, because", by, "dropped")
    rows += [_row(name, tally.no_event[name], tally.dropped[name]) for name in _names(tally.no_event, tally.dropped)]
    rows += [*_heading("in the end", "sent", "arrived"), _row("delivered", tally.sent, tally.arrived.total())]
    rows += [f"  {name:<24}{count:>10,d}" for name, count in (("lost", tally.lost), ("doubled", tally.doubled))]
    if tally.refused:
        rows += ["", f"  Plausible would drop, of what arrived: {_most(tally.refused)}"]
    return "\n".join([*rows, ""])


def _heading(what: str, *columns: str) -> list[str]:
    title = f"  {what:<24}" + "".join(f"{column:>10}" for column in columns)
    return ["", click.style(title, bold=True), f"  {'-' * 44}"]


def _row(name: str, true: int, found: int) -> str:
    return f"  {name:<24}{true:>10,d}{found:>10,d}{'' if true == found else click.style('  differs', fg='red')}"


def _names(*counts: Counter[str]) -> list[str]:
    return [name for name, _ in sum(counts, Counter[str]()).most_common()]
