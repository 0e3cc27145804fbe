"""The settings of health, metrics and the status page."""

from __future__ import annotations

from dataclasses import dataclass, replace

from logship.language import notations
from logship.language.kinds import Several, Text
from logship.language.sections import Key, Section


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Where health, metrics and the status page are served."""

    host: str = "127.0.0.1"
    port: int = 9469
    hosts: tuple[str, ...] = ()


ADMIN = Section(
    [
        Key(
            "listen",
            Text("an address with a port", notations.listen, show=lambda pair: f"{pair[0]}:{pair[1]}"),
            ("127.0.0.1", 9469),
            "Address and port of health, metrics and the status page; IPv6 in brackets: `[::1]:9469`.",
        ),
        Key(
            "hosts",
            Several(Text("a host", notations.host_pattern), "a list of hosts"),
            (),
            "Host names to answer to besides addresses and local names, wildcards allowed, such as a scraper's name "
            "for this machine. Other names are refused, because any web page could make its own name point here.",
        ),
    ],
    lambda _, values: replace(AdminSettings(*values.get("listen", ())), hosts=values.get("hosts", ())),
    meaning="Where health, metrics and the status page are served.",
)
