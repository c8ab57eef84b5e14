"""What a real worker makes of signals.

SIGHUP: the end of a terminal ends it in order; of a service it is somebody's "read your files again". SIGUSR1: it tells
what its threads are doing.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sandbox.process import ROOT
from testbench.harness import wait_until
from tests.support.commands import environment

PATIENCE = 60.0  # seconds that a test waits for what must come


def test_the_end_of_its_terminal_stops_the_worker_in_order(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with worker(tmp_path, stdin=slave, before=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) as process:
        os.close(slave)
        os.close(master)
        assert process.wait(PATIENCE) == 0
    assert "worker.stopped" in log_of(tmp_path)


def test_the_end_of_a_terminal_that_is_told_twice_is_no_second_signal(tmp_path: Path) -> None:
    # By the kernel and by the shell, within milliseconds (bash 5.2 in a tmux session that is closed).
    master, slave = pty.openpty()
    with worker(tmp_path, stdin=slave, before=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) as process:
        os.close(slave)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "worker.stopping" in log_of(tmp_path), PATIENCE, "the beginning of the stop")
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGHUP)
        os.close(master)
        assert process.wait(PATIENCE) == 0
    assert "worker.aborted" not in log_of(tmp_path)


def test_the_end_of_its_terminal_is_nothing_to_a_worker_under_nohup(tmp_path: Path) -> None:
    with worker(tmp_path, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert "worker.hangup" not in log_of(tmp_path)


def test_a_hangup_of_a_service_does_not_leave_it_down(tmp_path: Path) -> None:
    # As logrotate and `systemctl reload` send it; with Restart=on-failure an end in order would be the end.
    with worker(tmp_path) as process:
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "worker.hangup" in log_of(tmp_path), PATIENCE, "a line about it")
        os.rename(tmp_path / "logs" / "worker.log", tmp_path / "logs" / "moved.log")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "worker.hangup" in log_of(tmp_path), PATIENCE, "a new log file")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_worker_that_is_asked_tells_what_each_thread_does_and_goes_on(tmp_path: Path) -> None:
    console = tmp_path / "console"
    with console.open("wb") as stderr, worker(tmp_path, stderr=stderr) as process:
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "most recent call first" in console.read_text(), PATIENCE, "what the threads do")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert "connection_thread.py" in console.read_text()


@contextmanager
def worker(
    folder: Path, before: Callable[[], object] = lambda: None, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """One that finds no RabbitMQ, in a session of its own, when it has begun to run."""
    variables = {"RABBITMQ_PORT": "1", "LOG_DIR": str(folder / "logs"), "STATE_DIR": str(folder / "state")}

    def begin() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        before()

    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py")],
        cwd=folder,
        env=environment(variables),
        start_new_session=True,
        preexec_fn=begin,  # noqa: PLW1509 - it takes no lock
        stdout=subprocess.DEVNULL,
        **{"stderr": subprocess.DEVNULL, **options},
    )
    try:
        wait_until(lambda: "rabbitmq.unreachable" in log_of(folder), PATIENCE, "a worker")
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(folder: Path) -> str:
    log = folder / "logs" / "worker.log"
    return log.read_text() if log.exists() else ""
