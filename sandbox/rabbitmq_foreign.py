"""RabbitMQ from the packages of another Debian release, with that release's own C library, without root.

A private apt with an empty list of installed packages brings the server and all that it needs, the C library included;
signatures are verified by apt against Debian's own keys. The programs of the tree are then made to use the tree's
loader and libraries by patchelf, which comes with the same packages.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.node_guard import base_folder
from sandbox.rabbitmq_packages import (
    Progress,
    UnpackError,
    check,
    locked,
    make_relocatable,
    need_apt,
    private_apt,
    run,
    server_in,
    unpacked_server,
)
from sandbox.rabbitmq_server import LocalServer
from sandbox.rabbitmq_versions import DEBIAN_RELEASES

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")

_DEFAULT_MIRROR = "http://deb.debian.org/debian/"  # plain HTTP as in Debian's own images: the signature protects
_COMPLETE = "complete"  # a file in the tree: where it was made, when all was well


@dataclass(frozen=True, slots=True)
class _Source:
    release: str
    mirror: str


def server_of_version(version: str, cache: Path, progress: Progress = lambda step: None) -> LocalServer:
    """That RabbitMQ in `cache`, unpacked at the first call; where this machine is that Debian, its own packages.

    Raises UnpackError.
    """
    release = DEBIAN_RELEASES[version]
    if _this_debian() == release:
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
    """The same whatever this machine is. `keyrings` are tried first, then Debian's keys as this system offers them.

    `mirror` is where Debian's packages are, None the one that this machine uses. Raises UnpackError.
    """
    need_apt()
    release = DEBIAN_RELEASES[version]
    tree = cache / f"rabbitmq-{version}-debian-{release}-{platform.machine()}"
    with locked(cache):
        if not _is_complete(tree):
            shutil.rmtree(tree, ignore_errors=True)
            try:
                with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as work:
                    _download(_Source(release, mirror or _mirror(Path(work))), Path(work), progress, keyrings)
                    progress("unpack")
                    _unpack(Path(work) / "cache/archives", tree)
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


def _download(source: _Source, work: Path, progress: Progress, keyrings: Sequence[str]) -> None:
    progress("index")
    with _first_that_verifies(source, work, keyrings) as apt:
        progress("download")
        run(["apt-get", *apt, "--yes", "--download-only", "install", "rabbitmq-server", "patchelf"], work)


@contextmanager
def _first_that_verifies(source: _Source, work: Path, keyrings: Sequence[str]) -> Iterator[list[str]]:
    """apt's options for the release, its index fetched and verified."""
    reasons = []
    for keyring in (Path(each) for each in keyrings if Path(each).exists()):
        try:
            apt = _foreign_apt(source, work, keyring)
            run(["apt-get", *apt, "update"], work)
        except UnpackError as error:
            reasons.append(str(error))
            continue
        yield apt
        return
    # This system is older than the release's keys, or no Debian. Its own package of Debian's keys is signed by keys
    # that it trusts already. (apt splits the value of Signed-By at spaces: the cache may have some, this folder not.)
    with tempfile.TemporaryDirectory(prefix="keys-", dir=base_folder()) as folder:
        keyring = _offered_keyring(Path(folder), reasons)
        apt = _foreign_apt(source, work, keyring)
        run(["apt-get", *apt, "update"], work)
        yield apt


def _offered_keyring(folder: Path, reasons: Iterable[str]) -> Path:
    apt = private_apt(folder)
    try:
        run(["apt-get", *apt, "update"], folder)
        run(["apt-get", *apt, "download", "debian-archive-keyring"], folder)
    except UnpackError as error:
        raise UnpackError("; ".join([*reasons, f"no other keys of Debian to verify it with: {error}"])) from error
    for package in folder.glob("*.deb"):
        run(["dpkg", "-x", str(package), str(folder)], folder)
    found = [folder / each.lstrip("/") for each in KEYRINGS if (folder / each.lstrip("/")).exists()]
    if not found:
        raise UnpackError("the package debian-archive-keyring holds no keyring")
    return found[0]


def _foreign_apt(source: _Source, work: Path, keyring: Path) -> list[str]:
    for folder in ("state", "cache"):  # of an attempt with another keyring
        shutil.rmtree(work / folder, ignore_errors=True)
    apt = private_apt(work)
    (work / "empty").mkdir(exist_ok=True)
    (work / "status").touch()
    architecture = run(["dpkg", "--print-architecture"], work).strip()
    options = f"arch={architecture} target=Packages signed-by={keyring}"
    (work / "sources.list").write_text(f"deb [{options}] {source.mirror} {source.release} main\n")
    return [
        *apt,
        *("-o", f"Dir::Etc::SourceList={work / 'sources.list'}", "-o", f"Dir::Etc::SourceParts={work / 'empty'}"),
        *("-o", "Dir::Etc::Preferences=/dev/null", "-o", f"Dir::Etc::PreferencesParts={work / 'empty'}"),
        *("-o", f"Dir::State::status={work / 'status'}", "-o", "APT::Default-Release="),
        *("-o", "APT::Install-Recommends=0", "-o", "APT::Install-Suggests=0"),
        # Whatever this machine's apt.conf allows: nothing unsigned is taken.
        *("-o", "Acquire::AllowInsecureRepositories=0", "-o", "Acquire::AllowWeakRepositories=0"),
        *("-o", "APT::Get::AllowUnauthenticated=0"),
    ]


def _mirror(work: Path) -> str:
    """Where this Debian gets its own packages from, else Debian's public address."""
    own = _this_debian()
    if own:
        for line in run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"], work).splitlines():
            release, _, uri = line.partition(" ")
            if release == own and urlsplit(uri).path.endswith("/debian/"):
                return uri
    return _DEFAULT_MIRROR


def _unpack(packages: Path, tree: Path) -> None:
    for package in sorted(packages.glob("*.deb")):
        run(["dpkg", "-x", str(package), str(tree)], packages)
    for path in tree.rglob("*"):
        if not path.is_symlink() and path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o777)  # `passwd` and its like are not for use
    erlang = tree / "usr/lib/erlang"
    make_relocatable(erlang)
    _use_own_libraries(erlang, tree)


def _use_own_libraries(erlang: Path, tree: Path) -> None:
    loaders = sorted([*tree.glob("usr/lib/*-linux-*/ld*.so.*"), *tree.glob("lib/*-linux-*/ld*.so.*")])
    if not loaders:
        raise UnpackError(f"no loader in {tree}")
    loader = loaders[0]
    triplet = loader.parent.name
    libraries = os.pathsep.join(str(tree / folder) for folder in (f"usr/lib/{triplet}", f"lib/{triplet}"))
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


def _this_debian() -> str | None:
    """The code name of this machine's Debian release."""
    release = platform.freedesktop_os_release()
    return release.get("VERSION_CODENAME") if release.get("ID") == "debian" else None
