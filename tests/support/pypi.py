"""Judges from PyPI that cannot live beside the project's own packages: installed once per user, run as processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest


def installed(requirement: str) -> Path:
    """The folder `bin` with `name==version` in it. Skips the test when PyPI is out of reach."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache / "task-creator" / f"pypi-{requirement.replace('==', '-')}-{python}"
    folder.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes
        if not complete.exists():
            venv = [sys.executable, "-m", "venv", "--clear", str(folder / "venv")]
            pip = [
                str(folder / "venv" / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                requirement,
            ]
            for command in (venv, pip):
                done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
                if done.returncode != 0:
                    pytest.skip(f"{requirement} cannot be installed from PyPI: {done.stderr[-300:]}")
            complete.touch()
    return folder / "venv" / "bin"
