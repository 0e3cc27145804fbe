"""The page of formats shows what logship reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from logship.parser import client, formats, record
from logship.records import Record

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
SECTIONS = re.findall(r"^### (\w+)\n(.*?)(?=^##)", PAGE, re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
EXAMPLES = [(name, text) for name, section in SECTIONS for kind, text in FENCE.findall(section) if not kind]


def test_every_named_format_has_an_example():
    """The page and the table name the same formats."""
    assert {name for name, _ in EXAMPLES} == set(formats.NAMED)


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_example_is_read(name, text):
    """Each example line of a format gives a record with a visitor, a time and a path."""
    parser = record.Parser(formats.compile(name), client.ClientRule(["10.0.0.0/8"]))
    found = [parser.parse(line) for line in text.encode().split(b"\n")][-1]
    assert isinstance(found, Record)
    assert found.client_ip in ("203.0.113.7", "198.51.100.9")
    assert int(found.time) == 1760104536
    assert found.path
    assert found.status == 200


def test_the_expression_for_ovhs_cdn_reads_its_line():
    """The one line that is known: https://github.com/allinurl/goaccess/issues/218, its addresses and hosts changed."""
    section = dict(SECTIONS)["ovh"]
    source = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])["sources"][0]
    line = (
        b'203.0.113.7 www.example.es - [04/Mar/2015:00:00:05 +0100] "GET /flags/poland.png HTTP/1.1 200 0" '
        b"http://www.example.es/ropa.html Mozilla/5.0 (Linux; Android 4.4.2; Aquaris E4.5 Build/KOT49H) Mobile"
        b' Safari/537.36 "" ""'
    )
    found = record.Parser(formats.compile(source["format"]), client.ClientRule([])).parse(line)
    assert (found.client_ip, found.host, found.user) == ("203.0.113.7", "www.example.es", None)
    assert (found.path, found.status, found.bytes) == ("/flags/poland.png", 200, 0)
    assert found.referrer == "http://www.example.es/ropa.html"
    assert found.user_agent.endswith("Mobile Safari/537.36")


SECTION = PAGE.partition("## Lines that are no request")[2].partition("\n## ")[0]
ROW = re.compile(r"^\| `(\w+)` \| [^|]* \|(?: `(.*?)`(?: \(`(?:(wrapper): )?(\w+)`\))?)? \|$", re.MULTILINE)
REASONS = {reason: (line, wrapper, name) for reason, line, wrapper, name in ROW.findall(SECTION)}


def test_every_reason_to_be_no_request_is_explained():
    """Whatever reason a module of the parser gives has its row."""
    modules = (Path(__file__).parents[3] / "logship" / "parser").glob("*.py")
    given = {reason for module in modules for reason in re.findall(r'Unparsed\("(\w+)"', module.read_text())}
    given |= {"time", "status", "not_access"}  # `take` and `labelled.Reader` return them as text
    assert given <= REASONS.keys()
    assert REASONS.keys() <= given


@pytest.mark.parametrize("reason", REASONS)
def test_example_of_a_reason_has_it(reason):
    """The line in the table is counted as the table says."""
    line, wrapper, name = REASONS[reason]
    format_ = formats.compile("combined", wrapper=name) if wrapper else formats.compile(name or "combined")
    found = record.Parser(format_, client.ClientRule([])).parse(line.encode())
    assert found.reason == reason
