"""Tables, lists and pictures in HTML, which the page is made of. Knows no status: cells and shapes in, elements out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 1000  # of a picture, in units of its own: it is as wide as its place


def table(heads: Iterable[str], rows: Sequence[Iterable[str]]) -> str:
    """Return rows of cells, which are elements already, under their headings (see `headings`)."""
    if not rows:
        return '<p class="soft">none</p>'
    heads = tuple(heads)
    body = "".join(f"<tr>{''.join(map(_labelled, row, heads))}</tr>" for row in rows)
    return f"<table class=rows><thead><tr>{headings(heads)}</tr></thead><tbody>{body}</tbody></table>"


def _labelled(cell: str, head: str) -> str:
    # On a phone a row is a list, and each of its cells says what it is.
    return cell.replace("<td", f'<td data-label="{head.partition(":")[0]}"', 1)


def headings(heads: Iterable[str]) -> str:
    """Return cells of the heading; ``:n`` marks a column of numbers."""
    named = (each.partition(":") for each in heads)
    return "".join(f'<th scope="col"{" class=n" if kind else ""}>{name}</th>' for name, _, kind in named)


def items(texts: Iterable[str], kind: str = "") -> str:
    """Return a list of texts; ``kind`` is its class."""
    listed = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{listed}</ul>' if kind else f"<ul>{listed}</ul>"


def picture(kind: str, height: int, shapes: str) -> str:
    """Return shapes as a picture, `WIDTH` units wide; ``kind`` is its class. The words beside it say the same."""
    box = f'viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none"'
    return f'<svg class="{kind}" {box} aria-hidden="true" focusable="false">{shapes}</svg>'
