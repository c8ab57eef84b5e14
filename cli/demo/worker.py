"""The worker of the demo: the real one, in a process of its own that cannot outlive the demo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.node_guard import GuardedFolder

SWEEP_INTERVAL = 2  # seconds between two looks at the open tasks
STOP_TIMEOUT = 15.0  # seconds

_MAIN = Path(__file__).resolve().parent.parent.parent / "main.py"
# Nothing else of the caller's environment reaches the worker: no settings, no proxy between it and the sandbox.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_MESSAGES", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
_LOG_TAIL = 15  # lines


class WorkerDiedError(Exception):
    """The worker ended by itself; the text is the end of what it said."""


class WorkerProcess:
    """`python main.py run` in `folder`, where no .env is found; `system` are the settings of the systems."""

    def __init__(self, folder: GuardedFolder, broker: Mapping[str, str], system: Mapping[str, str]) -> None:
        self.log = folder.path / "console.log"  # unlike a log file it holds what an interpreter says when it dies, too
        environment = {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            **folder.environment,
            **broker,
            **system,
            "HEARTBEAT_INTERVAL": str(SWEEP_INTERVAL),
            "PROBE_INTERVAL": "1",
            "RETRY_DELAY": "1",
            "LOG_DIR": str(folder.path / "logs"),
            "STATE_DIR": str(folder.path / "state"),
        }
        with self.log.open("wb") as console:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, str(_MAIN), "run"],
                cwd=folder.path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl+C is for the demo, which stops the worker in order
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises WorkerDiedError when it runs no more."""
        if (code := self._process.poll()) is not None:
            raise WorkerDiedError(f"exit code {code}\n{self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL:])

    def stop(self) -> None:
        """SIGTERM, as systemd would; SIGKILL when that is not enough. Safe to call twice."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
