"""The daemon as a process: started as an operator starts it, killed as a machine kills it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.address import BrokerAddress
from sandbox.process import DAEMON, ROOT, Process

EXIT_TIMEOUT = 60.0


class Daemon(Process):
    """`with Daemon(address, tmp_path, variables) as daemon:`; what it printed is in `daemon.output()`.

    `arguments`: of Python, for another program in its place.
    """

    def __init__(
        self,
        address: BrokerAddress,
        folder: Path,
        variables: Mapping[str, str],
        *,
        arguments: tuple[str, ...] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, *arguments) if arguments else DAEMON
        settings = {
            **address.environment(),
            "PYTHONPATH": str(ROOT),
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
        }
        super().__init__(command, folder, {**settings, **variables})

    def stop(self, timeout: float = EXIT_TIMEOUT) -> int:
        """SIGTERM; the exit code."""
        return super().stop(timeout)
