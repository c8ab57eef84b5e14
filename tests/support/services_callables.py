"""Functions that the tests let the worker call: good ones, bad ones, and those that end their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Task = dict[str, Any]


class PermanentError(Exception):
    """Known to the worker by its name alone."""


class TransientError(Exception):
    retry_after = 7.0


class BusinessError(Exception):
    code = "NO_MONEY"


def echo(task: Task) -> Task:
    return {"got": task["variables"], "task": task["task_id"], "pid": os.getpid()}


def count(task: Task) -> Task:
    """Leaves a line for each call in the file `into`."""
    with Path(task["variables"]["into"]).open("a") as file:
        file.write(f"{task['task_id']}\n")
    return {"pid": os.getpid()}


def count_slowly(task: Task) -> Task:
    """The same, `seconds` before its end."""
    count(task)
    time.sleep(task["variables"]["seconds"])
    return {}


def count_and(task: Task) -> Task:
    """The same, and then what the variable `then` says."""
    count(task)
    result: Task = globals()[task["variables"]["then"]](task)
    return result


def dies_with_a_child(task: Task) -> Task:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(task["variables"]["pids"]).write_text(f"{os.getpid()} {child.pid}")
    os._exit(3)


def nothing(_task: Task) -> None:
    return None


def envelope(task: Task) -> Task:
    told: Task = task["variables"]["told"]
    return told


def a_list(_task: Task) -> Any:
    return [1]


def not_json(_task: Task) -> Task:
    return {"file": object()}


def huge(_task: Task) -> Task:
    return {"text": "я" * 1024 * 1024}


def raises(task: Task) -> Task:
    kinds = {each.__name__: each for each in (PermanentError, TransientError, BusinessError, ValueError, KeyError)}
    raise kinds[task["variables"]["kind"]](task["variables"].get("text", "no"))


def leaves(_task: Task) -> Task:
    sys.exit(3)


def vanishes(_task: Task) -> Task:
    os._exit(3)


def is_killed(_task: Task) -> Task:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def hangs(task: Task) -> Task:
    """Tells its process id, and that of its child, in the file `pids`."""
    child = subprocess.Popen(["sleep", "1000"])
    path = Path(task["variables"]["pids"])
    path.with_suffix(".tmp").write_text(f"{os.getpid()} {child.pid}")
    path.with_suffix(".tmp").replace(path)
    time.sleep(1000)
    return {}


def chatters(_task: Task) -> Task:
    """Prints, writes into what was stdout, fills stderr."""
    sys.stdout.write("a line of the callable\n")
    os.write(1, b'\x00\x00\x00\x05{"a":')
    sys.stderr.write("x" * 300_000 + "\n")
    return {"quiet": False}


not_callable = 7
