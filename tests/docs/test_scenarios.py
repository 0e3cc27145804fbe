"""The page of scenarios names a test for every one, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS / "scenario" / "README.md"

SCENARIOS = {
    "A": (2, 4, 6, 8, 10, 12, 14, 16),
    "B": (2, 4, 6, 8, 10, 12, 14, 16, 18),
    "C": (1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28),
    "D": (1, 2, 4, 6, 8, 10, 12),
    "E": (1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24),
    "F": (2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28),
    "G": (2, 4, 6, 8, 10),
    "H": (2, 4, 6, 8, 10),
    "I": (2, 4, 6, 8, 10, 12, 14, 16, 18),
    "J": (2, 4, 6),
}
_ROW = re.compile(r"^\| ([A-J]\d+) \|.*\| (.*) \|$", re.MULTILINE)
_CLAIM = re.compile(r"((?:[A-J]\d+(?:, |: ))+)")


def rows() -> dict[str, list[str]]:
    return {name: re.findall(r"`([^`]+)`", tests) for name, tests in _ROW.findall(PAGE.read_text())}


@cache
def claims(path: Path) -> dict[str, set[str]]:
    """Return the tests of a file, and the scenarios that their docstrings say they are about."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, _FUNCTION))
    return {each.name: claimed(ast.get_docstring(each) or "") for each in functions if each.name.startswith("test_")}


def claimed(docstring: str) -> set[str]:
    found = _CLAIM.match(docstring)
    return set(re.findall(r"[A-J]\d+", found[1])) if found else set()


_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_every_scenario_has_a_test() -> None:
    """The catalogue is complete, and no row is without proof."""
    found = rows()
    assert list(found) == [f"{group}{number}" for group, numbers in SCENARIOS.items() for number in numbers]
    assert not [name for name, tests in found.items() if not tests]


def test_every_test_that_is_named_exists() -> None:
    """A test that is renamed takes its row along."""
    missing = []
    for name, tests in rows().items():
        for file, _, test in (each.partition("::") for each in tests):
            known = claims(TESTS / file) if (TESTS / file).exists() else {}
            if not (TESTS / file).exists() or (test != "*" and test not in known):
                missing.append(f"{name}: {file}::{test}")
    assert not missing


def test_what_a_test_claims_to_prove_is_on_the_page() -> None:
    """A docstring that begins with a scenario's name stands in that scenario's row."""
    named = rows()
    for path in [
        *TESTS.glob("scenario/test_*.py"),
        *TESTS.glob("integration/test_*.py"),
        *TESTS.glob("unit/progress/*.py"),
    ]:
        for test, scenarios in claims(path).items():
            for scenario in scenarios:
                assert f"{path.relative_to(TESTS)}::{test}" in named[scenario], f"{test} claims {scenario}"
