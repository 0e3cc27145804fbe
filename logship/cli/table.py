"""Tables: drawn by rich on a terminal, plain aligned text elsewhere. Whatever stands in a cell is shown as text."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from typing import Literal

import click

from logship.records import readable

# Characters that control a terminal: C0, DEL, C1, and the marks of text direction. Strangers write logs and answers.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


# Columns that a narrow terminal folds, so that the others need not be.
_LONG = frozenset(("path", "file", "url", "detail", "user_agent"))


def show(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Collection[str] = ()) -> None:
    """Print rows under their columns' names; columns in ``numbers`` are aligned at the right."""
    cells = [[clean(each) for each in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells, numbers)
    else:
        for line in _plain(columns, cells, numbers):
            click.echo(line)


def clean(value: object) -> str:
    """Return a value as text for a terminal, on one line; None is empty."""
    return "" if value is None else _CONTROL.sub("\ufffd", readable(str(value)))


def _plain(columns: Sequence[str], rows: list[list[str]], numbers: Collection[str]) -> list[str]:
    table = [[each.upper() for each in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    right = [each in numbers for each in columns]
    return [
        "  ".join(
            f"{cell:>{width}}" if is_right else f"{cell:<{width}}"
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in table
    ]


def _draw(columns: Sequence[str], rows: list[list[str]], numbers: Collection[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD)
    for name in columns:
        side: Literal["left", "right"] = "right" if name in numbers else "left"
        made.add_column(name, overflow="fold", justify=side, no_wrap=name not in _LONG)
    for row in rows:
        made.add_row(*map(Text, row))
    Console().print(made)
