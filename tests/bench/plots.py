"""Draw figures as plain SVG: a group of bars for each question, the value written at each bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_ROW, _LEFT, _WIDTH, _RIGHT = 22, 190, 420, 110
_STYLE = "text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.b{fill:#4c78a8}"

Groups = Mapping[str, Sequence[tuple[str, float]]]


def write(path: Path, groups: Groups) -> None:
    """Write one picture. Within a group bars are to scale, from zero."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(draw(groups), encoding="utf-8")


def draw(groups: Groups) -> str:
    """Return the picture as SVG text."""
    parts: list[str] = []
    y = _ROW
    for title, bars in groups.items():
        parts.append(f'<text class="t" x="8" y="{y}">{escape(title)}</text>')
        y += _ROW
        most = max((value for _, value in bars), default=0.0) or 1.0
        for label, value in bars:
            length = max(1, round(_WIDTH * value / most))
            parts.append(f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{escape(label)}</text>')
            parts.append(f'<rect class="b" x="{_LEFT}" y="{y - 13}" width="{length}" height="16"/>')
            parts.append(f'<text x="{_LEFT + length + 6}" y="{y}">{_shown(value)}</text>')
            y += _ROW
        y += _ROW // 2
    width = _LEFT + _WIDTH + _RIGHT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">'
    back = f'<rect width="{width}" height="{y}" fill="#fff"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", back, *parts, "</svg>", ""])


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
