"""The worker of the demo: the real one, in a process of its own that cannot outlive the demo."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.node_guard import GuardedFolder
from sandbox.process import DAEMON, Process

SWEEP_INTERVAL = 2  # seconds between two looks at the open tasks
STOP_TIMEOUT = 15.0  # seconds


class WorkerDiedError(Exception):
    """The worker ended by itself; the text is the end of what it said."""


class WorkerProcess(Process):
    """`python main.py run` in `folder`, where no .env is found; `system` are the settings of the systems."""

    def __init__(self, folder: GuardedFolder, broker: Mapping[str, str], system: Mapping[str, str]) -> None:
        settings = {
            "HEARTBEAT_INTERVAL": str(SWEEP_INTERVAL),
            "PROBE_INTERVAL": "1",
            "RETRY_DELAY": "1",
            "LOG_DIR": str(folder.path / "logs"),
            "STATE_DIR": str(folder.path / "state"),
        }
        super().__init__(DAEMON, folder.path, {**folder.environment, **broker, **system, **settings})

    def check(self) -> None:
        """Raise WorkerDiedError when it runs no more."""
        if not self.is_running:
            raise WorkerDiedError(f"exit code {self.code}\n{self.last_words()}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> int:
        return super().stop(timeout)
