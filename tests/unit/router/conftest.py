"""Short ways to make what these tests are about."""

from collections.abc import Callable

import pytest

from logship.records import Record
from logship.router.table import Rules, Table
from logship.settings import loader
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
def page() -> Callable[..., Record]:
    """Make a person's page view, with changes."""

    def make(**changes: object) -> Record:
        facts = {"method": "GET", "path": "/", "status": 200, "client_ip": "203.0.113.7", "user_agent": FIREFOX}
        return Record(**{**facts, **changes})

    return make


@pytest.fixture
def table() -> Callable[..., Table]:
    """Make a table from rules, given as RuleSettings or as YAML."""

    def make(rules: str | list[RuleSettings], **source: object) -> Table:
        read = rules_of(rules) if isinstance(rules, str) else rules
        facts = {"name": "web", "path": ("/var/log/access.log",), "site": "https://example.com", "where": "sources[0]"}
        return Table(Rules(read, destinations=["plausible", "second"]), SourceSettings(**{**facts, **source}))

    return make


@pytest.fixture
def rules() -> Callable[[str], tuple[RuleSettings, ...]]:
    """Read rules as a user writes them."""
    return rules_of


def rules_of(text: str) -> tuple[RuleSettings, ...]:
    body = "\n".join("  " + line for line in text.strip("\n").splitlines())
    head = "sources: [{name: web, path: /w, site: 'https://a.example'}, {name: shop, path: /s, site: 'https://b.example'}]\n"
    head += "destinations: {plausible: {}, second: {}}\n"
    whole = f"{head}rules:\n{body}\n"
    read, problems = loader.read(whole, "logship.yaml", {})
    assert [problem for problem in problems if not problem.warning] == []
    return read.rules
