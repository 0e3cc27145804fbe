"""Describe the configuration: as JSON Schema for editors, and as reference documentation for people.

Both are made from the declarations in `settings`, and both are committed: ``python -m logship.schema`` writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logship.language.sections import Key, sections
from logship.settings.conditions import WHEN
from logship.settings.root import ROOT

_DIALECT = "http://json-schema.org/draft-07/schema#"  # the newest that editors' YAML plugins know well
_PACKAGE = Path(__file__).resolve().parent


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration."""
    return {
        "$schema": _DIALECT,
        "title": "logship configuration",
        **ROOT.schema(),
        "definitions": {"when": WHEN.definition()},
    }


def text() -> str:
    """Return the JSON Schema as it is shipped in ``logship/schema.json``."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


_INTRODUCTION = """\
# Configuration

<!-- Made from logship/settings/ by `python -m logship.schema`; edit there. -->

Everything is in one YAML file. The shortest one that works:

```yaml
sources:
  - path: /var/log/nginx/access.log
    site: https://example.com
```

`logship check` reports everything that is wrong with a file, with line and column. The running daemon notices when the
file is saved; a file with an error changes nothing. Unknown keys are errors.

**Durations** have a unit: `500ms`, `30s`, `5m`, `24h`, `7d`.

**Text** is taken as written: `404`, `no`, `22:22` and `2024-01-01` need no quotes where text is wanted. Values that
begin with `*`, `&`, `@`, `%`, `{` or `[` need quotes, as in `"*.gz"` or `"{path}"`, and so do values that hold `: ` or
` #`: YAML reads them as something else.

**Lists** of one may be written as a single value: `path: /var/log/nginx/access.log`, `status: 404`.

**Environment variables** are replaced in values, not in keys. `${NAME}` must be set; `${NAME:-default}` may be unset or
empty. `$${` stands for `${` itself, as in an nginx format that writes `$${request_time}`; every other `$` is left
alone. No message ever shows what a variable held.

**Anchors, aliases and merge keys** (`&name`, `*name`, `<<: *name`) work.

**Editors** complete and check the file by a JSON Schema: save what `logship check --schema` prints, and name it in the
first line: `# yaml-language-server: $schema=schema.json`.
"""


def reference() -> str:
    """Return the reference in Markdown as it is committed in ``docs/configuration.md``."""
    return "\n".join(line for part in [[_INTRODUCTION], _tables()] for line in part)


def _tables() -> Iterator[str]:
    for path, section in sections(ROOT):
        yield from (f"## `{path}`", "", section.meaning) if path else ("## Top level",)
        yield from ("", "| key | type | default | meaning |", "|---|---|---|---|")
        yield from (_row(each, path) for each in section.described())
        yield ""


def _row(key: Key, path: str) -> str:
    cells = (f"`{key.name}`", _type(key, path), key.shown_default, key.help)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(key: Key, path: str) -> str:
    below = next((below for below, _ in sections(key.kind, f"{path}.{key.name}")), None)
    if below is None:
        return re.sub(r"^an? ", "", key.kind.noun)
    return f"[{below}](#{re.sub(r'[^a-z0-9_]', '', below.lower())})"


def write(package: Path = _PACKAGE) -> None:
    """Write both files into a checkout."""
    (package / "schema.json").write_text(text(), encoding="utf-8")
    (package.parent / "docs" / "configuration.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write()
