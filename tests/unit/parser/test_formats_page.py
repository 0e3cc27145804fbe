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
