"""What a command leaves unimported: the guard of memory and of a quick start, without a clock."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from logship.metrics import Metrics

CONFIG = """\
state_dir: {root}/state
destinations: {{api: {{url: 'http://127.0.0.1:9'}}}}
sources: [{{path: {root}/access.log, site: https://example.com, format: combined}}]
"""
BOT = (
    '203.0.113.9 - - [10/Oct/2025:13:55:36 +0000] "GET /p HTTP/1.1" 200 5 "-" "Mozilla/5.0 (compatible; Foobot/2.1)"\n'
)
COMMAND = """\
import sys
from logship.cli.main import cli
try:
    cli.main({arguments!r}, standalone_mode=False)
finally:
    from logship.cli import main
    if "run" in {arguments!r}:
        import logship.admin.server
    print("MODULES", *sorted(name for name, module in sys.modules.items() if module is not None))
"""


def python(program: str, root: Path) -> str:
    """Run a program in a fresh interpreter, and return what it printed."""
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(arguments: list[str], root: Path) -> set[str]:
    return set(python(COMMAND.format(arguments=arguments), root).rpartition("MODULES ")[2].split())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "logship.yaml"
    path.write_text(CONFIG.format(root=tmp_path))
    (tmp_path / "access.log").touch()
    return path


def test_help_imports_no_libraries_but_clicks(tmp_path: Path) -> None:
    """Every command pays for what `--help` imports."""
    found = imported(["--help"], tmp_path)
    assert not found & {"aiohttp", "asyncio", "orjson", "re2", "rich", "ssl", "structlog", "uvloop", "yaml", "watchdog"}


def test_the_daemon_imports_of_its_libraries_what_it_uses(config: Path) -> None:
    """Several megabytes: a client with sessions, web frameworks, a second engine, pages that nobody asked for."""
    found = imported(["run", "-c", str(config), "--once"], config.parent)
    assert {"aiohttp.connector", "aiohttp.web_server", "prometheus_client.metrics"} <= found
    assert not found & {"aiohttp.client", "aiohttp.tracing", "aiohttp.web", "aiohttp.web_app", "aiosignal", "argparse"}
    assert not found & {"prometheus_client.exposition", "http.server", "wsgiref", "importlib.resources", "zipfile"}
    assert not found & {"rich", "regex", "is_bot._is_bot", "backports.zstd", "sqlite3", "logship.admin.page"}
    assert not found & {"re2", "crawleruseragents", "logship.explain", "logship.receiver", "logship.discover"}


def test_a_crawler_brings_no_second_engine(config: Path) -> None:
    """is-bot's patterns are enough; its own engine, which is another library, stays where it is."""
    (config.parent / "access.log").write_text(BOT)
    found = imported(["run", "-c", str(config), "--once"], config.parent)
    assert {"re2", "is_bot._patterns"} <= found
    assert not found & {"regex", "is_bot._is_bot", "aiohttp.client"}


def test_a_closed_package_opens_when_it_is_asked_for_a_name(tmp_path: Path) -> None:
    """Whoever imports it in the ordinary way finds it whole, with the modules that were imported before."""
    answer = python(
        "import sys\n"
        "from logship import lean\n"
        "lean.leave_closed('aiohttp')\n"
        "lean.import_connector()\n"
        "from aiohttp import connector, __version__\n"
        "assert 'aiohttp.client' not in sys.modules\n"
        "import aiohttp\n"
        "assert aiohttp.TCPConnector is connector.TCPConnector\n"
        "assert aiohttp.ClientSession.__module__ == 'aiohttp.client'\n"
        "assert aiohttp.__version__ == __version__\n"
        "print(hasattr(aiohttp, 'nothing_of_the_kind'), type(aiohttp).__name__)",
        tmp_path,
    )
    assert answer == "False module\n"


def test_what_is_hidden_is_found_again_afterwards(tmp_path: Path) -> None:
    """Hiding a module is for one import; a module that is there already stays."""
    answer = python(
        "from logship.lean import hidden\n"
        "import json\n"
        "with hidden('colorsys'), hidden('json'):\n"
        "    import json\n"
        "    try:\n"
        "        import colorsys\n"
        "    except ImportError:\n"
        "        print('hidden')\n"
        "import colorsys\n"
        "print(colorsys.__name__)",
        tmp_path,
    )
    assert answer == "hidden\ncolorsys\n"


def test_contexts_read_certificates_again_after_the_import(tmp_path: Path) -> None:
    """What is kept from aiohttp's own contexts is kept from no other."""
    answer = python(
        "import ssl\n"
        "from logship import lean\n"
        "before = ssl.SSLContext.set_default_verify_paths\n"
        "lean.import_connector()\n"
        "print(ssl.SSLContext.set_default_verify_paths is before)",
        tmp_path,
    )
    assert answer == "True\n"


def test_metrics_are_written_as_the_library_writes_them() -> None:
    """Every kind of metric, with labels that have to be quoted."""
    metrics = Metrics()
    metrics.lines_read.labels('a "quoted" \\ name\nof two lines').inc(3)
    metrics.file_behind.set_function(lambda: [("shop", "/var/log/é.log", 1e12)])
    metrics.oldest_unsettled.set(float("inf"))
    metrics.request_seconds.labels("plausible").observe(0.003)
    assert metrics.text() == generate_latest(metrics.registry)
