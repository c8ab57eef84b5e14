"""Commands of the program as a person starts them: in a process of their own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.process import ROOT
from sandbox.rabbitmq_versions import VARIABLE

TIMEOUT = 180.0  # seconds; a busy machine needs its time

_SYSTEMS = ("BITRIX", "OPENPROJECT", "ONEC", "SERVICES", "EMAIL", "TELEGRAM", "DEFAULT")
_OURS = (*(f"{name}_" for name in ("RABBITMQ", *_SYSTEMS, "NOTIFY", "API", "LC")), "LANG")


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without settings and languages, and these variables.

    The RabbitMQ of the tests is the demo's, too, where it starts one.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    if VARIABLE in os.environ and not any(name.startswith("RABBITMQ_") for name in variables):
        inherited[VARIABLE] = os.environ[VARIABLE]
    return {**inherited, "LANG": "C.UTF-8", **variables}


def run(
    script: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """`script` is main.py or one of the smoke scripts; `folder` is where it looks for .env."""
    return subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        env=environment(variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
