"""A chunk in, survivors and counts out; the short way and the full one give the same."""

import tracemalloc
from collections import Counter

import pytest

from logship.parser import formats
from logship.parser.client import ClientRule
from logship.parser.record import Parser
from logship.records import Chunk, Unparsed
from logship.router.scrutiny import Memory, Scrutiny
from logship.router.table import Rules, Table
from logship.settings.conditions import Test as Asked
from logship.settings.conditions import When
from logship.settings.rule import RuleSettings
from logship.settings.source import BehaviourSettings, SourceSettings
from logship.sieve.sieve import Sieve
from logship.steps import Steps

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
NOW = 1760104536.0  # 2025-10-10T13:55:36Z


def line(path="/", agent=FIREFOX, status=200, when="10/Oct/2025:13:55:36 +0000", method="GET", ip="203.0.113.7"):
    return f'{ip} - - [{when}] "{method} {path} HTTP/1.1" {status} 5 "-" "{agent}"\n'.encode()


def sieve(*rules, format_="combined", max_event_age=None, look_back=None):
    table = Table(
        Rules(rules or (RuleSettings(preset="pageviews"),), destinations=["plausible"]),
        SourceSettings("s", ("/log",), site="https://example.com"),
    )
    return Sieve(
        table, ClientRule(()), format_ and formats.compile(format_), max_event_age=max_event_age, look_back=look_back
    )


def chunk(data, start=0):
    return Chunk(1, "s", "/log", data, start, start + len(data))


def test_survivors_know_where_their_line_starts():
    """The ledger settles by offset, so each survivor carries its own."""
    data = [line("/a"), line("/x.css"), line("/b")]
    sifted = sieve().sift(chunk(b"".join(data), 1000), NOW)
    assert [start for start, _ in sifted.survivors] == [1000, 1000 + len(data[0]) + len(data[1])]
    assert [sent.event.url for _, many in sifted.survivors for sent in many] == [
        "https://example.com/a",
        "https://example.com/b",
    ]


def test_every_line_is_counted_once():
    """Read is the sum of what became of the lines."""
    lines = [line("/a"), line("/x.css"), b"junk\n", b"\n", line("/b", "curl/8"), line("/c", status=404)]
    sifted = sieve().sift(chunk(b"".join(lines)), NOW)
    assert sifted.lines == 6
    assert sifted.dropped == {"asset": 1, "bot": 1, "status": 1}
    assert sifted.unparsed.total() == 2
    assert len(sifted.survivors) == 1


def test_verdicts_are_remembered_without_mixing_them_up():
    """The same request by a person, a crawler and again a person: each has its own fate, the second time too."""
    lines = [line("/a"), line("/a", "curl/8"), line("/a", ip="203.0.113.8")] * 2
    sifted = sieve().sift(chunk(b"".join(lines)), NOW)
    assert (len(sifted.survivors), sifted.dropped) == (4, {"bot": 2})


@pytest.mark.parametrize(
    "rule", [RuleSettings(preset="pageviews"), RuleSettings(event="hit"), RuleSettings(event="hit", when=When(()))]
)
@pytest.mark.parametrize(
    "agent", [FIREFOX, "-", "", " ", FIREFOX + " x" * 300, FIREFOX + " é\x7f" * 40, "é" * 800, FIREFOX + "z" * 5000]
)
@pytest.mark.parametrize("referrer", ["-", "", " ", "https://a.example/é\x7f", "https://a.example/" + "y" * 3000])
@pytest.mark.parametrize("ip", ["203.0.113.7", "::ffff:203.0.113.7", "unknown"])
def test_an_event_made_without_a_record_is_the_one_that_a_record_makes(rule, agent, referrer, ip):
    """Texts of any length, with characters that are cleaned away, absent ones: in a block and alone, the same."""
    made = sieve(rule)
    parser, table = Parser(formats.compile("combined"), ClientRule(())), made._table
    data = line("/a", agent, ip=ip).replace(b'"-" "', f'"{referrer}" "'.encode())
    decision = table.route(parser.parse(data[:-1]))
    for lines in (1, 20):
        sifted = made.sift(chunk(data * lines), NOW)
        assert [[each.event for each in deliveries] for _, deliveries in sifted.survivors] == (
            [[each.event for each in decision.deliveries]] * lines if decision.deliveries else []
        )
        assert sifted.cuts == dict.fromkeys(decision.cuts, lines)
        assert sifted.dropped == ({} if decision.reason is None else {decision.reason: lines})


def test_lines_older_than_the_limit_expire():
    """Plausible stamps events on arrival, so an old line is counted and not sent."""
    lines = [line("/old", when="09/Oct/2025:13:55:35 +0000"), line("/new")]
    sifted = sieve(max_event_age=86400.0).sift(chunk(b"".join(lines)), NOW)
    assert (sifted.expired, len(sifted.survivors)) == (1, 1)


@pytest.mark.parametrize("odd", [b"\\x22", b"\0", b"\r"])
def test_an_odd_line_takes_the_long_way_to_the_same_end(odd):
    """A line that the short way refuses is parsed in full and routed all the same."""
    plain = line("/a")
    strange = plain[:-1] + odd + b"\n" if odd == b"\r" else plain.replace(b"Mozilla/", b"Mozilla/" + odd)
    sifted = sieve().sift(chunk(plain + strange), NOW)
    assert len(sifted.survivors) == 2
    assert sifted.nul_bytes == odd.count(b"\0")


def test_a_rule_on_the_user_agents_text_is_not_answered_by_its_class():
    """Two people's User-Agents are of one class, and only one of them is dropped."""
    rule = RuleSettings(name="no Firefox", when=When((Asked("user_agent", ("*Firefox*",)),)), drop="rule")
    lines = line("/a") + line("/a", FIREFOX.replace("Firefox", "Fennec"))
    sifted = sieve(rule, RuleSettings(preset="pageviews")).sift(chunk(lines * 2), NOW)
    assert (sifted.dropped, len(sifted.survivors)) == ({"rule": 2}, 2)


def test_what_a_rule_on_the_query_takes_is_not_taken_for_all_pages():
    """Pages of one class share their way through the rules only where no rule tells them apart by what follows."""
    for asks in (Asked("query", ("*a=1*",)), Asked("url", ("https://example.com/p*",))):
        rules = RuleSettings(name="one", when=When((asks,)), event="One"), RuleSettings(preset="pageviews")
        data = line("/p?a=1") + line("/q") + line("/r?b=2") + line("/p?a=1")
        sifted = sieve(*rules).sift(chunk(data), NOW)
        names = [sent.event.name for _, many in sifted.survivors for sent in many]
        assert names == ["One", "pageview", "pageview", "One"]


def test_a_question_mark_in_a_path_of_its_own_field_belongs_to_the_path():
    """A stranger's `/page%3Fx.css`, which nginx logs as `$uri` decoded, is no reason to drop the page itself."""
    told = (
        '{"path": "%s", "method": "GET", "status": 200, "client_ip": "203.0.113.7", "user_agent": "' + FIREFOX + '"}\n'
    )
    keys = {name: name for name in ("path", "method", "status", "client_ip", "user_agent")}
    data = "".join(told % path for path in ("/page?x.css", "/page")).encode()
    sifted = sieve(format_={"json": keys}).sift(chunk(data), NOW)
    assert (len(sifted.survivors), sifted.dropped) == (1, {"asset": 1})


@pytest.mark.parametrize("what", ["method", "host"])
def test_what_a_stranger_writes_at_length_is_not_remembered(what):
    """Names of methods and hosts are the client's to choose: eight kilobytes each would soon be all our memory."""
    plain, long = line("/a").replace(b"203", b"example.com 203", 1), b"%s" % (b"x" * 8000)
    lines = [
        plain.replace(*((b"GET", b"GET%d%b" % (at, long)) if what == "method" else (b"example", b"%d%b" % (at, long))))
        for at in range(400)
    ]
    sieving = sieve(format_="vhost_combined")
    sieving.sift(chunk(plain * 20), NOW)
    tracemalloc.start()
    for each in lines:
        sieving.sift(chunk(each), NOW)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 400_000


def test_a_long_user_agent_is_not_remembered_with_its_request():
    """Each request that is new brings one: eight kilobytes of each would soon be all our memory."""
    sieving = sieve()
    sieving.sift(chunk(line() * 20), NOW)
    tracemalloc.start()
    for at in range(400):
        sieving.sift(chunk(line(f"/page{at}", FIREFOX + "x" * 8000)), NOW)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000


def test_the_format_is_found_out_and_nothing_is_consumed():
    """Detection looks at the very lines that are then sifted."""
    detecting = sieve(format_=None)
    first = detecting.sift(chunk(line("/a") * 3), NOW)
    assert first.detected is not None
    assert first.detected.name == "combined"
    assert len(first.survivors) == 3
    assert detecting.sift(chunk(line("/b")), NOW).detected is None


def test_a_file_that_plainly_changes_its_format_is_followed():
    """The administrator adds a field and reloads nginx: from there on the new format holds."""
    detecting = sieve(format_=None)
    detecting.sift(chunk(line("/a") * 3), NOW)
    later = detecting.sift(chunk((line("/b")[:-1] + b' "198.51.100.9"\n') * 3), NOW)
    assert later.detected is not None
    assert len(later.survivors) == 3


@pytest.mark.parametrize(("before", "after"), [(30, 30), (1000, 3), (3, 200), (5, 5)])
def test_a_format_that_changes_within_a_chunk_changes_at_that_line(before, after):
    """A log is read in chunks of hundreds of lines: those behind the change were all lost to the old format."""
    old, new = line("/old"), line("/new")[:-1] + b' "198.51.100.9"\n'
    detecting = sieve(format_=None)
    sifted = detecting.sift(chunk(old * before + new * after, 70), NOW)
    assert Counter(urls(sifted)) == {"https://example.com/old": before, "https://example.com/new": after}
    assert [start for start, _ in sifted.survivors[before - 1 : before + 1]] == [
        70 + len(old) * (before - 1),
        70 + len(old) * before,
    ]
    assert (sifted.lines, sifted.unparsed, sifted.detected.name) == (before + after, {}, "nginx_main")
    assert len(detecting.sift(chunk(new), NOW).survivors) == 1


def test_a_broken_end_of_a_chunk_changes_no_format():
    """Rubbish is in no format at all: the lines before and behind it are read as ever."""
    detecting = sieve(format_=None)
    sifted = detecting.sift(chunk(line("/a") * 5 + b"rubbish\n" * 4), NOW)
    assert (len(sifted.survivors), sifted.unparsed, sifted.detected.name) == (5, {"format": 4}, "combined")
    assert len(detecting.sift(chunk(line("/b")), NOW).survivors) == 1


def test_a_file_in_no_known_format_is_counted_as_such():
    """Nothing is guessed: every line is unparsed."""
    sifted = sieve(format_=None).sift(chunk(b"what is this\nand this\n"), NOW)
    assert (sifted.lines, sifted.unparsed.total(), sifted.detected) == (2, 2, None)


def test_a_format_without_the_field_of_the_proxies_word_ends_nothing():
    """What is found in a log may lack what `client_ip.field` names: its lines have no visitor, the daemon goes on."""
    rules = Rules([RuleSettings(preset="pageviews")], destinations=["plausible"])
    table = Table(rules, SourceSettings("web", ("/x",), site="https://example.com"))
    made = Sieve(table, ClientRule(["203.0.113.0/24"], "http_cf_connecting_ip"))
    sifted = made.sift(chunk(line() * 3), 0.0)
    assert dict(sifted.dropped) == {"no_client_ip": 3}


def test_a_file_that_fits_two_formats_equally_is_asked_about():
    """Half of the lines in one format, half in another: to choose would be to lose half of the visits in silence."""
    mixed = line("/a") + line("/b")[:-1].replace(b' "-" ', b"").split(b'"Moz')[0] + b"\n"
    sifted = sieve(format_=None).sift(chunk(mixed), NOW)
    assert sifted.detected is not None
    assert (sifted.detected.format, sifted.detected.rivals) == (None, ("combined", "common"))
    assert (sifted.unparsed, sifted.survivors) == ({"format": 2}, [])


HEADER = b"#Software: Microsoft Internet Information Services 10.0\r\n#Fields: date time c-ip cs-method cs-uri-stem "
HEADER += b"cs(User-Agent) sc-status\r\n"
OTHER = b"#Fields: c-ip sc-status cs-method cs-uri-stem cs(User-Agent) date time\r\n"
AGENT = FIREFOX.replace(" ", "+").encode()
FIRST = b"2025-10-10 13:55:36 203.0.113.7 GET /first " + AGENT + b" 200\r\n"
SECOND = b"203.0.113.8 200 GET /second " + AGENT + b" 2025-10-10 13:55:36\r\n"


def urls(sifted):
    return [sent.event.url for _, many in sifted.survivors for sent in many]


def reading(data):
    """Return what reads a file's bytes, for a sieve that begins in the middle of it."""
    return lambda _, at, size: data[at : at + size]


@pytest.mark.parametrize("format_", ["w3c", None])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_columns_are_known_however_a_file_is_cut_into_chunks(format_, size):
    """A `#Fields:` holds until the next one, over the ends of chunks, and in the middle of one."""
    data = (HEADER + FIRST * 2 + OTHER + SECOND * 2 + HEADER + FIRST).splitlines(keepends=True)
    here, at, found = sieve(format_=format_), 0, []
    for first in range(0, len(data), size):
        part = b"".join(data[first : first + size])
        sifted = here.sift(chunk(part, at), NOW)
        at += len(part)
        found += urls(sifted)
        assert sifted.unparsed.keys() <= ({"directive"} if format_ else {"directive", "format"})
        assert not sifted.unparsed["format"] or all(each.startswith(b"#") for each in part.splitlines())
    assert [each.removeprefix("https://example.com/") for each in found] == [
        "first",
        "first",
        "second",
        "second",
        "first",
    ]


@pytest.mark.parametrize("format_", ["w3c", "iis", None])
@pytest.mark.parametrize("before", [HEADER + FIRST, HEADER + FIRST * 9000, HEADER + FIRST + OTHER + SECOND * 9000])
def test_reading_that_resumes_in_the_middle_looks_back_for_the_columns(format_, before):
    """After a restart the first chunk has no `#Fields:`; the last one before it holds, however far away."""
    line_ = SECOND if OTHER in before else FIRST
    after = OTHER + SECOND + HEADER + FIRST  # what stands behind the chunk is no business of its
    here = sieve(format_=format_, look_back=reading(before + line_ * 3 + after))
    sifted = here.sift(chunk(line_ * 3, len(before)), NOW)
    assert (len(sifted.survivors), sifted.unparsed.total()) == (3, 0)


def test_another_generation_of_a_file_has_columns_of_its_own():
    """IIS begins a new file at midnight with a new header, while the end of the old one is still being read."""
    old, new = HEADER + FIRST * 3, OTHER + SECOND
    here = sieve(format_="w3c", look_back=lambda file, at, size: {1: old, 2: new}[file][at : at + size])
    assert urls(here.sift(Chunk(1, "s", "/log", HEADER + FIRST, 0, len(HEADER + FIRST)), NOW)) == [
        "https://example.com/first"
    ]
    assert urls(here.sift(Chunk(2, "s", "/log", new, 0, len(new)), NOW)) == ["https://example.com/second"]
    rest = FIRST * 2
    assert len(here.sift(Chunk(1, "s", "/log", rest, len(HEADER + FIRST), len(old)), NOW).survivors) == 2


def test_only_a_file_that_explains_itself_has_to_be_seen_whole():
    """Other formats may be sifted by another process, chunk by chunk."""
    assert sieve(format_="w3c").remembers
    assert not sieve().remembers
    detecting = sieve(format_=None)
    assert not detecting.remembers
    detecting.sift(chunk(HEADER + FIRST), NOW)
    assert detecting.remembers


def test_directives_are_counted_and_are_no_news():
    """Every file of IIS begins with some; the log warns of the first line that is really wrong."""
    sifted = sieve(format_="w3c").sift(chunk(HEADER + b"odd\r\n"), NOW)
    assert sifted.unparsed == {"directive": 2, "format": 1}
    assert sifted.first_unparsed == (len(HEADER), Unparsed("format"))


def test_files_of_one_format_share_what_is_remembered_of_it():
    """With a log for each of 500 hosts, verdicts are kept once."""
    detecting = sieve(format_=None)
    for number in range(3):
        detecting.sift(Chunk(number, "s", f"/log{number}", line("/a"), 0, len(line("/a"))), NOW)
    assert detecting.parser("/log0") is detecting.parser("/log2")


def remembering(*rules, memory=None, max_event_age=None, **behaviour):
    table = Table(Rules(rules, destinations=["plausible"]), SourceSettings("s", ("/log",), site="https://example.com"))
    scrutiny = Scrutiny(table, memory or Memory(), behaviour=BehaviourSettings(**behaviour))
    return Sieve(scrutiny, ClientRule(()), max_event_age=max_event_age)


def test_a_chunk_whose_format_changed_is_remembered_once():
    """The lines of the old format among it were read before the new one was found: their visitors came but once."""
    memory = Memory()
    here = remembering(RuleSettings(preset="pageviews"), memory=memory, pages_per_minute=100)
    here.sift(chunk(line("/a") * 3), NOW)
    late = line("/late", ip="198.51.100.7")
    later = here.sift(chunk((line("/b")[:-1] + b' "198.51.100.9"\n') * 4 + late), NOW)
    assert later.detected is not None
    assert memory.pace.step(("198.51.100.7", FIREFOX), NOW) == 1
    assert memory.pace.step(("203.0.113.7", FIREFOX), NOW) == 3 + 4 + 1


def test_an_event_that_expired_is_no_first_one():
    """What was too old to be sent does not keep a later one, which is not, from being sent."""
    rule = RuleSettings(name="seen", event="Seen", once_within=3600.0)
    here = remembering(rule, max_event_age=86400.0)
    lines = line("/a", when="09/Oct/2025:13:55:35 +0000") + line("/a", when="09/Oct/2025:13:55:37 +0000")
    sifted = here.sift(chunk(lines * 2), NOW)
    assert (sifted.expired, len(sifted.survivors), sifted.dropped) == (2, 1, {"repeated": 1})


STRANGERS = [line(f"/{n:x}", f"{FIREFOX} {n:x}", ip=f"203.0.{n % 250}.{n % 199}") for n in range(2500)]
ODD = [each.replace(b"Mozilla", b"Mo\\tzilla") for each in STRANGERS]  # no block takes them, nor the splits of one line
JSON = [
    b'{"time":"2025-10-10T13:55:36Z","remote_addr":"203.0.113.7","request":"GET /%x HTTP/1.1","status":200,'
    b'"http_user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:1) Gecko/20100101 Firefox/%d.0"}\n' % (n, n)
    for n in range(2500)
]


@pytest.mark.parametrize("lines", [STRANGERS, ODD, JSON, [b"\n"] * 20_000, [b"odd\n"] * 5000], ids=len)
@pytest.mark.parametrize("kind", ["found out", "remembering"])
def test_a_step_does_little_however_new_all_is(lines, kind, monkeypatch):
    """Strangers write paths and User-Agents at will; the loop that delivers, answers and listens waits for a step."""
    asked, most = [], 0
    for of, name in ((Table, "prejudge"), (Table, "course"), (Table, "kind"), (Parser, "parse"), (Parser, "__init__")):
        monkeypatch.setattr(of, name, noting(getattr(of, name), name, asked))
    here = remembering(RuleSettings(preset="pageviews"), pages_per_minute=100) if kind == "remembering" else None
    work = Steps((here or sieve(format_=None)).steps(chunk(b"".join(lines)), NOW))
    for _ in work:
        most = max(most, len(asked) if "__init__" not in asked else 100 * asked.count("__init__"))
        asked.clear()
    assert work.result.lines == len(lines)
    assert most <= 200


def noting(function, name, asked):
    def noted(*args, **kwargs):
        asked.append(name)
        return function(*args, **kwargs)

    return noted


@pytest.mark.parametrize("kind", ["found out", "remembering"])
def test_a_chunk_comes_to_the_same_in_however_many_steps(kind):
    """Lines that make a block, lines that do not and lines that are none keep their places and their order."""
    lines = [
        each for some in zip(STRANGERS, ODD, [b"odd\n"] * 2500, strict=True) for each in some[: 2 + len(some[0]) % 2]
    ]

    def made():
        return remembering(RuleSettings(preset="pageviews")) if kind == "remembering" else sieve(format_=None)

    at_once = made().sift(chunk(b"".join(lines)), NOW)
    one_by_one, start, survivors = made(), 0, []
    for each in lines:
        survivors += one_by_one.sift(chunk(each, start), NOW).survivors
        start += len(each)
    assert [at for at, _ in at_once.survivors] == [at for at, _ in survivors]
    assert [[each.event for each in many] for _, many in at_once.survivors] == [
        [each.event for each in many] for _, many in survivors
    ]
    assert len(survivors) > 3000
