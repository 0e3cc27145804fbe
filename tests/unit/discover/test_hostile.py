"""Broken and hostile configurations: an error with its place, or a file that is accepted; never a crash."""

from __future__ import annotations

import datetime
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from logship import plan
from logship.cli import init
from logship.errors import LogshipError
from logship.settings import loader
from logship.settings.root import Settings

DATE = datetime.date(2026, 11, 22)
NGINX = """\
user www-data;
http {
    log_format main '$remote_addr [$time_local] "$request" $status "$http_user_agent" "$http_x_forwarded_for"';
    log_format js escape=json '{"ip":"$remote_addr","r":"$request","ua":"$http_user_agent","host":"$host"}';
    access_log /var/log/nginx/$host-access.log main buffer=32k if=$x;
    set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;
    server { listen 80 default_server; server_name _; return 301 https://$host$request_uri; }
    server { listen [::]:443 ssl; server_name .a.example ~^x(?<y>.{2})$ *.b.example; access_log logs/a.log js;
             location ~ \\.php$ { access_log syslog:server=x main; access_log off; } }
    content_by_lua_block { local x = "}" }
    include *.inc;
}
"""
APACHE = """\
ServerRoot "/srv"
Define base ${X}/logs
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{User-Agent}i\\"" mine
<IfModule !mod_ssl.c>
TransferLog logs/transfer
</IfModule>
<Macro M $a>
<VirtualHost *:443>
ServerName $a
ServerAlias *.example b.example
CustomLog ${base}/x.log mine env=!no
CustomLog "|/usr/bin/rotatelogs /l/%Y 5M" "%a %t \\"%r\\""
RewriteRule ^ https://x [R=301]
</VirtualHost>
</Macro>
Use M a.example
Include *.inc
"""
WORDS = [
    *(
        "{",
        "}",
        ";",
        "'",
        '"',
        "\\",
        "$",
        "${",
        "#",
        "\n",
        "\r\n",
        "\0",
        "\x1b[31m",
        "\u2028",
        "\x85",
        "<",
        ">",
        "</",
        "%",
    ),
    *(
        "access_log",
        "server",
        "server_name",
        "log_format",
        "include",
        "include *;",
        "off",
        "CustomLog",
        "<VirtualHost x>",
    ),
    *(
        "</VirtualHost>",
        "Include",
        "Define",
        "Use M",
        "*",
        "[",
        "~",
        "ä",
        "\ufeff",
        "a" * 300,
        "${base}",
        "# x: [y",
        "- ",
    ),
]


def accepted_or_refused(nginx: Path | None, apache: Path | None) -> None:
    """Compose; what comes out is accepted, or the error is one for people."""
    try:
        text = init.compose(nginx and str(nginx), apache and str(apache), DATE)
    except LogshipError as error:
        if not re.match(r"/\S+(:\d+)?[: ]", str(error)):
            raise
        return
    read, problems = loader.read(text, "logship.yaml", {})
    assert not [problem for problem in problems if not problem.warning], text
    plan.build(read)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """Cut pieces out of a good configuration, and put others in."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 6))):
        at = chance.randrange(len(text) + 1)
        end = at + chance.choice((0, 0, 0, 1, 5, 30))
        text = text[:at] + chance.choice(WORDS) * chance.choice((1, 1, 1, 2, 40)) + text[end:]
    return text


@hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=mutated(NGINX))
def test_mutilated_nginx(tmp_path: Path, text: str) -> None:
    """Whatever happened to nginx.conf."""
    (tmp_path / "nginx.conf").write_text(text)
    accepted_or_refused(tmp_path / "nginx.conf", None)


@hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=mutated(APACHE))
def test_mutilated_apache(tmp_path: Path, text: str) -> None:
    """Whatever happened to apache2.conf."""
    (tmp_path / "apache2.conf").write_text(text)
    accepted_or_refused(None, tmp_path / "apache2.conf")


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_random_bytes(tmp_path: Path, data: bytes) -> None:
    """No text at all, as main file, as include, as envvars."""
    for name in ("nginx.conf", "x.inc", "envvars"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "apache2.conf").write_text(APACHE)
    accepted_or_refused(tmp_path / "nginx.conf", None)
    accepted_or_refused(None, tmp_path / "apache2.conf")


INJECTIONS = ["x\nrules: []", "x\u2028rules: []", "x\x85rules: []", "*/ # - path: /y", "\x1b[2J", "x\r- path: /z"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_gets_out_of_a_comment_or_a_value(tmp_path: Path, text: str) -> None:
    """Names, paths and formats with line breaks in them add no line of YAML of their own."""
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f'http {{ log_format f \'$remote_addr "$request" "$http_user_agent" {text}\';\n'
        f"server {{ server_name a.example '{text}'; access_log '/l/{text}' f;"
        f"location '{text}' {{ access_log /l/y f; }} "
        "}\n"
        f"server {{ server_name b.example; access_log 'syslog:{text}' '{text}'; access_log /l/b '{text}'; }}\n"
        f"server {{ server_name c.example; access_log /l/c combined 'if={text}'; }} }}"
    )
    written = init.compose(str(conf), None, DATE)
    read, problems = loader.read(written, "logship.yaml", {})
    assert not [problem for problem in problems if not problem.warning]
    assert read.rules == Settings(state_dir=Path()).rules
    assert {path[:3] for source in read.sources for path in source.path} == {"/l/"}
    keys = (
        "sources:",
        "#",
        "  #",
        "  - name:",
        "  - path:",
        "    path:",
        "    format:",
        "    site:",
        "    exclude:",
        "    #",
    )
    assert all(line == "" or line.startswith(keys) for line in written.split("\n")), written
