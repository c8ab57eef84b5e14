"""Programs of an unpacked tree that believe to be root on a machine of their own, without any right of root.

proot translates their paths, and answers for the kernel when they ask who they are, change users or give files away.
It needs ptrace and nothing else, so this works alike for root and for an ordinary user, also in a container.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.debian import loader_of

# OpenSMTPD changes its root to its spool: as proot can only feign a root that stays the same, the spool's folders are
# in the root itself.
SPOOL_OF_OPENSMTPD = ("offline", "purge", "queue", "corrupt", "incoming", "temporary")
MOUNT_POINTS = ("/dev", "/etc", "/proc", "/run", "/tmp", "/var", *(f"/{name}" for name in SPOOL_OF_OPENSMTPD))  # noqa: S108  # in there

_DEVICES = ("/dev/null", "/dev/random", "/dev/urandom", "/proc")


def command(tree: Path, mounts: Mapping[str, Path], argv: Sequence[str]) -> list[str]:
    """Runs `argv` with `tree` as its root; `mounts` are folders of this machine by their names in there."""
    loader, libraries = loader_of(tree)
    binds = [*_DEVICES, *(f"{outside}:{inside}" for inside, outside in mounts.items())]
    bound = [word for bind in binds for word in ("-b", bind)]
    proot = [str(loader), "--library-path", libraries, str(tree / "usr/bin/proot")]
    return [*_without_rights(), *proot, "-r", str(tree), "-0", "-w", "/", *bound, *argv]


def _without_rights() -> list[str]:
    """Root gives up what makes it root: a real chroot or a real change of user would end what proot feigns."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []
