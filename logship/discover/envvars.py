"""Debian's ``envvars``: the shell file beside apache2.conf that says what ``${APACHE_LOG_DIR}`` is.

It is read, never run: assignments in their order, with the variables they name. That is all that this file holds.
"""

from __future__ import annotations

import os
import re

from logship.discover import files

_ASSIGNMENT = re.compile(r"""^\s*(?:export\s+)?([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;#]*)""", re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::?-([^}]*)|[^}]*)\}|([A-Za-z_]\w*))")
_INSTANCE = re.compile(r"apache2(-[^/]+)")  # a second instance: /etc/apache2-shop logs to /var/log/apache2-shop


def beside(conf: str) -> dict[str, str]:
    """Return what the ``envvars`` next to a configuration sets; nothing where there is none."""
    directory = os.path.dirname(conf)
    try:
        text = files.read(os.path.join(directory, "envvars"))
    except files.UnreadableError:
        return {}
    instance = _INSTANCE.fullmatch(os.path.basename(directory))
    return assigned(text, {"APACHE_CONFDIR": directory}, {"SUFFIX": instance[1] if instance else ""})


def assigned(text: str, known: dict[str, str], fixed: dict[str, str]) -> dict[str, str]:
    """Return the variables that a shell file sets. ``fixed`` are decided by conditions that we do not run."""
    found = {**known, **fixed}
    for name, value in _ASSIGNMENT.findall(text):
        if name not in fixed:
            found[name] = value[1:-1] if value.startswith("'") else _expanded(value.strip('"'), found)
    return found


def _expanded(value: str, known: dict[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        return known.get(match[1] or match[3], match[2] or "")

    return _VARIABLE.sub(one, value)[:4096]  # PATH_MAX; what doubles itself line by line ends here
