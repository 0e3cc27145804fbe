"""Whatever stands in the file: nothing is raised but on purpose, every problem has its place, no secret is told."""

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from logship import schema
from logship.errors import ConfigError
from logship.language import notations
from logship.language.notations import MisfitError
from logship.settings import loader
from logship.settings.root import Settings
from logship.settings.rule import PRESETS

SCHEMA = schema.json_schema()
few = examples(max_examples=30, deadline=None)  # a configuration is large: making one up takes longer than reading it

# Configurations that are right, as JSON (which is YAML).

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789 éß№😀:#{}[]*&!|>'\"%@,?-", min_size=1, max_size=12)
NAMES = WORDS.map(str.strip).filter(bool)
HOSTS = st.sampled_from(["example.com", "www.example.com", "localhost", "a-b.example", "10.0.0.1", "[::1]"])
SITES = st.builds("{}://{}{}".format, st.sampled_from(["http", "https"]), HOSTS, st.sampled_from(["", ":8080", "/"]))
DURATIONS = st.builds("{}{}".format, st.integers(1, 30), st.sampled_from(["ms", "s", "m"]))
PATHS = st.from_regex(r"/[a-z]{1,8}/[a-z*]{1,8}\.log", fullmatch=True).filter(lambda path: "error" not in path)


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings with any of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


def one_or_many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a value or a list of some."""
    return values | st.lists(values, min_size=1, max_size=3)


DESTINATIONS = some(
    url=SITES,
    connections=st.integers(1, 1000),
    batch=some(max_events=st.integers(1, 10_000), max_wait=DURATIONS),
    timeout=some(connect=DURATIONS, total=DURATIONS),
    max_events_per_second=st.none()
    | st.integers(1, 1000)
    | st.floats(0.125, 1000, width=16).map(lambda n: round(n, 3)),
    when_full=st.sampled_from(["wait", "dead_letter"]),
    ip_headers=one_or_many(st.sampled_from(["X-Forwarded-For", "X-Plausible-IP"])),
    headers=st.dictionaries(st.sampled_from(["X-A", "Authorization"]), st.sampled_from(["a", "Bearer b c", 1, True])),
    tls=some(verify=st.booleans(), ca_file=st.none() | PATHS),
    proxy=st.none() | st.just("http://u:p@proxy.example:3128"),
)
SOURCES = st.fixed_dictionaries(
    {"path": one_or_many(PATHS), "site": SITES},
    optional={
        "exclude": st.lists(st.sampled_from(["*.gz", "/x/*"])),
        "format": st.sampled_from(["combined", "$a [$b]", {"json": {"path": "a.b"}}, {"regex": "(?P<path>.)"}]),
        "wrapper": st.sampled_from(["docker", "cri", "none"]),
        "domain": st.sampled_from(["example.com", "example.com/blog"]),
        "hosts": one_or_many(st.sampled_from(["example.com", "*.example.com"])),
        "start_at": st.sampled_from(["end", "beginning"]),
        "client_ip": some(
            trusted_proxies=st.lists(st.sampled_from(["10.0.0.0/8", "cloudflare", "::1"])), field=st.just("log.x")
        ),
        "query": st.sampled_from(["campaign", "all", "none", ["a", "b"]]),
    },
)
TESTS = {
    "path": one_or_many(st.sampled_from(["/a", "**.pdf", "re:^/x"])),
    "status": one_or_many(st.sampled_from([404, "2xx", "400-499"])),
    "method": one_or_many(st.sampled_from(["GET", "get", "PROPFIND", "P*"])),
    "bot": st.booleans() | one_or_many(st.sampled_from(["ai", "search"])),
    "client_ip": one_or_many(st.sampled_from(["10.0.0.0/8", "::1"])),
    "log.request_time": WORDS,
    "referrer": WORDS | st.just(""),
}


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return conditions that hold others."""
    whens = st.lists(inner, min_size=1, max_size=2)
    return some(**{"any": whens, "all": whens, "not": inner}).filter(bool)


WHENS = st.recursive(some(**TESTS).filter(bool), combined, max_leaves=4)
EVENTS = st.fixed_dictionaries(
    {"event": NAMES | st.integers(100, 599)},
    optional={
        "when": WHENS,
        "props": st.dictionaries(NAMES, WORDS | st.integers() | st.booleans(), max_size=3),
        "revenue": st.just({"currency": "EUR", "amount": 12.5}),
        "interactive": st.booleans(),
        "sample": st.floats(0.01, 1).map(lambda share: round(share, 2)),
        "continue": st.booleans(),
    },
)
RULES = EVENTS | st.fixed_dictionaries({"drop": st.just(True) | st.just("spam")}, optional={"when": WHENS})
RULES |= st.fixed_dictionaries({"preset": st.sampled_from(PRESETS)}, optional={"when": WHENS})
CONFIGURATIONS = st.fixed_dictionaries(
    {"sources": st.lists(SOURCES, min_size=1, max_size=3)},
    optional={
        "state_dir": PATHS,
        "admin": st.none() | some(listen=st.just("[::1]:9469")),
        "max_event_age": st.none() | DURATIONS,
        "grace_period": DURATIONS | st.just(0),
        "destinations": st.dictionaries(NAMES, DESTINATIONS, max_size=2),
        "rules": st.lists(RULES, min_size=1, max_size=4),
    },
)
LAYOUTS = st.sampled_from([None, False, True])  # of PyYAML's writer: mixed, block, flow


def written(configuration: Any, layout: bool | None = False) -> str:
    """Return a configuration as YAML."""
    return yaml.safe_dump(configuration, default_flow_style=layout, allow_unicode=True, sort_keys=False, width=1000)


def errors(text: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong with a text, warnings left out."""
    return [str(each) for each in loader.read(text, "f", env or {})[1] if not each.warning]


@few
@given(CONFIGURATIONS, LAYOUTS)
def test_what_the_contract_allows_is_read_however_it_is_laid_out(configuration: Any, layout: bool | None) -> None:
    """Block, flow or JSON: the same Settings, without an error."""
    text = written(configuration, layout)
    found, problems = loader.read(text, "f", {})
    assert [str(each) for each in problems if not each.warning] == []
    assert loader.read(json.dumps(configuration, ensure_ascii=False), "f", {})[0] == found


@few
@given(CONFIGURATIONS)
def test_the_schema_accepts_what_is_read(configuration: Any) -> None:
    """An editor marks nothing that logship takes."""
    assert complaints(configuration, SCHEMA) == []


@few
@given(CONFIGURATIONS, st.data())
def test_schema_and_reader_refuse_an_unknown_key_anywhere(configuration: Any, data: st.DataObject) -> None:
    """A key that nobody knows is told once, where it stands, and the editor marks it as well."""
    places = [each for each in mappings(configuration) if closed(each[0])]
    where, mapping = data.draw(st.sampled_from(places))
    mapping["zzqx"] = 1
    found = loader.read(written(configuration), "f", {})[1]
    assert f"{where}.zzqx".lstrip(".") in [each.where for each in found]
    assert complaints(configuration, SCHEMA)


def mappings(value: Any, where: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every mapping inside a configuration, with its path of keys."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    steps = [(f"{where}[{key}]" if isinstance(key, int) else f"{where}.{key}".lstrip("."), each) for key, each in below]
    own = [(where, value)] if isinstance(value, dict) else []
    return own + [found for step, each in steps for found in mappings(each, step)]


def closed(where: str) -> bool:
    """Tell whether a mapping's keys are ours to name."""
    return where != "destinations" and not re.search(r"\.(headers|props|json)$", where)


@few
@given(CONFIGURATIONS)
def test_every_scalar_that_is_read_has_its_place(configuration: Any) -> None:
    """`locate` leads to the line on which the key or the value stands."""
    text = written(configuration)
    found = loader.read(text, "f", {})[0]
    lines = text.split("\n")
    for where, (line, column) in found.places.items():
        key = re.sub(r"\[\d+\]$", "", where).rpartition(".")[2]
        assert 1 <= line <= len(lines)
        assert column <= len(lines[line - 1]) + 1
        assert not re.fullmatch(r"[a-z_]+", key) or key in lines[line - 1] or "[" in where


TOKENS = st.sampled_from(
    [
        *(
            "sources",
            "rules",
            "when",
            "path",
            "any",
            ":",
            ": ",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "*",
        ),
        *(
            "&a ",
            "*a",
            "<<",
            "'",
            '"',
            "|",
            ">",
            "#",
            "!",
            "!!str ",
            "\t",
            "404",
            "no",
            "null",
            "~",
            "${A}",
            "---",
            "...",
        ),
        *("%", "é", "\x00"),
    ]
)


@given(st.lists(TOKENS, max_size=40).map("".join) | st.text(max_size=60))
def test_no_text_makes_read_raise(text: str) -> None:
    """Whatever it is, there are Settings and problems, each on one line that exists."""
    found, problems = loader.read(text, "f", {})
    assert found.state_dir
    for problem in problems:
        assert "\n" not in str(problem)
        assert 0 <= problem.line <= text.count("\n") + 2


@few
@given(CONFIGURATIONS, st.data())
def test_a_damaged_file_has_problems_with_places(configuration: Any, data: st.DataObject) -> None:
    """A slip of the finger in a good file is told with a line of that file, or does no harm."""
    text = written(configuration)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 12, len(text))))
    damaged = text[:start] + data.draw(TOKENS) + text[end:]
    for problem in loader.read(damaged, "f", {})[1]:
        assert problem.message
        assert 1 <= problem.line <= damaged.count("\n") + 2
        assert problem.column >= 1


@given(st.binary(max_size=80))
def test_no_bytes_make_load_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """A file is Settings or a ConfigError."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        assert loader.load(path, {}).sources


@few
@given(
    CONFIGURATIONS,
    st.data(),
    st.text("QXZJ/:@, é\n%#*", min_size=0, max_size=6).map(lambda text: f"QJXW{text}ZKVH"),
)
def test_no_problem_ever_tells_what_a_variable_held(configuration: Any, data: st.DataObject, secret: str) -> None:
    """Put into any value, of any type, in any shape: no message holds a part of it."""
    spots = [(mapping, key) for _, mapping in mappings(configuration) for key in mapping]
    for mapping, key in data.draw(st.lists(st.sampled_from(spots), min_size=1, max_size=3)):
        if not isinstance(mapping[key], dict | list):
            mapping[key] = data.draw(st.sampled_from(["${S}", "https://${S}", "a${S}", "${S}.*", "${S:-x}"]))
    found, problems = loader.read(written(configuration), "f", {"S": secret})
    told = " ".join(str(problem) for problem in problems)
    assert "QJXW" not in told.upper()
    assert "ZKVH" not in told.upper()
    assert "QJXW" not in repr(replaced_texts(found))


def replaced_texts(found: Settings) -> object:
    """Return what is shown of settings, without what was derived on purpose: host names, paths and the like."""
    return [(each.props, each.event, each.user_agent) for each in found.rules], [d.headers for d in found.destinations]


@given(st.floats(0, 3e8))
def test_a_shown_duration_is_read_as_the_same(seconds: float) -> None:
    """What the reference shows could be written into the file."""
    whole = float(f"{seconds:.3g}")
    shown = notations.shown_duration(whole)
    if "e" not in shown:
        assert notations.duration(shown) == pytest.approx(whole, rel=1e-4)


@given(
    st.builds(
        "{}://{}{}".format, st.sampled_from(["http", "HTTPS"]), st.text(max_size=20), st.sampled_from(["", ":443"])
    )
)
def test_a_site_that_is_read_is_in_its_final_form(text: str) -> None:
    """Reading it again changes nothing, and it holds nothing that could break a URL."""
    try:
        site = notations.site(text)
    except MisfitError:
        return
    assert notations.site(site) == site
    assert re.fullmatch(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d+)?", site)


# As much of JSON Schema as the schema uses.


def complaints(value: Any, node: Mapping[str, Any]) -> list[str]:
    """Return what a validator would say of a value."""
    if "$ref" in node:
        node = SCHEMA["definitions"][node["$ref"].rpartition("/")[2]]
    found = [
        f"{value!r}: {name}" for name, holds in RULES_OF_SCHEMA.items() if name in node and not holds(value, node[name])
    ]
    if isinstance(value, list) and "items" in node:
        found += [each for item in value for each in complaints(item, node["items"])]
    if isinstance(value, dict):
        found += [each for key, item in value.items() for each in _of_entry(key, item, node)]
    return found


def _of_entry(key: str, item: Any, node: Mapping[str, Any]) -> list[str]:
    if key in node.get("properties", {}):
        return complaints(item, node["properties"][key])
    matching = [sub for pattern, sub in node.get("patternProperties", {}).items() if re.search(pattern, key)]
    other = node.get("additionalProperties", True)
    if matching or other is True:
        return [each for sub in matching for each in complaints(item, sub)]
    return [f"{key}: unknown"] if other is False else complaints(item, other)


def _is_type(value: Any, name: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "string": isinstance(value, str),
        "integer": number and float(value).is_integer(),
        "number": number,
        "boolean": isinstance(value, bool),
        "null": value is None,
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }[name]


def _is_number(value: Any) -> bool:
    return _is_type(value, "number")


RULES_OF_SCHEMA: dict[str, Any] = {
    "type": lambda value, names: any(_is_type(value, name) for name in ([names] if isinstance(names, str) else names)),
    "enum": lambda value, words: any(value == word and type(value) is type(word) for word in words),
    "const": lambda value, word: value == word,
    "pattern": lambda value, pattern: not isinstance(value, str) or bool(re.search(pattern, value)),
    "minimum": lambda value, least: not _is_number(value) or value >= least,
    "maximum": lambda value, most: not _is_number(value) or value <= most,
    "exclusiveMinimum": lambda value, least: not _is_number(value) or value > least,
    "minItems": lambda value, least: not isinstance(value, list) or len(value) >= least,
    "minProperties": lambda value, least: not isinstance(value, dict) or len(value) >= least,
    "maxProperties": lambda value, most: not isinstance(value, dict) or len(value) <= most,
    "required": lambda value, keys: not isinstance(value, dict) or all(key in value for key in keys),
    "anyOf": lambda value, nodes: any(not complaints(value, node) for node in nodes),
    "oneOf": lambda value, nodes: sum(not complaints(value, node) for node in nodes) == 1,
}


def test_the_schema_uses_only_what_is_checked_here() -> None:
    """Otherwise the tests above would pass by looking away."""
    known = {*RULES_OF_SCHEMA, "$ref", "$schema", "title", "description", "definitions", "items"}
    known |= {"properties", "patternProperties", "additionalProperties"}
    assert keywords(SCHEMA) <= known


def keywords(node: Any) -> set[str]:
    """Return every keyword of a schema."""
    found = set(node)
    for name, below in node.items():
        if name in ("properties", "patternProperties", "definitions"):
            found |= {word for each in below.values() for word in keywords(each)}
        elif name in ("anyOf", "oneOf"):
            found |= {word for each in below for word in keywords(each)}
        elif isinstance(below, dict):
            found |= keywords(below)
    return found
