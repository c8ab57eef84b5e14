"""The two ways to run a RabbitMQ server that belongs to us alone: from its files, or in a Docker container."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.node_guard import CONTAINER_FILE, MARKER, kill_processes
from sandbox.ports import LOOPBACK

CONFIG_FILE = "rabbitmq.conf"
LOG_FOLDER = "log"

_PLUGINS_FILE = "enabled_plugins"


class NodeError(Exception):
    """The private RabbitMQ node did not do what it was told; the text ends with what it said."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node: its folder (short, without spaces, guarded) and its three ports on loopback."""

    folder: Path
    amqp_port: int
    dist_port: int
    epmd_port: int
    plugins: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"tc-{self.folder.name}"

    @property
    def plugins_file(self) -> str:
        """An Erlang list of atoms."""
        return f"[{','.join(self.plugins)}]."


@dataclass(frozen=True, slots=True)
class Command:
    argv: list[str]
    env: Mapping[str, str]


class Server(Protocol):
    """A RabbitMQ that can be started for one node."""

    def listener(self, spec: NodeSpec) -> str:
        """The value of `listeners.tcp.default`."""

    def prepare(self, spec: NodeSpec) -> None:
        """Once for each node, after its configuration file is written."""

    def start_command(self, spec: NodeSpec) -> Command:
        """Runs the server in the foreground until SIGTERM."""

    def ctl_command(self, spec: NodeSpec, args: tuple[str, ...]) -> Command:
        """Runs rabbitmqctl."""

    def call_command(self, spec: NodeSpec) -> Command | None:
        """Runs Erlang's own erl_call, which evaluates its standard input in the server; None where there is none."""

    def kill(self, spec: NodeSpec) -> None:
        """Ends the server as a power cut would, whatever state it is in."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server on this machine: `home` is the folder `rabbitmq_server-<version>`.

    `erlang` is the folder of an unpacked Erlang; None means the `erl` on PATH.
    """

    home: Path
    erlang: Path | None = None

    def listener(self, spec: NodeSpec) -> str:
        return f"{LOOPBACK}:{spec.amqp_port}"

    def prepare(self, spec: NodeSpec) -> None:
        # RabbitMQ's scripts do not quote paths: through these links a space in the real path does no harm.
        (spec.folder / "rabbitmq").symlink_to(self.home)
        if self.erlang:
            (spec.folder / "erlang").symlink_to(self.erlang)
        home = spec.folder / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)  # Erlang refuses a cookie that others may read
        (spec.folder / _PLUGINS_FILE).write_text(spec.plugins_file)

    def start_command(self, spec: NodeSpec) -> Command:
        return Command([str(spec.folder / "rabbitmq/sbin/rabbitmq-server")], self._environment(spec))

    def ctl_command(self, spec: NodeSpec, args: tuple[str, ...]) -> Command:
        return Command([str(spec.folder / "rabbitmq/sbin/rabbitmqctl"), *args], self._environment(spec))

    def call_command(self, spec: NodeSpec) -> Command | None:
        path = next(self.erlang.glob("erts-*/bin/erl_call"), None) if self.erlang else shutil.which("erl_call")
        if path is None:
            return None
        # Two calls at the same time need two names: the server takes one of a name, and refuses the other.
        own_name = f"call-{secrets.token_hex(8)}"
        return Command([str(path), "-sname", f"{spec.name}@localhost", "-h", own_name, "-e"], self._environment(spec))

    def kill(self, spec: NodeSpec) -> None:
        kill_processes(spec.folder)

    def _environment(self, spec: NodeSpec) -> dict[str, str]:
        """Built from nothing: a RABBITMQ_* or ERL_* of the caller would change the node.

        Names: https://www.rabbitmq.com/docs/configure#supported-environment-variables
        """
        folder = spec.folder
        loopback_only = "-kernel inet_dist_use_interface {127,0,0,1}"
        path = os.environ.get("PATH", os.defpath)
        environment = {
            MARKER: str(folder),
            "HOME": str(folder / "home"),
            "LC_ALL": "C.UTF-8",  # rabbitmqctl warns about any other encoding
            "RABBITMQ_NODENAME": f"{spec.name}@localhost",
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-env-file"),  # else /etc/rabbitmq/rabbitmq-env.conf counts
            "RABBITMQ_CONFIG_FILE": str(folder / CONFIG_FILE),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / _PLUGINS_FILE),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / LOG_FOLDER),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(spec.dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback_only,
            "RABBITMQ_CTL_ERL_ARGS": loopback_only,
            "ERL_EPMD_PORT": str(spec.epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
        }
        if self.erlang:
            path = f"{folder / 'erlang/bin'}:{path}"
            environment["ERL_ROOTDIR"] = str(folder / "erlang")
        return environment | {"PATH": path}


@dataclass(frozen=True, slots=True)
class DockerServer:
    """A container of the official image, https://hub.docker.com/_/rabbitmq; `stop` and `start` keep its volume."""

    image: str = "rabbitmq:4-alpine"

    def listener(self, spec: NodeSpec) -> str:
        return "5672"

    def prepare(self, spec: NodeSpec) -> None:
        (spec.folder / CONTAINER_FILE).write_text(spec.name)  # before it exists: the watcher must not miss it
        config = spec.folder / CONFIG_FILE
        config.chmod(0o644)  # the server has another user id in the container
        ports = ["--publish", f"{LOOPBACK}:{spec.amqp_port}:5672"]
        plugins = spec.folder / _PLUGINS_FILE
        plugins.write_text(spec.plugins_file)
        files = ["--volume", f"{config}:/etc/rabbitmq/{CONFIG_FILE}:ro"]
        files += ["--volume", f"{plugins}:/etc/rabbitmq/{_PLUGINS_FILE}:ro"]
        names = ["--name", spec.name, "--hostname", "localhost"]  # the data belong to the host name
        _docker("create", *names, *ports, *files, self.image)

    def start_command(self, spec: NodeSpec) -> Command:
        return Command(["docker", "start", "--attach", spec.name], dict(os.environ))

    def ctl_command(self, spec: NodeSpec, args: tuple[str, ...]) -> Command:
        return Command(["docker", "exec", "--interactive", spec.name, "rabbitmqctl", *args], dict(os.environ))

    def call_command(self, spec: NodeSpec) -> Command | None:
        return None

    def kill(self, spec: NodeSpec) -> None:
        if _docker("ps", "--quiet", "--filter", f"name=^{spec.name}$").strip():
            _docker("kill", spec.name)


def _docker(*args: str) -> str:
    done = subprocess.run(["docker", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NodeError(f"docker {args[0]}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout
