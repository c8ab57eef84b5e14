"""RabbitMQ from the packages of this machine's own distribution (Debian, Ubuntu), unpacked without root.

Nothing is installed: the signed packages go into a folder of the user's cache, are checked by running them, and are
kept for the next time. Delete the folder to get newer packages.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
from pathlib import Path

from sandbox.debian import Progress, UnpackError, locked, need_apt, private_apt, run
from sandbox.rabbitmq_server import LocalServer

_PACKAGE = re.compile(r"rabbitmq-server|erlang-[a-z0-9-]+")
_DEPENDS_ONLY = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]


def unpacked_server(cache: Path, progress: Progress = lambda step: None) -> LocalServer:
    """The distribution's packages in `cache`, unpacked at the first call. Raises UnpackError."""
    need_apt()
    tree = cache / f"rabbitmq-{_distribution()}"
    with locked(cache):
        if not tree.exists():
            with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as work:
                _unpack(Path(work), progress)
                (Path(work) / "root").rename(tree)  # only a whole, tried tree ever gets this name
    return server_in(tree)


def make_relocatable(erlang: Path) -> None:
    """Debian's start scripts name /usr/lib/erlang even when ERL_ROOTDIR says otherwise; let them listen to it."""
    for script in (*erlang.glob("bin/*"), *erlang.glob("erts-*/bin/*")):
        if script.name in {"erl", "start"} and not script.is_symlink():
            text = script.read_text()
            script.write_text(re.sub(r"(?m)^( *ROOTDIR=)(/\S+)$", r'\1"${ERL_ROOTDIR:-\2}"', text))


def check(server: LocalServer, work: Path) -> None:
    """Runs Erlang from the tree: what is missing shows here and not at the start of a node."""
    if server.erlang is None:
        raise UnpackError("the packages contain no Erlang")
    environment = {"ERL_ROOTDIR": str(server.erlang), "HOME": str(work), "PATH": os.environ.get("PATH", os.defpath)}
    code = "ok = crypto:start(), {ok, _} = application:ensure_all_started(os_mon), init:stop()."
    run([str(server.erlang / "bin/erl"), "-noshell", "-eval", code], work, environment)


def server_in(tree: Path) -> LocalServer:
    homes = sorted(tree.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))
    if not homes:
        raise UnpackError(f"no RabbitMQ in {tree}")
    return LocalServer(homes[-1], tree / "usr/lib/erlang")


def _unpack(work: Path, progress: Progress) -> None:
    apt = private_apt(work)
    for folder in ("debs", "root"):
        (work / folder).mkdir()
    progress("index")
    packages = _needed_packages(apt, work)
    progress("download")
    run(["apt-get", *apt, "download", *packages], work / "debs")
    progress("unpack")
    for package in sorted((work / "debs").iterdir()):
        run(["dpkg", "-x", str(package), str(work / "root")], work)
    make_relocatable(work / "root/usr/lib/erlang")
    progress("check")
    check(server_in(work / "root"), work)


def _needed_packages(apt: list[str], work: Path) -> list[str]:
    """rabbitmq-server and the Erlang that this release of the distribution runs it on."""
    problem = ""
    try:
        run(["apt-get", *apt, "update"], work)
    except UnpackError as error:
        problem = f" ({error})"  # often one broken third-party source, which does not matter here
    try:
        depends = run(["apt-cache", *apt, "depends", "--recurse", *_DEPENDS_ONLY, "rabbitmq-server"], work)
    except UnpackError as error:
        raise UnpackError(f"apt offers no package rabbitmq-server{problem}") from error
    return sorted(line for line in depends.splitlines() if _PACKAGE.fullmatch(line))


def _distribution() -> str:
    release = platform.freedesktop_os_release()
    return f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'unknown')}-{platform.machine()}"
