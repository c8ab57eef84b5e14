"""A program in a process of its own, as a service manager runs it: nothing of the caller's settings reaches it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
DAEMON = (sys.executable, str(ROOT / "main.py"), "run")

# Nothing else of the caller's environment: no settings, no proxy between the program and the sandbox.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_MESSAGES", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")


class Process:
    """`command`, run in `folder`, where its console is kept. It may be started again after it has ended.

    It leads a group of its own: Ctrl+C is for whoever runs it.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path, variables: Mapping[str, str]) -> None:
        self.command = tuple(command)
        self.folder = folder
        self.console = folder / "console.log"  # unlike a log file it holds what an interpreter says when it dies, too
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._environment = {**inherited, **variables}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._started().poll()

    def send(self, number: signal.Signals) -> None:
        self._started().send_signal(number)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        return self._started().wait(timeout)

    def kill(self) -> None:
        """SIGKILL to it alone, as a machine that is short of memory does; what it has started must see to itself."""
        self._started().kill()
        self._started().wait()

    def kill_group(self) -> None:
        """SIGKILL to it and to all that it has started, also when it has ended before them."""
        with contextlib.suppress(ProcessLookupError):  # nobody of its group is left
            os.killpg(self._started().pid, signal.SIGKILL)
        self._started().wait()

    def stop(self, timeout: float) -> int:
        """SIGTERM, and SIGKILL if it does not end in time; the exit code. May be called twice."""
        self.send(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    def output(self) -> str:
        """What it has printed so far, in all its lives."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_running:
            self.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.command} was not started")
        return self._process
