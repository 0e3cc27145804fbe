"""Find a host's registrable domain by a small table of our own, not the whole public suffix list.

A suffix of one label is always public. Of two labels it is when the table below says so, or when it looks like a
country's second level (``co.uk``, ``com.au``, ``org.br``): that covers nearly every real site. A host it gets wrong
only means that two subdomains share their visitors, or do not.
"""

from __future__ import annotations

from functools import lru_cache

_SECOND_LEVEL = frozenset(
    """ac co com edu go gob gov gouv govt ltd mil ne net nhs or org plc sch school""".split()  # noqa: SIM905 - a table reads better as text
)

# Suffixes under which strangers get names of their own, and country suffixes that the pattern above does not see.
_SUFFIXES = frozenset(
    """asn.au id.au me.uk art.br blog.br eco.br adv.br eng.br ind.br med.br tv.br geek.nz iwi.nz gen.nz maori.nz
    ad.jp ed.jp gr.jp lg.jp re.kr pe.kr firm.in gen.in ind.in web.za law.za nom.za idv.tw idv.hk in.th in.ua
    kiev.ua kyiv.ua lviv.ua info.pl biz.pl waw.pl web.tr gen.tr info.tr biz.tr k12.tr gv.at priv.at asso.fr
    nom.fr presse.fr tm.fr qc.ca on.ca bc.ca ab.ca nom.es web.id my.id sch.id biz.id web.ve info.ve appspot.com
    azurewebsites.net blogspot.com cloudfront.net deno.dev firebaseapp.com fly.dev framer.app framer.website
    ghost.io github.io gitlab.io glitch.me hashnode.dev herokuapp.com mystrikingly.com netlify.app ngrok.io
    ngrok.app notion.site now.sh onrender.com pages.dev pythonanywhere.com railway.app readthedocs.io repl.co
    replit.app rf.gd myshopify.com stackblitz.io streamlit.app substack.com surge.sh tumblr.com vercel.app
    web.app webflow.io weebly.com wixsite.com wordpress.com workers.dev duckdns.org dyndns.org no-ip.org
    ddns.net hopto.org eu.org uk.com us.com de.com eu.com gb.net uk.net jpn.com br.com cn.com za.com co.com""".split()  # noqa: SIM905 - a table reads better as text
)


@lru_cache(maxsize=4096)
def registrable(host: str) -> str:
    """Return the domain that its owner registered: ``example.co.uk`` for ``a.b.example.co.uk``."""
    labels = host.split(".")
    if len(labels) <= 2:
        return host
    return ".".join(labels[-3:] if _is_public(labels[-2], labels[-1]) else labels[-2:])


def _is_public(second: str, top: str) -> bool:
    return f"{second}.{top}" in _SUFFIXES or (len(top) == 2 and second in _SECOND_LEVEL)
