"""A RabbitMQ of the user's own for the tests that need no more than virtual hosts: RABBITMQ_HOST and its like.

Its management plugin makes and deletes the virtual hosts, so the user must be an administrator. No other virtual host
is touched, nothing is blocked, restarted or reconfigured: tests that do so need a private node and are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import requests

from sandbox.address import BrokerAddress

MANAGEMENT_PORT = "RABBITMQ_MANAGEMENT_PORT"
WHY_SKIPPED = "needs a node of its own: RABBITMQ_HOST names a server of yours"

_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class OwnServer:
    """One server without TLS, reached by AMQP and by its management plugin."""

    address: BrokerAddress
    management_port: int

    @property
    def version(self) -> str:
        return str(self._ask("GET", "overview").json()["rabbitmq_version"])

    def start(self) -> None:
        """It runs: it is not ours to stop."""

    def add_vhosts(self, names: Sequence[str], **settings: str) -> list[BrokerAddress]:
        """Virtual hosts in which the user may do everything, with `settings` (default_queue_type)."""
        for name in names:
            self._ask("PUT", f"vhosts/{name}", settings)
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            self._ask("PUT", f"permissions/{name}/{self.address.username}", everything)
        return [self.address.at(name) for name in names]

    def delete_vhosts(self, names: Sequence[str]) -> None:
        for name in names:
            self._ask("DELETE", f"vhosts/{name}")

    def _ask(self, method: str, path: str, body: object = None) -> requests.Response:
        answer = requests.request(
            method,
            f"http://{self.address.host}:{self.management_port}/api/{path}",
            json=body,
            auth=(self.address.username, self.address.password),
            timeout=_TIMEOUT,
        )
        answer.raise_for_status()
        return answer


def own_server(environ: Mapping[str, str]) -> OwnServer | None:
    """The server that RABBITMQ_HOST names."""
    if not (host := environ.get("RABBITMQ_HOST", "").strip()):
        return None
    user, password = environ.get("RABBITMQ_USERNAME", "guest"), environ.get("RABBITMQ_PASSWORD", "guest")
    address = BrokerAddress(host, int(environ.get("RABBITMQ_PORT", "5672")), user, password)
    return OwnServer(address, int(environ.get(MANAGEMENT_PORT, "15672")))
