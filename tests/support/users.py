"""Users of the tests' node with the rights that a story needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.address import BrokerAddress
from sandbox.rabbitmq import RabbitNode


@contextmanager
def user_with_rights(
    node: RabbitNode, vhost: BrokerAddress, configure: str, write: str, read: str, *, password: str | None = None
) -> Iterator[BrokerAddress]:
    """A user of that virtual host within the block; the rights are regular expressions for names of queues."""
    name, password = f"user-{uuid.uuid4().hex[:8]}", password or uuid.uuid4().hex
    node.ctl("add_user", name, password)
    node.ctl("set_permissions", "--vhost", vhost.vhost, name, configure, write, read)
    try:
        yield BrokerAddress(vhost.host, vhost.port, name, password, vhost.vhost)
    finally:
        node.ctl("delete_user", name)
