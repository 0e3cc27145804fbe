"""What is remembered of visitors comes to the same by the short way and by the long one, however chunks are cut."""

import random
from collections import Counter

import pytest

from logship.parser import formats
from logship.parser.client import ClientRule
from logship.parser.record import Parser
from logship.records import Chunk, Record
from logship.router.scrutiny import Memory, Scrutiny
from logship.router.table import Rules, Table
from logship.settings.rule import RuleSettings
from logship.settings.source import BehaviourSettings, SourceSettings
from logship.sieve.sieve import Sieve

AGENTS = ("Mozilla/5.0 (X11) Firefox/127.0", "Mozilla/5.0 \\x22odd\\x22 (X11) Chrome/1.0", "curl/8.5.0", "-")
TARGETS = (
    "/",
    "/a",
    "/a?utm_source=x",
    "/x.css",
    "/a.pdf",
    "/b.pdf",
    "/.env",
    "/%2eenv",
    "/wp-login.php",
    "/robots.txt",
)
FIELDS = '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'


def line(draw, second):
    agent, target, status = draw.choice(AGENTS), draw.choice(TARGETS), draw.choice((200, 200, 206, 404))
    referrer = draw.choice(("-", "-", "https://www.spam.example/x"))
    when = f"10/Oct/2025:13:{second // 60 % 60:02}:{second % 60:02} +0000"
    return f'203.0.113.{draw.randrange(4)} - - [{when}] "GET {target} HTTP/1.1" {status} 5 "{referrer}" "{agent}"\n'


@pytest.mark.parametrize("seed", range(20))
def test_both_ways_and_any_cut_come_to_the_same(seed):
    """Signs and parts take effect in the order of the log, odd lines among plain ones included."""
    draw = random.Random(seed)
    lines = [line(draw, second).encode() for second in range(200)]
    rules = Rules([RuleSettings(preset=name) for name in ("downloads", "pageviews")], destinations=["p"])
    table = Table(rules, SourceSettings("s", ("/log",), site="https://example.com"))
    behaviour = BehaviourSettings(
        probes=draw.random() < 0.5, robots_txt=draw.random() < 0.5, pages_per_minute=draw.choice((None, 3, 100))
    )

    def judge():
        return Scrutiny(table, Memory(), behaviour=behaviour, spam=frozenset({"spam.example"}))

    format_ = formats.compile(FIELDS)
    sieve, sent, dropped, start = Sieve(judge(), ClientRule(()), format_), [], Counter(), 0
    assert sieve.remembers
    for data in cut(draw, lines):
        sifted = sieve.sift(Chunk(1, "s", "/log", data, start, start + len(data)), 0.0)
        sent += [(at, [each.event for each in deliveries]) for at, deliveries in sifted.survivors]
        dropped += sifted.dropped
        start += len(data)
    assert (sent, dropped) == the_long_way(judge(), Parser(format_, ClientRule(())), lines)


def cut(draw, lines):
    """Yield the lines in chunks of any size."""
    while lines:
        size = draw.choice((1, 7, 40, 100))
        yield b"".join(lines[:size])
        lines = lines[size:]


def the_long_way(judge, parser, lines):
    sent, dropped, start = [], Counter(), 0
    for each in lines:
        record = parser.parse(each.rstrip(b"\n"))
        assert isinstance(record, Record)
        decision = judge.route(record)
        if decision.deliveries:
            sent.append((start, [delivery.event for delivery in decision.deliveries]))
        else:
            dropped[decision.reason] += 1
        start += len(each)
    return sent, dropped
