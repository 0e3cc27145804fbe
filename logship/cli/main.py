"""The `logship` command: find the subcommand, and turn errors into messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 configuration invalid (EX_CONFIG: a supervisor must not restart on it).
Subcommands are imported when they are called: `logship --help` must not pay for aiohttp.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from logship import __version__
from logship.errors import ConfigError, LogshipError

EX_CONFIG = 78

_COMMANDS = {
    "run": "Follow the logs and deliver events, in the foreground.",
    "check": "Validate everything `run` would use.",
    "explain": "Show what each line of a log would become. Sends nothing.",
    "init": "Write a configuration from that of the web server.",
    "status": "Show what a running daemon is doing.",
    "tap": "Show lines as a running daemon reads them, and what becomes of each.",
    "receive": "Run the embedded receiver: a local /api/event with a live page.",
    "demo": "Run receiver, made-up traffic and daemon together.",
    "offsets": "Show and change where reading resumes.",
    "dead-letter": "Show refused events, and send them again.",
    "reload": "Make a running daemon read its configuration again.",
}


class _Lazy(click.Group):
    """A group whose commands live in modules of their own, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"logship.cli.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # Whoever reads our output (head, less) has seen enough. click would exit with 1.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


_EXAMPLES = """\b
Examples:
  logship demo                                     see it work, with nothing to configure
  logship explain --format combined --site https://example.com access.log
  logship check -c logship.yaml && logship run -c logship.yaml
"""


@click.group(cls=_Lazy, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="logship")
def cli() -> None:
    """Turn web-server access logs into Plausible analytics."""


def default_config() -> str:
    """Return the configuration file to use if none is named."""
    return os.environ.get("LOGSHIP_CONFIG", "/etc/logship/logship.yaml")


config_option = click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=default_config,
    help="Configuration file.  [default: $LOGSHIP_CONFIG, then /etc/logship/logship.yaml]",
)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except LogshipError as error:
        print(f"logship: {error}", file=sys.stderr)
        return 1
    return 0
