"""Programs of an unpacked tree that believe to be root, or somebody else, on a machine of their own.

proot translates their paths, and answers for the kernel when they ask who they are, change users or give files away.
They have no right of root. It needs ptrace and nothing else, so this works alike for root and for an ordinary user,
also in a container.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.debian import UnpackError, loader_of

# OpenSMTPD changes its root to its spool: as proot can only feign a root that stays the same, the spool's folders are
# in the root itself.
SPOOL_OF_OPENSMTPD = ("offline", "purge", "queue", "corrupt", "incoming", "temporary")
MOUNT_POINTS = ("/etc", "/proc", "/run", "/tmp", "/var", *(f"/{name}" for name in SPOOL_OF_OPENSMTPD))  # noqa: S108  # in there

DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")

# proot unpacks this part of itself into /tmp each time, and leaves it there when it is killed.
_LOADER = "usr/lib/proot-loader"


def command(tree: Path, mounts: Mapping[str, Path], argv: Sequence[str], user: str = "0:0") -> list[str]:
    """Runs `argv` with `tree` as its root; `mounts` are folders of this machine by their names in there.

    `user` is who it believes to be, as numbers of user and group.
    """
    loader, libraries = loader_of(tree)
    binds = ["/proc", *DEVICES, *(f"{outside}:{inside}" for inside, outside in mounts.items())]
    bound = [word for bind in binds for word in ("-b", bind)]
    proot = [str(loader), "--library-path", libraries, str(tree / "usr/bin/proot")]
    return [*_without_rights(), *proot, "-r", str(tree), "-i", user, "-w", "/", *bound, *argv]


def environment(tree: Path) -> dict[str, str]:
    """What `command` needs."""
    return {"PATH": os.defpath, "PROOT_LOADER": str(tree / _LOADER)}


def keep_loader(tree: Path) -> None:
    """Takes the loader out of proot, once for all: an ELF file within that of proot. Raises UnpackError."""
    program = (tree / "usr/bin/proot").read_bytes()
    magic = program[:5]  # with the class: of its two loaders that of its own kind
    start = program.find(magic, len(magic))
    if program[4] != 2 or start < 0:
        raise UnpackError("proot holds no loader for 64 bits")
    (sections,) = struct.unpack_from("<Q", program, start + 40)  # where the last part of an ELF file begins, elf(5)
    size, count = struct.unpack_from("<HH", program, start + 58)
    loader = tree / _LOADER
    loader.write_bytes(program[start : start + sections + size * count])
    loader.chmod(0o755)


def _without_rights() -> list[str]:
    """Root gives up what makes it root: a real chroot or a real change of user would end what proot feigns."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []
