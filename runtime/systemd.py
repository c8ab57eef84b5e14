"""Reports the state of the service to systemd: sd_notify(3) and sd_watchdog_enabled(3) of the systemd manual.

The protocol is one datagram of `NAME=value` lines to the socket in NOTIFY_SOCKET.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from core.events.base import write
from core.events.files import SystemdUnreachable


class Notifier:
    """Sends to the service manager. Without one (`address` None) every call does nothing."""

    def __init__(self, address: str | None = None, watchdog_interval: float | None = None) -> None:
        self._address = address
        self.watchdog_interval = watchdog_interval
        """Seconds between two calls of `watchdog`: half of what systemd allows. None: no watchdog is set."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notifier:
        return cls(environ.get("NOTIFY_SOCKET") or None, _watchdog_interval(environ))

    def ready(self, status: str = "") -> None:
        """Report that start-up is complete."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(*_status(text))

    def watchdog(self) -> None:
        """Report that the worker is alive; without this call systemd restarts it."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        # A leading "@" stands for the zero byte of an abstract socket.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)  # a manager that does not read must not hold the worker up
                channel.sendto("\n".join(lines).encode(errors="replace"), address)
        except (OSError, ValueError) as error:
            write(SystemdUnreachable(str(error)))


def _status(text: str) -> list[str]:
    # A line break would end the value and begin another field.
    return [f"STATUS={' '.join(text.split())}"] if text else []


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Return half of WATCHDOG_USEC, when it is meant for this process (WATCHDOG_PID)."""
    try:
        limit = int(environ["WATCHDOG_USEC"])
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
    except (KeyError, ValueError):
        return None
    return limit / 2_000_000 if limit > 0 and pid == os.getpid() else None
