"""The settings of `when`: conditions as written, combined by `any`, `all` and `not`. The router compiles them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from logship.language import notations
from logship.language.kinds import FAULTY, Kind, Several, Spot, Text
from logship.language.notations import MisfitError, listed, meant, quoted
from logship.language.scalars import PATTERN
from logship.language.sections import Key, Section, documented, place

BOT_CLASSES = (
    *("search", "ai", "ai-crawler", "ai-assistant", "ai-user-fetch", "seo", "monitor", "preview", "feed", "library"),
    *("headless", "scanner", "none", "other"),
)


@dataclass(frozen=True, slots=True)
class Test:
    """One key of a ``when``: any of ``values`` must hold. Values are text as written (``404``, ``2xx``, ``true``)."""

    field: str  # source, host, path, ..., client_ip, content_type, bot, log.NAME
    values: tuple[str, ...]
    where: str = place()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one must hold."""

    whens: tuple[When, ...]
    where: str = place()


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one must hold."""

    whens: tuple[When, ...]
    where: str = place()


@dataclass(frozen=True, slots=True)
class Not:
    """It must not hold."""

    when: When
    where: str = place()


@dataclass(frozen=True, slots=True)
class When:
    """All of its tests must hold; none: always true."""

    tests: tuple[Test | AnyOf | AllOf | Not, ...] = ()
    where: str = place()

    def every_test(self) -> Iterator[Test]:
        """Yield the tests of every level, those inside `any`, `all` and `not` too."""
        for test in self.tests:
            if isinstance(test, Test):
                yield test
            else:
                for inner in (test.when,) if isinstance(test, Not) else test.whens:
                    yield from inner.every_test()


def _bot(text: str) -> str:
    if text.lower() in notations.TRUTH:
        return str(notations.flag(text)).lower()
    if text not in BOT_CLASSES:
        hint = meant(text, BOT_CLASSES) or f"; {listed(BOT_CLASSES)}"
        raise MisfitError(f"{quoted(text)} is neither true, false nor a class of bots{hint}")
    return str(text)


_NO_CONDITION = "a condition without values never holds"
_YES_OR_NO = Text("true or false", lambda text: str(notations.flag(text)).lower(), schema={"type": "boolean"})
_CONDITIONS: tuple[tuple[str, Text, str], ...] = (
    ("source", PATTERN, "The source's name."),
    ("host", PATTERN, "The virtual host, in lower case; that of `site` if the line has none."),
    (
        "path",
        PATTERN,
        "The path without the query, both as it was on the wire and with percent escapes decoded.",
    ),
    ("query", PATTERN, "The query without `?`."),
    ("url", PATTERN, "The absolute URL, both without and with its query."),
    ("method", Text("an HTTP method", notations.method), "The method: `GET`."),
    (
        "status",
        Text("a status", notations.status, schema={"type": ["integer", "string"], "minimum": 100, "maximum": 999}),
        "The status: `404`, `2xx` or `400-499`.",
    ),
    ("user_agent", PATTERN, "The User-Agent."),
    (
        "bot",
        Text("true, false or a class of bots", _bot, schema={"enum": [True, False, *BOT_CLASSES]}),
        f"Whether it is a machine (`true`, `false`), or its class: {', '.join(f'`{name}`' for name in BOT_CLASSES)}.",
    ),
    ("referrer", PATTERN, "The referrer."),
    ("client_ip", Text("an address or a CIDR", notations.network), "The real client's address: an address or a CIDR."),
    ("content_type", PATTERN, "The response's content type, if the log has it."),
    (
        "same_site",
        _YES_OR_NO,
        "Whether the referrer is on the same site: `true` for a click on a link of the site itself.",
    ),
    (
        "prefetch",
        _YES_OR_NO,
        "Whether a browser fetched it ahead of any click; the log must hold Sec-Purpose or the like.",
    ),
)


class _Lazy(Kind):
    """The kind of a nested `when`, looked up when it is needed."""

    noun = "a mapping of conditions"

    def read(self, spot: Spot) -> Any:
        return WHEN.read(spot)

    def schema(self) -> dict[str, Any]:
        return WHEN.schema()


class _When(Section):
    """The conditions of a `when`: fields, `any`, `all`, `not`, and whatever begins with ``log.``."""

    log_key = Key(
        "log.NAME", Several(PATTERN, "a pattern or a list", empty=_NO_CONDITION), None, "Any field of the log format."
    )

    def find(self, name: str) -> Key | None:
        return self.log_key if re.fullmatch(r"log\.[^\s]+", name) else super().find(name)

    def unknown(self, name: str, spot: Spot) -> str:
        return 'unknown condition; write "log.NAME"' if name == "log" else super().unknown(name, spot)

    def described(self) -> Iterable[Key]:
        return [*self.keys.values(), self.log_key]

    def complete(self, spot: Spot, values: dict[str, Any]) -> Any:
        if not values and not spot.faulty:
            return spot.fault('no conditions; leave "when" out if every line is meant')
        found = [(name, f"{spot.where}.{name}", value) for name, value in values.items() if value is not FAULTY]
        return When(tuple(_COMBINE.get(name, Test)(name, value, where) for name, where, value in found), spot.where)

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/definitions/when"}

    def definition(self) -> dict[str, Any]:
        """Return the schema that `schema` refers to, as it refers to itself."""
        log = {r"^log\..": documented(self.log_key)}
        return {**super().schema(), "patternProperties": log, "minProperties": 1}


_COMBINE: Mapping[str, Callable[[str, Any, str], Test | AnyOf | AllOf | Not]] = {
    "any": lambda _, whens, where: AnyOf(whens, where),
    "all": lambda _, whens, where: AllOf(whens, where),
    "not": lambda _, when, where: Not(when, where),
}
_WHENS = Several(_Lazy(), "a list of mappings of conditions", empty=_NO_CONDITION, single=False)
WHEN = _When(
    [
        *(
            Key(name, Several(kind, f"{kind.noun}, or a list", empty=_NO_CONDITION), None, meaning)
            for name, kind, meaning in _CONDITIONS
        ),
        Key("any", _WHENS, None, "A list of mappings of conditions; at least one must hold."),
        Key("all", _WHENS, None, "A list of mappings of conditions; all must hold."),
        Key("not", _Lazy(), None, "Conditions that must not all hold."),
    ],
    lambda _, values: values,
    meaning="All given conditions must hold; of a list, any value. A text is a glob (`*` within a segment, `**` across "
    "segments), or a regular expression after `re:`. The empty text matches what the line does not hold.",
    thing="condition",
)
