"""The documentation says what the code does: reference pages are generated, examples hold."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from logship.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_what_the_code_generates():
    """Metrics and commands are described once, in the code; `make docs` writes the pages anew."""
    assert generator().stale() == []


def test_one_line_to_one_event_is_true(tmp_path):
    """The README's log line and configuration give the README's request."""
    readme = (ROOT / "README.md").read_text()
    line = re.search(r"```text\n(203\.0\.113\.7 .*)\n```", readme)[1]
    config = re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]
    head, body = re.search(r"```text\nPOST (.*?)\n\n(\{.*?)\n```", readme, re.DOTALL).groups()
    (tmp_path / "access.log").write_text(line + "\n")
    (tmp_path / "logship.yaml").write_text(config)
    arguments = ["explain", "-c", str(tmp_path / "logship.yaml"), "--json", str(tmp_path / "access.log")]
    [request] = json.loads(CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout)["requests"]
    url, *headers = head.split("\n")
    assert request["url"] == url
    assert request["headers"] == dict(header.split(": ", 1) for header in headers)
    assert request["body"] == json.loads(body)


@pytest.mark.parametrize("config", sorted(ROOT.glob("config/*.yaml")), ids=lambda path: path.name)
def test_examples_are_accepted(config, tmp_path, monkeypatch):
    """Every example in config/ is a valid configuration; what it names need not exist on this machine."""
    from logship import plan
    from logship.settings import loader

    loaded, problems = loader.read_file(config, {})
    assert [str(problem) for problem in problems if not problem.warning] == []
    plan.build(loaded)


def test_every_metric_is_set_somewhere():
    """A metric that nobody sets would promise what it does not show."""
    code = "\n".join(path.read_text() for path in (ROOT / "logship").rglob("*.py") if path.name != "metrics.py")
    declared = re.findall(r"self\.(\w+) = (?:counter|gauge|Histogram)\(", (ROOT / "logship/metrics.py").read_text())
    assert len(declared) > 30
    assert [name for name in declared if not re.search(rf"metrics\.{name}\b|\b{name}\.labels", code)] == []
