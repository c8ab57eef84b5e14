"""Runs in the process in which one callable of the registry works: the other end of processes.py.

Standard library only.

It is run as a script, so that nothing of the daemon is imported into it. Frames of JSON come in through stdin and go
out through what was stdout; what the callable prints goes to stderr. When stdin ends, the daemon is gone: so is this
process at once, in the middle of a call, too. A call that holds the interpreter is ended by the kernel's timer.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")
GRACE = 5.0  # seconds after the deadline in which the daemon, if it is alive, has ended this process itself


def main() -> None:
    sys.path[:] = json.loads(sys.argv[1])
    limit = int(sys.argv[3])
    incoming, outgoing = _private_channel()
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(incoming, tasks), daemon=True).start()
    try:
        function = _load(sys.argv[2])
    except BaseException as error:  # noqa: BLE001  # foreign code at its import: told to the daemon
        _send(outgoing, {"unusable": f"{type(error).__name__}: {error}"[:1000]})
        return
    _send(outgoing, {"ready": True})
    while True:
        order = tasks.get()
        _send(outgoing, {"begun": True})
        signal.setitimer(signal.ITIMER_REAL, order["timeout"] + GRACE)
        answer = _called(function, order["task"], limit)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(outgoing, answer)


def _private_channel() -> tuple[BinaryIO, BinaryIO]:
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def _receive(incoming: BinaryIO, tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    while head := incoming.read(LENGTH.size):
        tasks.put(json.loads(incoming.read(LENGTH.unpack(head)[0])))
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)  # with everything that the callable has started
    os._exit(0)


def _load(path: str) -> Callable[[dict[str, Any]], Any]:
    module, _, name = path.partition(":")
    function = getattr(importlib.import_module(module), name)
    if not callable(function):
        raise TypeError(f"{path} is not callable")
    return function  # type: ignore[no-any-return]


def _called(function: Callable[[dict[str, Any]], Any], task: dict[str, Any], limit: int) -> dict[str, Any]:
    try:
        result = function(task)
    except BaseException as error:  # noqa: BLE001  # foreign code: whatever it raises is told to the daemon
        return {"error": _described(error)}
    if result is not None and not isinstance(result, dict):
        kind = type(result).__name__
        return _bad(f"it returned {kind} instead of a dict or None", f"она вернула {kind}, а нужен dict или None")
    try:
        size = len(json.dumps(result, ensure_ascii=False, allow_nan=False).encode("utf-8"))
    except (TypeError, ValueError, RecursionError) as error:
        return _bad(f"JSON cannot hold what it returned: {error}", f"то, что она вернула, не записать в JSON: {error}")
    if size > limit:
        return _bad(f"it returned {size} bytes, {limit} are allowed", f"она вернула {size} байт, допускается {limit}")
    return {"result": result}


def _bad(*texts: str) -> dict[str, Any]:
    """Return the texts, in English and in Russian."""
    return {"bad": [each[:1000] for each in texts]}


def _described(error: BaseException) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kinds": [each.__name__ for each in type(error).__mro__],
        "message": f"{type(error).__name__}: {error}"[:4000],
    }
    for name, kinds in (("code", (str,)), ("bpmn_error", (str,)), ("retry_after", (int, float))):
        if isinstance(value := getattr(error, name, None), kinds):
            told[name] = value
    return told


def _send(outgoing: BinaryIO, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    outgoing.write(LENGTH.pack(len(body)) + body)
    outgoing.flush()


if __name__ == "__main__":
    main()
