"""How `query` is written: one of three words, or a list of parameters."""

from __future__ import annotations

from typing import Any

from logship.language import notations, tree
from logship.language.kinds import Kind, Several, Spot, Text
from logship.language.notations import MisfitError, meant, quoted
from logship.language.scalars import LOOSE

_WORDS = ("campaign", "all", "none")


def _query_word(text: str) -> str:
    if text not in _WORDS:
        hint = meant(text, _WORDS) or "; write a list if it is the name of a parameter"
        raise MisfitError(f"{quoted(text)} is none of campaign, all and none{hint}")
    return str(text)


class _Query(Kind):
    """One of three words, or a list of parameters."""

    noun = "campaign, all, none, or a list of parameters"
    word = Text(noun, _query_word, schema={"enum": list(_WORDS)})
    names = Several(
        Text("a parameter's name", notations.some_text, schema=LOOSE), noun, empty='write "none"', single=False
    )

    def read(self, spot: Spot) -> Any:
        return (self.names if isinstance(spot.node, tree.Sequence) else self.word).read(spot)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.word.schema(), self.names.schema()]}


QUERY = _Query()
