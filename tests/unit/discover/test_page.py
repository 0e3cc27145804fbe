"""The page on `init` shows what the command writes."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs/init.md"


def test_the_pages_example_is_true(lay, compose) -> None:
    """The nginx configuration of docs/init.md gives the sources that stand below it."""
    page = PAGE.read_text()
    conf, shown = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("nginx", "yaml"))
    assert conf
    assert shown
    root = lay({"nginx.conf": conf[1]})
    text = compose(root / "nginx.conf").text
    # Shorter paths wrap elsewhere: compare words.
    assert " ".join(shown[1].split()).replace("# ", "") in " ".join(
        text.replace(str(root), "/etc/nginx").split()
    ).replace("# ", "")
