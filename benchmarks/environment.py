"""The rivals' own virtual environment: what the daemon is compared with never gets into its requirements.

python = rivals_python()  # made at the first call: a minute, some 200 MB in the user's cache
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

PINS = Path(__file__).parent / "rivals.txt"


class InstallError(Exception):
    """The rivals could not be installed; the text is the end of what pip said."""


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/task-creator/rivals`, else `~/.cache/task-creator/rivals`."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache, "task-creator", "rivals")


def rivals_python(folder: Path | None = None) -> Path:
    """The interpreter of the environment in `folder`, made or brought up to date first. Raises InstallError."""
    folder = folder or default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{sys.version}\n{PINS.read_text()}"
    installed = folder / "installed.txt"  # written last: an interrupted installation is repeated
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two benchmarks may be started at once
        if not installed.exists() or installed.read_text() != wanted:
            installed.unlink(missing_ok=True)
            _install(folder / "venv")
            installed.write_text(wanted)
    return folder / "venv" / "bin" / "python"


def _install(folder: Path) -> None:
    print(f"installing the rivals into {folder} …", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(PINS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError((done.stdout + done.stderr)[-2000:])
