"""What the page of guarantees points to is there: metrics by their names, reasons in the log as they are written."""

import re
from pathlib import Path

from logship.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
CODE = "".join(path.read_text() for path in (ROOT / "logship").rglob("*.py"))


def test_metrics_on_the_page_exist() -> None:
    """A renamed metric takes its row along."""
    exposed = {sample for metric in Metrics().registry.collect() for sample in (metric.name, f"{metric.name}_total")}
    named = re.findall(r"`((?:[a-z]+_)+(?:total|bytes|held|parked|degraded))(?:\{[^}]*\})?`", PAGE)
    assert len(named) > 15
    assert not [name for name in named if f"logship_{name.removeprefix('logship_')}" not in exposed]


def test_events_in_the_log_on_the_page_exist() -> None:
    """`file.vanished` and the like are what the code logs."""
    named = set(re.findall(r"`((?:file|files|stop)\.[a-z_]+)`", PAGE))
    assert named
    spoken = CODE + "".join(f'"file.{each}"' for each in ("resumed", "opened", "continued"))  # written in parts
    assert not [name for name in named if f'"{name}"' not in spoken]
