"""Finds a RabbitMQ server for a private node; on Debian and Ubuntu one is unpacked without root when none is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox.debian import Progress, UnpackError, cache_folder
from sandbox.rabbitmq_foreign import server_of_version
from sandbox.rabbitmq_packages import unpacked_server
from sandbox.rabbitmq_server import DockerServer, LocalServer, Server
from sandbox.rabbitmq_versions import VARIABLE

INSTALLED_HOMES = (
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*",
    "/opt/rabbitmq",
    "/opt/rabbitmq_server-*",
    "/usr/local/lib/rabbitmq_server-*",
)
CHOICES = {
    "named": "set RABBITMQ_HOST (and the other RABBITMQ_* variables) to a RabbitMQ that you have",
    "install": "install one: apt install rabbitmq-server",
    "any_version": f"take whichever version is at hand: leave {VARIABLE} unset",
    "mirror": "on Debian or Ubuntu, let apt-get reach its package mirror: the server is then unpacked without root",
    "docker": "install Docker and let this user reach its engine",
}


class NoServerError(Exception):
    """No RabbitMQ can be had on this machine. `choices` are keys of CHOICES, `reasons` why each way was not taken."""

    def __init__(self, reasons: Sequence[str], version: str | None = None) -> None:
        useless = {"named", "install"} if version else {"any_version"}
        self.choices = tuple(key for key in CHOICES if key not in useless)
        self.reasons = tuple(reasons)
        self.version = version
        ways = "\n".join(f"  - {choice}" for choice in map(CHOICES.__getitem__, self.choices))
        what = f"RabbitMQ {version}" if version else "RabbitMQ server"
        super().__init__(f"No {what} found ({'; '.join(reasons)}). Choose one:\n{ways}")


def find_server(
    version: str | None,
    *,
    installed: Sequence[str] = INSTALLED_HOMES,
    cache: Path | None = None,
    progress: Progress = lambda step: None,
) -> Server:
    """The server of this version (see sandbox.rabbitmq_versions): unpacked packages, else Docker. Raises NoServerError.

    Without a version the first that works, an installed server before the others. `installed` are patterns of server
    folders, `cache` is where packages are unpacked. `progress` is told the long steps: "index", "download", "unpack",
    "check".
    """
    if version is None and (server := find_installed(installed)):
        return server
    # An installed server is whatever the machine has: it never answers for a version that was asked for.
    reasons = ["rabbitmq-server is not installed"] if version is None else []
    folder = cache or cache_folder()
    try:
        return server_of_version(version, folder, progress) if version else unpacked_server(folder, progress)
    except UnpackError as error:
        reasons.append(str(error))
    if _docker_answers():
        return DockerServer(f"rabbitmq:{version}-alpine") if version else DockerServer()
    raise NoServerError([*reasons, "no Docker engine answers"], version)


def find_installed(patterns: Sequence[str] = INSTALLED_HOMES) -> LocalServer | None:
    """A server that the system has. Its own `rabbitmq-server` command is often a wrapper that insists on root."""
    if shutil.which("erl") is None:
        return None
    homes = [home for pattern in patterns for home in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)]
    if command := shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"):
        beside = Path(command).resolve().parent / "rabbitmq-env"
        homes.append(beside.resolve().parent.parent)
    return next((LocalServer(home) for home in homes if (home / "sbin/rabbitmq-env").exists()), None)


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
