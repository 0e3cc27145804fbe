"""Ready-made kinds of single values that many keys share: flags, durations, numbers, paths, patterns."""

from __future__ import annotations

from pathlib import Path

from logship.language import notations
from logship.language.kinds import Text
from logship.language.notations import MisfitError, quoted

LOOSE = {"type": ["string", "number", "boolean"]}  # JSON Schema: a bare 404 is text where text is wanted


def duration(least: float = 0.0) -> Text:
    """Return the kind of a duration of at least so many seconds."""

    def parse(text: str) -> float:
        seconds = notations.duration(text)
        if seconds < least:
            raise MisfitError(f"{quoted(text)} is too short; {notations.shown_duration(least)} at least")
        return seconds

    pattern = {"type": ["string", "integer"], "pattern": r"^(0|[0-9.]+(ms|s|m|h|d))$", "maximum": 0, "minimum": 0}
    return Text("a duration", parse, show=notations.shown_duration, schema=pattern)


def whole_number(least: int, most: int) -> Text:
    """Return the kind of a whole number within bounds."""

    def parse(text: str) -> int:
        value = notations.whole_number(text)
        if not least <= value <= most:
            raise MisfitError(f"{quoted(text)} is outside {least} to {most}")
        return value

    return Text("a whole number", parse, schema={"type": "integer", "minimum": least, "maximum": most})


def _above_zero(text: str) -> float:
    value = notations.number(text)
    if value <= 0:
        raise MisfitError(f"{quoted(text)} is not above 0; null sets no limit")
    return value


FLAG = Text("true or false", notations.flag, show=lambda value: str(value).lower(), schema={"type": "boolean"})
ABOVE_ZERO = Text("a number above 0", _above_zero, schema={"type": "number", "exclusiveMinimum": 0})
TIMEOUT = duration(least=0.001)  # 0 would end it before it began
FILE = Text("an absolute path", lambda text: Path(notations.absolute_path(text)))
TEMPLATE = Text("a template", notations.template, schema=LOOSE)
PATTERN = Text("a glob or `re:` expression", notations.pattern, schema=LOOSE)
