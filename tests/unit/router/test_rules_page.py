import re
from pathlib import Path

import pytest
import yaml

from logship.parser import formats
from logship.parser.client import ClientRule
from logship.parser.record import Parser
from logship.router.presets import PRESETS
from logship.router.scrutiny import Memory, Scrutiny
from logship.router.table import Rules, Table
from logship.settings import loader
from logship.settings.rule import RuleSettings
from logship.settings.source import BehaviourSettings, SourceSettings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/rules.md").read_text()
REASONS = re.findall(r"\*\*`(\w+)`\*\*: ((?:.+\n)+)\n```(?:text|json)\n((?:.+\n)+?)```", PAGE)
JSON = {"json": {name: name for name in ("time", "client_ip", "request", "status", "content_type", "user_agent")}}


@pytest.mark.parametrize(("reason", "said", "lines"), REASONS, ids=[reason for reason, _, _ in REASONS])
def test_the_example_of_a_reason_is_dropped_for_that_reason(reason, said, lines, rules):
    """The page of rules shows lines of which the last is dropped as it says, and the others are not."""
    own = re.search(r"`(\{(?:when|event).*\})`$", said)
    preset = re.search(r"`preset: (\w+)`", said)
    behaviour = re.search(r"\{((?:probes|robots_txt|pages_per_minute): \w+)\}`$", said)
    read = rules("- " + (own[1] if own else f"preset: {preset[1] if preset else 'pageviews'}"))
    signs = yaml.safe_load(behaviour[1]) if behaviour else {}
    compiled = Rules(read, destinations=["plausible"])
    table = Scrutiny(
        Table(compiled, SourceSettings("web", ("/x",), site="https://example.com")),
        Memory(),
        behaviour=BehaviourSettings(**signs),
        spam=frozenset({"spam.example"}),
    )
    format_ = formats.compile(JSON if lines.startswith("{") else "combined", wrapper="none")
    parser = Parser(format_, ClientRule(()), log_fields=compiled.log_fields)
    records = [parser.parse(line.replace("xxx...", "x" * 2000).encode()) for line in lines.splitlines()]
    *others, last = [table.route(record).reason for record in records]
    assert last == reason
    assert reason not in others


def test_every_reason_of_the_house_has_an_example():
    """None is left for the reader to guess."""
    known = {"method", "status", "asset", "robots", "well_known", "sitemap", "feed", "content_type", "host"}
    known |= {"no_client_ip", "bot", "rule", "no_rule", "too_long", "target", "sampled", "prefetch"}
    known |= {"repeated", "referrer_spam", "scanner", "crawler", "too_fast"}
    assert {reason for reason, _, _ in REASONS} == known


@pytest.mark.parametrize("preset", PRESETS)
def test_the_page_shows_each_preset_as_it_is(preset):
    """Copied from there, it is the preset."""
    shown = Rules([RuleSettings(preset=preset)], destinations=["plausible"]).shown()
    assert f"```yaml\n{shown}```" in PAGE


@pytest.mark.parametrize("name", ["ai-crawlers", "beside-the-script", "downloads-and-404s", "multi-site"])
def test_the_example_configurations_load_and_compile(name):
    """Without a problem, and without a warning; what is commented out too."""
    text = (ROOT / f"config/{name}.yaml").read_text()
    whole = re.sub(r"^  # (?=- name:|- preset:|  )", "  ", text, flags=re.MULTILINE)
    assert whole.count("  # - ") == 0
    for each in (text, whole):
        read, problems = loader.read(each, name, {})
        assert problems == []
        Rules(read.rules, destinations=["plausible"])
