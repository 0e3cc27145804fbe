"""Talk to systemd: READY, STATUS, RELOADING, STOPPING and the watchdog, by datagrams to $NOTIFY_SOCKET.

The protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. Without the variable, silence.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

_DATAGRAMS = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
_DEFAULT_INTERVAL = 5.0  # seconds between two STATUS lines if no watchdog asks for more


class ServiceManager:
    """The process that started us, if it wants to be told. Telling never fails and never blocks."""

    def __init__(self, address: str | None, interval: float = _DEFAULT_INTERVAL) -> None:
        self._address = address
        self.interval = interval

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceManager:
        """Read $NOTIFY_SOCKET and $WATCHDOG_USEC; the watchdog is fed at a third of its time-out."""
        watchdog = environment.get("WATCHDOG_USEC", "")
        interval = min(_DEFAULT_INTERVAL, int(watchdog) / 3e6) if watchdog.isdecimal() else _DEFAULT_INTERVAL
        return cls(environment.get("NOTIFY_SOCKET"), max(interval, 0.05))

    def tell(self, *assignments: str) -> bool:
        """Send assignments such as ``READY=1``. Return True: said, or nobody is listening."""
        if not self._address:
            return True
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, _DATAGRAMS) as sender:
                sender.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return False
        return True
