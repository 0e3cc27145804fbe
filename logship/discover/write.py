"""Write the configuration: sources, and comments on what was found, what is missing, what comes next. Pure.

Text from the web server's configuration is written as data, never as YAML: in comments, characters that could end the
line are replaced; values are quoted.
"""

from __future__ import annotations

import datetime
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from logship.discover.servers import Found
from logship.discover.sources import Decision, Source

_WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z0-9/._](?:[A-Za-z0-9/._@+=,:-]*[A-Za-z0-9/._@+=-])?")
_NOT_TEXT = frozenset(("", "~", "null", "true", "false", "yes", "no", "on", "off"))
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MOST_HOSTS_IN_A_LINE = 4


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a configuration, and which of the decided sources are active in it, in the order of the file."""

    text: str
    active: tuple[int, ...]  # numbers in Decision.sources; -1: the suggested one


def document(
    configurations: Sequence[Found],
    decision: Decision,
    suggestion: Source,
    *,
    date: datetime.date,
    refused: Mapping[int, str],
) -> Document:
    """Return the configuration. ``refused`` says which sources logship itself does not take, and why."""
    sources = [
        source if number not in refused else replace(source, trouble=_refusal(refused[number]))
        for number, source in enumerate(decision.sources)
    ]
    active = tuple(number for number, source in enumerate(sources) if not source.trouble)
    number, first = (active[0], sources[active[0]]) if active else _last_resort(sources, suggestion, refused)
    lines = [*_head(configurations, date), *_next(sources, first.path[0]), "", "sources:"]
    if not active:
        active = (number,)
        lines += _unfinished(first)
    for number, source in enumerate(sources):
        if number not in active or not source.trouble:
            lines += _under_comment(source) if source.trouble else _entry(source)
    lines += [*_notes(decision.notes), *_tail()]
    return Document("\n".join(lines) + "\n", active)


def _refusal(message: str) -> str:
    return f"logship cannot use it: {message}."


def _last_resort(sources: Sequence[Source], suggestion: Source, refused: Mapping[int, str]) -> tuple[int, Source]:
    """Return the source that is closest to usable: there has to be one."""
    usable = [number for number, source in enumerate(sources) if source.needs and number not in refused]
    return (usable[0], sources[usable[0]]) if usable else (-1, suggestion)


# The head and the tail.

_SCHEMA = Path(__file__).resolve().parents[1] / "schema.json"  # ships with the package: editors complete by it


def _head(configurations: Sequence[Found], date: datetime.date) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={_SCHEMA}"
    yield "#"
    yield from _comment(f"Written by `logship init` on {date.isoformat()} from the web server's own configuration:", "")
    for found in configurations:
        more = f" and {found.files - 1} files that it includes" if found.files > 1 else ""
        yield from _comment(f"  {found.program}: {found.file}{more}", "")


def _next(sources: Sequence[Source], path: str) -> Iterator[str]:
    waiting = sum(1 for source in sources if source.trouble)
    steps = [
        *(
            [f"Look at what could not be decided: {waiting} of the sources below, each with its reason."]
            if waiting
            else []
        ),
        "Every `site` must exist in Plausible, called like its host without www.; else add `domain: NAME`.",
        "logship check -c THIS-FILE",
        f"logship explain -c THIS-FILE {path}",
    ]
    yield "#"
    yield "# Next:"
    for number, step in enumerate(steps, 1):
        yield from _comment(f"  {number}. {step}", "")
    yield "# It belongs at /etc/logship/logship.yaml; then run logship. Every key: docs/configuration.md."


def _notes(notes: Iterable[str]) -> Iterator[str]:
    unique = list(dict.fromkeys(notes))
    if unique:
        yield ""
        yield "# Left out, or not understood:"
        for note in unique:
            first, *rest = _comment(note, "", lead="- ")
            yield from (first, *rest)


def _tail() -> Iterator[str]:
    yield ""
    yield "# A Plausible of your own:"
    yield "# destinations:"
    yield "#   plausible:"
    yield "#     url: https://plausible.example.com"
    yield ""
    yield "# People's page views are sent. Downloads and missing pages, too:"
    yield "# rules:"
    yield "#   - preset: downloads"
    yield "#   - preset: not-found"
    yield "#   - preset: pageviews"


# One source.


def _entry(source: Source) -> list[str]:
    return ["", *_remarks(source), *_keys(source)]


def _under_comment(source: Source) -> list[str]:
    """Return a source commented out, ready to be used once its trouble is gone."""
    keys = _keys(source if source.site or source.needs != "site" else replace(source, site=_PLACEHOLDER))
    if source.needs == "site":
        keys = [f"{key}  # your own" if key.lstrip().startswith("site:") else key for key in keys]
    return [
        "",
        *_comment(source.trouble, "  "),
        *_steps(source),
        *_remarks(source),
        *(f"  # {key[2:]}" for key in keys),
    ]


def _unfinished(source: Source) -> list[str]:
    """Return a source that is valid, but sends nothing until it is known which site was visited.

    Its format is left to detection: logship refuses a format without the host while there is no site.
    """
    said = [*_comment(source.trouble, "  "), *_steps(source), *_remarks(source)]
    if source.site:
        return ["", *said, *_keys(source)]
    now = replace(source, name="", format="", origin="", behind_proxy=False)
    later = replace(source, site=_PLACEHOLDER, name="", path=(), exclude=(), hosts=())
    ask = [line if line.startswith("    #") else f"    # {line[4:]}" for line in _lines(later)]
    until = _comment(_UNTIL[source.needs], "  ")
    return ["", *said, *until, *_keys(now), *(ask if source.needs == "site" else [])]


_PLACEHOLDER = "https://example.com"
_UNTIL = {
    "site": "Take the keys below out of their comment as well; until then no event comes of it.",
    "host": "Until then no event comes of it. Then the lines tell, and what is set here is enough.",
}


def _remarks(source: Source) -> Iterator[str]:
    for remark in source.remarks:
        yield from _comment(remark, "  ")


def _steps(source: Source) -> list[str]:
    return [f"  #     {_line(step)}" for step in source.steps]


def _keys(source: Source) -> list[str]:
    """Return a source as YAML."""
    first, *rest = _lines(source)
    return [f"  - {first[4:]}", *rest]


def _lines(source: Source) -> list[str]:
    """Return the keys that a source has, in the order of the reference."""
    lines = [f"    name: {scalar(source.name)}"] if source.name else []
    lines += [f"    path: {_inline(source.path)}"] if source.path else []
    lines += [f"    exclude: [{', '.join(map(_in_list, source.exclude))}]"] if source.exclude else []
    lines += [f"    # {_line(source.origin)}"] if source.origin else []
    lines += [f"    format: {scalar(source.format)}"] if source.format else []
    lines += [f"    site: {scalar(source.site)}"] if source.site else []
    return lines + _hosts(source.hosts) + (_PROXY_HINT if source.behind_proxy else [])


_PROXY_HINT = [
    "    # If a proxy or a CDN stands in front, name its addresses: the visitor's is then taken from X-Forwarded-For.",
    "    # client_ip: {trusted_proxies: [private]}",
]


def _hosts(names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    if len(names) <= _MOST_HOSTS_IN_A_LINE:
        return [f"    hosts: [{', '.join(map(_in_list, names))}]"]
    return ["    hosts:", *(f"      - {scalar(name)}" for name in names)]


def _inline(values: tuple[str, ...]) -> str:
    return scalar(values[0]) if len(values) == 1 else f"[{', '.join(map(_in_list, values))}]"


def _in_list(text: str) -> str:
    return scalar(text) if not re.search(r"[,:]", text) else _single(text)


def scalar(text: str) -> str:
    """Return a text as a YAML value that reads back as the same text; ``${`` in it is no environment variable."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return _single(text)


def _single(text: str) -> str:
    text = text.replace("${", "$${")
    if not _UNPRINTABLE.search(text):
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _UNPRINTABLE.sub(lambda found: _escape(ord(found[0])), escaped) + '"'


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _line(text: str) -> str:
    """Return a text that stays on its line, whatever it holds."""
    return _UNPRINTABLE.sub("?", text.replace("\n", " ").replace("\t", " "))


def _comment(text: str, indent: str, lead: str = "") -> list[str]:
    clean = _line(text)
    inner = len(clean) - len(clean.lstrip())
    width = _WIDTH - len(indent) - 2
    lines = textwrap.wrap(
        clean.strip(),
        width,
        initial_indent=" " * inner + lead,
        subsequent_indent=" " * (inner + len(lead)),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{indent}# {line}" for line in lines]
