"""Read one YAML file into frozen Settings, or report everything that is wrong with it, with line and column.

Durations are kept in seconds, URLs complete, text as written. Globs, regular expressions, templates and log formats
are compiled, and their faults found, by the rooms that use them; those name the place by its path of keys
(``rules[2].when.path``), and `Settings.locate` turns that into a line.

Environment variables are replaced in values (``${NAME}``, ``${NAME:-default}``), which makes the value a `Secret`:
no problem ever prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from logship.errors import ConfigError, Problem
from logship.language import tree
from logship.language.kinds import Reading, Spot
from logship.settings import contradictions, doubts, naming
from logship.settings.root import ROOT, Settings
from logship.settings.rule import RuleSettings

MAX_BYTES = 4 << 20  # enough for thousands of sources; a log file named by mistake is refused, not read
_LEAST = 'the least that works is "sources: [{path: /var/log/nginx/access.log, site: https://example.com}]"'


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Read a configuration file. Raise ConfigError with every problem; warnings alone are kept in ``warnings``."""
    settings, problems = read_file(path, env)
    if not all(problem.warning for problem in problems):
        raise ConfigError(problems)
    return settings


def read_file(path: Path, env: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Do for a file what `read` does for a text. A file that cannot be read, or holds no text, is a problem too."""
    try:
        return read(_text(path), str(path), env)
    except tree.MalformedError as error:
        problem = Problem("", str(error), error.line, error.column, str(path))
        return Settings(_state_dir(env), file=str(path)), [problem]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise tree.MalformedError(
            "does not exist; name another with -c, or let `logship init -o FILE` write one"
        ) from error
    except OSError as error:
        raise tree.MalformedError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise tree.MalformedError(f"larger than {MAX_BYTES >> 20} MiB; is this the configuration?")
    return tree.decode(data)


def read(text: str, file: str, env: Mapping[str, str]) -> tuple[Settings, list[Problem]]:
    """Return what could be read, without the faulty parts, and every error and warning in the order of the file."""
    reading = Reading(env, ROOT)
    settings = Settings(
        **{"state_dir": _state_dir(env), **_values(text, reading)},
        file=file,
        content_hash=sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        places=reading.places,
    )
    problems = [*reading.problems, *contradictions.find(settings), *doubts.find(settings, reading.problems)]
    placed = [_placed(problem, settings) for problem in problems]
    placed.sort(key=lambda problem: (problem.line, problem.column))
    warnings = tuple(problem for problem in placed if problem.warning)
    return replace(settings, rules=tuple(_with_known_destinations(settings)), warnings=warnings), placed


def _state_dir(env: Mapping[str, str]) -> Path:
    return Path(env.get("STATE_DIRECTORY", "").split(":")[0] or "/var/lib/logship")


def _values(text: str, reading: Reading) -> dict[str, Any]:
    try:
        node = tree.parse(text)
    except tree.MalformedError as error:
        reading.problems.append(Problem("", str(error), error.line, error.column))
        return {}
    if node is None or (isinstance(node, tree.Scalar) and node.empty):
        reading.problems.append(Problem("", f"the file is empty; {_LEAST}", 1, 1))
        return {}
    reading.places[""] = (node.line, node.column)
    values = ROOT.read(Spot(reading, "", node))
    return _named(values) if isinstance(values, dict) else {}


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """Give every destination the name that is its key, and every source a name."""
    if destinations := values.pop("destinations", {}):
        values["destinations"] = tuple(replace(each, name=name) for name, each in destinations.items())
    if "sources" in values:
        values["sources"] = tuple(naming.named(values["sources"]))
    return values


def _placed(problem: Problem, settings: Settings) -> Problem:
    if problem.line:
        return problem.at(settings.file, problem.line, problem.column)
    return problem.at(*settings.place(problem.where))


def _with_known_destinations(settings: Settings) -> Iterator[RuleSettings]:
    """Yield the rules without the destinations that are not configured: each is a problem, and already reported."""
    names = [each.name for each in settings.destinations]
    for rule in settings.rules:
        yield replace(rule, to=tuple(name for name in dict.fromkeys(rule.to) if name in names))
