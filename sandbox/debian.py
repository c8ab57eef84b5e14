"""Debian's packages without root and without installing: a private apt, a folder of the user's cache.

Signatures are verified by apt. `download` takes from any release, with an empty list of installed packages, so that
the C library comes along; signed by that release's own keys.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.node_guard import base_folder

Progress = Callable[[str], None]

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")

_NEEDED_TOOLS = ("apt-get", "apt-cache", "dpkg")
_COMMAND_TIMEOUT = 600.0  # seconds; 70 MB over a slow line
_COMPLETE = "complete"  # a file in the tree, written when all was well
_DEFAULT_MIRROR = "http://deb.debian.org/debian/"  # plain HTTP as in Debian's own images: the signature protects


class UnpackError(Exception):
    """The packages could not be downloaded, unpacked or run."""


@dataclass(frozen=True, slots=True)
class Release:
    """A Debian release by its code name. `mirror` is where its packages are, None what this machine uses.

    `keyrings` are tried first, then Debian's keys as this system offers them.
    """

    name: str
    mirror: str | None = None
    keyrings: Sequence[str] = KEYRINGS


def need_apt() -> None:
    """Raises UnpackError where the tools of Debian and Ubuntu are missing."""
    if missing := [tool for tool in _NEEDED_TOOLS if shutil.which(tool) is None]:
        raise UnpackError(f"no {missing[0]} here: not a Debian or Ubuntu")


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/task-creator`, else `~/.cache/task-creator`, else beside the nodes when HOME is of no use."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "task-creator")
    if not folder.is_absolute():  # neither HOME nor an entry in passwd: "~" stays as it is
        return base_folder() / "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return base_folder() / "cache"
    return folder if os.access(folder, os.W_OK) else base_folder() / "cache"


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One process at a time unpacks into `cache`; the next waits and finds the work done."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for interrupted in cache.glob("new-*"):
            shutil.rmtree(interrupted, ignore_errors=True)
        yield


def private_apt(work: Path) -> list[str]:
    """Options with which apt writes only below `work`: it needs no root and waits for nobody's lock."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    return [
        *("-o", f"Dir::State={work / 'state'}", "-o", f"Dir::Cache={work / 'cache'}"),
        *("-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "APT::Sandbox::User="),
        *("-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=2"),
        # Without it apt-get calls it a success when no mirror can be reached.
        *("-o", "APT::Update::Error-Mode=any"),
    ]


def run(argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    """Its output. Raises UnpackError."""
    environment = env or {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnpackError(f"{argv[0]} did not finish within {_COMMAND_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise UnpackError(f"{Path(argv[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def download(release: Release, packages: Sequence[Sequence[str]], work: Path, progress: Progress) -> Path:
    """The folder with the packages and all that they need. Each group is asked for by itself: they may conflict.

    Raises UnpackError.
    """
    source = _Source(release.name, release.mirror or _mirror(work))
    progress("index")
    with _first_that_verifies(source, work, release.keyrings) as apt:
        progress("download")
        for group in packages:
            run(["apt-get", *apt, "--yes", "--download-only", "install", *group], work)
    return work / "cache/archives"


def unpacked(
    tree: Path, release: Release, packages: Sequence[Sequence[str]], finish: Callable[[Path], None], progress: Progress
) -> Path:
    """The tree with these packages, made at the first call: its folder is the cache.

    `finish` is given the new tree, makes it usable and raises UnpackError if it is not. Raises UnpackError.
    """
    need_apt()
    with locked(tree.parent):
        if not (tree / _COMPLETE).exists():
            shutil.rmtree(tree, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="new-", dir=tree.parent) as work:
                found = download(release, packages, Path(work), progress)
                progress("unpack")
                unpack(found, tree)
            progress("check")
            finish(tree)
            (tree / _COMPLETE).touch()
    return tree


def unpack(packages: Path, tree: Path) -> None:
    """Nothing in the tree gives anybody another user's rights. Raises UnpackError."""
    for package in sorted(packages.glob("*.deb")):
        run(["dpkg", "-x", str(package), str(tree)], packages)
    for path in tree.rglob("*"):
        if not path.is_symlink() and path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o777)  # `passwd` and its like are not for use


def loader_of(tree: Path) -> tuple[Path, str]:
    """The tree's own loader, and where its libraries are, as a path list. Raises UnpackError."""
    loaders = sorted([*tree.glob("usr/lib/*-linux-*/ld*.so.*"), *tree.glob("lib/*-linux-*/ld*.so.*")])
    if not loaders:
        raise UnpackError(f"no loader in {tree}")
    triplet = loaders[0].parent.name
    return loaders[0], os.pathsep.join(str(tree / folder) for folder in (f"usr/lib/{triplet}", f"lib/{triplet}"))


def this_debian() -> str | None:
    """The code name of this machine's Debian release."""
    release = platform.freedesktop_os_release()
    return release.get("VERSION_CODENAME") if release.get("ID") == "debian" else None


@dataclass(frozen=True, slots=True)
class _Source:
    release: str
    mirror: str


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
    own = this_debian()
    if own:
        for line in run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"], work).splitlines():
            release, _, uri = line.partition(" ")
            if release == own and urlsplit(uri).path.endswith("/debian/"):
                return uri
    return _DEFAULT_MIRROR
