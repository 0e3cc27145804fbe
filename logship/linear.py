"""Regular expressions in linear time, whatever the text: Google's RE2, for what strangers write.

Only this module knows the library, and imports it with the first expression: it takes 2.5 MB.
"""

from __future__ import annotations

from typing import Any


class ExpressionError(ValueError):
    """What RE2 says is wrong with an expression."""


def compile_expression(
    pattern: str | bytes, *, ignore_case: bool = False, capture: bool = True, most_memory: int | None = None
) -> Any:
    """Return a compiled expression, with the methods of `re.Pattern`. One of bytes takes each byte for a character.

    ``capture`` is for groups that are asked for; ``most_memory`` bounds the automaton, in bytes. Raises
    ExpressionError.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive, options.never_capture = not ignore_case, not capture
    if most_memory is not None:
        options.max_mem = most_memory
    if isinstance(pattern, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0]
        raise ExpressionError(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from None
