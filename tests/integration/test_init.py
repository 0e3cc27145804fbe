"""`logship init` on the configuration that Debian installs, and on one that the real nginx and Apache accept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logship import plan

LOGSHIP = Path(sys.executable).with_name("logship")
DEBIAN = {"--nginx": "/etc/nginx/nginx.conf", "--apache": "/etc/apache2/apache2.conf"}


def written(target: Path, *words: object) -> plan.Plan:
    """Run init and check; return the plan of what was written."""
    done = subprocess.run(
        [LOGSHIP, "init", *map(str, words), "-o", target], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    command = [LOGSHIP, "check", "-c", target]
    env = {**os.environ, "STATE_DIRECTORY": str(target.parent)}
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return plan.load(target, {})


@pytest.mark.parametrize("option", DEBIAN)
def test_debians_own_configuration(tmp_path: Path, option: str) -> None:
    """As installed, with only the default host: its log, and the question whose it is."""
    if not os.path.exists(DEBIAN[option]):
        pytest.skip(f"{DEBIAN[option]} is not there: Debian package nginx or apache2 (`make packages`)")
    built = written(tmp_path / "logship.yaml", option, DEBIAN[option])
    assert [path for source in built.settings.sources for path in source.path]
    text = (tmp_path / "logship.yaml").read_text()
    assert DEBIAN[option] in text
    assert "site:" in text


def test_without_options_whatever_is_installed_is_found(tmp_path: Path) -> None:
    """Both web servers of this machine in one file that check accepts."""
    if not any(map(os.path.exists, DEBIAN.values())):
        pytest.skip("neither nginx nor apache2 is installed (`make packages`)")
    written(tmp_path / "logship.yaml")


ODD = """log_format odd escape=default '$remote_addr\\t[$time_local] "$request" '
    '${status} "$http_user_agent" it\\'s $request_time';"""
AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) "Quoted" Gecko/20100101 Firefox/145.0'


def explained(config: Path, log: Path) -> list[dict[str, Any]]:
    """Return what explain makes of the lines of a log."""
    command = [LOGSHIP, "explain", "-c", config, "--json", log]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_what_a_real_nginx_writes_is_read_as_init_says(tmp_path: Path, servers: Any) -> None:
    """A format in pieces, with a tab and a quote; the site is put in as the comment asks, and the line is a visit."""
    server = servers.nginx("odd", ODD)
    config = tmp_path / "init.yaml"
    written(config, "--nginx", server.log.with_name("nginx.conf"))
    asked = config.read_text()
    assert "site: unknown" in asked
    config.write_text(asked.replace("    # format:", "    format:").replace("    # site:", "    site:"))
    server.ask("/p", AGENT)
    (line,) = explained(config, server.log)
    assert line["result"] == "event", line
    assert line["record"]["user_agent"] == AGENT
    assert line["requests"][0]["body"] == {"name": "pageview", "domain": "example.com", "url": "https://example.com/p"}


def test_what_a_real_apache_writes_is_read_as_init_says(tmp_path: Path, servers: Any) -> None:
    """ServerName is the site, CustomLog the log: the first visit arrives with nothing to change."""
    server = servers.apache()
    config = tmp_path / "init.yaml"
    assert written(config, "--apache", server.log.with_name("apache.conf")).settings.sources[0].format == "combined"
    server.ask("/page.html", AGENT)
    (line,) = explained(config, server.log)
    assert line["requests"][0]["body"]["url"] == "http://example.com/page.html"
