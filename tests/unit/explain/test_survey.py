"""The sums of a whole log, taken the short way, are those of its lines, explained one by one."""

from collections import Counter

import pytest

from logship import traffic
from logship.explain import foreseen, lines
from logship.explain.survey import Surveyor

RULES = """
rules:
  - {name: archive, when: {path: "/blog/**"}, drop: archive}
  - preset: downloads
  - preset: not-found
  - {name: all, event: seen, continue: true}
  - preset: pageviews
"""


def made_up(hours=6.0, seed=1):
    """Lines of some hours of a small site, strange ones among them, as blocks of a few hundred."""
    start = 1760000000.0
    found = [hit.line.encode() for hit in traffic.Site(start=start, visits=0.05, seed=seed).lines(start + hours * 3600)]
    strange = [b"", b"no request at all", found[0].replace(b" 200 ", b" 20x "), found[1].replace(b"GET", b"\xff\xfe")]
    for at, line in enumerate(strange):
        found.insert(300 * at + 7, line)
    return [b"\n".join(found[at : at + 400]) + b"\n" for at in range(0, len(found), 400)]


def surveyed(plan, blocks):
    surveyor = Surveyor(next(iter(plan.sources.values())), foreseen.foresight())
    for block in blocks:
        surveyor.add(block)
    return surveyor.survey


@pytest.mark.parametrize("text", ["", RULES, "sources: [{path: /a.log, site: https://example.com}]\n"])
def test_sums_are_those_of_the_lines(planned, text):
    """Whatever the rules, and whether the format is named or found out."""
    plan, blocks = planned(text), made_up()
    survey = surveyed(plan, blocks)
    explainer = lines.Explainer(next(iter(plan.sources.values())))
    explained = [each for block in blocks for each in explainer.explain(block)]
    assert survey.lines == len(explained)
    assert survey.dropped == Counter(each.reason for each in explained if each.result == "dropped")
    assert survey.unparsed == Counter(each.reason for each in explained if each.result == "unparsed")
    assert survey.sending == sum(each.result == "event" for each in explained)
    deliveries = [delivery for each in explained if each.decision for delivery in each.decision.deliveries]
    assert survey.events == Counter(delivery.event.name for delivery in deliveries)
    times = [each.record.time for each in explained if each.decision]
    assert survey.first <= min(times) + 60
    assert survey.last == max(times)


def test_examples_are_lines_that_fared_so(planned):
    """Each reason has up to three, the first ones of the log, with the number that --line takes."""
    plan, blocks = planned(RULES), made_up()
    survey = surveyed(plan, blocks)
    explainer = lines.Explainer(next(iter(plan.sources.values())))
    by_number = {each.line: each for block in blocks for each in explainer.explain(block)}
    for reason, count in survey.dropped.items():
        first = [number for number, each in by_number.items() if each.reason == reason][:3]
        assert [each.line for each in survey.examples[reason]] == first
        assert len(first) == min(count, 3)


def test_lines_that_were_not_understood_are_kept_with_their_place(planned, line):
    """The place is where the format stopped fitting: 61 bytes are right before the status that is none."""
    bad = line().replace(b" 200 ", b" 2x0 ")
    survey = surveyed(planned(), [line() + bad, b"\n" + line()])
    [misfit] = survey.misfits
    assert (misfit.line, misfit.reason) == (2, "format")
    assert misfit.text[misfit.position :].startswith(b"2x0")
    assert survey.unparsed == {"format": 1, "blank": 1}


def test_an_event_for_two_destinations_is_one_page_view(planned, line):
    """It is sent twice, and seen once by each."""
    survey = surveyed(planned("destinations: {a: {}, b: {}}\n"), [line()])
    assert survey.events == {"pageview": 2}
    assert survey.destinations == {"a": 1, "b": 1}
    assert survey.total.pageviews == 1


def test_what_plausible_drops_is_foreseen_and_counts_as_no_visit(planned, line):
    """A rule that sends a crawler as it is sends in vain; so does referrer spam."""
    crawler = line(agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    plan = planned("rules: [{event: pageview}]\n")
    survey = surveyed(plan, [line() + crawler + line(ref="http://semalt.com/x", ip="203.0.113.8")])
    assert survey.events == {"pageview": 3}
    assert survey.foreseen == {"bot": 1, "spam_referrer": 1}
    assert survey.total.visits == 1


def test_a_month_is_projected_from_the_span_of_the_log(planned, line):
    """Two page views in twelve hours are 120 in 30 days; less than a minute tells nothing."""
    half_a_day = line(at="10/Oct/2025:00:00:00") + line(at="10/Oct/2025:12:00:00")
    assert surveyed(planned(), [half_a_day]).per_month(2) == 120
    assert surveyed(planned(), [line()]).per_month(1) is None


def test_a_format_that_changes_is_followed_where_it_is_found_out(planned, line):
    """As `run` does: the server got another log_format, and the log goes on."""
    plan = planned("sources: [{path: /a.log, site: https://example.com}]\n")
    hosts = b"".join(b"shop.example.com:443 " + line(f"/{n}") for n in range(40))
    survey = surveyed(plan, [line() * 40, hosts])
    assert survey.formats == ["combined", "vhost_combined"]
    assert survey.events == {"pageview": 80}


def test_nothing_is_understood_where_no_format_fits(planned):
    """Every line is counted, and none is a request."""
    survey = surveyed(planned("sources: [{path: /a.log, site: https://example.com}]\n"), [b"one\ntwo\n\n"])
    assert survey.formats == []
    assert survey.unparsed == {"format": 2, "blank": 1}


@pytest.mark.parametrize("text", ["", "sources: [{path: /a.log, site: https://example.com}]\n"])
def test_a_line_is_found_by_its_number_as_it_was_explained(planned, text):
    """Blocks before it are passed over, and nothing changes by that."""
    plan, blocks = planned(text), made_up()
    source, describe = next(iter(plan.sources.values())), lines.describer(plan.settings.destinations)
    explainer = lines.Explainer(source)
    explained = [describe(each) for block in blocks for each in explainer.explain(block)]
    for number in (1, 8, 400, 401, 1300, len(explained)):
        assert describe(lines.Explainer(source).find(blocks, number)) == explained[number - 1]
    assert lines.Explainer(source).find(blocks, len(explained) + 1) is None


def test_a_line_that_depends_on_those_before_it_is_found_all_the_same(planned, line):
    """A visitor who asked for what only exploits ask for is no person any more, many blocks later."""
    behaviour = "behaviour: {probes: true}"
    text = f"sources: [{{path: /a.log, site: https://example.com, format: combined, {behaviour}}}]\n"
    source = next(iter(planned(text).sources.values()))
    blocks = [line("/.env", status=404), line("/a.css") * 50, line("/p")]
    assert lines.Explainer(source).find(blocks, 52).reason == "scanner"
