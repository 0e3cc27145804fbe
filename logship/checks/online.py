"""Try each destination, step by step: name, connection, certificate, answer, and the address it takes for a visitor's.

What is posted is an empty object with Plausible's debug header: Plausible Cloud and `logship receive` answer with the
address that they would take for the visitor's; a self-hosted Plausible ignores the header, and refuses the object for
it names neither page nor site. So no visit is ever counted.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from logship.checks.findings import Findings
from logship.dispatcher import wire
from logship.errors import Problem
from logship.records import Delivered, Misconfigured, Refused, TryAgain, Verdict
from logship.settings.destination import DestinationSettings
from logship.settings.root import Settings

_VISITOR = "203.0.113.7"  # an address for documentation (RFC 5737): nobody's
_SOON = 14 * 86400.0  # seconds: a certificate that is renewed by itself is renewed long before
_MOST = 4096  # bytes of an answer
_PORTS = {"http": 80, "https": 443}


async def check(settings: Settings) -> Findings:
    """Try every destination, side by side."""
    findings = Findings()
    async with asyncio.TaskGroup() as tasks:
        tried = [tasks.create_task(_try(each)) for each in settings.destinations]
    for destination, task in zip(settings.destinations, tried, strict=True):
        where = f"destinations.{destination.name}"
        findings.notes += [f"{where}: {note}" for note in task.result().notes]
        found = [Problem(where, each.message, warning=each.warning) for each in task.result().problems]
        findings.problems += [problem.at(*settings.place(where)) for problem in found]
    return findings


async def _try(destination: DestinationSettings) -> Findings:
    """Go from step to step until one fails."""
    findings = Findings()
    for step in (_resolve, _connect, _ask):
        if (fault := await step(destination, findings)) is not None:
            findings.problems.append(Problem("", fault))
            break
    return findings


async def _resolve(destination: DestinationSettings, findings: Findings) -> str | None:
    """Look up the name to connect to: that of the proxy, if there is one."""
    url = urlsplit(destination.proxy or destination.url)
    host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return f"DNS does not know {host} ({reason}): check the spelling, and the resolver of this machine"
    addresses = sorted({str(each[4][0]) for each in found})
    if addresses != [host]:
        findings.notes.append(f"{host} is {', '.join(addresses[:4])}{' ...' if len(addresses) > 4 else ''}")
    return None


async def _connect(destination: DestinationSettings, findings: Findings) -> str | None:
    """Connect as the daemon does, certificate included."""
    transport = wire.Wire(destination)
    try:
        with closing(transport.line()) as line:
            verdict = await line.open()
            _check_certificate(line.certificate_ends, findings)
    finally:
        await transport.close()
    return None if verdict is None else f"{_host(destination)} cannot be reached: {_reason(verdict)}"


def _check_certificate(ends: float | None, findings: Findings) -> None:
    if ends is None:
        return
    left = ends - time.time()
    expiry = f"its certificate ends in {left / 86400:.0f} days"
    if left < _SOON:
        findings.problems.append(Problem("", f"{expiry}; no event is accepted after that: renew it", warning=True))
    else:
        findings.notes.append(expiry)


async def _ask(destination: DestinationSettings, findings: Findings) -> str | None:
    given = dict.fromkeys(destination.ip_headers, _VISITOR)
    headers = {"X-Debug-Request": "true", "Content-Type": "application/json", **given, **destination.headers}
    timeout = aiohttp.ClientTimeout(total=destination.timeout.total, connect=destination.timeout.connect)
    options: dict[str, Any] = {"proxy": destination.proxy, "ssl": wire.trust(destination), "allow_redirects": False}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(destination.url, data=b"{}", headers=headers, **options) as answer,
        ):
            return _check_answer(destination, answer.status, answer.headers, await answer.content.read(_MOST), findings)
    except TimeoutError:
        return f"{_host(destination)} took the request and gave no answer within {destination.timeout.total:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"{_host(destination)} took the request and gave no answer ({type(error).__name__})"


def _check_answer(
    destination: DestinationSettings, status: int, headers: Mapping[str, str], body: bytes, findings: Findings
) -> str | None:
    """Return what is wrong with an answer; None if Plausible's API may answer so."""
    verdict = wire.judge(status, headers, body, time.time())
    if isinstance(verdict, Refused):
        findings.notes.append(_UNTOLD)
        return None
    if status == 200 and (seen := _address(headers.get("x-debug-ip") or body.decode("ascii", "replace"))) is not None:
        _check_address(destination, seen, findings)
        return None
    if status == 202:  # events would count as delivered there, so nothing is in the way of `run`
        message = "accepts an empty object, as Plausible never does; if it is to be Plausible, is the url right?"
        findings.problems.append(Problem("", message, warning=True))
        return None
    if isinstance(verdict, Delivered):
        return f"{_host(destination)} accepted an empty object, as Plausible never does: is the url right?"
    return f"{_host(destination)} answered {status}: {_reason(verdict)}"


_UNTOLD = (
    "answers as Plausible does, and not which address it takes for the visitor's: a self-hosted one tells that only "
    "of events that count. Look at its dashboard's countries, or at the log of what stands in front of it"
)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def _check_address(destination: DestinationSettings, seen: str, findings: Findings) -> None:
    if seen == _VISITOR:
        findings.notes.append(f"takes the address that logship sends for the visitor's ({_VISITOR}, in a trial)")
        return
    more = (
        " or set ip_headers: [X-Forwarded-For, X-Plausible-IP]"
        if "X-Plausible-IP" not in destination.ip_headers
        else ""
    )
    mistaken = f"was told that the visitor is {_VISITOR}, and takes {seen} for it: every visitor would be that one"
    help_ = f"have what stands in front of it pass {destination.ip_headers[0]} on{more}"
    findings.problems.append(Problem("", f"{mistaken}; {help_}", warning=True))


def _host(destination: DestinationSettings) -> str:
    return urlsplit(destination.url).hostname or ""


def _reason(verdict: Verdict) -> str:
    match verdict:
        case Misconfigured(detail=text) | Refused(detail=text) | TryAgain(reason=text):
            return text
    return "accepted"
