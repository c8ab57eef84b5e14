"""Sees to it that a private server never outlives the program that started it.

A guarded folder belongs to one server. Every process of that server carries the folder's name in its environment
(`GuardedFolder.environment`), children and daemons that detach themselves (epmd) included, so they can be found
without pid files, which go stale. Three things end them, all by the same `remove`:

- `GuardedFolder.close`;
- the watcher, a process in its own session that reads a pipe from the owner: the end of file means that the owner
  is gone, however it went (Ctrl+C, kill -9);
- the next start of any guarded folder, when the watcher was killed as well.

Standard library only: the watcher runs this file as a script, without the project's packages.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MARKER = "TASK_CREATOR_SANDBOX"
LOCK_FILE = "owner.lock"
CONTAINER_FILE = "container"

_KILL_TIMEOUT = 20.0  # seconds


class GuardError(Exception):
    """The folder of private servers cannot be used safely, or a process in it cannot be ended."""


class GuardedFolder:
    """A new private folder under a short path; it and its processes end with this object's process."""

    def __init__(self) -> None:
        base = base_folder()
        # One at a time: a folder is created and locked in one step for everybody who looks for stale ones.
        with _locked(base / "lock"):
            remove_stale(base)
            self.path = Path(tempfile.mkdtemp(prefix="node-", dir=base))
            self._lock = _try_lock(self.path / LOCK_FILE)
        try:
            self._watcher = self._watched()
        except BaseException:  # Ctrl+C, too: nobody watches the folder yet
            remove(self.path)
            if self._lock is not None:
                os.close(self._lock)
            raise

    def _watched(self) -> subprocess.Popen[bytes]:
        if self._lock is None:
            raise GuardError(f"somebody locked the new folder {self.path}")
        return subprocess.Popen(
            [sys.executable, "-I", __file__, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[self._lock],  # the folder is stale only when both are gone, owner and watcher
            start_new_session=True,  # Ctrl+C and kill of the owner's process group must not reach it
            cwd="/",
        )

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this folder must have in its environment."""
        return {MARKER: str(self.path)}

    def close(self) -> None:
        """Ends what runs in the folder, without grace, and removes it. Raises GuardError if something is left."""
        if self._lock is None:
            return
        os.close(self._lock)
        self._lock = None
        if self._watcher.stdin is not None:
            self._watcher.stdin.close()
        if self._watcher.wait() != 0:  # it was killed, or it failed and said so on stderr
            remove(self.path)


def base_folder() -> Path:
    """Where this user's private servers live: `tc-<uid>` in the system's temporary folder.

    Raises GuardError when it is not ours alone.
    """
    base = tempfile.gettempdir()
    if any(character.isspace() for character in base):  # RabbitMQ's scripts split words
        base = "/tmp"  # noqa: S108  # made private and checked below
    folder = Path(base, f"tc-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise GuardError(f"{folder} must be a folder of the current user with mode 0700")
    return folder


def remove_stale(base: Path) -> None:
    """Removes the folders whose owner and watcher are both dead."""
    for folder in base.glob("node-*"):
        if (lock := _try_lock(folder / LOCK_FILE)) is not None:
            try:
                remove(folder)
            finally:
                os.close(lock)


def remove(folder: Path) -> None:
    """Kills everything that belongs to the folder, then deletes it. Raises GuardError if something survives."""
    kill_processes(folder)
    container = folder / CONTAINER_FILE
    if container.exists():
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", container.read_text()],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    shutil.rmtree(folder, ignore_errors=True)  # the watcher may be deleting it too; what counts is the end
    if folder.exists():
        raise GuardError(f"{folder} cannot be removed")


def processes_of(folder: Path) -> list[int]:
    """The pids of the live processes that carry the folder in their environment."""
    needle = f"{MARKER}={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it has ended, or it is another user's
            continue
        if needle in environment.split(b"\0"):
            found.append(int(process.name))
    return found


def kill_processes(folder: Path) -> None:
    """SIGKILL until nothing is left: a process may fork between being listed and being killed."""
    deadline = time.monotonic() + _KILL_TIMEOUT
    while pids := processes_of(folder):
        if time.monotonic() > deadline:
            raise GuardError(f"processes {pids} of {folder} do not end")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try_lock(path: Path) -> int | None:
    """An open file descriptor that holds the lock until closed, or None when another process holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:  # the folder was removed meanwhile
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _watch(folder: Path) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1024):
        pass
    remove(folder)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
