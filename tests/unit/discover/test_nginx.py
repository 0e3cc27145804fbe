"""nginx: what is logged where, for whom, in which format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logship.errors import LogshipError

COMBINED = (
    '\'$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
    ' "$http_referer" "$http_user_agent"\''
)


def test_debians_layout(lay, compose) -> None:
    """One log for all in nginx.conf, a site in sites-enabled: that log, that site."""
    root = lay(
        {
            "nginx/nginx.conf": """\
                user www-data;
                include ROOT/nginx/modules-enabled/*.conf;
                events { worker_connections 768; }
                http {
                    include mime.types;
                    access_log /var/log/nginx/access.log;
                    include ROOT/nginx/conf.d/*.conf;
                    include ROOT/nginx/sites-enabled/*;
                }
                """,
            "nginx/mime.types": "types {\n  text/html html htm;\n}\n",
            "nginx/sites-enabled/default": "server { listen 80 default_server; server_name _; return 444; }",
            "nginx/sites-enabled/shop": """\
                server {
                    listen 443 ssl; listen [::]:443 ssl;
                    server_name www.example.com example.com;
                    location / { try_files $uri $uri/ =404; }
                }
                """,
        }
    )
    source = compose(root / "nginx/nginx.conf").one
    assert source.path == ("/var/log/nginx/access.log",)
    assert (source.site, source.format, source.hosts) == ("https://www.example.com", "combined", ())


def test_the_official_images_layout(lay, compose) -> None:
    """The image's own files: format main, a conf.d with localhost; the site is asked for."""
    root = lay(
        {
            "nginx.conf": """\
                http {
                    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                                      '$status $body_bytes_sent "$http_referer" '
                                      '"$http_user_agent" "$http_x_forwarded_for"';
                    access_log  /var/log/nginx/site.log  main;
                    include ROOT/conf.d/*.conf;
                }
                """,
            "conf.d/default.conf": "server { listen 80; server_name localhost; location / { root /usr/share; } }",
        }
    )
    written = compose(root / "nginx.conf")
    assert written.one.path == ("/var/log/nginx/site.log",)
    assert written.one.site is None
    assert "site: unknown" in written.prose
    assert "# site: https://example.com" in written.text
    assert "nginx_main" in written.text


def test_a_log_linked_to_the_containers_output_is_not_followed(lay, compose, tmp_path: Path) -> None:
    """What the official image does to access.log: the reason is said, and a file suggested."""
    os.symlink("/dev/null", tmp_path / "access.log")
    root = lay({"nginx.conf": "http { access_log ROOT/access.log; server { server_name a.example; } }"})
    written = compose(root / "nginx.conf")
    assert written.one.path != (f"{root}/access.log",)
    assert "is no regular file, a link to /dev/null" in written.prose
    assert written.one.site == "http://a.example"


def test_a_level_that_sets_a_log_replaces_the_inherited_ones(nginx) -> None:
    """http's log is for servers without their own; a location's own is for its requests."""
    written = nginx("""
        access_log /var/log/nginx/all.log;
        server { server_name one.example; }
        server { server_name two.example; access_log /var/log/nginx/two.log;
                 location /api { access_log /var/log/nginx/api.log; location /api/x { access_log off; } }
                 location /y { if ($z) { access_log /var/log/nginx/if.log; } } }
        """)
    assert written.source("all.log").site == "http://one.example"
    assert written.source("two.log").site == written.source("api.log").site == "http://two.example"
    assert written.source("if.log").site == "http://two.example"
    assert "Written only by location /api." in written.prose


def test_access_log_off_is_said(nginx) -> None:
    """A server that logs nothing cannot be counted, and the file says which."""
    written = nginx("""
        access_log /var/log/nginx/all.log;
        server { server_name one.example; location = /favicon.ico { access_log off; } }
        server { server_name quiet.example; access_log off; }
        """)
    assert written.one.site == "http://one.example"
    assert "quiet.example writes no access log" in written.prose
    assert "favicon" not in written.text


def test_of_several_logs_one_is_followed(nginx) -> None:
    """Two logs of the same requests would count each visit twice: the richer one is taken, the other waits."""
    written = nginx("""
        log_format short '$remote_addr "$request"';
        server { server_name a.example; access_log /l/short.log short; access_log /l/full.log; }
        """)
    assert written.paths == ["/l/full.log"]
    assert "same requests as /l/full.log: following both would count each visit twice" in written.prose


def test_logs_with_conditions_of_their_own_are_all_followed(nginx) -> None:
    """Where every log has its if=, each may hold other requests."""
    written = nginx("""
        server { server_name a.example;
                 access_log /l/people.log combined if=$people; access_log /l/rest.log combined if=$rest; }
        """)
    assert written.paths == ["/l/people.log", "/l/rest.log"]
    assert "Written only where if=$people holds" in written.prose


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("syslog:server=10.0.0.1:514,tag=nginx", "it goes to syslog"),
        ("/dev/stdout", "/dev/stdout is no file that can be followed"),
        ("/proc/self/fd/1", "is no file that can be followed"),
        ("$log_path", "its whole path is in variables"),
        ("/l/a.log combined gzip=5 flush=1m", "gzip=5 packs it while it is written"),
    ],
)
def test_what_cannot_be_followed_is_explained(nginx, target: str, told: str) -> None:
    """The comment says why and what to do, and the file is accepted all the same."""
    written = nginx(f"server {{ server_name a.example; listen 443 ssl; access_log {target}; }}")
    assert told in written.prose
    assert "Have nginx write a file as well: access_log" in written.prose
    assert "Add this to its configuration:" in written.prose
    assert written.one.site == "https://a.example"


def test_variables_in_a_path_become_a_glob(nginx) -> None:
    """Whatever nginx puts in, the file is found; globs come last, so that files named exactly keep their own source."""
    written = nginx("""
        server { server_name a.example; access_log /l/$year-${month}.log; }
        server { server_name b.example; access_log /l/b.log; }
        """)
    assert written.paths == ["/l/b.log", "/l/*-*.log"]
    assert written.source("*-*.log").site == "http://a.example"


def test_a_glob_leaves_error_logs_out(nginx) -> None:
    """`$host.log` is `*.log`, and error.log is no access log."""
    written = nginx("server { server_name a.example; access_log /l/$remote_user.log; }")
    assert written.one.path == ("/l/*.log",)
    assert written.one.exclude == ("*.gz", "*error.log*")


def test_logs_named_after_the_host_tell_sites_apart(nginx) -> None:
    """Without the host in the lines, the file's name says it: one source for each site."""
    written = nginx("""
        access_log /l/$host.log;
        server { server_name a.example www.a.example; listen 443 ssl; }
        server { server_name b.example; }
        """)
    assert [(source.path, source.site) for source in written.settings.sources] == [
        (("/l/a.example.log", "/l/www.a.example.log"), "https://a.example"),
        (("/l/b.example.log",), "http://b.example"),
    ]


def test_relative_paths_start_at_the_prefix(lay, compose) -> None:
    """A build from source: PREFIX/conf/nginx.conf, logs in PREFIX/logs, also the compiled-in one."""
    root = lay(
        {
            "local/conf/nginx.conf": """\
                http {
                    include vhosts/*.conf;
                    server { server_name a.example; access_log logs/a.log; }
                }
                """,
            "local/conf/vhosts/b.conf": "server { server_name b.example; }",
        }
    )
    written = compose(root / "local/conf/nginx.conf")
    assert sorted(written.paths) == [f"{root}/local/logs/a.log", f"{root}/local/logs/access.log"]
    assert "this is the one that is compiled in" in written.prose


def test_a_path_with_glob_characters_means_itself(nginx) -> None:
    """A bracket in nginx's path is a bracket."""
    assert nginx("server { server_name a.example; access_log /l/[a]*.log; }").paths == ["/l/[[]a][*].log"]


FORMATS = [
    ("combined", "", "combined"),
    ("mine", f"log_format mine {COMBINED};", "combined"),
    ("p", "log_format p '$remote_addr [$time_local] ' '\"$request\" $status \"$http_user_agent\"';", None),
    ("b", 'log_format b \'$remote_addr "${request}" ${request_time} "$http_user_agent"\';', None),
    ("t", "log_format t '$remote_addr\\t$request_uri\\t$http_user_agent';", None),
    ("q", 'log_format q \'"$remote_addr" "$request" it\\\'s "$http_user_agent"\';', None),
    ("w", 'log_format w \' $remote_addr "$request" "$http_user_agent" \';', None),
    ("j", 'log_format j escape=json \'{"ip":"$remote_addr","r":"$request","ua":"$http_user_agent"}\';', None),
    ("n", "log_format n escape=none '$remote_addr|$request_uri|$http_user_agent';", None),
]


@pytest.mark.parametrize(("name", "directive", "expected"), FORMATS, ids=[each[0] for each in FORMATS])
def test_formats_are_resolved_to_the_very_string(nginx, name: str, directive: str, expected: str | None) -> None:
    """A known string keeps its name; any other is read back as nginx itself reads the directive."""
    from logship.parser import formats

    written = nginx(f"{directive} server {{ server_name a.example; access_log /l/a.log {name}; }}")
    format_ = written.one.format
    if expected:
        assert format_ == expected
    else:
        ours, theirs = formats.compile(format_), formats.compile(directive)
        assert (ours.pieces, ours.escape) == (theirs.pieces, theirs.escape)
        assert f"log_format {name}, " in written.text


def test_a_format_logship_cannot_use_waits_with_the_reason(nginx) -> None:
    """Without the client's address nobody can be counted: under comment, in logship's own words."""
    written = nginx("""
        log_format bad '$time_local $request';
        server { server_name a.example; access_log /l/a.log bad; }
        server { server_name b.example; access_log /l/b.log; }
        server { server_name c.example; access_log /l/c.log nowhere; }
        """)
    assert written.paths == ["/l/b.log"]
    assert "the format does not hold the client's address" in written.prose
    assert 'The format "nowhere" is defined nowhere' in written.prose
    assert "path: /l/a.log" in written.uncommented


@pytest.mark.parametrize(
    ("servers", "site"),
    [
        ("server { server_name a.example; listen 80; } server { server_name a.example; listen 443 ssl; }", "https"),
        ("server { server_name a.example; listen 8443 ssl; }", "https"),
        ("server { server_name a.example; listen 443 quic; }", "https"),
        ("server { server_name a.example; listen [::]:443; }", "https"),
        ("server { server_name a.example; ssl on; }", "https"),
        ("server { server_name a.example; return 301 https://$host$uri; } server { server_name a.example; }", "https"),
        ("server { server_name a.example; listen 80; }", "http"),
        ("server { server_name a.example; }", "http"),
    ],
)  # fmt: skip
def test_https_when_any_server_of_the_name_has_it(nginx, servers: str, site: str) -> None:
    """The visitor's address bar says https as soon as any of the blocks does."""
    assert nginx(servers).one.site == f"{site}://a.example"


@pytest.mark.parametrize(
    ("names", "site"),
    [
        ("_ a.example", "http://a.example"),
        ('"" b.example', "http://b.example"),
        ("~^(?<x>.+)\\.c\\.example$ c.example", "http://c.example"),
        ("*.d.example d.example", "http://d.example"),
        (".e.example", "http://e.example"),
        ("localhost f.example", "http://f.example"),
        ("wiki wiki.g.example", "http://wiki.g.example"),
        ("wiki", "http://wiki"),
        ("10.0.0.1 h.example", "http://h.example"),
        ("I.Example", "http://i.example"),
    ],
)
def test_the_first_real_name_is_the_site(nginx, names: str, site: str) -> None:
    """Catch-alls, expressions, wildcards and addresses are no site; a complete name goes before a short one."""
    assert nginx(f"server {{ server_name {names}; }}").one.site == site


@pytest.mark.parametrize("names", ["_", '""', "~^.*$", "*.example.com", "localhost", "10.0.0.1", "$hostname"])
def test_a_server_without_a_real_name_has_no_site(nginx, names: str) -> None:
    """The site is asked for, never made up."""
    written = nginx(f"server {{ server_name {names}; }}")
    assert written.one.site is None
    assert "site: unknown" in written.prose


def test_a_source_without_a_site_says_what_is_left_to_do(nginx) -> None:
    """The steps come in the order in which they are taken, and what happens until then last."""
    told = nginx("server { server_name _; }").prose
    assert told.index("Put in the site's address.") < told.index("Take the keys below out of their comment as well")
    assert "; until then no event comes of it." in told


def test_redirects_are_no_site(nginx) -> None:
    """Blocks that only send elsewhere do not make a shared log ambiguous: none of their lines is a page."""
    written = nginx("""
        access_log /l/all.log;
        server { server_name old.example; return 301 https://new.example$request_uri; }
        server { server_name older.example; rewrite ^(.*)$ https://new.example$1 permanent; }
        server { server_name oldest.example; location /.well-known/acme-challenge/ { root /srv; }
                 location / { return 301 https://new.example$request_uri; } }
        server { server_name new.example; listen 443 ssl; location / { } }
        """)
    assert written.one.site == "https://new.example"


def test_hosts_in_one_log_that_cannot_be_told_apart(nginx) -> None:
    """No visit is counted for the wrong site: the comment says which log_format helps, and the file is accepted."""
    written = nginx("""
        access_log /l/all.log;
        server { server_name one.example; }
        server { server_name two.example www.two.example; }
        """)
    assert written.one.site is None
    assert written.one.hosts == ("one.example", "two.example", "www.two.example")
    assert "hosts cannot be told apart" in written.prose
    assert "log_format vhost_combined '$host:$server_port $remote_addr" in written.text
    assert "access_log /l/all.log vhost_combined;" in written.text


def test_such_a_log_waits_under_comment_beside_others(nginx) -> None:
    """Where another source can be used, the doubtful one is left to be decided."""
    written = nginx("""
        log_format mine '$remote_addr "$request" $status "$http_user_agent"';
        access_log /l/all.log mine;
        server { server_name one.example; }
        server { server_name two.example; }
        server { server_name three.example; access_log /l/three.log; }
        """)
    assert written.paths == ["/l/three.log"]
    assert "log_format vhost_mine '$host $remote_addr" in written.text
    assert "hosts: [one.example, two.example]" in written.uncommented


def test_the_format_that_is_advised_is_read_with_its_host(nginx) -> None:
    """What the comment tells to put into nginx gives a source with hosts at the next init."""
    advised = nginx("access_log /l/all.log; server { server_name a.example; } server { server_name b.example; }")
    directive = next(line.strip("# ") for line in advised.text.splitlines() if "#     log_format" in line)
    written = nginx(f"""
        {directive}
        access_log /l/all.log vhost_combined;
        server {{ server_name a.example; }} server {{ server_name b.example; }}
        """)
    assert written.one.site is None
    assert written.one.hosts == ("a.example", "b.example")


def test_a_log_with_the_host_serves_many_sites(nginx) -> None:
    """No site then: each line says its own, and hosts keeps strangers out."""
    names = [f"s{number}.example" for number in range(9)]
    servers = "".join(f"server {{ server_name {name}; listen 443 ssl; }}" for name in names)
    written = nginx(f"""
        log_format v '$host $remote_addr [$time_local] "$request" $status "$http_user_agent"';
        access_log /l/all.log v; {servers}
        server {{ server_name ~^x; listen 80 default_server; }}
        """)
    assert written.one.site is None
    assert written.one.hosts == tuple(names)


def test_other_hosts_in_a_log_without_the_host_are_mentioned(nginx) -> None:
    """A default server that shows pages writes strangers' requests into the same log."""
    written = nginx("""
        access_log /l/all.log;
        server { server_name _; listen 80 default_server; }
        server { server_name a.example; }
        """)
    assert written.one.site == "http://a.example"
    assert "Requests for any other host (the server _" in written.prose


@pytest.mark.parametrize(
    "where",
    ["http { R server { server_name a.example; A } }", "http { server { server_name a.example; R A } }"],
)
def test_real_ip_leaves_x_forwarded_for_alone(lay, compose, where: str) -> None:
    """With set_real_ip_from nginx logs the visitor already; trusting the header again would be wrong."""
    conf = where.replace("R", "set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;")
    format_ = f'log_format m {COMBINED[:-1]} "$http_x_forwarded_for"\';'
    conf = conf.replace("http {", "http { " + format_).replace(" A ", " access_log /l/a.log m; ")
    written = compose(lay({"nginx.conf": conf}) / "nginx.conf")
    assert "set_real_ip_from with real_ip_header X-Forwarded-For): X-Forwarded-For is left alone" in written.prose
    assert "trusted_proxies" not in written.text


def test_a_chain_in_the_format_gives_a_hint(nginx) -> None:
    """Without realip, trusted_proxies stands ready under comment; nobody is trusted unasked."""
    written = nginx(f"""
        log_format m {COMBINED[:-1]} "$http_x_forwarded_for"';
        server {{ server_name a.example; access_log /l/a.log m; }}
        """)
    assert "# client_ip: {trusted_proxies: [private]}" in written.text
    assert written.one.client_ip.trusted_proxies == ()


def test_what_slows_or_changes_the_lines_is_said(nginx) -> None:
    """A buffer without flush, proxy_protocol without realip, an odd port, no User-Agent, two formats in one file."""
    written = nginx("""
        log_format bare '$remote_addr "$request"';
        server { server_name a.example; listen 8080 proxy_protocol; access_log /l/a.log combined buffer=64k; }
        server { server_name b.example; access_log /l/b.log bare; location /x { access_log /l/b.log combined; } }
        """)
    assert "buffer=64k without flush=" in written.prose
    assert "listens with proxy_protocol" in written.prose
    assert "It listens on 8080 only" in written.prose
    assert "The format has no User-Agent" in written.prose
    assert "Written in several formats" in written.prose


def test_includes_are_followed_in_order_and_loops_end(nginx) -> None:
    """Relative to nginx.conf, globs sorted, a loop and a missing file noted, snippets shared."""
    written = nginx(
        "include sites/*.conf; include gone.conf; include none/*.conf;",
        {
            "sites/b.conf": "server { server_name b.example; include snippets/log.conf; }",
            "sites/a.conf": "server { server_name a.example; access_log /l/a.log; } include sites/b.conf;",
            "sites/c.conf": "include sites/c.conf;",
            "snippets/log.conf": "access_log /l/b.log;",
        },
    )
    assert written.paths == ["/l/a.log", "/l/b.log"]
    assert "sites/c.conf includes itself" in written.prose
    assert "gone.conf is not there; left out" in written.prose
    assert "none/" not in written.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_include_is_noted(nginx, lay) -> None:
    """Without the right to read it, what it holds is unknown, and the file says so."""
    root = lay({"secret.conf": "server { }"})
    (root / "secret.conf").chmod(0)
    written = nginx("include secret.conf; server { server_name a.example; }")
    assert "secret.conf cannot be read: Permission denied; left out" in written.prose


def test_what_is_no_file_is_not_opened(nginx, tmp_path: Path) -> None:
    """A FIFO among the includes would wait for ever; a directory is none either."""
    os.mkfifo(tmp_path / "x.fifo")
    (tmp_path / "x.dir").mkdir()
    written = nginx("include x.*; server { server_name a.example; }")
    assert written.prose.count("it is no regular file") == 2


def test_includes_that_multiply_are_stopped(lay, compose) -> None:
    """Each file includes the next one twice: an error with its place, in good time."""
    files = {f"f{number}.conf": f"include f{number + 1}.conf;" * 2 for number in range(25)}
    root = lay({"nginx.conf": "http { include f0.conf; }", **files, "f25.conf": ""})
    with pytest.raises(LogshipError, match=r"f\d+\.conf:1: more than 20000 includes"):
        compose(root / "nginx.conf")


def test_a_site_file_alone_is_read_too(lay, compose) -> None:
    """Given a file of sites-available: what stands outside of it is unknown, and said to be."""
    root = lay({"site.conf": "server { server_name a.example; listen 443 ssl; access_log /l/a.log; }"})
    written = compose(root / "site.conf")
    assert written.one.site == "https://a.example"
    assert "there is no http block" in written.prose


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http {", r"nginx\.conf:1: the file ends"),
        ("events { }", r"nginx\.conf: there is no http block in it; name nginx's main file"),
        ("http { include x.conf; }", r"x\.conf:2: "),
    ],
)
def test_a_broken_configuration_is_a_clear_error(lay, compose, text: str, told: str) -> None:
    """File and line, also in an include."""
    root = lay({"nginx.conf": text, "x.conf": "server {\n listen }"})
    with pytest.raises(LogshipError, match=told):
        compose(root / "nginx.conf")


def test_a_missing_main_file_is_a_clear_error(tmp_path: Path, compose) -> None:
    """Which file, and why."""
    with pytest.raises(LogshipError, match=r"nginx\.conf cannot be read: No such file or directory"):
        compose(tmp_path / "nginx.conf")


def test_mail_and_streams_are_not_the_web(nginx) -> None:
    """Their access_log holds no requests."""
    written = nginx(
        "server { server_name a.example; access_log /l/a.log; }",
        main="stream { log_format x '$remote_addr'; server { access_log /l/stream.log x; } }\nmail { }",
    )
    assert written.paths == ["/l/a.log"]
