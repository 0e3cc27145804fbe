"""`logship demo`: see it work, with nothing to configure."""

from __future__ import annotations

import asyncio
import sys

import click

from logship.demo import Demo, Summary


@click.command(epilog="\b\nExamples:\n  logship demo\n  logship demo --seconds 60 --port 8000")
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=20.0, show_default=True, help="How long traffic lasts."
)
@click.option(
    "--rate", type=click.FloatRange(min=0.1, max=200), default=6.0, show_default=True, help="Visits a second."
)
@click.option("--port", default=0, help="Port of the receiver's page.  [default: a free one]")
def command(seconds: float, rate: float, port: int) -> None:
    """Run a receiver, synthetic live traffic and the daemon together, and compare what arrived with the truth.

    Exits with 0 when every event has arrived, once.
    """
    import uvloop

    from logship import logs

    logs.configure(level="warning", style="auto")
    summary = uvloop.run(_show(Demo(seconds, visits=rate, port=port), seconds))
    sys.exit(1 if summary.lost or summary.doubled else 0)


async def _show(demo: Demo, seconds: float) -> Summary:
    click.echo(f"A made-up site is busy for {seconds:g} s: people, crawlers, scanners; its log rotates midway.")
    shown = 0
    async for summary in demo.run():
        if not shown:
            click.echo(f"Watch the events arrive: {demo.url}/\n")
        shown += 1
        click.echo(
            f"  {shown:3d} s   {summary.lines:6,d} lines   {summary.expected.total():5,d} events due   "
            f"{summary.arrived.total():5,d} arrived"
        )
        await asyncio.sleep(0)
    click.echo(_table(demo.summary))
    click.echo(str(demo.summary))
    return demo.summary


def _table(summary: Summary) -> str:
    """Tell where the lines went, by what they truly were."""
    rows = ["", f"  {'line was':<24}{'lines':>8}", f"  {'-' * 32}"]
    rows += [f"  {kind.replace('_', ' '):<24}{number:>8,d}" for kind, number in summary.kinds.most_common()]
    names: dict[str, int] = {}
    for (name, *_), number in summary.arrived.items():
        names[name] = names.get(name, 0) + number
    rows += ["", f"  {'event arrived':<24}{'events':>8}", f"  {'-' * 32}"]
    rows += [f"  {name:<24}{number:>8,d}" for name, number in sorted(names.items(), key=lambda item: -item[1])]
    return "\n".join([*rows, ""])
