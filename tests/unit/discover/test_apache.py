"""Apache: what is logged where, for whom, in which format."""

from __future__ import annotations

import os

import pytest

from logship.discover import envvars
from logship.discover.apache_grammar import parse, words
from logship.errors import LogshipError

FORMATS = r"""
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
LogFormat "%h %l %u %t \"%r\" %>s %O" common
"""
ENVVARS = """
unset HOME
if [ "${APACHE_CONFDIR##/etc/apache2-}" != "${APACHE_CONFDIR}" ] ; then
\tSUFFIX="-${APACHE_CONFDIR##/etc/apache2-}"
else
\tSUFFIX=
fi
export APACHE_RUN_USER=www-data
export APACHE_LOG_DIR=/var/log/apache2$SUFFIX
#export APACHE_LOG_DIR=/elsewhere
"""


def site(name: str, inside: str = "", address: str = "*:80") -> str:
    return f"<VirtualHost {address}>\nServerName {name}\n{inside}\n</VirtualHost>\n"


def debian(sites: dict[str, str], name: str = "apache2") -> dict[str, str]:
    return {
        f"{name}/apache2.conf": "DefaultRuntimeDir ${APACHE_RUN_DIR}\n"
        "IncludeOptional mods-enabled/*.load\nIncludeOptional mods-enabled/*.conf\nInclude ports.conf\n"
        + FORMATS
        + "IncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n",
        f"{name}/envvars": ENVVARS,
        f"{name}/ports.conf": "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n",
        f"{name}/mods-enabled/ssl.load": "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n",
        f"{name}/conf-enabled/other-vhosts-access-log.conf": (
            "CustomLog ${APACHE_LOG_DIR}/other_vhosts_access.log vhost_combined\n"
        ),
        **{f"{name}/sites-enabled/{file}.conf": text for file, text in sites.items()},
    }


def test_debians_layout(lay, compose) -> None:
    """envvars say where logs are; a host without a log of its own writes to the main server's."""
    own = "CustomLog ${APACHE_LOG_DIR}/access.log combined"
    root = lay(
        debian(
            {
                "000-default": "<VirtualHost *:80>\nServerAdmin webmaster@localhost\n" + own + "\n</VirtualHost>\n",
                "shop": site("shop.example", "Redirect permanent / https://shop.example/")
                + "<IfModule mod_ssl.c>\n"
                + site("shop.example", "SSLEngine on\nCustomLog ${APACHE_LOG_DIR}/shop.log combined", "*:443")
                + "</IfModule>\n",
                "a": site("a.example", "ServerAlias www.a.example"),
                "b": site("b.example", "", "*:443"),
            }
        )
    )
    written = compose(apache=root / "apache2/apache2.conf")
    shop = written.source("shop.log")
    assert shop.path == ("/var/log/apache2/shop.log",)
    assert (shop.site, shop.format) == ("https://shop.example", "combined")
    others = written.source("other_vhosts_access.log")
    assert (others.site, others.format) == (None, "vhost_combined")
    assert others.hosts == ("a.example", "www.a.example", "b.example")
    assert "no certificate is set up here for a.example" in written.prose
    assert "site: unknown" in written.prose
    assert "path: /var/log/apache2/access.log" in written.uncommented


def test_a_second_instance_logs_elsewhere(lay, compose) -> None:
    """/etc/apache2-shop logs to /var/log/apache2-shop, as envvars has it."""
    root = lay(debian({"a": site("a.example")}, "apache2-shop"))
    path = compose(apache=root / "apache2-shop/apache2.conf").one.path
    assert path == ("/var/log/apache2-shop/other_vhosts_access.log",)


def test_envvars_are_read_and_never_run() -> None:
    """Assignments in their order, quotes and defaults undone; whatever else the shell would do is left."""
    text = "A=1\nexport B=\"$A/${C:-x}\" # no\nD='$A'\nE=$(rm -rf /)\nF=${G}\n A2=${A}2\n"
    found = envvars.assigned(text, {}, {"A2": "fixed"})
    assert found == {"A": "1", "B": "1/x", "D": "$A", "E": "$(rm", "F": "", "A2": "fixed"}


def test_red_hats_layout(lay, compose) -> None:
    """conf/httpd.conf: ServerRoot above it, log_config a module, logs relative."""
    root = lay(
        {
            "httpd/conf/httpd.conf": "ServerRoot ROOT/httpd\nInclude conf.modules.d/*.conf\n"
            "ServerName www.a.example:80\n<IfModule log_config_module>\n"
            'LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined\n'
            '<IfModule logio_module>\nLogFormat "%h %I %O" combinedio\n</IfModule>\n'
            'CustomLog "logs/access_log" combined\n</IfModule>\nIncludeOptional conf.d/*.conf\n',
            "httpd/conf.modules.d/00-base.conf": "LoadModule log_config_module modules/mod_log_config.so\n",
            "httpd/conf.d/README": "not included",
        }
    )
    source = compose(apache=root / "httpd/conf/httpd.conf").one
    assert source.path == (f"{root}/httpd/logs/access_log",)
    assert (source.site, source.format) == ("http://www.a.example", "combined")


@pytest.mark.parametrize(
    ("listen", "address", "followed"),
    [
        ("Listen 80\nListen 443 https\n", "_default_:443", True),
        ("Listen 8080\nListen [::]:80\n", "*:80", True),
        ("Listen 80\nListen 443 https\n", "*:80", False),
        ("Listen 80\nListen 8080\n", "*", False),
        ("Listen 80\n", "10.0.0.1:80", False),
        ("", "*:80", False),
    ],
)
def test_the_main_server_answers_where_no_virtual_host_does(apache, listen: str, address: str, followed: bool) -> None:
    """Red Hat's ssl.conf leaves port 80 to the main server, and its log to whoever comes there."""
    main = f"ServerName plain.example\n{listen}{FORMATS}CustomLog /l/main.log combined\n"
    written = apache(main + site("www.example.com", "CustomLog /l/own.log combined", address))
    paths = [source.path for source in written.settings.sources]
    assert sorted(paths) == [("/l/main.log",)] * followed + [("/l/own.log",)]
    assert ("is for virtual hosts without a log of their own" in written.prose) is not followed


def test_define_and_variables_count_from_where_they_stand(apache) -> None:
    """${VAR} is what was defined when the line is reached; with an unknown one the log is not followed."""
    written = apache(
        FORMATS
        + "Define base /srv/logs\nDefine host a.example\n"
        + site("${host}", "CustomLog ${base}/a.log combined")
        + "Define base /other\n"
        + site("b.example", 'CustomLog "${base}/b b.log" combined')
        + "UnDefine base\n"
        + site("c.example", "CustomLog ${base}/c.log combined")
    )
    assert written.paths == ["/srv/logs/a.log", "/other/b b.log"]
    assert "${base} is defined nowhere in what was read" in written.prose


def test_conditions_hold_or_not(apache) -> None:
    """IfDefine, IfModule, IfVersion, IfFile and their negations; what is left out for a missing module is said."""
    log = "CustomLog /l/{}.log combined"
    written = apache(
        FORMATS
        + "LoadModule ssl_module modules/mod_ssl.so\nDefine YES\n"
        + site(
            "a.example",
            "\n".join(
                f"<{test}>\n{log.format(name)} env={name}\n</{test.split()[0]}>"
                for name, test in [
                    ("ssl", "IfModule mod_ssl.c"),
                    ("nossl", "IfModule !mod_ssl.c"),
                    ("gone", "IfModule mod_gone.c"),
                    ("yes", "IfDefine YES"),
                    ("no", "IfDefine NO"),
                    ("not", "IfDefine !NO"),
                    ("new", "IfVersion >= 2.4"),
                    ("old", "IfVersion < 2.4"),
                    ("root", "IfFile /"),
                ]
            ),
        )
    )
    assert sorted(path[3:-4] for path in written.paths) == ["new", "not", "root", "ssl", "yes"]
    assert (
        "<IfModule mod_gone.c> does not hold, as no LoadModule says so; the CustomLog inside is left out"
        in written.prose
    )


def test_continued_lines_and_quotes(apache) -> None:
    """A backslash continues a line, of a comment too; quotes hold blanks, and escaped quotes."""
    written = apache(
        "# a comment that goes \\\n on: CustomLog /l/no.log common\n"
        'LogFormat "%h %t \\"%r\\" %>s \\\n\\"%{User-Agent}i\\" it\'s" mine\n'
        "ServerName a.example\n  customlog\t'/l/a b.log' \\\n   mine\n"
    )
    assert written.one.path == ("/l/a b.log",)
    assert written.one.format == '%h %t "%r" %>s "%{User-Agent}i" it\'s'


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ('"a \\"b\\" c" d', ['a "b" c', "d"]),
        ('\'a "b\' "c\\\\d"', ['a "b', "c\\d"]),
        ('a\\b c"d', ["a\\b", 'c"d']),
        ('"open', ["open"]),
        ("", []),
    ],
)
def test_words_are_read_as_apache_reads_them(rest: str, expected: list[str]) -> None:
    """Quotes at a word's beginning, of which only themselves and backslashes are escaped."""
    assert words(rest) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<VirtualHost *:80>\n", "x:1: <VirtualHost> begins here and is never closed"),
        ("</VirtualHost>", "x:1: </VirtualHost> closes nothing: no section is open"),
        ("\n<A>\n</B>", "x:3: </B> closes nothing: <A> of line 2 is open"),
        ("<>", "x:1: <> is no section"),
        ("<A>\n" * 100, "x:64: more than 64 sections"),
    ],
)
def test_sections_that_do_not_match_are_errors_with_their_line(text: str, told: str) -> None:
    """File, line and what is open."""
    with pytest.raises(LogshipError) as caught:
        parse(text, "x")
    assert str(caught.value).startswith(told)


def test_nicknames_are_looked_up_when_all_is_read(apache) -> None:
    """A LogFormat may follow its CustomLog, and a virtual host's own goes before the main server's."""
    written = apache(
        site("a.example", "CustomLog /l/a.log mine")
        + site("b.example", 'LogFormat "%a \\"%r\\" \\"%{User-Agent}i\\"" mine\nCustomLog /l/b.log mine')
        + site("c.example", 'CustomLog /l/c.log "%a %t \\"%r\\" \\"%{User-Agent}i\\""')
        + site("d.example", "CustomLog /l/d.log nowhere")
        + 'LogFormat "%h \\"%r\\" \\"%{User-Agent}i\\"" mine\n'
    )
    assert {source.path[0]: source.format for source in written.settings.sources} == {
        "/l/a.log": '%h "%r" "%{User-Agent}i"',
        "/l/b.log": '%a "%r" "%{User-Agent}i"',
        "/l/c.log": '%a %t "%r" "%{User-Agent}i"',
    }
    assert 'The format "nowhere" is defined nowhere' in written.prose


def test_transfer_log_takes_the_nameless_format(apache) -> None:
    """LogFormat without a nickname is TransferLog's; without any it is the common log format."""
    written = apache(
        site("a.example", 'TransferLog /l/a.log\nLogFormat "%a \\"%r\\" \\"%{User-Agent}i\\""')
        + site("b.example", "TransferLog /l/b.log")
    )
    assert written.source("a.log").format == '%a "%r" "%{User-Agent}i"'
    assert written.source("b.log").format == "common"
    assert "The format has no User-Agent" in written.prose


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r'"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""', "combined"),
        (r'"%v %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""', "vhost_combined"),
        (r'"%v:%p %h %l %u %t \"%r\" %>s %b"', "vhost_common"),
        (r'"%h %l %u %t \"%r\" %>s %b"', "common"),
        (r'"%h %u %t \"%r\" \"%{User-Agent}i\""', '%h %u %t "%r" "%{User-Agent}i"'),
    ],
)
def test_a_known_string_keeps_its_name_and_a_nickname_proves_nothing(apache, text: str, name: str) -> None:
    """Anybody may call anything combined: the string decides."""
    assert apache(f"ServerName a.example\nLogFormat {text} combined\nCustomLog /l/a.log combined\n").one.format == name


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ('"|/usr/bin/logger -t apache"', "it is piped into a program"),
        ('"||/opt/ship --to x"', "it is piped into a program"),
        ("syslog:local1", "it goes to syslog"),
        ("/proc/self/fd/1", "/proc/self/fd/1 is no file that can be followed"),
    ],
)
def test_what_cannot_be_followed_is_explained(apache, target: str, told: str) -> None:
    """The comment says why and what to do, and the file is accepted all the same."""
    written = apache(FORMATS + site("a.example", f"CustomLog {target} combined"))
    assert told in written.prose
    assert "Have Apache write a file as well: CustomLog" in written.prose
    assert written.one.site == "http://a.example"


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("/usr/bin/rotatelogs -l -n 5 /l/a.%Y-%m-%d.log 86400", "/l/a.*-*-*.log"),
        ("bin/rotatelogs logs/access 5M", "ROOT/logs/access*"),
        ("/usr/sbin/cronolog /l/%Y/%m/access.log", "/l/*/*/access.log"),
    ],
)
def test_rotating_programs_write_files_that_can_be_followed(apache, tmp_path, command: str, path: str) -> None:
    """Their file names become a glob, with a remark."""
    written = apache(FORMATS + site("a.example", f'CustomLog "|{command}" combined'))
    assert written.one.path == (path.replace("ROOT", str(tmp_path)),)
    assert "begins a new file now and then" in written.prose


@pytest.mark.parametrize(
    ("vhosts", "address"),
    [
        (site("a.example", "SSLEngine on", "*:8443"), "https://a.example"),
        (site("a.example") + site("a.example", "SSLEngine On", "*:8443"), "https://a.example"),
        (site("a.example", "", "_default_:443"), "https://a.example"),
        (site("https://a.example:443"), "https://a.example"),
        ("SSLEngine on\n" + site("a.example"), "https://a.example"),
        (site("a.example:80"), "http://a.example"),
        ("<VirtualHost a.example:80>\n</VirtualHost>\n", "http://a.example"),
        ("ServerName a.example\n", "http://a.example"),
        (
            site(
                "a.example",
                "RewriteEngine on\nRewriteCond %{HTTPS} off\nRewriteRule ^(.*)$ https://a.example$1 [R=301,L]",
            )
            + site("www.a.example", "", "*:443"),
            "https://www.a.example",
        ),
    ],
)
def test_sites(apache, vhosts: str, address: str) -> None:
    """https as soon as any virtual host of the name has it; ports and schemes of ServerName are no part of it."""
    assert apache(FORMATS + "CustomLog /l/all.log combined\n" + vhosts).one.site == address


def test_a_host_names_pattern_is_a_host_pattern(apache) -> None:
    """ServerAlias may hold wildcards, and hosts takes them."""
    vhost = site("a.example", "ServerAlias *.a.example b?.example\nCustomLog /l/a.log vhost_combined")
    assert apache(FORMATS + vhost).one.hosts == ("a.example", "*.a.example", "b?.example")


def test_hosts_in_one_log_that_cannot_be_told_apart(apache) -> None:
    """The comment gives the LogFormat that helps."""
    written = apache(FORMATS + "CustomLog /l/all.log combined\n" + site("a.example") + site("b.example"))
    assert written.one.site is None
    assert "hosts cannot be told apart" in written.prose
    assert r'LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O' in written.text
    assert "CustomLog /l/all.log vhost_combined" in written.text


@pytest.mark.parametrize("directive", ["RemoteIPHeader X-Forwarded-For", "RemoteIPProxyProtocol On"])
def test_mod_remoteip_leaves_x_forwarded_for_alone(apache, directive: str) -> None:
    """Apache puts the visitor's address into %a and %h itself."""
    log = 'CustomLog /l/a.log "%a %t \\"%r\\" \\"%{User-Agent}i\\" \\"%{X-Forwarded-For}i\\""\n'
    plain, resolved = apache("ServerName a.example\n" + log), apache(f"ServerName a.example\n{directive}\n{log}")
    assert "# client_ip: {trusted_proxies: [private]}" in plain.text
    assert "trusted_proxies" not in resolved.text
    assert "X-Forwarded-For is left alone" in resolved.prose


def test_conditions_of_a_log_are_noted(apache) -> None:
    """env= and expr= are said; a second log with all requests is preferred."""
    written = apache(
        FORMATS
        + site("a.example", "CustomLog /l/a.log combined env=!dontlog")
        + site(
            "b.example", 'CustomLog /l/b.log combined "expr=%{REQUEST_STATUS} == 200"\nCustomLog /l/all.log combined'
        )
    )
    assert written.paths == ["/l/a.log", "/l/all.log"]
    assert "Written only where env=!dontlog holds" in written.prose
    assert "same requests as /l/all.log" in written.prose


def test_a_global_log_holds_every_virtual_hosts_requests(apache) -> None:
    """GlobalLog is written beside each virtual host's own: it is followed, as only it has them all."""
    written = apache(
        FORMATS
        + "GlobalLog /l/global.log vhost_combined\n"
        + site("a.example", "CustomLog /l/a.log combined")
        + site("b.example")
    )
    assert written.paths == ["/l/global.log"]
    assert set(written.one.hosts) == {"a.example", "b.example"}
    assert "same requests as /l/global.log" in written.prose


def test_macros_are_filled_in(apache) -> None:
    """mod_macro's virtual hosts count like any other; one that is not defined is noted."""
    written = apache(
        FORMATS
        + "<Macro VHost $name $file>\n"
        + site("$name", "CustomLog /l/$file.log combined")
        + "</Macro>\nUse VHost a.example one\nUse vhost b.example two\nUse Nothing\n"
    )
    assert [source.site for source in written.settings.sources] == ["http://a.example", "http://b.example"]
    assert "there is no such macro" in written.prose


def test_includes_directories_and_loops(apache) -> None:
    """Include takes a directory; a file that includes itself is noted; a missing one too, unless optional."""
    written = apache(
        FORMATS + "Include vhosts\nInclude gone.conf\nIncludeOptional gone2.conf\n",
        {"vhosts/a": site("a.example", "CustomLog /l/a.log combined"), "vhosts/b": "Include vhosts/b\n"},
    )
    assert written.one.site == "http://a.example"
    assert "vhosts/b includes itself" in written.prose
    assert "gone.conf is not there" in written.prose
    assert "gone2" not in written.text


def test_without_any_log_one_is_suggested(apache) -> None:
    """Apache has no log compiled in: without CustomLog there is nothing, and the file says what to add."""
    written = apache(site("a.example", "", "*:443"))
    assert "no CustomLog and no TransferLog" in written.prose
    assert "CustomLog /var/log/apache2/access.log combined" in written.text
    assert written.one.site == "https://a.example"


def test_host_name_lookups_are_a_trap(apache) -> None:
    """%h is then a name, and Plausible needs an address."""
    written = apache(FORMATS + "HostnameLookups On\n" + site("a.example", "CustomLog /l/a.log combined"))
    assert "%h may hold a name instead of the address; log %a" in written.prose


def test_a_macro_that_uses_itself_ends(apache) -> None:
    """mod_macro refuses it; here it is an error, and no end of the stack."""
    with pytest.raises(LogshipError, match="nested more than"):
        apache("<Macro M>\nUse M\n</Macro>\nUse M\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_main_file_is_an_error(lay, compose) -> None:
    """Which file, and why."""
    root = lay({"apache2.conf": ""})
    (root / "apache2.conf").chmod(0)
    with pytest.raises(LogshipError, match=r"apache2\.conf cannot be read: Permission denied"):
        compose(apache=root / "apache2.conf")
