"""Follow one line through all of it: the fields it parses to, every condition of every rule, the very request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from logship.explain import reasons
from logship.explain.lines import Describe, Explained, record_as_json
from logship.explain.survey import Misfit
from logship.explain.text import Line, broken_at, cut
from logship.plan import SourcePlan
from logship.records import Unparsed
from logship.router import scrutiny

_NOT = ("yes: not", "no: not")
_TONES = (("- ", "title"), ("yes:", "good"), ("no:", "soft"))


def follow(explained: Explained, source: SourcePlan, describe: Describe, *, width: int = 100) -> Iterator[Line]:
    """Yield what became of a line and why, as spans like those of `text.page`."""
    yield ((f"line {explained.line}: ", "title"), (explained.text.decode("utf-8", "replace"), ""))
    if isinstance(explained.record, Unparsed):
        record = explained.record
        yield from ((), (("not understood", "warn"),))
        yield from broken_at(Misfit(explained.line, explained.text, record.reason, record.position), width)
        return
    yield from ((), (("PARSED", "title"),))
    yield from _fields(record_as_json(explained.record) | dict(explained.record.log))
    yield from ((), (("RULES", "title"),))
    for text in _negated(list(source.table.explain(explained.record).lines())):
        yield ((f"  {_shortened(text, 2 * width)}", _tone(text)),)
    if explained.reason in scrutiny.REASONS:
        yield ((f"  - behaviour: dropped as {explained.reason}: {reasons.meaning(explained.reason)}", "title"),)
    yield ()
    yield from _outcome(explained, describe(explained)["requests"])


def _fields(fields: dict[str, Any]) -> Iterator[Line]:
    width = max(map(len, fields))
    for name, value in fields.items():
        yield ((f"  {name:<{width}}  ", "soft"), ("(the log has none)", "soft") if value is None else (str(value), ""))


def _negated(texts: list[str]) -> Iterator[str]:
    """Yield the lines, with a `not` and the one condition below it in one: two lines of yes and no read as a riddle."""
    number = 0
    while number < len(texts):
        text, below = texts[number], _below(texts, number)
        if text.lstrip(" ") in _NOT and len(below) == 1:
            text += f" that {below[0].lstrip(' ').partition(': ')[2]}"
            number += 1
        yield text
        number += 1


def _below(texts: list[str], number: int) -> list[str]:
    return list(takewhile(lambda text: _depth(text) > _depth(texts[number]), texts[number + 1 :]))


def _depth(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _shortened(text: str, most: int) -> str:
    """Leave out of a long list of values what stands before the value that was seen."""
    if len(text) <= most:
        return text
    asked, found, seen = text.rpartition(" (it is ")
    return f"{cut(asked, max(most - len(found + seen), most // 2))}{found}{seen}" if found else cut(text, most)


def _tone(text: str) -> str:
    if text.startswith("- ") and text.endswith(("does not apply", "not asked any more")):
        return "soft"
    return next((tone for start, tone in _TONES if text.lstrip(" ").startswith(start)), "")


def _outcome(explained: Explained, requests: list[dict[str, Any]]) -> Iterator[Line]:
    if not requests:
        yield (("DROPPED", "title"), (f" as {explained.reason}", "bad"))
    for request in requests:
        yield (("SENT", "title"), (f" to {request['destination']}", "good"))
        yield ((f"  POST {request['url']}", ""),)
        yield from (((f"  {name}: {value}", ""),) for name, value in request["headers"].items())
        yield ((f"  {json.dumps(request['body'], ensure_ascii=False)}", ""),)
