"""What is said through a worker's door: one line of JSON asks, one line of JSON answers, and the connection ends.

A question is `{"ask": "pause", "with": {"system": "bitrix24"}}`. An answer is `{"answer": ...}`, or
`{"refused": {"code": "unknown_system", "en": "...", "ru": "..."}}`.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InvalidMessageError
from core.strict_json import decode_object
from core.texts import BilingualError, Text

FOLDER = "control"  # within the state directory
MOST_ASKED = 1 << 20  # bytes of a question
MOST_ANSWERED = 64 << 20  # bytes of an answer
OTHER_VERSION = Text(
    "this worker does not know the question: it is of another version",
    "этот воркер не знает такого вопроса: он другой версии",
)
_DEPTH = 32
_CHUNK = 1 << 16


class RefusedError(BilingualError):
    """A worker does not do what it was asked; `code` is a stable word for machines."""

    def __init__(self, code: str, text: Text) -> None:
        super().__init__(text)
        self.code = code


def folder_of(state_dir: Path) -> Path:
    """Return the folder in which each worker of this state directory has its socket."""
    return state_dir / FOLDER


def say(connection: socket.socket, told: Mapping[str, Any]) -> None:
    """Send one line. Raises OSError."""
    connection.sendall(json.dumps(told, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n")


def hear(connection: socket.socket, most: int) -> dict[str, Any]:
    """Return the line that the other side has sent, of `most` bytes at most.

    Raises OSError when it is not there within the connection's time-out, RefusedError for what is no object in JSON.
    """
    patience = connection.gettimeout()
    try:
        line = _line(connection, most, patience)
    finally:
        connection.settimeout(patience)
    try:
        return decode_object(line, _DEPTH)
    except InvalidMessageError as error:
        raise RefusedError("unreadable", error.text) from None


def _line(connection: socket.socket, most: int, patience: float | None) -> bytes:
    line = bytearray()
    deadline = None if patience is None else time.monotonic() + patience
    while not line.endswith(b"\n"):
        if deadline is not None:  # for the whole line: who sends a byte now and then would sit here for ever
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise ConnectionResetError("the other side has ended in the middle of a line")
        line += chunk
        if len(line) > most:
            text = Text(f"more than {most} bytes in one line", f"больше {most} байт в одной строке")
            raise RefusedError("too_large", text)
    return bytes(line)
