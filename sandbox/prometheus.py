"""promtool, Prometheus' own judge of metrics and rules, of Debian 12's package, without root and without installing."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.debian import Progress, Release, UnpackError, loader_of, run, unpacked

RELEASE = "bookworm"
_PACKAGES = (("prometheus",),)
_KEPT = ("promtool",)  # of the programs; the server, its pages and Perl are not wanted
_FOLDERS = ("etc", "usr/share", "usr/sbin", "var", "bin", "sbin")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What promtool has said, and whether it found nothing."""

    is_good: bool
    text: str


class Promtool:
    """The program in its tree."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def check_metrics(self, exposition: bytes) -> Judgement:
        """Judge an exposition, names and help texts included."""
        return self._judge("check", "metrics", given=exposition)

    def check_rules(self, rules: Path) -> Judgement:
        return self._judge("check", "rules", str(rules))

    def test_rules(self, tests: Path) -> Judgement:
        """Run the unit tests of rules; the file names its rules beside itself."""
        return self._judge("test", "rules", str(tests))

    def _judge(self, *arguments: str, given: bytes = b"") -> Judgement:
        done = subprocess.run(command(self._tree, *arguments), input=given, capture_output=True, check=False)
        return Judgement(done.returncode == 0, (done.stdout + done.stderr).decode())


def promtool(cache: Path, progress: Progress = lambda step: None) -> Promtool:
    """promtool in `cache`, unpacked at the first call. Raises UnpackError."""
    tree = cache / f"prometheus-debian-{RELEASE}-{platform.machine()}"
    return Promtool(unpacked(tree, Release(RELEASE), _PACKAGES, _finish, progress))


def command(tree: Path, *arguments: str) -> list[str]:
    """The program by the tree's own loader: this machine may have another C library, or none."""
    loader, libraries = loader_of(tree)
    return [str(loader), "--library-path", libraries, str(tree / "usr/bin/promtool"), *arguments]


def _finish(tree: Path) -> None:
    for folder in _FOLDERS:
        shutil.rmtree(tree / folder, ignore_errors=True)
    for program in (tree / "usr/bin").iterdir():
        if program.name not in _KEPT:
            program.unlink()
    version = run(command(tree, "--version"), tree)
    if "promtool, version" not in version:
        raise UnpackError(f"promtool says that its version is {version!r}")
