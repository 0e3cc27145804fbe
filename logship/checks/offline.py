"""Check what a valid configuration meets on this machine: files, permissions, formats, rotation, mounts.

It only looks: nothing is changed, no event is recorded.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from logship.checks import fields, proxies, surroundings
from logship.checks.findings import Findings
from logship.errors import Problem
from logship.language.notations import quoted
from logship.parser import detect
from logship.parser.record import Parser
from logship.plan import Plan, SourcePlan
from logship.records import Unparsed
from logship.source import paths

_SAMPLE = 64 * 1024  # bytes of a log that are looked at
_FILES_LOOKED_AT = 20  # of each pattern: enough to see what is wrong with all


def check(plan: Plan) -> Findings:
    """Return what stands in the way of a plan on this machine."""
    findings = Findings([*_problems_of_state_dir(plan.settings.state_dir), *fields.warnings(plan)])
    taken: dict[tuple[int, int], str] = {}
    for source in plan.sources.values():
        _check_source(source, findings, taken)
    findings.problems += surroundings.warnings(plan.settings)
    findings.problems = [problem.at(*plan.settings.place(problem.where)) for problem in findings.problems]
    return findings


def _problems_of_state_dir(path: Path) -> Iterator[Problem]:
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield Problem("state_dir", f"{path} cannot be written to by this user; make it writable for logship's user")


def _check_source(source: SourcePlan, findings: Findings, taken: dict[tuple[int, int], str]) -> None:
    """Check each file that a source finds, as `run` does; ``taken`` tells whose a file is, by its identity."""
    for number, pattern in enumerate(source.settings.path):
        where = f"{source.settings.where}.path[{number}]"
        found = [pattern] if os.path.lexists(pattern) else _matches(source, pattern)
        if not found:
            text = f"{pattern} matches no file now; one that appears later is read"
            findings.problems.append(Problem(where, text, warning=True))
        for path in found[:_FILES_LOOKED_AT]:
            _check_log(source, Path(path), where, findings)
            _check_owner(source, path, where, findings, taken)


def _matches(source: SourcePlan, pattern: str) -> list[str]:
    """Return the files that a glob finds: neither directories nor what the source excludes."""
    followed = source.followed(once=False)
    found = sorted(glob.glob(pattern, recursive=True))
    return [path for path in found if paths.owns(followed, os.path.abspath(path)) and not os.path.isdir(path)]


def _check_owner(
    source: SourcePlan, path: str, where: str, findings: Findings, taken: dict[tuple[int, int], str]
) -> None:
    """Warn of a file that another source follows: each file is read once, by the first one that finds it."""
    with contextlib.suppress(OSError):
        seen = os.stat(path)
        owner = taken.setdefault((seen.st_dev, seen.st_ino), source.settings.name)
        if owner != source.settings.name:
            text = f"{path} is followed by the source {quoted(owner)}, so this one reads none of its lines"
            findings.problems.append(Problem(where, text, warning=True))


def _check_log(source: SourcePlan, path: Path, where: str, findings: Findings) -> None:
    kind = _not_a_log(path)
    if kind is not None:
        text = f"{path} is {kind}, not a regular file; have the web server write a real file"
        findings.problems.append(Problem(where, text))
        return
    try:
        with path.open("rb") as log:
            lines = log.read(_SAMPLE).split(b"\n")[:-1][:50]
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}; give logship's user access (group adm?)"
        findings.problems.append(Problem(where, text))
        return
    if lines:
        _check_lines(source, path, lines, where, findings)


def _not_a_log(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for test, name in kinds if test(mode)), None)


def _check_lines(source: SourcePlan, path: Path, lines: list[bytes], where: str, findings: Findings) -> None:
    """Try the format on the first lines; with `auto`, say which one was detected."""
    format_ = source.format
    if format_ is None:
        detected = detect.detect(lines)
        if detected.format is None:
            fit = f": {' and '.join(detected.rivals)} fit equally well" if detected.rivals else ""
            findings.problems.append(Problem(where, f"{path}: no format detected{fit}; set `format`", warning=True))
            return
        format_ = detected.format
        findings.notes.append(f"{path}: format {detected.name}, confidence {detected.confidence:.0%}")
        findings.problems += fields.warnings_of_format(source, format_)
    parser = Parser(format_, source.client)
    found = [parser.parse(line) for line in lines]
    unparsed = sum(isinstance(each, Unparsed) and each.reason != "directive" for each in found)
    if unparsed * 2 > len(lines):
        text = f"{path}: {unparsed} of its first {len(lines)} lines are not in the format {format_.name}"
        findings.problems.append(Problem(where, text, warning=True))
    elif (warning := proxies.warning(source.settings.client_ip, parser, _last_lines(path))) is not None:
        findings.problems.append(Problem(f"{source.settings.where}.client_ip", f"{path}: {warning}", warning=True))


def _last_lines(path: Path) -> list[bytes]:
    """Return the last lines: a proxy in front of the server may be new."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        start = log.seek(max(0, log.seek(0, os.SEEK_END) - _SAMPLE))
        lines = log.read(_SAMPLE).split(b"\n")[:-1]
        return lines[1:] if start else lines  # the first is half a line
    return []
