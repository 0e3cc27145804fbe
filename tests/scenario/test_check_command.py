"""`logship check`: of a directory, of destinations as they are, and in words that help."""

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from logship.checks import online
from logship.receiver import server
from logship.settings import loader


async def logship(*arguments):
    """Run a command, and return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("logship"), *map(str, arguments), stdout=-1, stderr=-2
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


SOURCE = "sources: [{path: /a.log, site: 'https://example.com', format: combined}]\n"


async def test_a_directory_of_examples_is_validated(tmp_path):
    """Each file by itself; 78 when one of them cannot be used, and the place of what is wrong."""
    (tmp_path / "good.yaml").write_text(SOURCE)
    (tmp_path / "also.yml").write_text(SOURCE)
    (tmp_path / "notes.txt").write_text("no configuration")
    assert await logship("check", "-c", tmp_path) == (0, f"{tmp_path}: 2 of 2 ok\n")
    (tmp_path / "bad.yaml").write_text(SOURCE.replace("site", "sight"))
    code, out = await logship("check", "-c", tmp_path)
    assert code == 78
    assert f"{tmp_path}/bad.yaml:1:" in out
    assert out.endswith("2 of 3 ok\n")


async def test_a_directory_without_examples_is_wrong_usage(tmp_path):
    """Nothing checked is not ok."""
    assert (await logship("check", "-c", tmp_path))[0] == 2


async def test_a_fault_that_only_compiling_finds_has_its_place_too(tmp_path):
    """And it stands beside the others: a bad wildcard of `hosts` hid all that was wrong with later sources."""
    config = tmp_path / "logship.yaml"
    source = "{path: /a.log, site: 'https://a.example', format: combined, "
    config.write_text(f"sources:\n  - {source}hosts: '[a'}}\n  - {source}name: b, hosts: '[b'}}\n")
    code, out = await logship("check", "-c", config)
    assert code == 78
    assert [line.rpartition(": '")[0] for line in out.splitlines()] == [
        f"{config}:2:72: sources[0].hosts",
        f"{config}:3:81: sources[1].hosts",
    ]


def destination(url, more=""):
    text = f"{SOURCE}destinations: {{api: {{url: '{url}'{more}}}}}\n"
    loaded, problems = loader.read(text, "logship.yaml", {})
    assert [str(each) for each in problems if not each.warning] == []
    return loaded


async def tried(url, more=""):
    """Return what is found of a destination: problems as they are printed, and notes."""
    found = await online.check(destination(url, more))
    return [str(each) for each in found.problems], found.notes


@contextlib.asynccontextmanager
async def answering(handler):
    app = web.Application()
    app.router.add_post("/api/event", handler)
    async with TestServer(app) as running:
        yield f"http://127.0.0.1:{running.port}"


async def test_the_receiver_tells_that_it_sees_the_visitor():
    """As Plausible Cloud does; and nothing was recorded."""
    async with server.serve("127.0.0.1", 0) as running:
        assert await tried(running.url) == (
            [],
            ["destinations.api: takes the address that logship sends for the visitor's (203.0.113.7, in a trial)"],
        )


@pytest.mark.parametrize(
    ("status", "body", "headers", "told"),
    [
        (200, "10.0.0.1", {}, "warning: was told that the visitor is 203.0.113.7, and takes 10.0.0.1 for it"),
        (200, "", {"x-debug-ip": "2001:db8::1"}, "takes 2001:db8::1 for it"),
        (202, "ok", {}, "warning: accepts an empty object, as Plausible never does"),
        (200, "<html>hello", {}, "accepted an empty object, as Plausible never does"),
        (
            301,
            "",
            {"Location": "https://other.example/x?secret=1"},
            "redirects to https://other.example; that is never",
        ),
        (404, "", {}, "answered 404"),
        (401, "", {}, "answered 401"),
        (502, "", {}, "answered 502"),
    ],
)
async def test_another_answer_is_told_with_what_to_do(status, body, headers, told):
    """What the daemon would say of it, and never the rest of a Location."""
    async with answering(answer(status, body, headers)) as url:
        [problem], _ = await tried(url)
    assert told in problem
    assert problem.startswith("logship.yaml:2:16: destinations.api: ")
    assert "secret" not in problem


def answer(status, body, headers):
    async def handler(_request):
        return web.Response(status=status, text=body, headers=headers)

    return handler


async def test_a_self_hosted_plausible_does_not_tell_whom_it_sees():
    """It refuses the empty object and counts nothing: that is how the API answers, and no fault."""

    async def refuse(request):
        assert await request.json() == {}
        return web.json_response({"errors": {"url": ["is required"]}}, status=400)

    async with answering(refuse) as url:
        problems, [note] = await tried(url)
    assert problems == []
    assert "not which address it takes" in note


async def test_a_name_that_nobody_knows():
    """The first step that fails is the one that is told."""
    [problem], _ = await tried("https://nowhere.invalid")
    assert "DNS does not know nowhere.invalid" in problem


async def test_nobody_listens():
    """The system's own words."""
    [problem], _ = await tried(f"http://127.0.0.1:{unused_port()}")
    assert "127.0.0.1 cannot be reached: connect: Connection refused" in problem


async def test_an_answer_that_never_comes(monkeypatch):
    """Within the destination's own patience."""
    ended = asyncio.Event()

    async def wait(_request):
        await ended.wait()

    async def connect(*_):
        """Leave out the step before: on a slow machine connecting alone takes longer than that patience."""

    monkeypatch.setattr(online, "_connect", connect)
    async with answering(wait) as url:
        [problem], _ = await tried(url, ", timeout: {total: 300ms}")
        ended.set()
    assert "gave no answer within 0.3 s" in problem


async def certificate(directory, days):
    """Make a certificate for localhost that signs itself."""
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {days} -subj /CN=localhost"
    )
    names = (
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        directory / "key.pem",
        "-out",
        directory / "cert.pem",
    )
    process = await asyncio.create_subprocess_exec(
        *command.split(), *map(str, names), stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


@pytest.mark.parametrize(("days", "told"), [(5, "ends in 5 days; no event is accepted after that"), (90, None)])
async def test_a_certificate_is_judged_as_the_daemon_judges_it(tmp_path, days, told):
    """Not trusted without its authority; with it, how long it lasts is told, and a warning when that is not long."""
    await certificate(tmp_path, days)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    app = web.Application()
    app.router.add_post("/api/event", answer(200, "203.0.113.7", {}))
    runner = web.AppRunner(app)
    await runner.setup()
    port = unused_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        [problem], _ = await tried(f"https://localhost:{port}")
        assert "the certificate of localhost is not trusted (self-signed certificate)" in problem
        problems, notes = await tried(f"https://localhost:{port}", f", tls: {{ca_file: {tmp_path}/cert.pem}}")
        assert [told in each for each in problems] == [True] * bool(told)
        assert any("its certificate ends in 90 days" in each for each in notes) is (told is None)
    finally:
        await runner.cleanup()
