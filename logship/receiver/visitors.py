"""Name visitors without knowing them: a keyed hash under a salt that lives for two days, apart from the events.

Whoever holds the store alone cannot test an address against it, and after two days nobody can.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import structlog

from logship.receiver import domains

log = structlog.get_logger(__name__)

_DAY = 24 * 60 * 60
_LENGTH = 16
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z", re.ASCII)


def identify(salt: bytes, user_agent: str, address: str, site: str, hostname: str) -> str:
    """Return the visitor's id: 16 hexadecimal digits.

    The address counts as text, so another spelling of it is another visitor; of the hostname only the registrable
    domain counts, so subdomains share their visitors.
    """
    facts = "".join((user_agent, address, site, root_domain(hostname)))
    return hashlib.blake2b(facts.encode("utf-8", "replace"), digest_size=8, key=salt).hexdigest()


def root_domain(hostname: str) -> str:
    """Return the registrable domain; an IPv4 address and ``(none)`` stand for themselves."""
    return hostname if _IPV4.match(hostname) else domains.registrable(hostname)


class Salts:
    """Today's salt and yesterday's. With a path they outlive a restart, in a file that only we may read."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._by_day: dict[int, bytes] = self._load()

    def at(self, now: float) -> tuple[bytes, bytes | None]:
        """Return today's salt, made when the day is new, and yesterday's, if there is one. Older ones are deleted."""
        today = int(now // _DAY)
        if today not in self._by_day:
            self._by_day = {day: salt for day, salt in self._by_day.items() if day == today - 1}
            self._by_day[today] = os.urandom(_LENGTH)
            self._save()
        return self._by_day[today], self._by_day.get(today - 1)

    def _load(self) -> dict[int, bytes]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            held = json.loads(self._path.read_text())
            salts = {int(day): bytes.fromhex(salt) for day, salt in held.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("salts.unreadable", path=str(self._path), error=str(error), help="visitors count again")
            return {}
        return {day: salt for day, salt in salts.items() if len(salt) == _LENGTH}

    def _save(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_name(self._path.name + ".new")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({str(day): salt.hex() for day, salt in self._by_day.items()}, file)
            draft.replace(self._path)
        except OSError as error:
            log.warning(
                "salts.not_saved",
                path=str(self._path),
                error=str(error),
                help="after a restart, visitors count again",
            )
