"""The user's own patterns of people and machines go before every list."""

import pytest

from logship.errors import ConfigError
from logship.router import audience, spam
from logship.router.table import Rules, Table
from logship.settings.audience import AudienceSettings
from logship.settings.rule import RuleSettings
from logship.settings.source import SourceSettings

KIOSK = "AcmeKiosk/2.0 (compatible; kioskbot; like Mozilla)"
PROBE = "Mozilla/5.0 (compatible; FooMonitor/1.3)"


def table(declared, *rules):
    return Table(
        Rules(rules or (RuleSettings(preset="pageviews"),), destinations=["p"], declared=declared),
        SourceSettings("web", ("/x",), site="https://example.com"),
    )


def test_own_patterns_are_believed_before_the_lists(page):
    """A person that every list calls a bot, and a machine that none knows."""
    made = table(AudienceSettings(people=("*acmekiosk/*",), machines={"monitor": ("*FooMonitor*", "re:^x[0-9]$")}))
    assert made.route(page(user_agent=KIOSK)).deliveries
    assert made.route(page(user_agent=PROBE)).reason == "bot"
    assert made.classify(PROBE) == audience.Audience("monitor", "FooMonitor")
    assert made.classify("x7") == audience.Audience("monitor", "x7")
    assert made.classify("curl/8") == audience.Audience("library", "curl")
    assert made.classify(None) == audience.NOBODY


def test_people_go_before_machines():
    """The exception stands before the rule, in whatever order they are written."""
    made = table(AudienceSettings(people=("FooMonitor-App/*",), machines={"monitor": ("FooMonitor*",)}))
    assert made.classify("FooMonitor-App/1") == audience.PERSON
    assert made.classify("FooMonitor/1").kind == "monitor"


def test_own_classes_and_names_reach_rules_and_templates(page):
    """`bot` conditions and {bot.name} see what was declared; `ai` takes all of its classes."""
    rule = RuleSettings(preset="ai-crawlers")
    made = table(AudienceSettings(machines={"ai-crawler": ("*FooMonitor*",)}), rule)
    [delivery] = made.route(page(user_agent=PROBE)).deliveries
    assert delivery.event.props == {"crawler": "FooMonitor", "class": "ai-crawler", "path": "/"}


def test_without_patterns_all_share_what_is_remembered():
    """A reload costs no classification."""
    assert table(AudienceSettings()).classify == audience.classify


def test_a_faulty_pattern_is_told_with_its_place():
    """As in a rule."""
    with pytest.raises(ConfigError) as caught:
        table(AudienceSettings(people=("ok", "re:("), machines={"seo": ("re:[",)}))
    assert [problem.where for problem in caught.value.problems] == ["audience.people[1]", "audience.machines.seo"]


def test_a_list_of_spammers_holds_a_domain_a_line():
    """Remarks, blank lines, a star in front and names in other scripts are understood."""
    text = "# spam\nspam.example\n\n  *.Other.Example.  # really\nbücher.example\nxn--80aa.example\n"
    assert spam.domains(text) == {"spam.example", "other.example", "xn--bcher-kva.example", "xn--80aa.example"}


@pytest.mark.parametrize("line", ["https://spam.example/", "spam", "a b.example", "<html>", "spam.example,x.example"])
def test_what_is_no_domain_is_told_with_its_line(line):
    """A web page saved by mistake is not taken for a list."""
    with pytest.raises(spam.SpamListError, match=r"^line 2: .* is no domain"):
        spam.domains(f"ok.example\n{line}\n")
