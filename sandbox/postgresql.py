"""A PostgreSQL server of one's own on loopback, of Debian 12's packages, without root and without installing.

    with PostgresServer(postgresql(cache_folder())) as server:
        server.new_database()   # postgresql://…

The server refuses to run as root; in here it believes to be somebody else.
"""

from __future__ import annotations

import platform
import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.debian import Progress, Release, UnpackError, run, unpacked
from sandbox.jail import DEVICES, command, environment, keep_loader
from sandbox.node_guard import GuardedFolder
from sandbox.ports import LOOPBACK, ReservedPort

RELEASE = "bookworm"
VERSION = "15"

_USER = "999:999"
_BIN = f"/usr/lib/postgresql/{VERSION}/bin"
_PACKAGES = ((f"postgresql-{VERSION}", "dash"), ("proot",))
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl", "usr/share/info", "var/lib")
_START_TIMEOUT = 120.0  # seconds; a quiet machine needs two
_LOG_TAIL = 4_000  # characters


class PostgresError(Exception):
    """The server does not do what it was told; the text is the end of what it said."""


def postgresql(cache: Path, progress: Progress = lambda step: None) -> Path:
    """The tree with the server in `cache`, unpacked at the first call. Raises UnpackError."""
    tree = cache / f"postgresql-{VERSION}-debian-{RELEASE}-{platform.machine()}"
    return unpacked(tree, Release(RELEASE), _PACKAGES, _finish, progress)


class PostgresServer:
    """Listens while it is used as a context. Raises PostgresError when it does not come up."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._reserved: ReservedPort | None = None
        self._folder: GuardedFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._password = secrets.token_hex(8)

    @property
    def port(self) -> int:
        if self._reserved is None:
            raise PostgresError("not started")
        return self._reserved.port

    def new_database(self, locale: str = "C.UTF-8") -> str:
        """The address of an empty database."""
        name = f"db_{secrets.token_hex(4)}"
        self._run("createdb", "--template=template0", f"--locale={locale}", name)
        return f"postgresql://postgres:{self._password}@{LOOPBACK}:{self.port}/{name}"

    def stop(self) -> None:
        """Refuses connections; what it stores stays."""
        if self._process is not None:
            self._run("pg_ctl", "stop", "-D", "/data", "-m", "fast")
            self._process.wait()
            self._process = None

    def start(self) -> None:
        folder = self._started_folder()
        with (folder.path / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", "/data", "-p", str(self.port)),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL does not start:\n{self._log()}")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        self._reserved = ReservedPort()
        self._folder = GuardedFolder()
        try:
            for name in ("data", "run", "etc"):
                (self._folder.path / name).mkdir(mode=0o700)
            (self._folder.path / "etc/passwd").write_text("postgres:x:999:999::/:/bin/sh\n")
            (self._folder.path / "etc/hosts").write_text(f"{LOOPBACK} localhost\n")
            (self._folder.path / "run/password").write_text(self._password)
            options = ("--username=postgres", "--pwfile=/run/password", "--auth=scram-sha-256", "--encoding=UTF8")
            self._run("initdb", "-D", "/data", "--locale=C.UTF-8", "--no-sync", *options)
            with (self._folder.path / "data/postgresql.conf").open("a") as conf:
                conf.write(f"listen_addresses = '{LOOPBACK}'\nunix_socket_directories = '/run'\n")
                conf.write("fsync = off\njit = off\n")
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it as a power cut would."""
        if self._process is not None and self._process.poll() is None:
            # By its own means: its processes write their titles over the environment by which they would be found.
            with suppress(PostgresError):
                self._run("pg_ctl", "stop", "-D", "/data", "-m", "immediate")
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._reserved is not None:
            self._reserved.release()
            self._reserved = None

    def _answers(self) -> bool:
        with suppress(PostgresError):
            self._run("psql", "-c", "select 1", "postgres")
            return True
        return False

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            self._command(program, *arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if done.returncode:
            raise PostgresError(f"{program}: {(done.stderr or done.stdout)[-_LOG_TAIL:]}")
        return done.stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        folder = self._started_folder().path
        mounts = {f"/{name}": folder / name for name in ("data", "run", "etc")}
        return command(self._tree, mounts, [f"{_BIN}/{program}", *arguments], _USER)

    def _environment(self) -> dict[str, str]:
        connection = {"PGHOST": LOOPBACK, "PGPORT": str(self.port), "PGUSER": "postgres", "PGPASSWORD": self._password}
        return {
            **environment(self._tree),
            **self._started_folder().environment,
            **connection,
            "LC_ALL": "C.UTF-8",
            "PGTZ": "UTC",
        }

    def _started_folder(self) -> GuardedFolder:
        if self._folder is None:
            raise PostgresError("not started")
        return self._folder

    def _log(self) -> str:
        path = self._started_folder().path / "output"
        return path.read_text(errors="replace")[-_LOG_TAIL:] if path.exists() else ""


def _finish(tree: Path) -> None:
    for folder in _UNUSED:
        shutil.rmtree(tree / folder, ignore_errors=True)
    for mount_point in ("data", "run", "tmp", "etc", "proc", "dev"):
        (tree / mount_point).mkdir(parents=True, exist_ok=True)
    for device in DEVICES:
        (tree / device.lstrip("/")).touch()
    keep_loader(tree)
    version = run(command(tree, {}, [f"{_BIN}/postgres", "--version"], _USER), tree, environment(tree))
    if f" {VERSION}." not in version:
        raise UnpackError(f"PostgreSQL says that its version is {version!r}")
