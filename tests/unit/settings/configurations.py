"""Configurations for the tests here: the contract's example, and the least one with more keys."""

from logship.settings import loader
from logship.settings.root import Settings

SOURCE = "sources: [{path: /var/log/a.log, site: https://a.example}]\n"

# Word for word the "everything, with its default" of the contract.
EVERYTHING = """
state_dir: /var/lib/logship            # $STATE_DIRECTORY when systemd sets it
admin: {listen: 127.0.0.1:9469}        # health, metrics, status page; null: off
max_event_age: 24h
grace_period: 10s                      # how long a stop may take to settle what is in flight

destinations:
  plausible:                           # any number, any names; with none given, this one
    url: https://plausible.io          # /api/event is added when there is no path
    connections: 16
    batch: {max_events: 500, max_wait: 0s}
    timeout: {connect: 5s, total: 15s}
    retry: {initial: 0.5s, max: 60s, ambiguous: true}
    max_events_per_second: null
    when_full: wait                    # or dead_letter
    ip_headers: [X-Forwarded-For]      # add X-Plausible-IP for a self-hosted Plausible behind a CDN
    headers: {}                        # static extras; values may use ${ENV}
    tls: {ca_file: null, verify: true}
    proxy: null

sources:
  - name: shop                         # default: from the path
    path: [/var/log/nginx/shop*.log]
    exclude: ["*.gz"]
    format: auto
    wrapper: auto
    site: https://shop.example.com
    domain: shop.example.com
    hosts: [shop.example.com]
    start_at: end
    client_ip: {trusted_proxies: [], field: x_forwarded_for}
    query: campaign

rules:
  - name: admin area
    when: {path: "/admin/**"}
    drop: true
  - name: downloads
    when: {path: "**.{pdf,zip,dmg}", status: [200, 206]}
    event: File Download
    props: {url: "{site}{path}"}
  - name: not found
    when: {status: 404, bot: false}
    event: "404"
    props: {path: "{path}"}
  - preset: pageviews
"""


def read(text: str, **env: str) -> Settings:
    """Read a text that is without fault."""
    found, problems = loader.read(text, "f", env)
    assert not problems
    return found


def problems(text: str, **env: str) -> list[str]:
    """Return the problems of a text as a person sees them."""
    return [str(problem) for problem in loader.read(text, "f", env)[1]]


def source(keys: str) -> str:
    """Return a configuration whose source has further keys."""
    return f"sources: [{{path: /var/log/a.log, site: https://a.example, {keys}}}]\n"


def destination(keys: str) -> str:
    """Return a configuration whose destination has these keys."""
    return f"{SOURCE}destinations: {{p: {{{keys}}}}}\n"


def rule(keys: str) -> str:
    """Return a configuration with one rule."""
    return f"{SOURCE}rules:\n  - {{{keys}}}\n"


def when(keys: str) -> str:
    """Return a configuration with one rule that has these conditions."""
    return rule(f"event: x, when: {{{keys}}}")
