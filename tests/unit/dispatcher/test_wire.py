"""What an answer means, and what the wire needs before it is used."""

from email.utils import formatdate
from pathlib import Path

import pytest

from logship.dispatcher import wire
from logship.errors import ConfigError, LogshipError
from logship.records import Delivered, Misconfigured, Refused, TryAgain, Verdict
from logship.settings.destination import DestinationSettings, TlsSettings

NOW = 1_760_000_000.0
ERRORS = b'{"errors":{"domain":["can\'t be blank"]}}'


def judge(status: int, body: bytes = b"", **headers: str) -> Verdict:
    return wire.judge(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_done(status: int) -> None:
    """Plausible says 202; what stands before it may say 200."""
    assert judge(status, b"ok") == Delivered(status)


@pytest.mark.parametrize(
    ("text", "dropped"), [("1", 1), ("2", 2), ("0", 0), ("", 0), ("-1", 0), ("x", 0), ("²", 0), ("1" * 99, 0)]
)
def test_dropped_is_counted_and_garbage_is_none(text: str, dropped: int) -> None:
    """x-plausible-dropped: N, when N is a number."""
    assert judge(202, **{"x-plausible-dropped": text}) == Delivered(202, dropped)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """It was answered, so it is never ambiguous."""
    verdict = judge(status, b"<html>")
    assert isinstance(verdict, TryAgain)
    assert (verdict.status, verdict.after, verdict.ambiguous) == (status, None, False)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("7200", 3600.0),
        ("9" * 5000, 3600.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW + 9000, usegmt=True), 3600.0),
        (formatdate(NOW - 90, usegmt=True), None),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("Wed, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_understood_capped_or_ignored(text: str, after: float | None) -> None:
    """Seconds or a date, one hour at most; what is past or garbage is left to the backoff."""
    verdict = judge(503, Retry_After=text)
    assert isinstance(verdict, TryAgain)
    assert verdict.after == after


def test_retry_after_as_a_date_is_told_by_the_servers_own_clock() -> None:
    """A clock that is wrong by a day must not mean a day's silence."""
    headers = {"Retry_After": formatdate(NOW + 86_430, usegmt=True), "Date": formatdate(NOW + 86_400, usegmt=True)}
    verdict = judge(429, **headers)
    assert isinstance(verdict, TryAgain)
    assert verdict.after == 30.0


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("body", [ERRORS, b'{"error": "bad"}', b' {"errors": {}} '])
def test_an_error_in_the_apis_own_words_is_the_events_fault(status: int, body: bytes) -> None:
    """The event goes to the dead letters, with what the API said."""
    assert judge(status, body) == Refused(status, body.decode().strip())


@pytest.mark.parametrize("status", [413, 414])
def test_too_large_is_the_events_fault_whoever_says_so(status: int) -> None:
    """A proxy answers these, in HTML."""
    verdict = judge(status, b"<html>\xff too large" + b"x" * 9000)
    assert isinstance(verdict, Refused)
    assert verdict.status == status
    assert len(verdict.detail) == 2000


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Request</html>", b'["errors"]', b'"errors"', b'{"message":"x"}', b'{"errors":']
)
def test_a_400_that_is_not_the_apis_own_is_a_wrong_setup(body: bytes) -> None:
    """A firewall's 400 would otherwise cost every event."""
    verdict = judge(400, body)
    assert isinstance(verdict, Misconfigured)
    assert "`url`" in verdict.detail


@pytest.mark.parametrize("status", [300, 304, 401, 402, 403, 404, 405, 406, 407, 410, 421, 451, 600, 101, 999])
def test_every_other_answer_is_a_wrong_setup(status: int) -> None:
    """Nothing is dropped for it, and the text says what to look at."""
    verdict = judge(status, ERRORS)
    assert isinstance(verdict, Misconfigured)
    assert verdict.status == status
    assert len(verdict.detail) > 20


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://user:pw@stats.example:8443/login?token=abc", "https://stats.example:8443;"),
        ("//other.example/x", "other.example;"),
        ("/login?next=/api/event", "another path of the same host"),
        ("", "another path of the same host"),
        ("http://[::1", "an address that cannot be read"),
        ("https://a.example:99999999/", "an address that cannot be read"),
    ],
)
def test_a_redirect_is_named_by_its_host_alone(location: str, named: str) -> None:
    """Enough to correct `url`, and nothing that could be private."""
    verdict = judge(307, Location=location)
    assert isinstance(verdict, Misconfigured)
    assert named in verdict.detail
    assert "token" not in verdict.detail
    assert "pw" not in verdict.detail


@pytest.mark.parametrize("said", ["timeout=2, max=100", "max=100, Timeout = 2"])
def test_we_close_before_the_server_does(said: str) -> None:
    """A request that meets a closing server is ambiguous; a connection made anew is not."""
    assert wire._patience_of({"Keep-Alive": said}) == pytest.approx(1.6)
    assert wire._patience_of({"Keep-Alive": "timeout=75"}) == 4.0
    assert wire._patience_of({}) == 4.0


def test_another_aiohttp_is_refused_in_clear_words() -> None:
    """Three undocumented names are used: they are tried by our tests, not on somebody's visitors."""
    with pytest.raises(LogshipError, match=r"aiohttp 3\.15\.0 is installed, but logship was tested with 3\.14"):
        wire._check_version("3.15.0")
    wire._check_version("3.14.99")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, content: bytes | None) -> None:
    """It is found when the plan is built, before anything old is touched."""
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"destinations\.plausible\.tls\.ca_file: .*ca\.pem cannot be used"):
        wire.Wire(DestinationSettings(tls=TlsSettings(ca_file=ca_file)))
