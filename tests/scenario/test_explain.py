"""`logship explain` as somebody uses it: on files and pipes, with and without a configuration, on what goes wrong."""

import bz2
import gzip
import json
import lzma
import os
import pty
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from logship import traffic
from logship.cli.main import cli

LINE = (
    '203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET {} HTTP/1.1" {} 512 "-" '
    '"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"\n'
)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
NO_FILE = ["--format", "combined", "--site", "https://example.com"]


@pytest.fixture
def log(tmp_path):
    """Return a log of a page view, an asset, a missing page and a line that is no request."""
    path = tmp_path / "access.log"
    path.write_text(
        LINE.format("/p?utm_source=x&id=7", 200) + LINE.format("/a.css", 200) + LINE.format("/b", 404) + "x\n"
    )
    return path


def explain(*arguments, stdin=None, code=0):
    done = CliRunner().invoke(cli, ["explain", *map(str, arguments)], input=stdin, standalone_mode=False)
    raised = done.exception if not isinstance(done.exception, SystemExit) else None
    if code is not None:
        assert raised is None, raised
        assert done.exit_code == code, done.output
    return done


def started(*arguments, **more):
    """Start the command in a process of its own, with no configuration of this machine's in its way."""
    environment = {key: value for key, value in os.environ.items() if key not in ("LOGSHIP_CONFIG", "NO_COLOR")}
    command = [sys.executable, "-m", "logship", "explain", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **more)


def test_json_is_the_contracts(tmp_path):
    """One object a line, its keys in order, exactly as the contract shows it."""
    log = tmp_path / "access.log"
    log.write_text(LINE.format("/p", 200))
    asked = {"User-Agent": AGENT, "X-Forwarded-For": "203.0.113.7", "Content-Type": "application/json"}
    record = {
        "time": "2025-10-10T13:55:36+00:00",
        "client_ip": "203.0.113.7",
        "host": None,
        "method": "GET",
        "path": "/p",
    }
    record |= {"query": None, "status": 200, "bytes": 512, "referrer": None, "user_agent": AGENT, "user": None}
    body = {"name": "pageview", "domain": "example.com", "url": "https://example.com/p"}
    request = {"destination": "plausible", "url": "https://plausible.io/api/event", "headers": asked, "body": body}
    expected = {
        "line": 1,
        "result": "event",
        "rule": "pageviews",
        "reason": None,
        "record": record,
        "requests": [request],
    }
    assert explain(*NO_FILE, "--json", log).stdout == json.dumps(expected, separators=(",", ":")) + "\n"


def test_json_keeps_the_order_of_the_log_and_names_each_reason(log):
    """A line is an event, dropped or unparsed; what is unparsed has no record."""
    told = [json.loads(line) for line in explain(*NO_FILE, "--json", log).stdout.splitlines()]
    assert [(each["line"], each["result"], each["reason"]) for each in told] == [
        (1, "event", None),
        (2, "dropped", "asset"),
        (3, "dropped", "status"),
        (4, "unparsed", "format"),
    ]
    assert told[3]["record"] is None
    assert told[1]["requests"] == []


@pytest.mark.parametrize("arguments", [["-"], []])
def test_standard_input_is_read(log, arguments):
    """With a dash, and without where something is piped in."""
    told = explain(*NO_FILE, "--json", *arguments, stdin=log.read_bytes()).stdout.splitlines()
    assert [json.loads(line)["result"] for line in told] == ["event", "dropped", "dropped", "unparsed"]


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_log_is_read_whatever_its_name(log, packed):
    """Its first bytes tell."""
    log.write_bytes(packed(log.read_bytes()))
    assert len(explain(*NO_FILE, "--json", log).stdout.splitlines()) == 4


def test_a_compressed_log_that_is_cut_is_explained_as_far_as_it_goes(tmp_path):
    """A copy that was interrupted: the report comes, and then why it is not of the whole log."""
    log = tmp_path / "access.log.gz"
    log.write_bytes(gzip.compress(b"".join(LINE.format(f"/{n * n}", 200).encode() for n in range(20_000)))[:-2000])
    done = explain(*NO_FILE, "--summary", log, code=None)
    assert "WHAT IT WILL COST" in done.stdout
    assert str(done.exception).startswith(f"{log} was read only so far: compressed data is damaged or not complete")


@pytest.fixture
def config(tmp_path, log):
    """Return a configuration with two sources: one for other logs, one for this."""
    path = tmp_path / "logship.yaml"
    path.write_text(f"""sources:
  - {{name: other, path: {tmp_path}/other*.log, site: https://other.example, format: combined}}
  - {{name: this, path: {tmp_path}/acc*.log, site: https://this.example, format: combined}}
""")
    return path


def first_domain(done):
    return json.loads(done.stdout.splitlines()[0])["requests"][0]["body"]["domain"]


def test_the_source_whose_path_matches_explains_the_log(config, log, tmp_path):
    """Else the first; --source chooses another."""
    assert first_domain(explain("-c", config, "--json", log)) == "this.example"
    elsewhere = tmp_path / "copy.log"
    elsewhere.write_bytes(log.read_bytes())
    assert first_domain(explain("-c", config, "--json", elsewhere)) == "other.example"
    assert first_domain(explain("-c", config, "--json", "--source", "other", log)) == "other.example"


def test_nobody_needs_a_configuration(log, monkeypatch, tmp_path):
    """A stranger's log: the format is found out, and a site stands in where none is named."""
    monkeypatch.delenv("LOGSHIP_CONFIG", raising=False)
    done = CliRunner().invoke(
        cli, ["explain", "--json", "-c", str(tmp_path / "none.yaml"), str(log)], standalone_mode=False
    )
    assert type(done.exception).__name__ == "ConfigError"
    done = explain("--json", log)
    assert "https://example.com stands in for your site; name it with --site" in done.stderr
    assert first_domain(done) == "example.com"


def test_a_log_that_names_its_hosts_needs_no_site(tmp_path):
    """Each line has its own."""
    log = tmp_path / "access.log"
    log.write_text("".join(f"shop{n}.example.org:443 {LINE.format('/p', 200)}" for n in range(3)))
    done = explain("--json", log)
    assert done.stderr == ""
    assert first_domain(done) == "shop0.example.org"


USAGE = [
    (["--format", "combimed", "LOG"], "--format: 'combimed' is no known format (did you mean \"combined\"?)"),
    (["--format", "{json: {clientip: ip}}", "LOG"], "--format: json: unknown field 'clientip' (did you mean"),
    (["--format", "{json: {", "LOG"], "--format: '{json: {' is neither a format's name nor a format string"),
    (["--site", "https://example.com", "--json", "--html", "r.html", "LOG"], "--html shows the summary: leave out"),
    (
        ["--site", "https://example.com", "--line", "1", "--html", "r.html", "LOG"],
        "--html shows the summary: leave out",
    ),
    (["--site", "example.com", "LOG"], '--site: "example.com" has no scheme; write "https://example.com"'),
    (["--trusted-proxy", "10.0.0.0/99", "LOG"], "--trusted-proxy:"),
    (["--site", "https://example.com", "--source", "x", "LOG"], "--source: 'x' is none of access"),
]


@pytest.mark.parametrize(("arguments", "told"), USAGE)
def test_a_wrong_option_is_named_as_it_was_written(log, arguments, told):
    """Wrong usage, exit code 2, and no talk of a configuration that nobody wrote."""
    done = explain(*[str(log) if each == "LOG" else each for each in arguments], code=None)
    assert told in done.exception.format_message()
    assert done.exception.exit_code == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [("none.log", "is no file; name an access log, or - for stdin"), ("", "is a directory; name an access")],
)
def test_what_is_no_log_is_told(tmp_path, name, told):
    """A path that is wrong, and one that is a directory."""
    assert told in str(explain(*NO_FILE, tmp_path / name, code=None).exception)


def test_an_empty_log_is_no_failure(tmp_path):
    """It has no line, so it explains none."""
    log = tmp_path / "access.log"
    log.touch()
    assert explain("--json", "--site", "https://example.com", log).stdout == ""
    assert "0 lines" in explain("--summary", "--site", "https://example.com", log).stdout


def test_a_log_in_no_known_format_fails_and_says_what_comes_nearest(tmp_path):
    """Each line is unparsed; the report shows where the nearest format broke."""
    log = tmp_path / "access.log"
    log.write_text('203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 512 rt=0.1 more\n' * 3)
    done = explain("--json", "--site", "https://example.com", log, code=1)
    assert {json.loads(line)["result"] for line in done.stdout.splitlines()} == {"unparsed"}
    told = explain("--summary", "--site", "https://example.com", log, code=1).stdout
    assert re.search(r"The nearest known format is \w+, which stops fitting at byte \d+ of the first", told)


def test_json_with_keys_of_its_own_needs_no_configuration_either(tmp_path):
    """A map of keys is a format on the command line as well."""
    log = tmp_path / "access.log"
    line = {"ts": "2025-10-10T13:55:36Z", "ip": "203.0.113.7", "req": "GET /p HTTP/1.1", "code": 200, "ua": AGENT}
    log.write_text(json.dumps(line) + "\n")
    keys = "{json: {time: ts, client_ip: ip, request: req, status: code, user_agent: ua}}"
    told = json.loads(explain("--json", "--format", keys, log).stdout)
    assert (told["result"], told["requests"][0]["body"]["url"]) == ("event", "https://example.com/p")


def test_every_line_and_the_summary_go_to_a_pipe(log):
    """What each became and by which rule, then what it all came to."""
    told = explain(*NO_FILE, log).stdout
    assert (
        "      1  event     pageview  https://example.com/p?utm_source=x  domain: example.com  (rule: pageviews)"
        in told
    )
    assert "      2  dropped   asset  GET /a.css 200  (rule: pageviews/asset)" in told
    assert "      4  unparsed  format  x" in told
    assert "WHAT IT WILL COST" in told
    assert "\x1b" not in told


def test_the_summary_comes_alone_where_asked_for(log):
    """As text, and as one object of figures."""
    assert "unparsed  format  x" not in explain(*NO_FILE, "--summary", log).stdout
    figures = json.loads(explain(*NO_FILE, "--summary", "--json", log).stdout)
    assert figures["lines"] == 4
    assert figures["events"] == {"pageview": 1}
    assert figures["dropped"] == {"asset": 1, "status": 1}
    assert figures["unparsed"] == {"format": 1}


def test_a_line_is_followed_through_every_rule(log):
    """Each rule in order with its conditions, up to the one that took it, and the request."""
    told = explain(*NO_FILE, "--line", 1, log).stdout
    assert re.search(r"- pageviews/method: does not apply\n\s+no: not that method is GET \(it is GET\)", told)
    assert "no: prefetch is true (it is false)" in told
    assert "- pageviews: sent as pageview to plausible" in told
    assert "POST https://plausible.io/api/event" in told
    dropped = explain(*NO_FILE, "--line", 2, log).stdout
    assert "- pageviews/asset: dropped as asset" in dropped
    assert "- pageviews/bot: not asked any more" in dropped
    assert "DROPPED as asset" in dropped
    assert "      ^" in explain(*NO_FILE, "--line", 4, log).stdout
    assert json.loads(explain(*NO_FILE, "--line", 2, "--json", log).stdout)["reason"] == "asset"
    assert str(explain(*NO_FILE, "--line", 5, log, code=None).exception) == "there is no line 5; the log has 4"


def test_a_page_is_written_over_an_earlier_one_and_over_nothing_else(log, tmp_path):
    """Who forgets the file's name would lose the log."""
    page = tmp_path / "report.html"
    for _ in range(2):
        done = explain(*NO_FILE, "--html", page, log)
        assert f"{page}: written, addresses and queries masked" in done.stderr
    assert page.read_text().startswith("<!doctype html>")
    before = log.read_bytes()
    refused = explain(*NO_FILE, "--html", log, "-", stdin=before, code=None)
    assert str(refused.exception) == f"{log} exists and is no earlier report; name another file"
    assert log.read_bytes() == before
    nowhere = explain(*NO_FILE, "--html", tmp_path / "none/r.html", log, code=None)
    assert "WHAT WILL BE SENT" not in refused.stdout + nowhere.stdout
    assert str(nowhere.exception).endswith("none/r.html cannot be written: No such file or directory")


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """Return a log of some thousand lines: more than a pipe holds."""
    path = tmp_path_factory.mktemp("long") / "access.log"
    site = traffic.Site(start=1760000000.0, visits=1.0)
    path.write_text("".join(f"{hit.line}\n" for hit in site.lines(1760000000.0 + 900)))
    return path


@pytest.mark.parametrize("options", [["--json"], [], ["--summary"]])
def test_who_has_seen_enough_is_no_failure(long_log, options):
    """`| head -1` closes the pipe; nothing is said, and the exit code is 0."""
    process = started(*NO_FILE, *options, long_log, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


def test_a_pipe_that_is_still_written_to_is_explained_as_it_comes():
    """`tail -f | logship explain --json -` answers each line, not each block."""
    with started(*NO_FILE, "--json", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(LINE.format("/p", 200).encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"] == "event"
        process.stdin.close()
        assert process.stdout.read() == b""


def test_a_line_without_end_costs_no_memory(tmp_path):
    """Beyond what `run` would read it is cut; what follows is explained all the same."""
    log = tmp_path / "access.log"
    log.write_text("x" * (5 << 20) + "\n" + LINE.format("/p", 200))
    told = [json.loads(line)["result"] for line in explain(*NO_FILE, "--json", log).stdout.splitlines()]
    assert told == ["unparsed", "event"]


@pytest.fixture
def large_log(tmp_path):
    """Return a log that is large enough for a bar of progress."""
    log = tmp_path / "access.log"
    log.write_text(LINE.format("/page-of-a-large-log", 200) * 40_000)
    return log


def on_a_terminal(*arguments, **streams):
    """Return what a terminal of 24 lines of 80 characters gets."""
    leader, follower = pty.openpty()
    streams = {"stdout": follower, "stderr": subprocess.DEVNULL} | streams
    process = started(*arguments, stdin=follower, **{name: to or follower for name, to in streams.items()})
    os.close(follower)
    seen = b""
    try:
        while data := os.read(leader, 65536):
            seen += data
    except OSError:  # how Linux tells that the other side is gone
        pass
    os.close(leader)
    assert process.wait(60) == 0
    return seen.decode()


def test_a_terminal_gets_a_taste_of_the_lines_and_a_coloured_report(long_log):
    """Nobody reads ten thousand lines that run by; a pipe gets them all."""
    seen = on_a_terminal(*NO_FILE, long_log)
    assert "… and so on; | less shows every line" in seen
    plain = re.sub(r"\x1b\[\d+m", "", seen)
    assert len(re.findall(r"^ +\d+  (?:event|dropped|unparsed) ", plain, re.MULTILINE)) == 20
    assert "\x1b[1mWHAT WILL BE SENT\x1b[0m" in seen
    assert "\x1b[32m█" in seen
    assert seen.index("and so on") < seen.index("WHAT WILL BE SENT")


def test_a_report_that_is_sent_elsewhere_arrives_there(large_log, tmp_path):
    """The terminal shows how far the log is read, and nothing of the report, which is all in the file."""
    for options, told in (([], 40_000), (["--summary"], 0), (["--json"], 40_000)):
        with open(tmp_path / "report", "w+") as file:
            seen = on_a_terminal(*NO_FILE, *options, large_log, stdout=file, stderr=None)
            report = file.seek(0) or file.read()
        assert "reading" in seen
        assert "BE SENT" not in seen
        assert ("WHAT WILL BE SENT" in report) is (options != ["--json"])
        assert report.count("/page-of-a-large-log") >= told


def test_the_bar_is_gone_before_the_report_comes(large_log):
    """On one terminal the two do not mix."""
    seen = on_a_terminal(*NO_FILE, "--summary", large_log, stderr=None)
    assert "reading" not in seen.partition("access.log: ")[2]
    assert "WHAT IT WILL COST" in seen


def test_without_a_log_a_terminal_gets_the_sources_own(config, log):
    """The newest file of the first source, or of the one that is named."""
    seen = on_a_terminal("-c", config, "--source", "this", "--summary")
    assert f"{log}: " in seen
    assert "4 lines" in seen


def test_nothing_that_a_stranger_wrote_steers_the_terminal(tmp_path):
    """Control characters of the log are shown, not obeyed."""
    log = tmp_path / "access.log"
    log.write_bytes(LINE.format("/\x1b]0;owned\x07.css", 200).encode() + b"\x1b[2J garbage \x9b\n")
    for options in ([], ["--summary"], ["--line", "1"], ["--line", "2"]):
        told = explain(*NO_FILE, *options, log).stdout
        assert not set(told) & {"\x1b", "\x07", "\x9b"}, options


def test_check_runs_the_tests_and_run_does_not(config, tmp_path):
    """A test that fails is told with its place; the daemon, started at night, starts all the same."""
    text = config.read_text() + "admin: null\ntests: [{line: x, expect: {drop: bot}}, {line: x, expect: unparsed}]\n"
    config.write_text(f"state_dir: {tmp_path}/state\n{text}")
    done = CliRunner().invoke(cli, ["check", "-c", str(config)])
    assert f"{config}:6:19: tests[0].expect: expected dropped as bot, got unparsed as format" in done.stdout
    assert "tests: 2 run, 1 failed" in done.stdout
    assert done.exit_code == 1
    (tmp_path / "access.log").write_text("")
    ran = subprocess.run([sys.executable, "-m", "logship", "run", "--once", "-c", str(config)], capture_output=True)
    assert ran.returncode == 0, ran.stderr
