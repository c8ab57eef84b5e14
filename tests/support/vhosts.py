"""Fresh virtual hosts for the tests, made and deleted ten at a time: one call of rabbitmqctl costs half a second."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from sandbox.address import BrokerAddress

AT_ONCE = 10


class VhostOwner(Protocol):
    """A private node, or a server of the user's own."""

    def start(self) -> None:
        """Runs when this returns."""

    def add_vhosts(self, names: Sequence[str], **settings: str) -> list[BrokerAddress]:
        """Virtual hosts in which our user may do everything, with `settings` (default_queue_type)."""

    def delete_vhosts(self, names: Sequence[str]) -> None:
        """With their queues; connections to them are closed by the broker."""


class FreshVhosts:
    """`with vhosts.one() as address:` is a virtual host that nobody has used."""

    def __init__(self, owner: VhostOwner) -> None:
        self._owner = owner
        self._fresh: defaultdict[str, list[BrokerAddress]] = defaultdict(list)  # by their default type of queue
        self._used: list[str] = []

    @contextmanager
    def one(self, default_queue_type: str = "") -> Iterator[BrokerAddress]:
        fresh = self._fresh[default_queue_type]
        if not fresh:
            settings = {"default_queue_type": default_queue_type} if default_queue_type else {}
            fresh += self._owner.add_vhosts([uuid.uuid4().hex for _ in range(AT_ONCE)], **settings)
        address = fresh.pop()
        try:
            yield address
        finally:
            self._used.append(address.vhost)
            if len(self._used) >= AT_ONCE:
                self.delete_used()

    def delete_used(self) -> None:
        """Before others are made, and at the end of all."""
        self._owner.start()  # a test may have left it down; what is deleted must be asked of a running node
        self._owner.delete_vhosts(self._used)
        self._used = []

    def close(self) -> None:
        """Leaves nothing behind in a server that stays."""
        self._used += [address.vhost for fresh in self._fresh.values() for address in fresh]
        self._fresh.clear()
        self.delete_used()
