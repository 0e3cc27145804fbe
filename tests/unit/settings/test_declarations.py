"""One declaration of a key, several uses: schema, reference, the words of other rooms."""

import ast
import importlib
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from logship import schema
from logship.language import notations, tree
from logship.settings import loader
from logship.settings.admin import AdminSettings
from logship.settings.conditions import BOT_CLASSES, WHEN, AllOf, AnyOf, Not, When
from logship.settings.conditions import Test as Asked
from logship.settings.format import HOSTLESS
from logship.settings.rule import PRESETS, RuleSettings
from logship.settings.source import WRAPPERS
from tests.unit.settings.configurations import EVERYTHING, SOURCE, problems, read, rule

REPO = Path(__file__).resolve().parents[3]


def test_the_committed_schema_and_reference_are_current() -> None:
    """Run `python -m logship.schema` after changing a key."""
    assert (REPO / "logship" / "schema.json").read_text(encoding="utf-8") == schema.text()
    assert (REPO / "docs" / "configuration.md").read_text(encoding="utf-8") == schema.reference()


def test_every_key_of_every_dataclass_is_declared() -> None:
    """A field without a declaration could be set by nobody."""
    own = {"where", "file", "content_hash", "places", "warnings"}
    values = (AnyOf, AllOf, Not, Asked, When, AdminSettings)  # conditions and host:port are read as a whole
    files = (REPO / "logship" / "settings").glob("[a-z]*.py")
    modules = [importlib.import_module(f"logship.settings.{file.stem}") for file in files]
    classes = [
        each
        for module in modules
        for each in vars(module).values()
        if is_dataclass(each) and each.__module__ == module.__name__
    ]
    undeclared = [
        f"{each.__name__}.{field.name}"
        for each in classes
        if each not in values
        for field in fields(each)
        if field.name not in own and "kind" not in field.metadata
    ]
    assert undeclared == ["DestinationSettings.name"]  # the key itself is its name


def test_the_reference_names_every_key_of_the_contract() -> None:
    """Whatever the contract's example sets has its row."""
    text = schema.reference()
    keys = {
        match
        for match in re.findall(r"(\w+):(?=[ \n])", re.sub(r"#.*", "", EVERYTHING))
        if match not in ("plausible", "re")
    }
    assert {key for key in keys if f"| `{key}` |" not in text} == set()


def test_minimal_configuration_is_valid_and_names_its_schema(tmp_path: Path) -> None:
    """The example works as it stands, and its first line leads an editor to the schema."""
    path = REPO / "config" / "minimal.yaml"
    assert loader.load(path, {}).warnings == ()
    named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == REPO / "logship" / "schema.json"


def test_the_words_of_other_rooms_are_the_same_here() -> None:
    """Settings stand below the rooms that give these words their meaning; neither may know one that the other lacks."""
    from logship.parser import client, formats, wrappers
    from logship.router import audience, conditions, presets

    assert BOT_CLASSES == audience.KINDS
    assert set(PRESETS) == set(presets.PRESETS)
    assert set(notations.ADDRESS_SETS) == set(client.SETS)
    assert set(WRAPPERS) == set(wrappers.KINDS)
    assert not [name for name in HOSTLESS if "host" in formats.compile(name).facts]
    assert {name for name in WHEN.keys if name not in ("any", "all", "not")} == set(conditions.FIELDS)


def test_printed_presets_can_be_pasted_into_a_file() -> None:
    """What `check --show-rules` prints is read as the very rules that the presets stand for."""
    from logship.router.table import Rules

    for preset in PRESETS:
        rules = Rules([RuleSettings(preset=preset)], destinations=["plausible"])
        assert read(f"{SOURCE}rules:\n{rules.shown()}").rules == tuple(rules.expanded)


@pytest.mark.parametrize(("written", "asked"), [("true", "true"), ("no", "false"), ("Yes", "true"), ("ai", "ai")])
def test_older_words_for_true_and_false_are_understood(written: str, asked: str) -> None:
    """Where a boolean is wanted, `yes` and `no` are what they always were in YAML."""
    (found,) = read(rule(f"drop: yes, when: {{bot: {written}}}")).rules
    assert (found.drop, found.when.tests) == ("rule", (Asked("bot", (asked,)),))
    assert problems(rule("drop: no")) == ['f:3:12: rules[0].drop: "no" drops nothing; leave "drop" out']


def test_yaml_compose_is_not_used() -> None:
    """It recurses in C: 100,000 brackets end the process. The tree is built from events instead."""
    module = ast.parse(Path(tree.__file__).read_text())
    assert not [
        node for node in ast.walk(module) if isinstance(node, ast.Attribute) and node.attr in ("compose", "load")
    ]


def test_without_libyaml_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without its C parser; it is slower and reads the same."""
    expected = read(EVERYTHING)
    monkeypatch.setattr(tree, "_LOADER", yaml.SafeLoader)
    found: Any = read(EVERYTHING)
    assert found == expected
    assert found.places == expected.places
