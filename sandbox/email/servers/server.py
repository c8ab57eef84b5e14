"""One mail server on loopback: private folders, a free port, everything that it takes goes to one sink."""

from __future__ import annotations

import contextlib
import smtplib
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from sandbox.email.dialects import HOST_NAME
from sandbox.jail import command, environment
from sandbox.node_guard import MARKER, GuardedFolder
from sandbox.ports import LOOPBACK, ReservedPort

ENVIRONMENT_TO_KEEP = MARKER  # by servers that clean it: by this name their processes are found

_START_TIMEOUT = 60.0  # seconds; a quiet machine needs one
_LOG_TAIL = 8_000  # characters


class MailServerError(Exception):
    """The server does not start; the text is the end of its log."""


@dataclass(frozen=True, slots=True)
class Site:
    """Whom the server knows. Other names in these domains are unknown users, other domains are relaying."""

    recipients: Sequence[str] = (
        "a@example.com",
        "b@example.com",
        "c@example.com",
        *(f"u{number}@example.com" for number in range(40)),
        "worker@example.ru",
    )

    @property
    def domains(self) -> list[str]:
        return sorted({each.rpartition("@")[2] for each in self.recipients})


class RealServer(ABC):
    """Listens while it is used as a context. Raises MailServerError when it does not come up."""

    name: ClassVar[str]

    def __init__(self, tree: Path, sink_port: int, site: Site | None = None) -> None:
        self.site = site or Site()
        self._tree = tree
        self._sink_port = sink_port
        self._reserved: ReservedPort | None = None
        self._folder: GuardedFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _configure(self, root: Path) -> Sequence[str]:
        """Writes the configuration below `root`, which becomes /etc, /var and so on; the program to run."""

    @property
    def port(self) -> int:
        if self._reserved is None:
            raise MailServerError(f"{self.name} is not started")
        return self._reserved.port

    @property
    def folder(self) -> Path:
        """All that it writes; it goes with the server."""
        if self._folder is None:
            raise MailServerError(f"{self.name} is not started")
        return self._folder.path

    def processes(self) -> set[int]:
        """Its living processes, whatever they call themselves: proot traces each of them."""
        if self._process is None:
            return set()
        found = {self._process.pid}
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                if f"\nTracerPid:\t{self._process.pid}\n" in status.read_text():
                    found.add(int(status.parent.name))
        return found

    def log(self) -> str:
        """What the server itself says of its work."""
        if self._folder is None:
            return ""
        files = [self._folder.path / "output", *sorted((self._folder.path / "root/var/log").rglob("*"))]
        return "\n".join(file.read_text(errors="replace") for file in files if file.is_file())

    def __enter__(self) -> Self:
        self._reserved = ReservedPort()
        self._folder = GuardedFolder()
        try:
            self._start(self._folder)
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
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._reserved is not None:
            self._reserved.release()
            self._reserved = None

    def _start(self, folder: GuardedFolder) -> None:
        root = folder.path / "root"
        for name in ("etc", "run", "tmp", "var/log", "var/lib", "var/spool"):
            (root / name).mkdir(parents=True)
        (root / "var/run").symlink_to("/run")
        write(root / "etc/hosts", f"{LOOPBACK} localhost {HOST_NAME}")
        write(root / "etc/resolv.conf", f"nameserver {LOOPBACK}")  # where nobody answers
        write(root / "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files")
        write(root / "etc/mailname", HOST_NAME)
        program = self._configure(root)
        mounts = {f"/{each.name}": each for each in root.iterdir()}
        with (folder.path / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command(self._tree, mounts, program),
                env={**environment(self._tree), **folder.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MailServerError(f"{self.name} does not start:\n{self.log()[-_LOG_TAIL:]}")
            time.sleep(0.05)

    def _greets(self) -> bool:
        """By its own name: on a refusal it has come up as well."""
        with contextlib.suppress(OSError, smtplib.SMTPServerDisconnected):
            try:
                smtplib.SMTP(LOOPBACK, self.port, timeout=5).close()
            except smtplib.SMTPConnectError:
                return True
            return True
        return False


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")
    file.chmod(0o644)


def accounts(root: Path, users: Sequence[tuple[str, int, int]], groups: Sequence[tuple[str, int]] = ()) -> None:
    """/etc/passwd and /etc/group of a machine with root, nobody and these."""
    everybody = [("root", 0, 0), ("nobody", 65534, 65534), *users]
    write(root / "etc/passwd", "\n".join(f"{name}:x:{uid}:{gid}::/:/bin/false" for name, uid, gid in everybody))
    known = {name: gid for name, _, gid in everybody} | {"nogroup": 65534} | dict(groups)
    write(root / "etc/group", "\n".join(f"{name}:x:{gid}:" for name, gid in known.items()))
