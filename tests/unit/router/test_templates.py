import pytest

from logship.records import Record
from logship.router.templates import Context, TemplateError, compile_template

RECORD = Record(
    method="GET",
    path="/caf%C3%A9/a%20b",
    query="q=x+y&utm_source=n",
    status=404,
    referrer="https://example.com/from?x=1",
    user_agent="Mozilla/5.0 (compatible; GPTBot/1.2)",
    log={"request_time": "0.2"},
)


def rendered(text, record=RECORD, **match):
    context = Context(
        record,
        "https://example.com",
        "https://example.com/caf%C3%A9/a%20b?utm_source=n",
        record.path or "/",
        "example.com",
        match,
    )
    return compile_template(text).render(context)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{url}", "https://example.com/caf%C3%A9/a%20b?utm_source=n"),
        ("{site}{path}", "https://example.com/caf%C3%A9/a%20b"),
        ("{pathname}", "/café/a b"),
        ("{page}", "https://example.com/from"),
        ("{host}: {method} {status}", "example.com: GET 404"),
        ("{query.q}|{query.none}", "x y|"),
        ("{referrer}", "https://example.com/from?x=1"),
        ("{user_agent}", "Mozilla/5.0 (compatible; GPTBot/1.2)"),
        ("{bot.class}/{bot.name}", "ai-crawler/GPTBot"),
        ("{log.request_time}{log.none}", "0.2"),
        ("{match.id}", "7"),
        ("{match.none}", ""),
        ("{{{path}}}", "{/caf%C3%A9/a%20b}"),
        ("{{path}}", "{path}"),
        ("a{{b", "a{b"),
        ("{ path }", "/caf%C3%A9/a%20b"),
    ],
)
def test_fields_are_filled_in(text, value):
    """Every documented field, and doubled braces for braces."""
    assert rendered(text, id="7") == value


def test_what_the_log_does_not_hold_is_empty():
    """No field is ever the word None."""
    text = "{method}{status}{referrer}{user_agent}{bot.name}{query.a}{log.a}{match.a}{pathname}"
    assert rendered(text, Record()) == ""


def test_the_page_of_a_download_is_its_own_url_when_it_came_from_elsewhere():
    """A referrer of another site, or one that only begins like ours, is not a page of ours."""
    for referrer in (None, "https://other.example/", "https://example.com.evil.example/x"):
        assert rendered("{page}", Record(referrer=referrer)).startswith("https://example.com/caf")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{paht}", 'unknown field {paht} (did you mean "{path}"?)'),
        ("{zzz}", "unknown field {zzz} (known: {url}, {site}, {host},"),
        ("{paht} {hots}", 'unknown fields {paht} (did you mean "{path}"?), {hots} (did you mean "{host}"?)'),
        ("{zzz} {paht} {zzz}", 'unknown fields {zzz}, {paht} (did you mean "{path}"?) (known: {url}, {site},'),
        ("{query}", 'unknown field {query} (did you mean "{query.NAME}"?)'),
        ("{log.}", "unknown field {log.}"),
        ("{}", "unknown field {}"),
        ("a { b", "'a { b': a lone '{' (write '{{' for the character itself)"),
        ("a } b", "'a } b': a lone '}' (write '}}' for the character itself)"),
    ],
)
def test_a_faulty_template_says_what_to_do(text, told):
    """Texts for the person who wrote it."""
    with pytest.raises(TemplateError) as caught:
        compile_template(text)
    assert told in str(caught.value)


def test_a_template_tells_what_it_reads():
    """The parser is asked for those fields of the log only, and groups are checked before they are missed."""
    template = compile_template("{log.a}{match.b}{log.c_d}{path}")
    assert template.log_fields == {"a", "c_d"}
    assert template.groups == {"b"}
    assert template.constant is None
    assert compile_template("x{{y").constant == "x{y"
