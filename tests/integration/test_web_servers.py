"""Real nginx and Apache write, real logrotate rotates: exactly the people arrive, as who they are."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
QUOTED = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) "Quoted\\Browser" Gecko/20100101 Firefox/145.0'
UMLAUT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Füchschen Gecko/20100101 Firefox/145.0"

Seen = tuple[str, str, str]

# What is asked (target, User-Agent, and how), and as which path it must arrive; None: it must not.
VISITS: list[tuple[str, str, dict[str, str], str | None]] = [
    ("/", FIREFOX, {}, "/"),
    ("/p", CHROME, {"peer": "127.0.0.7"}, "/p"),
    ("/six", IPHONE, {"peer": "::1"}, "/six"),
    ("/caf%C3%A9", CHROME, {"peer": "127.0.0.8"}, "/café"),
    ("/campaign?utm_source=news&secret=1", FIREFOX, {}, "/campaign"),
    ("/from", FIREFOX, {"Referer": "https://www.google.com/"}, "/from"),
    ("/quoted", QUOTED, {}, "/quoted"),
    ("/umlaut", UMLAUT, {}, "/umlaut"),
    ("/version-1.2", FIREFOX, {}, "/version-1.2"),
    ("http://example.com/absolute", FIREFOX, {}, "/absolute"),
    ("http://elsewhere.example/proxy-probe", FIREFOX, {}, None),
    ("/site.css?v=3", FIREFOX, {}, None),
    ("/img/logo.SVG", CHROME, {}, None),
    ("/robots.txt", FIREFOX, {}, None),
    ("/crawled", GOOGLEBOT, {}, None),
    ("/by-curl", "curl/8.5.0", {}, None),
    ("/nameless", "", {}, None),
    ("/missing", FIREFOX, {}, None),
    ("/moved", FIREFOX, {}, None),
    ("/broken", FIREFOX, {}, None),
    ("/posted", FIREFOX, {"method": "POST"}, None),
    ("/headed", FIREFOX, {"method": "HEAD"}, None),
    ("/last", FIREFOX, {}, "/last"),
]


def visit(server: Any) -> Counter[Seen]:
    """Make all the visits; return what must arrive: path, address, User-Agent."""
    for target, agent, how, _ in VISITS:
        server.ask(target, agent, **how)
    return Counter((path, how.get("peer", "127.0.0.1"), agent) for _, agent, how, path in VISITS if path is not None)


def seen(receiver: Any) -> Counter[Seen]:
    return Counter((event["pathname"], event["ip"], event["user_agent"]) for event in receiver.events())


def assert_arrives(receiver: Any, expected: Counter[Seen], wait_until: Callable[..., Any]) -> None:
    wait_until(lambda: seen(receiver).total() >= expected.total(), f"{expected.total()} events")
    assert seen(receiver) == expected


@pytest.mark.parametrize("name", ["auto", "combined"])
def test_nginx_as_debian_sets_it_up(
    name: str, servers: Any, receiver: Any, logship: Any, wait_until: Callable[..., Any]
) -> None:
    """The minimal configuration and nginx's default format: exactly the people arrive."""
    server = servers.nginx()
    with logship.run(
        f"path: '{server.log}', site: https://example.com, hosts: [example.com], format: {name}"
    ) as daemon:
        expected = visit(server)
        assert_arrives(receiver, expected, wait_until)
        assert daemon.stop() == 0
    assert seen(receiver) == expected
    by_path = {event["pathname"]: event for event in receiver.events()}
    assert by_path["/campaign"]["utm"]["source"] == "news"
    assert "secret" not in by_path["/campaign"]["url"]
    assert by_path["/from"]["source"] == "Google"
    assert all(event["dropped"] is None and event["site"] == "example.com" for event in by_path.values())


BEHIND = (
    "log_format behind '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '"
    ' \'"$http_referer" "$http_user_agent" "$http_x_forwarded_for"\';'
)


def test_nginx_behind_a_proxy(servers: Any, receiver: Any, logship: Any, wait_until: Callable[..., Any]) -> None:
    """A log_format of one's own: of X-Forwarded-For what trusted proxies added is believed, no more."""
    server = servers.nginx("behind", BEHIND)
    source = (
        f"path: '{server.log}', site: https://example.com, "
        "client_ip: {trusted_proxies: [127.0.0.0/8, 10.0.0.0/8], private: true}"
    )
    yaml_format = BEHIND.replace("'", "''").replace("\n", " ")
    with logship.run(f"{source}, format: '{yaml_format}'"):
        server.ask("/plain", FIREFOX, X_Forwarded_For="203.0.113.7")
        server.ask("/spoofed", FIREFOX, X_Forwarded_For="1.2.3.4, 203.0.113.8, 10.1.1.1")
        server.ask("/six", IPHONE, X_Forwarded_For="2001:DB8:0::7")
        server.ask("/direct", CHROME, peer="127.0.0.9")  # the proxy itself is no visitor
        server.ask("/untrusted", CHROME, peer="::1", X_Forwarded_For="203.0.113.9")
        expected = Counter(
            [
                ("/plain", "203.0.113.7", FIREFOX),
                ("/spoofed", "203.0.113.8", FIREFOX),
                ("/six", "2001:db8::7", IPHONE),
                ("/untrusted", "::1", CHROME),
            ]
        )
        assert_arrives(receiver, expected, wait_until)


def test_apache_as_debian_sets_it_up(servers: Any, receiver: Any, logship: Any, wait_until: Callable[..., Any]) -> None:
    """Apache's combined format, found out by itself."""
    server = servers.apache()
    with logship.run(f"path: '{server.log}', site: https://example.com, hosts: [example.com]"):
        assert_arrives(receiver, visit(server), wait_until)


def test_apache_with_virtual_hosts(servers: Any, receiver: Any, logship: Any, wait_until: Callable[..., Any]) -> None:
    """`vhost_combined` carries the host itself: no site is configured."""
    server = servers.apache("vhost_combined")
    with logship.run(f"path: '{server.log}', format: vhost_combined, hosts: [example.com]"):
        expected = visit(server)
        assert_arrives(receiver, expected, wait_until)
    assert {event["hostname"] for event in receiver.events()} == {"example.com"}


class Visitors(threading.Thread):
    """Asks for one new page after the other, without a break, until told to stop."""

    def __init__(self, server: Any) -> None:
        super().__init__()
        self.server = server
        self.asked: list[str] = []
        self.failed: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.004):
            path = f"/page/{len(self.asked)}"
            try:
                self.server.ask(path)
            except OSError as error:
                self.failed.append(f"{path}: {error}")  # perhaps logged, perhaps not: it would prove nothing
                return
            self.asked.append(path)

    def wait_for(self, number: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.asked) < number and time.monotonic() < deadline and self.is_alive():
            time.sleep(0.01)


@pytest.mark.parametrize("kind", ["nginx", "apache"])
def test_logrotate_while_requests_go_on(
    kind: str, servers: Any, receiver: Any, logship: Any, rotate: Callable[..., None], wait_until: Callable[..., Any]
) -> None:
    """Rename, create, signal: the old file is written to for a moment yet. Nothing is missing, nothing doubled."""
    server = getattr(servers, kind)()
    visitors = Visitors(server)
    with logship.run(f"path: '{server.log}', site: https://example.com") as daemon:
        visitors.start()
        for number in (100, 200, 300):
            visitors.wait_for(number)
            rotate(server)
        visitors.wait_for(450)
        visitors.enough.set()
        visitors.join()
        assert not visitors.failed
        wait_until(lambda: len(set(receiver.paths())) >= len(visitors.asked), f"{len(visitors.asked)} pages")
        assert daemon.stop() == 0
    assert Counter(receiver.paths()) == Counter(visitors.asked)
    assert Path(f"{server.log}.3").exists()


def test_copytruncate_at_rest(
    servers: Any, receiver: Any, logship: Any, rotate: Callable[..., None], wait_until: Callable[..., Any]
) -> None:
    """Copied and cut while nobody writes: the copy is not read again, and the file is read from its new beginning."""
    server = servers.nginx()
    asked: list[str] = []

    def ask(number: int) -> None:
        for _ in range(number):
            asked.append(f"/page/{len(asked)}")
            server.ask(asked[-1])

    with logship.run(f"path: '{server.log}', site: https://example.com") as daemon:
        for _ in range(3):
            ask(40)
            wait_until(lambda: len(receiver.paths()) >= len(asked), f"{len(asked)} pages")
            rotate(server, "copytruncate")
        ask(40)
        wait_until(lambda: len(receiver.paths()) >= len(asked), f"{len(asked)} pages")
        assert daemon.stop() == 0
    assert Counter(receiver.paths()) == Counter(asked)


def test_rotated_while_stopped(
    servers: Any, receiver: Any, logship: Any, rotate: Callable[..., None], wait_until: Callable[..., Any]
) -> None:
    """What was written before and after a rotation that logship slept through arrives at its next start, once."""
    server = servers.nginx()
    source = f"path: '{server.log}', site: https://example.com"
    with logship.run(source) as daemon:
        server.ask("/while-running")
        wait_until(receiver.paths, "the first page")
        assert daemon.stop() == 0
    server.ask("/before-the-rotation")
    rotate(server)
    wait_until(server.log.exists, "nginx's new log")
    server.ask("/after-the-rotation")
    rotate(server, "create 0644\n  compress\n  delaycompress")
    server.ask("/after-two")
    with logship.run(source):
        wait_until(lambda: len(receiver.paths()) >= 4, "four pages")
    expected = ["/while-running", "/before-the-rotation", "/after-the-rotation", "/after-two"]
    assert Counter(receiver.paths()) == Counter(expected)
