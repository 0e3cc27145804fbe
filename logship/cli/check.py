"""`logship check`: validate everything that `run` would use, and report everything wrong at once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from logship import plan, schema
from logship.checks import offline, online
from logship.cli.main import EX_CONFIG, default_config
from logship.environment import Variables
from logship.errors import Problem
from logship.explain import trial
from logship.plan import Plan
from logship.settings.root import Settings


@click.command(
    epilog="""\b
Examples:
  logship check -c logship.yaml
  logship check --show-rules
  logship check --online
  logship check -c examples/
"""
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=default_config,
    help="Configuration file, or a directory of examples.  [default: $LOGSHIP_CONFIG, then /etc/logship/logship.yaml]",
)
@click.option(
    "--online",
    "go_online",
    is_flag=True,
    help="Also try each destination: DNS, TLS, its answer, the visitor's address it sees. Records nothing.",
)
@click.option("--show-rules", is_flag=True, help="Print the rules with their presets spelled out, and exit.")
@click.option("--schema", "show_schema", is_flag=True, help="Print the JSON Schema for editors, and exit.")
def command(config: Path, go_online: bool, show_rules: bool, show_schema: bool) -> None:
    """Validate the configuration, and warn of what is legal but surely wrong.

    Prints one problem per line, as FILE:LINE:COL: where: what we got, what to do, and runs the configuration's own
    tests. Exit code 78 if it cannot be used; 1 if it can, but a test fails or something on this machine is in its way.

    In a directory, every *.yaml and *.yml file is validated by itself; its logs need not exist.
    """
    if show_schema:
        click.echo(schema.text())
    elif show_rules:
        click.echo(_plan_or_default(config).rules.shown())
    elif config.is_dir():
        _check_examples(config)
    else:
        _check(config, go_online=go_online)


def _plan_or_default(config: Path) -> Plan:
    return plan.load(config, Variables()) if config.exists() else plan.build(Settings(state_dir=Path()))


def _check(config: Path, *, go_online: bool) -> None:
    """Print what is wrong with a configuration here, and what is worth knowing; exit if it is not usable."""
    checked, problems = plan.examine(config, Variables())
    notes: list[str] = []
    if checked is not None:
        found, failures = offline.check(checked), trial.problems(checked)
        problems, notes = problems + found.problems + failures, [*found.notes, *_tested(checked, failures)]
    if checked is not None and go_online:
        reached = asyncio.run(online.check(checked.settings))
        problems, notes = problems + reached.problems, notes + reached.notes
    for line in (*problems, *notes):
        click.echo(line)
    errors = [problem for problem in problems if not problem.warning]
    if errors:
        sys.exit(EX_CONFIG if checked is None else 1)
    click.echo(f"{config}: ok{f', {len(problems)} to look at' if problems else ''}")


def _tested(checked: Plan, failures: list[Problem]) -> list[str]:
    failed = {problem.where.partition("]")[0] for problem in failures}
    return [f"tests: {len(checked.settings.tests)} run, {len(failed)} failed"] if checked.settings.tests else []


def _check_examples(directory: Path) -> None:
    files = sorted(path for path in directory.iterdir() if path.suffix in (".yaml", ".yml"))
    if not files:
        raise click.UsageError(f"{directory} holds no .yaml file")
    sound = [_is_sound(file) for file in files]
    click.echo(f"{directory}: {sum(sound)} of {len(files)} ok")
    if not all(sound):
        sys.exit(EX_CONFIG)


def _is_sound(file: Path) -> bool:
    """Validate a file as it stands, with its own tests; nothing that it names has to be on this machine."""
    checked, problems = plan.examine(file, Variables())
    problems += trial.problems(checked) if checked is not None else []
    for problem in problems:
        click.echo(problem)
    return checked is not None and all(problem.warning for problem in problems)
