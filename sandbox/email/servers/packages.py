"""The mail servers of one Debian release, unpacked into the cache: what they say was measured on these versions."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from sandbox.debian import Progress, Release, UnpackError, run, unpacked
from sandbox.jail import DEVICES, MOUNT_POINTS, command, environment, keep_loader

RELEASE = "bookworm"  # Postfix 3.7, Exim 4.96, OpenSMTPD 6.8

# Each by itself: Debian allows one mail server at a time.
_PACKAGES = (("postfix",), ("exim4-daemon-light",), ("opensmtpd",), ("proot",))
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl", "usr/share/info")


def mail_servers(cache: Path, progress: Progress = lambda step: None) -> Path:
    """The tree with the servers in `cache`, unpacked at the first call. Raises UnpackError."""
    tree = cache / f"mail-servers-debian-{RELEASE}-{platform.machine()}"
    return unpacked(tree, Release(RELEASE), _PACKAGES, _finish, progress)


def _finish(tree: Path) -> None:
    for folder in _UNUSED:
        shutil.rmtree(tree / folder, ignore_errors=True)
    # All that is mounted has a place: else proot makes one in /tmp, and leaves it there when it is killed.
    for mount_point in (*MOUNT_POINTS, "/dev"):
        (tree / mount_point.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for device in DEVICES:
        (tree / device.lstrip("/")).touch()
    keep_loader(tree)
    tree.chmod(0o711)  # as OpenSMTPD wants its spool, which is the root of its world
    # What is missing, ptrace included, shows here and not at the start of a server.
    version = run(command(tree, {}, ["/usr/sbin/postconf", "-dh", "mail_version"]), tree, environment(tree))
    if not version.startswith("3."):
        raise UnpackError(f"Postfix says that its version is {version!r}")
