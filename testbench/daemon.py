"""The daemon as a process: started as an operator starts it, killed as a machine kills it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from sandbox.address import BrokerAddress

ROOT = Path(__file__).parent.parent
EXIT_TIMEOUT = 60.0
OWN_PREFIXES = tuple(
    f"{name}_"
    for name in (
        *("RABBITMQ", "BITRIX", "OPENPROJECT", "ONEC", "SERVICES"),
        *("EMAIL", "TELEGRAM", "DEFAULT", "NOTIFY"),
    )
)


class Daemon:
    """`with Daemon(address, tmp_path, variables) as daemon:`; what it printed is in `daemon.output()`."""

    def __init__(
        self,
        address: BrokerAddress,
        folder: Path,
        variables: Mapping[str, str],
        *,
        arguments: tuple[str, ...] = ("main.py",),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._arguments = arguments
        self._output = folder / "console.log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_PREFIXES)}
        self._environment = {
            **inherited,
            **address.environment(),
            "LOG_DIR": str(folder / "logs"),
            "STATE_DIR": str(folder / "state"),
            "HEARTBEAT_INTERVAL": "1",
            "PROBE_INTERVAL": "0.3",
            "RETRY_DELAY": "0.2",
            "RABBITMQ_HEARTBEAT": "5",
            "RABBITMQ_RECONNECT_MAX_DELAY": "1",
            "BITRIX_AMBIGUOUS_WAIT": "1",
            "BITRIX_RATE_LIMIT_PER_SECOND": "1000",
            "BITRIX_RATE_LIMIT_BURST": "1000",
            **variables,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self._arguments], cwd=ROOT, env=self._environment, stdout=output, stderr=output
            )

    def running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError("the daemon was not started")
        return self.process

    def kill(self) -> None:
        self.running().kill()
        self.running().wait(EXIT_TIMEOUT)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.running().send_signal(signal.SIGTERM)
        return self.running().wait(EXIT_TIMEOUT)

    def output(self) -> str:
        return self._output.read_text()

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
