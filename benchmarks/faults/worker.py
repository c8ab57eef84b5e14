"""The worker as a service: the real daemon in a process, started again whenever it ends, as systemd would."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.process import DAEMON, ROOT, Process

RESTART_PAUSE = 0.1  # seconds (systemd's default RestartSec)
STOP_TIMEOUT = 40.0  # seconds; the daemon's own SHUTDOWN_TIMEOUT is 30

# The same as DAEMON, with faults that only its own process can have.
BROKEN_DAEMON = (sys.executable, "-m", "benchmarks.faults.daemon")

_LOG_TAIL = 12  # lines


class Worker:
    """One supervised daemon. `command()` is asked at every start for what is run.

    `folder` holds its logs and its state, `variables` are its settings; `surprises` names each end that nobody asked
    for. Usable from any thread.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, str], command: Callable[[], Sequence[str]] = lambda: DAEMON
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self._command = command
        own = {"LOG_DIR": str(folder / "logs"), "STATE_DIR": str(folder / "state"), "PYTHONPATH": str(ROOT)}
        self.variables = {**own, **variables}
        self._process: Process | None = None
        self._expected: set[int] = set()  # exit codes that the stage has asked for
        self._starts = 0
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._supervise, name=f"supervisor-{folder.name}", daemon=True)
        self.surprises: list[str] = []
        self.deaths = 0

    def start(self) -> None:
        self._thread.start()
        self.wait_for_start(1)

    @property
    def starts(self) -> int:
        return self._starts

    @property
    def pid(self) -> int:
        return self._running().pid

    def output(self) -> str:
        """What all its processes have said so far."""
        return "" if self._process is None else self._process.output()

    def wait_for_start(self, count: int, timeout: float = STOP_TIMEOUT) -> None:
        """Waits until it was started so many times in all. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._starts >= count, timeout):
                raise TimeoutError(f"{self.folder.name} was started {self._starts} times, {count} expected")

    def wait_for_deaths(self, count: int, timeout: float) -> bool:
        """True when it has been killed (by whomever) so many times in all."""
        with self._changed:
            return self._changed.wait_for(lambda: self.deaths >= count, timeout)

    def kill(self) -> None:
        """SIGKILL; returns when it is started anew."""
        self._end(signal.SIGKILL, -signal.SIGKILL)

    def terminate(self) -> float:
        """SIGTERM; returns when it is started anew: the seconds until it had ended. It must end with code 0."""
        return self._end(signal.SIGTERM, 0)

    def suspend(self) -> None:
        self._running().send(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send(signal.SIGCONT)

    def write_stacks(self) -> None:
        """It writes into its console what each thread of it is doing."""
        self._running().send(signal.SIGUSR1)

    def expect(self, code: int) -> None:
        """From now on this exit code is no surprise."""
        self._expected.add(code)

    def stop(self) -> None:
        """SIGTERM for good; whatever is left after the time-out is killed and is a surprise."""
        with self._changed:
            self._stopping.set()
            process = self._process
            self._changed.notify_all()
        if process is not None and process.is_running:
            process.send(signal.SIGCONT)
            if (code := process.stop(STOP_TIMEOUT)) != 0:
                self._note(code)
        self._thread.join()

    def abandon(self) -> None:
        """SIGKILL for good, for the end of a row that was interrupted."""
        with self._changed:
            self._stopping.set()
            if self._process is not None:
                self._process.kill()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _end(self, number: signal.Signals, code: int) -> float:
        self._expected.add(code)
        begun, starts = time.monotonic(), self._starts
        process = self._running()
        process.send(number)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.surprises.append(f"{self.folder.name} did not end within {STOP_TIMEOUT:.0f} s of {number.name}")
            process.kill()
        took = time.monotonic() - begun
        self.wait_for_start(starts + 1)
        return took

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                if self._stopping.is_set():
                    return
                self._process = Process(self._command(), self.folder, self.variables)
                self._process.start()
                self._starts += 1
                self._changed.notify_all()
            code = self._process.wait()
            with self._changed:
                if self._stopping.is_set():
                    return
                self.deaths += code != 0
                if code not in self._expected:
                    self._note(code)
                self._changed.notify_all()
                self._changed.wait_for(self._stopping.is_set, RESTART_PAUSE)

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    def _note(self, code: int) -> None:
        tail = self._running().last_words(_LOG_TAIL).replace("\n", " | ")
        self.surprises.append(f"{self.folder.name} ended by itself with code {code}: {tail}")
