"""A place where an operator works: a virtual host, a portal, a folder, perhaps a worker; and his commands."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.grammar import make_parser
from cli.running import command_named, run_command
from core.texts import Language
from sandbox.address import BrokerAddress
from sandbox.bitrix24 import BitrixSandbox
from sandbox.broker_view import Broker
from testbench.daemon import Daemon
from testbench.harness import camunda_message, wait_until

QUEUE, SENT = "bitrix24.queue", "bitrix24.sent.queue"


@dataclass(frozen=True, slots=True)
class Done:
    """What a command has said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The JSON that it has printed."""
        told: dict[str, Any] = json.loads(self.out)
        return told


class Place:
    """One folder with its settings. `variables` are added to those of RabbitMQ and of the portal."""

    def __init__(
        self,
        address: BrokerAddress,
        folder: Path,
        portal: BitrixSandbox | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.broker = Broker(address)
        self.folder = folder
        self.portal = portal
        self._address = address
        webhook = {} if portal is None else {"BITRIX_WEBHOOK_URL": portal.webhook_url}
        self.variables = {**webhook, **(variables or {})}

    @property
    def environ(self) -> dict[str, str]:
        """What a command and the worker have in common."""
        state = {"STATE_DIR": str(self.folder / "state"), "LOG_DIR": str(self.folder / "logs")}
        return {**self._address.environment(), **state, **self.variables}

    def daemon(self, folder: str = "worker", **variables: str) -> Daemon:
        return Daemon(self._address, self.folder / folder, {**self.environ, **variables})

    def run(self, *arguments: str, lang: Language = "en", **variables: str) -> Done:
        """Run an operator's command in this process, as `main.py` does."""
        options = make_parser(lang).parse_args(arguments)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            environ = {**self.environ, **variables}
            code = run_command(command_named(options.runs), options, environ, self.folder / ".env", lang)
        return Done(code, out.getvalue(), err.getvalue())

    def publish(self, *task_ids: str, queue: str = QUEUE, **fields: Any) -> None:
        self.broker.declare(queue)
        self.broker.publish_all(queue, [camunda_message(task_id, **fields) for task_id in task_ids])

    def wait_for_stage(self, task_id: str, stage: str) -> dict[str, Any]:
        """Wait until `trace` says so; return what it says."""
        told: dict[str, Any] = {}

        def is_there() -> bool:
            done = self.run("trace", task_id, "--json")
            told.update(done.data)
            return told.get("stage") == stage

        wait_until(is_there, what=f"{task_id} in stage {stage}")
        return told
