"""The REST API as a process, started as an operator starts it beside a worker, and told of changes by the systems."""

from __future__ import annotations

import secrets
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sandbox.bitrix24 import BitrixSandbox
from sandbox.openproject import OpenProjectSandbox
from sandbox.ports import free_port
from sandbox.process import ROOT, Process

_PATIENCE = 60.0  # seconds


class Api(Process):
    """`with Api(folder, variables) as api:`; `variables` are the worker's, by whose STATE_DIR it finds him.

    `told_by(portal)` before it is started.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        command = (sys.executable, str(ROOT / "main.py"), "api")
        super().__init__(command, folder, {**variables, "API_PORT": str(self.port)})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def told_by(self, system: BitrixSandbox | OpenProjectSandbox) -> str:
        """An operator makes the hook in the system, and tells the API what he was shown. Return its address."""
        name = secrets.token_hex(16)
        if isinstance(system, BitrixSandbox):
            url = f"{self.url}/hooks/bitrix24/{name}"
            shown = {"HOOK_BITRIX24_NAME": name, "HOOK_BITRIX24_TOKEN": system.tell(url).token}
        else:
            url = f"{self.url}/hooks/openproject/{name}"
            # No aggregation of its journals: an administrator who wants his hooks at once sets it to 0.
            secret = system.tell(url, aggregation=0.0).secret
            shown = {"HOOK_OPENPROJECT_NAME": name, "HOOK_OPENPROJECT_SECRET": secret}
        self._environment.update(shown)
        return url

    def wait_until_up(self) -> None:
        """Raises TimeoutError."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.05)
        raise TimeoutError(f"the API does not come up: {self.output()}")
