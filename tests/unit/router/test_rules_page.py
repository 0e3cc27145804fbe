import re
from pathlib import Path

import pytest

from logship import settings
from logship.parser import formats
from logship.parser.client import ClientRule
from logship.parser.record import Parser
from logship.router.presets import PRESETS
from logship.router.table import Rules, Table
from logship.settings import RuleSettings, SourceSettings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/rules.md").read_text()
REASONS = re.findall(r"\*\*`(\w+)`\*\*: (.+)\n\n```(?:text|json)\n(.*)\n```", PAGE)
JSON = {"json": {name: name for name in ("time", "client_ip", "request", "status", "content_type", "user_agent")}}


@pytest.mark.parametrize(("reason", "said", "line"), REASONS, ids=[reason for reason, _, _ in REASONS])
def test_the_example_of_a_reason_is_dropped_for_that_reason(reason, said, line, rules):
    """The page of rules shows lines that do what it says."""
    own = re.search(r"`(\{.*\})`$", said)
    table = Table(
        Rules(rules("- " + (own[1] if own else "preset: pageviews")), destinations=["plausible"]),
        SourceSettings("web", ("/x",), site="https://example.com"),
    )
    parser = Parser(formats.compile(JSON if line.startswith("{") else "combined", wrapper="none"), ClientRule(()))
    record = parser.parse(line.replace("xxx...", "x" * 2000).encode())
    assert table.route(record).reason == reason


def test_every_reason_of_the_house_has_an_example():
    """None is left for the reader to guess."""
    known = {"method", "status", "asset", "robots", "well_known", "sitemap", "feed", "content_type", "host"}
    known |= {"no_client_ip", "bot", "rule", "no_rule", "too_long", "sampled"}
    assert {reason for reason, _, _ in REASONS} == known


@pytest.mark.parametrize("preset", PRESETS)
def test_the_page_shows_each_preset_as_it_is(preset):
    """Copied from there, it is the preset."""
    shown = Rules([RuleSettings(preset=preset)], destinations=["plausible"]).shown()
    assert f"```yaml\n{shown}```" in PAGE


@pytest.mark.parametrize("name", ["ai-crawlers", "downloads-and-404s", "multi-site"])
def test_the_example_configurations_load_and_compile(name):
    """Without a problem, and without a warning; what is commented out too."""
    text = (ROOT / f"config/{name}.yaml").read_text()
    whole = re.sub(r"^  # (?=- name:|  )", "  ", text, flags=re.MULTILINE)
    assert whole.count("  # - ") == 0
    for each in (text, whole):
        read, problems = settings.read(each, name, {})
        assert problems == []
        Rules(read.rules, destinations=["plausible"])
