"""The page of formats shows what logship reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from logship.parser import client, formats, record
from logship.records import Record

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
EXAMPLES = dict(re.findall(r"^### (\w+)\n.*?^```\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE))


def test_every_named_format_has_an_example():
    """The page and the table name the same formats."""
    assert set(EXAMPLES) == set(formats.NAMED)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_read(name):
    """The example line of a format gives a record with a visitor, a time and a path."""
    parser = record.Parser(formats.compile(name), client.ClientRule(["10.0.0.0/8"]))
    found = [parser.parse(line) for line in EXAMPLES[name].encode().split(b"\n")][-1]
    assert isinstance(found, Record)
    assert found.client_ip in ("203.0.113.7", "198.51.100.9")
    assert int(found.time) == 1760104536
    assert found.path
    assert found.status == 200


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
