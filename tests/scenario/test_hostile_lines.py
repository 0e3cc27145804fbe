"""Every hostile line of tests/cases, through the command itself: `logship explain --json`.

One case a line: ``line`` (or ``line_b64`` where it is not UTF-8), the ``format`` it is in, the ``result`` and the
``record`` fields that matter (a missing key is not judged).
"""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from logship.cli.main import cli

CASES = [json.loads(line) for line in (Path(__file__).parent.parent / "cases/hostile_lines.jsonl").open()]
FORMATS = {"docker_json": ("combined", "docker"), "cri": ("combined", "cri")}  # a case's name for format and wrapper


@pytest.mark.parametrize("case", CASES, ids=[f"{case['id']} {case['why']}" for case in CASES])
def test_hostile_line_is_read_as_it_was_meant(case, tmp_path):
    """What the web server meant to say comes out, whatever a stranger put into the request."""
    explained = explain(case, tmp_path)
    assert explained["result"] == case["result"], explained
    if case["record"] is None:
        assert explained["record"] is None
    else:
        assert {key: explained["record"][key] for key in case["record"]} == case["record"]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_hostile_line_never_becomes_two_requests(case, tmp_path):
    """No header value of any request holds a control character."""
    for request in explain(case, tmp_path)["requests"]:
        assert all(character.isprintable() for value in request["headers"].values() for character in value)


def explain(case, tmp_path):
    line = base64.b64decode(case["line_b64"]) if "line_b64" in case else case["line"].encode()
    log, config = tmp_path / "access.log", tmp_path / "logship.yaml"
    log.write_bytes(line + b"\n")
    format_, wrapper = FORMATS.get(case["format"], (case["format"], "auto"))
    source = {
        "path": str(log),
        "site": "https://example.com",
        "format": format_,
        "wrapper": wrapper,
        "client_ip": {"trusted_proxies": ["10.0.0.0/8"] if format_ in ("nginx_main", "ingress_nginx") else []},
    }
    config.write_text(json.dumps({"state_dir": str(tmp_path / "state"), "sources": [source]}))
    done = CliRunner().invoke(cli, ["explain", "-c", str(config), "--json", str(log)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    [explained] = [json.loads(text) for text in done.stdout.splitlines()]
    return explained
