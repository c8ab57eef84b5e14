"""A function that the worker calls in rows of the matrix, and the file that counts its calls. Standard library only."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

FILE_VARIABLE = "EXECUTED_FILE"
SECONDS_VARIABLE = "EXECUTED_SECONDS"


def execute(task: dict[str, Any]) -> dict[str, Any]:
    """What must not be done twice: one line in the file, and its number is told."""
    line = f"{task['task_id']}\n".encode()
    descriptor = os.open(os.environ[FILE_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # a line at once: several processes write
    finally:
        os.close(descriptor)
    time.sleep(float(os.environ[SECONDS_VARIABLE]))
    return {"done": task["task_id"]}


def executed(file: Path) -> list[str]:
    """The task ids in the order of their calls."""
    return file.read_text().splitlines() if file.exists() else []
