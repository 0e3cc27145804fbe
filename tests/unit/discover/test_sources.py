"""What is decided across servers, and how it is written: names, order, two web servers, quoting, size."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logship.discover import build, hosts, write
from logship.settings import loader


def test_two_web_servers_in_one_file(lay, compose) -> None:
    """nginx before Apache is one visit in two logs: the second one waits, and the comment says why."""
    root = lay(
        {
            "nginx.conf": "http { server { listen 443 ssl; server_name a.example; access_log /l/nginx.log; } }",
            "apache2.conf": 'LogFormat "%h %t \\"%r\\" \\"%{User-Agent}i\\"" x\n'
            "<VirtualHost *:8080>\nServerName a.example\nCustomLog /l/a.log x\n</VirtualHost>\n"
            "<VirtualHost *:8080>\nServerName b.example\nCustomLog /l/b.log x\n</VirtualHost>\n",
        }
    )
    written = compose(root / "nginx.conf", root / "apache2.conf")
    assert written.paths == ["/l/nginx.log", "/l/b.log"]
    assert "nginx serves a.example as well. If one stands before the other, each visit is in both logs" in written.prose


def test_every_source_has_its_own_name(nginx) -> None:
    """Called after its site; a second one of the site is numbered."""
    written = nginx("""
        server { server_name a.example; access_log /l/a.log; location /x { access_log /l/x.log; } }
        server { server_name b.example; access_log /l/b.log; }
        """)
    assert [source.name for source in written.settings.sources] == ["a.example", "a.example-2", "b.example"]


def test_hosts_that_logship_does_not_take_wait_with_its_own_words(nginx) -> None:
    """Whatever check would refuse is put under comment instead."""
    written = nginx("server { server_name a.example; access_log /l/; } server { server_name b.example; }")
    assert written.one.site == "http://b.example"
    assert 'logship cannot use it: "/l/" is a directory' in written.prose


def test_ten_times_as_many_virtual_hosts_take_about_ten_times_as_long(nginx) -> None:
    """Five hundred are ordinary (measured: 1.1 s, compiled and all), and nothing may grow with their square."""
    few, _ = _seconds(nginx, 50)
    many, written = _seconds(nginx, 500)
    if many > 0.5 + 30 * few:  # others want the processor, too
        many, _ = _seconds(nginx, 500)
    assert many < 1.0 + 30 * few
    assert len(written.settings.sources) == 500
    assert {source.site for source in written.settings.sources} == {f"https://s{n}.example" for n in range(500)}


def _seconds(nginx, hosts: int):
    more = {
        f"sites/s{n}": f"""
            server {{ server_name s{n}.example www.s{n}.example; return 301 https://s{n}.example$request_uri; }}
            server {{ listen 443 ssl; server_name s{n}.example; include tls.conf; access_log /l/s{n}.log;
                location / {{ try_files $uri =404; }} location = /favicon.ico {{ access_log off; }} }}
            """
        for n in range(hosts)
    }
    began = time.process_time()
    written = nginx("include sites/*;", {**more, "tls.conf": "ssl_protocols TLSv1.3;\n" * 10})
    return time.process_time() - began, written


def test_nginx_tells_what_was_compiled_in() -> None:
    """`nginx -V` counts when it is about this very file; else its place tells."""
    told = "nginx version: x\nconfigure arguments: --with-cc-opt='-g' --prefix=/usr/share/nginx "
    told += "--conf-path=/etc/nginx/nginx.conf --http-log-path=/var/log/nginx/access.log --user=x"
    asked = build.of("/etc/nginx/nginx.conf", told)
    assert (asked.prefix, asked.log) == ("/usr/share/nginx", "/var/log/nginx/access.log")
    assert build.of("/srv/nginx.conf", told).prefix == "/srv"
    assert build.of("/opt/n/conf/nginx.conf", "").log == "/opt/n/logs/access.log"
    assert build.parse("configure arguments: --prefix=/opt/n") == build.Build(
        "/opt/n/conf/nginx.conf", "/opt/n", "/opt/n/logs/access.log"
    )
    assert build.parse("no such program") is None


def test_names_are_sorted_into_hosts_patterns_and_others() -> None:
    """nginx's leading dot is both the host and all below it."""
    names = hosts.sort(["_", ".a.example", "*.b.example", "c.*", "~^x$", "", "münchen.example", "*"])
    assert names.real == ("a.example", "münchen.example")
    assert names.patterns == ("*.a.example", "*.b.example", "c.*")
    assert names.others == ("_", "~^x$", "*")


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1), max_size=8))
def test_groups_that_share_a_name_are_joined(groups: list[list[str]]) -> None:
    """Every group is in exactly one site, and no name is in two."""
    found = hosts.joined(groups)
    assert sorted(number for site in found for number in site) == list(range(len(groups)))
    names = [{name for number in site for name in groups[number]} for site in found]
    assert all(not one & other for at, one in enumerate(names) for other in names[:at])


@given(st.text(min_size=1))
def test_any_text_is_written_so_that_it_reads_back(text: str) -> None:
    """Quotes, ${, control characters, YAML's own: a format is the very string in the end."""
    if not text.strip() or "\ud800" <= max(text) <= "\udfff":
        return
    value = write.scalar(text)
    assert "\n" not in value
    read, problems = loader.read(f"sources: [{{path: /l, format: {_flow(value)}, site: 'https://a.example'}}]", "x", {})
    assert not [problem for problem in problems if not problem.warning]
    assert read.sources[0].format == text


def _flow(value: str) -> str:
    return value if value[0] in "'\"" else f"'{value}'"


@pytest.mark.parametrize(
    "text", ["${HOME}", "a: b", "#x", "- a", "null", "", "*a", "{", "'", '"', "\u2028", "a\nb", "$${x}"]
)
def test_values_that_yaml_would_read_otherwise_are_quoted(text: str) -> None:
    """Nothing of a web server's configuration is YAML of its own."""
    assert write.scalar(text)[0] in "'\""


def test_a_log_is_suggested_for_many_sites_with_their_hosts(nginx) -> None:
    """All of it on standard output: the file to add is one in which sites can be told apart."""
    written = nginx("access_log /dev/stdout; server { server_name a.example; } server { server_name b.example; }")
    assert written.one.hosts == ("a.example", "b.example")
    assert "log_format vhost_combined '$host:$server_port $remote_addr" in written.text
    assert "access_log /var/log/nginx/access.log vhost_combined;" in written.text
