"""How the workers of a stage come to RabbitMQ: through proxies, past a host that hangs, as a user of their own."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.faults.stage_spec import StageSpec
from sandbox.address import BrokerAddress
from sandbox.proxy import TcpProxy
from sandbox.rabbitmq import RabbitNode


class Access:
    """As a context: the proxies and the user are there within the block. `proxies` are those of the workers."""

    def __init__(self, spec: StageSpec, node: RabbitNode, address: BrokerAddress, folder: Path) -> None:
        self._spec = spec
        self._node = node
        self._address = address
        self.password_file = folder / "password"
        self._user = f"worker-{address.vhost}"
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self.proxies = [self._proxy() for _ in range(self._spec.workers)]
        if self._spec.hung_host_first:
            self._hung_host = self._proxy()
            self._hung_host.stall()
        if self._spec.own_user:
            self._add_user()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._resources.close()

    def variables(self, number: int) -> dict[str, str]:
        """What the worker of that number must be told."""
        spec = self._spec
        reached = self._address.through(self.proxies[number].port) if spec.proxied else self._address
        variables = {**reached.environment(), "RABBITMQ_QUEUE_TYPE": "quorum" if spec.quorum else "classic"}
        if spec.hung_host_first:
            hosts = ((self._hung_host.host, self._hung_host.port), (reached.host, reached.port))
            variables["RABBITMQ_HOST"] = ",".join(f"{host}:{port}" for host, port in hosts)
        if spec.own_user:
            del variables["RABBITMQ_PASSWORD"]
            variables |= {"RABBITMQ_USERNAME": self._user, "RABBITMQ_PASSWORD_FILE": str(self.password_file)}
        return variables

    def set_rights(self, *, configure: str = ".*") -> None:
        """What the workers of a row with `own_user` may declare; they may read and write everything."""
        self._node.ctl("set_permissions", "--vhost", self._address.vhost, self._user, configure, ".*", ".*")

    def change_password(self, password: str) -> None:
        """RabbitMQ takes no other password of the workers of a row with `own_user`; the file stays as it is."""
        self._node.ctl("change_password", self._user, password)

    def _proxy(self) -> TcpProxy:
        return self._resources.enter_context(TcpProxy(self._address.host, self._address.port))

    def _add_user(self) -> None:
        password = secrets.token_hex(8)
        self.password_file.write_text(password)
        self._node.ctl("add_user", self._user, password)
        self.set_rights()
