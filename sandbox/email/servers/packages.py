"""The mail servers of one Debian release, unpacked into the cache: what they say was measured on these versions."""

from __future__ import annotations

import platform
import shutil
import tempfile
from pathlib import Path

from sandbox.debian import Progress, Release, UnpackError, download, locked, need_apt, run, unpack
from sandbox.jail import DEVICES, MOUNT_POINTS, command, environment, keep_loader

RELEASE = "bookworm"  # Postfix 3.7, Exim 4.96, OpenSMTPD 6.8

# Each by itself: Debian allows one mail server at a time.
_PACKAGES = (("postfix",), ("exim4-daemon-light",), ("opensmtpd",), ("proot",))
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl", "usr/share/info")
_COMPLETE = "complete"  # a file in the tree, written when all was well


def mail_servers(cache: Path, progress: Progress = lambda step: None) -> Path:
    """The tree with the servers in `cache`, unpacked at the first call. Raises UnpackError."""
    need_apt()
    tree = cache / f"mail-servers-debian-{RELEASE}-{platform.machine()}"
    with locked(cache):
        if not (tree / _COMPLETE).exists():
            shutil.rmtree(tree, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as work:
                packages = download(Release(RELEASE), _PACKAGES, Path(work), progress)
                progress("unpack")
                unpack(packages, tree)
                _make_root(tree)
                progress("check")
                _check(tree, Path(work))
            (tree / _COMPLETE).touch()
    return tree


def _make_root(tree: Path) -> None:
    for folder in _UNUSED:
        shutil.rmtree(tree / folder, ignore_errors=True)
    # All that is mounted has a place: else proot makes one in /tmp, and leaves it there when it is killed.
    for mount_point in (*MOUNT_POINTS, "/dev"):
        (tree / mount_point.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for device in DEVICES:
        (tree / device.lstrip("/")).touch()
    keep_loader(tree)
    tree.chmod(0o711)  # as OpenSMTPD wants its spool, which is the root of its world


def _check(tree: Path, work: Path) -> None:
    """What is missing, ptrace included, shows here and not at the start of a server."""
    version = run(command(tree, {}, ["/usr/sbin/postconf", "-dh", "mail_version"]), work, environment(tree))
    if not version.startswith("3."):
        raise UnpackError(f"Postfix says that its version is {version!r}")
