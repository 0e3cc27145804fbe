"""Replace environment variables in a text: ``${NAME}`` and ``${NAME:-default}``; ``$${`` stands for ``${`` itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from logship.language.notations import Secret

_VARIABLE = re.compile(r"\$?\$\{(?P<inside>[^}]*)\}?")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL | re.ASCII)
_MALFORMED = 'a "${" that is neither ${NAME} nor ${NAME:-default}; write "$${" for the text "${" itself'


def expand(text: str, env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text with its variables replaced, and what is wrong with them, each fault once.

    The text is a Secret if a variable was replaced in it. Do not use it if there are faults.
    """
    faults: dict[str, None] = {}
    replaced = False

    def replace(found: re.Match[str]) -> str:
        nonlocal replaced
        if found[0].startswith("$$"):
            return found[0][1:]
        replaced = True
        variable = _INSIDE.fullmatch(found["inside"]) if found[0].endswith("}") else None
        value = _value(variable, env) if variable else None
        if value is None:
            faults[_unset(variable["name"]) if variable else _MALFORMED] = None
        return value or ""

    result = _VARIABLE.sub(replace, text)
    secret = Secret(result, written=_VARIABLE.sub(_without_default, text)) if replaced else result
    return secret, list(faults)


def _value(variable: re.Match[str], env: Mapping[str, str]) -> str | None:
    if variable["default"] is not None:
        return env.get(variable["name"]) or variable["default"]
    return env.get(variable["name"])


def _unset(name: str) -> str:
    return (
        f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}, "
        f"or $${{{name}}} for the text itself"
    )


def _without_default(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("$$") else f"${{{found['inside'].partition(':-')[0]}}}"
