"""`logship init`: read the web server's own configuration, write one for logship."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import tempfile
from pathlib import Path

import click

from logship import plan
from logship.discover import apache, build, files, nginx, sources, write
from logship.discover.servers import Found
from logship.errors import ConfigError, LogshipError
from logship.settings import loader

_NGINX = ("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf")
_APACHE = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/usr/local/apache2/conf/httpd.conf")
_STANDARD_OUTPUT = Path("-")


@click.command(
    epilog="""\b
Examples:
  logship init                                    what is installed here, to standard output
  logship init -o /etc/logship/logship.yaml
  logship init --nginx /srv/nginx/nginx.conf      that one, and nothing else
"""
)
@click.option("--nginx", "nginx_file", type=click.Path(), metavar="FILE", help="nginx's main file.")
@click.option("--apache", "apache_file", type=click.Path(), metavar="FILE", help="Apache's main file.")
@click.option(
    *("-o", "--output"),
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where to write, by default to standard output; never over a file that is there.",
)
def command(nginx_file: str | None, apache_file: str | None, output: Path | None) -> None:
    """Write a commented configuration from that of the web server.

    Without --nginx and --apache, looks for both where packages put them. Their configuration is read, never changed;
    comments say what it does not tell.
    """
    if output == _STANDARD_OUTPUT:
        output = None
    if output is not None and os.path.lexists(output):
        raise LogshipError(_there(output))
    if nginx_file is None and apache_file is None:
        nginx_file, apache_file = _first(_NGINX), _first(_APACHE)
    if nginx_file is None and apache_file is None:
        looked = ", ".join((*_NGINX, *_APACHE))
        raise LogshipError(
            f"no web server's configuration here (looked at {looked}); name it: --nginx or --apache FILE"
        )
    text = compose(nginx_file, apache_file, datetime.date.today())
    if output is None:
        click.echo(text, nl=False)
    else:
        _save(output, text)
        click.echo(f"{output}: written. Read its comments, then: logship check -c {output}", err=True)


def compose(nginx_file: str | None, apache_file: str | None, date: datetime.date) -> str:
    """Return the configuration for these web servers; `check` accepts it."""
    found: list[Found] = []
    if nginx_file is not None:
        found.append(nginx.read(nginx_file, build.of(nginx_file, build.ask())))
    if apache_file is not None:
        found.append(apache.read(apache_file))
    decision = sources.decide(found, files.no_file)
    suggestion = sources.suggested(found, files.no_file)
    refused: dict[int, str] = {}
    while True:
        document = write.document(found, decision, suggestion, date=date, refused=refused)
        problems = _problems(document.text)
        if not problems:
            return document.text
        again = {number: message for where, message in problems if (number := _number(where, document)) is not None}
        if not again.keys() - refused.keys():
            raise LogshipError(f"what was read makes no configuration: {problems[0][1]}")
        refused |= again


def _problems(text: str) -> list[tuple[str, str]]:
    """Return the problems that logship itself has with a configuration."""
    read, problems = loader.read(text, "logship.yaml", {})
    found = [problem for problem in problems if not problem.warning]
    if not found:
        try:
            plan.build(read)
        except ConfigError as error:
            found = list(error.problems)
    return [(problem.where, problem.message) for problem in found]


def _number(where: str, document: write.Document) -> int | None:
    """Return which of the decided sources a problem is about."""
    found = re.match(r"sources\[(\d+)\]", where)
    number = document.active[int(found[1])] if found else -1
    return number if number >= 0 else None


def _first(paths: tuple[str, ...]) -> str | None:
    return next((path for path in paths if os.path.exists(path)), None)


def _there(output: Path) -> str:
    return f"{output} is already there, and never overwritten; move it away, or write elsewhere with -o"


def _save(output: Path, text: str) -> None:
    """Write the whole file or nothing, and never over one that was created in the meantime."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise LogshipError(f"{output} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, output)  # unlike a rename, it fails if there is a file
    except FileExistsError:
        raise LogshipError(_there(output)) from None
    except OSError as error:
        raise LogshipError(f"{output} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
