"""Finds a RabbitMQ server for a private node; on Debian and Ubuntu one is unpacked without root when none is there.

Nothing is installed: the distribution's signed packages go into a folder of the user's cache, are checked by running
them, and are kept for the next time. Delete the folder to get newer packages.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.node_guard import base_folder
from sandbox.rabbitmq_server import DockerServer, LocalServer, Server

INSTALLED_HOMES = (
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*",
    "/opt/rabbitmq",
    "/opt/rabbitmq_server-*",
    "/usr/local/lib/rabbitmq_server-*",
)
CHOICES = (
    "set RABBITMQ_HOST (and the other RABBITMQ_* variables) to a RabbitMQ that you have",
    "install one: apt install rabbitmq-server",
    "on Debian or Ubuntu, let apt-get reach its package mirror: the server is then unpacked without root",
    "install Docker and let this user reach its engine",
)

Progress = Callable[[str], None]

_NEEDED_TOOLS = ("apt-get", "apt-cache", "dpkg")
_COMMAND_TIMEOUT = 600.0  # seconds; 44 MB over a slow line
_PACKAGE = re.compile(r"rabbitmq-server|erlang-[a-z0-9-]+")
_DEPENDS_ONLY = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]


class NoServerError(Exception):
    """No RabbitMQ can be had on this machine. `choices` are the ways out, `reasons` why each way was not taken."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.choices = CHOICES
        self.reasons = tuple(reasons)
        ways = "\n".join(f"  - {choice}" for choice in self.choices)
        super().__init__(f"No RabbitMQ server found ({'; '.join(reasons)}). Choose one:\n{ways}")


class UnpackError(Exception):
    """The packages could not be downloaded, unpacked or run."""


def find_server(
    *,
    installed: Sequence[str] = INSTALLED_HOMES,
    cache: Path | None = None,
    progress: Progress = lambda step: None,
) -> Server:
    """The first that works: an installed server, the unpacked packages, Docker. Raises NoServerError.

    `installed` are patterns of server folders, `cache` is where packages are unpacked. `progress` is told the long
    steps: "index", "download", "unpack", "check".
    """
    if server := find_installed(installed):
        return server
    reasons = ["rabbitmq-server is not installed"]
    try:
        return unpacked_server(cache or _cache_folder(), progress)
    except UnpackError as error:
        reasons.append(str(error))
    if _docker_answers():
        return DockerServer()
    raise NoServerError([*reasons, "no Docker engine answers"])


def find_installed(patterns: Sequence[str] = INSTALLED_HOMES) -> LocalServer | None:
    """A server that the system has. Its own `rabbitmq-server` command is often a wrapper that insists on root."""
    if shutil.which("erl") is None:
        return None
    homes = [home for pattern in patterns for home in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)]
    if command := shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"):
        beside = Path(command).resolve().parent / "rabbitmq-env"
        homes.append(beside.resolve().parent.parent)
    return next((LocalServer(home) for home in homes if (home / "sbin/rabbitmq-env").exists()), None)


def unpacked_server(cache: Path, progress: Progress = lambda step: None) -> LocalServer:
    """The distribution's packages in `cache`, unpacked at the first call. Raises UnpackError."""
    if missing := [tool for tool in _NEEDED_TOOLS if shutil.which(tool) is None]:
        raise UnpackError(f"no {missing[0]} here: not a Debian or Ubuntu")
    tree = cache / f"rabbitmq-{_distribution()}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits and finds the work done
        for interrupted in cache.glob("new-*"):
            shutil.rmtree(interrupted, ignore_errors=True)
        if not tree.exists():
            with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as work:
                _unpack(Path(work), progress)
                (Path(work) / "root").rename(tree)  # only a whole, tried tree ever gets this name
    return _server_in(tree)


def _unpack(work: Path, progress: Progress) -> None:
    for folder in ("state/lists/partial", "cache/archives/partial", "debs", "root"):
        (work / folder).mkdir(parents=True)
    # Private folders for everything that apt writes, so that it needs no root and waits for nobody's lock.
    apt = [
        *("-o", f"Dir::State={work / 'state'}", "-o", f"Dir::Cache={work / 'cache'}"),
        *("-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "APT::Sandbox::User="),
        *("-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=2"),
    ]
    progress("index")
    packages = _needed_packages(apt, work)
    progress("download")
    _run(["apt-get", *apt, "download", *packages], work / "debs")
    progress("unpack")
    for package in sorted((work / "debs").iterdir()):
        _run(["dpkg", "-x", str(package), str(work / "root")], work)
    _make_relocatable(work / "root/usr/lib/erlang")
    progress("check")
    _check(_server_in(work / "root"), work)


def _needed_packages(apt: list[str], work: Path) -> list[str]:
    """rabbitmq-server and the Erlang that this release of the distribution runs it on."""
    problem = ""
    try:
        # Without the option apt-get calls it a success when no mirror can be reached.
        _run(["apt-get", *apt, "-o", "APT::Update::Error-Mode=any", "update"], work)
    except UnpackError as error:
        problem = f" ({error})"  # often one broken third-party source, which does not matter here
    try:
        depends = _run(["apt-cache", *apt, "depends", "--recurse", *_DEPENDS_ONLY, "rabbitmq-server"], work)
    except UnpackError as error:
        raise UnpackError(f"apt offers no package rabbitmq-server{problem}") from error
    return sorted(line for line in depends.splitlines() if _PACKAGE.fullmatch(line))


def _make_relocatable(erlang: Path) -> None:
    """Debian's start scripts name /usr/lib/erlang even when ERL_ROOTDIR says otherwise; let them listen to it."""
    for script in (*erlang.glob("bin/*"), *erlang.glob("erts-*/bin/*")):
        if script.name in {"erl", "start"} and not script.is_symlink():
            text = script.read_text()
            script.write_text(re.sub(r"(?m)^( *ROOTDIR=)(/\S+)$", r'\1"${ERL_ROOTDIR:-\2}"', text))


def _check(server: LocalServer, work: Path) -> None:
    """Runs Erlang from the tree: a missing system library shows here and not at the start of a node."""
    if server.erlang is None:
        raise UnpackError("the packages contain no Erlang")
    environment = {"ERL_ROOTDIR": str(server.erlang), "HOME": str(work), "PATH": os.environ.get("PATH", os.defpath)}
    erl = [str(server.erlang / "bin/erl"), "-noshell", "-eval", "crypto:start(), init:stop()."]
    _run(erl, work, environment)


def _server_in(tree: Path) -> LocalServer:
    homes = sorted(tree.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))
    if not homes:
        raise UnpackError(f"no RabbitMQ in {tree}")
    return LocalServer(homes[-1], tree / "usr/lib/erlang")


def _run(argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    environment = env or {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnpackError(f"{argv[0]} did not finish within {_COMMAND_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise UnpackError(f"{Path(argv[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def _distribution() -> str:
    release = platform.freedesktop_os_release()
    return f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'unknown')}-{platform.machine()}"


def _cache_folder() -> Path:
    """`$XDG_CACHE_HOME/task-creator`, else `~/.cache/task-creator`, else beside the nodes when HOME is of no use."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "task-creator")
    if not folder.is_absolute():  # neither HOME nor an entry in passwd: "~" stays as it is
        return base_folder() / "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return base_folder() / "cache"
    return folder if os.access(folder, os.W_OK) else base_folder() / "cache"


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
