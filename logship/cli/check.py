"""`logship check`: validate everything that `run` would use, and say all that is wrong at once."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from logship import checkup, plan, schema, settings
from logship.cli.main import EX_CONFIG, config_option
from logship.errors import Problem
from logship.explain import trial


@click.command(
    epilog="\b\nExamples:\n  logship check -c logship.yaml\n  logship check --show-rules\n  logship check --online"
)
@config_option
@click.option("--online", is_flag=True, help="Also try each destination. Records nothing there.")
@click.option("--show-rules", is_flag=True, help="Print the rules with their presets spelled out, and exit.")
@click.option("--schema", "show_schema", is_flag=True, help="Print the JSON Schema for editors, and exit.")
def command(config: Path, online: bool, show_rules: bool, show_schema: bool) -> None:
    """Validate the configuration, and warn of what is legal but surely wrong.

    One problem a line: FILE:LINE:COL: where: what we got, what to do. Runs the configuration's own tests. Exit code
    78 when it cannot be used, 1 when it can, but a test fails or something is in its way here.
    """
    if show_schema:
        click.echo(schema.text())
        return
    if show_rules:
        rules = (
            plan.load(config, os.environ).rules
            if config.exists()
            else plan.build(settings.Settings(state_dir=Path())).rules
        )
        click.echo(rules.shown())
        return
    checked, problems = plan.examine(config, os.environ)
    notes: list[str] = []
    if checked is not None:
        found, failures = checkup.offline(checked), trial.problems(checked)
        problems, notes = problems + found.problems + failures, [*found.notes, *_tested(checked, failures)]
    if checked is not None and online:
        problems += asyncio.run(checkup.online(checked.settings))
    for line in (*problems, *notes):
        click.echo(line)
    errors = [problem for problem in problems if not problem.warning]
    if errors:
        sys.exit(EX_CONFIG if checked is None else 1)
    click.echo(f"{config}: ok{f', {len(problems)} to look at' if problems else ''}")


def _tested(checked: plan.Plan, failures: list[Problem]) -> list[str]:
    failed = {problem.where.partition("]")[0] for problem in failures}
    return [f"tests: {len(checked.settings.tests)} run, {len(failed)} failed"] if checked.settings.tests else []
