"""Resolves names to addresses, without waiting for a name server that hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future

from settings.values import is_address

Lookup = Callable[[str, int], list[str]]


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name, in the order of the system's preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class UnresolvedError(TimeoutError):
    """No name server has answered in time."""


class Resolver:
    """Resolves names to addresses.

    A name server that hangs costs one thread for each name, however often it is asked.
    """

    def __init__(self, lookup: Lookup = look_up) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], Future[list[str]]] = {}

    def wait_for(self, host: str, port: int, seconds: float) -> list[str]:
        """Return the addresses, for threads that may wait. Raises OSError, an UnresolvedError if that takes longer."""
        if is_address(host):
            return [host]
        try:
            return self.resolve(host, port).result(seconds)
        except TimeoutError:
            raise UnresolvedError(f"{host} cannot be resolved within {seconds:g} s") from None

    def resolve(self, host: str, port: int) -> Future[list[str]]:
        with self._lock:
            if (pending := self._pending.get((host, port))) is not None:
                return pending
            found = self._pending[host, port] = Future()
        # A daemon thread, which pika's own is not: it would hold up the end of the process.
        threading.Thread(target=self._run, args=(host, port, found), name=f"resolve-{host}", daemon=True).start()
        return found

    def _run(self, host: str, port: int, found: Future[list[str]]) -> None:
        try:
            addresses = self._lookup(host, port)
        except Exception as error:  # noqa: BLE001 - handed to the race, which reports it (UnicodeError for odd names)
            failure: Exception | None = error
        else:
            failure = None
        with self._lock:
            del self._pending[host, port]
        if failure is not None:
            found.set_exception(failure)
        else:
            found.set_result(addresses)
