"""RabbitMQ from the packages of another Debian release, with that release's own C library, without root.

The programs of the tree are made to use the tree's loader and libraries by patchelf, which comes with the same
packages.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbox.debian import (
    KEYRINGS,
    Progress,
    Release,
    UnpackError,
    download,
    loader_of,
    locked,
    need_apt,
    run,
    this_debian,
    unpack,
)
from sandbox.rabbitmq_packages import check, make_relocatable, server_in, unpacked_server
from sandbox.rabbitmq_server import LocalServer
from sandbox.rabbitmq_versions import DEBIAN_RELEASES

_COMPLETE = "complete"  # a file in the tree: where it was made, when all was well


def server_of_version(version: str, cache: Path, progress: Progress = lambda step: None) -> LocalServer:
    """That RabbitMQ in `cache`, unpacked at the first call; where this machine is that Debian, its own packages.

    Raises UnpackError.
    """
    release = DEBIAN_RELEASES[version]
    if this_debian() == release:
        return _of_version(unpacked_server(cache, progress), version)
    return foreign_server(version, cache, progress)


def foreign_server(
    version: str,
    cache: Path,
    progress: Progress = lambda step: None,
    *,
    keyrings: Sequence[str] = KEYRINGS,
    mirror: str | None = None,
) -> LocalServer:
    """The same whatever this machine is. `keyrings` and `mirror` are those of a Release. Raises UnpackError."""
    need_apt()
    release = Release(DEBIAN_RELEASES[version], mirror, keyrings)
    tree = cache / f"rabbitmq-{version}-debian-{release.name}-{platform.machine()}"
    with locked(cache):
        if not _is_complete(tree):
            shutil.rmtree(tree, ignore_errors=True)
            try:
                with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as work:
                    packages = download(release, [["rabbitmq-server", "patchelf"]], Path(work), progress)
                    progress("unpack")
                    unpack(packages, tree)
                    erlang = tree / "usr/lib/erlang"
                    make_relocatable(erlang)
                    _use_own_libraries(erlang, tree)
                    progress("check")
                    check(_of_version(server_in(tree), version), Path(work))
            except UnpackError:
                shutil.rmtree(tree, ignore_errors=True)
                raise
            (tree / _COMPLETE).write_text(str(tree))
    return server_in(tree)


def _is_complete(tree: Path) -> bool:
    # The loader's path is written into each program: a cache that was moved is made anew.
    marker = tree / _COMPLETE
    return marker.exists() and marker.read_text() == str(tree)


def _of_version(server: LocalServer, version: str) -> LocalServer:
    if not server.home.name.startswith(f"rabbitmq_server-{version}."):
        raise UnpackError(f"Debian {DEBIAN_RELEASES[version]} carries {server.home.name} now, not {version}")
    return server


def _use_own_libraries(erlang: Path, tree: Path) -> None:
    loader, libraries = loader_of(tree)
    patchelf = [str(loader), "--library-path", libraries, str(tree / "usr/bin/patchelf")]
    # The old kind of path, which a library that is loaded later (crypto's libcrypto) inherits.
    orders = ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", libraries]
    run([*patchelf, *orders, *map(str, _programs(erlang))], tree)


def _programs(erlang: Path) -> list[Path]:
    """All executables of Erlang, `memsup` of os_mon included: without it a node ends at its start."""
    found = []
    for path in erlang.rglob("*"):
        if path.is_file() and not path.is_symlink() and ".so" not in path.suffixes and os.access(path, os.X_OK):
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found
