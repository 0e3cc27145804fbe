"""What the tests of `explain` start from: a plan without a file, and lines of a log."""

import pytest

from logship import plan
from logship.settings import loader

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


@pytest.fixture
def planned():
    """Return a function that compiles YAML (sources are given where there are none) into a plan."""

    def make(text="", *, file="logship.yaml"):
        source = "sources: [{path: /var/log/access.log, site: https://example.com, format: combined}]\n"
        loaded, problems = loader.read(text if "sources:" in text else source + text, file, {})
        assert [str(problem) for problem in problems if not problem.warning] == []
        return plan.build(loaded)

    return make


@pytest.fixture
def line():
    """Return a function that writes a line of a combined log."""

    def make(
        target="/p", *, ip="203.0.113.7", at="10/Oct/2025:13:55:36", status=200, agent=AGENT, method="GET", ref="-"
    ):
        request = f"{method} {target} HTTP/1.1"
        return f'{ip} - - [{at} +0000] "{request}" {status} 512 "{ref}" "{agent}"\n'.encode()

    return make
