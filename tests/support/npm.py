"""Judges from npm: installed once per user, run as processes of their own."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_TIMEOUT = 60.0  # seconds


def installed(package: str) -> Path:
    """The folder `node_modules` with `name@version` in it. Skips the test when npm or its registry is out of reach."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{package} needs npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "task-creator" / package.replace("/", "-")
    modules = folder / "node_modules"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes
        if not (modules / package.rpartition("@")[0]).is_dir():
            # By default a registry out of reach is asked for more than a minute, for each package.
            patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000"]
            command = [npm, "install", "--no-fund", "--no-audit", *patience, "--prefix", str(folder), package]
            done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                pytest.skip(f"{package} cannot be installed from npm's registry: {done.stderr[-300:]}")
    return modules


@contextmanager
def running(arguments: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """`node arguments`, from when it listens on `port` until the block ends. Raises TimeoutError with its output."""
    node = shutil.which("node")
    assert node is not None
    with log.open("wb") as output:
        process = subprocess.Popen([node, *arguments], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            _wait_for_port(port, process, log)
            yield
        finally:
            process.terminate()
            process.wait(10)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}:\n{log.read_text(errors='replace')[-2000:]}")
