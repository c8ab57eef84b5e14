"""The worker's side of the door: a thread that lets people in, and one for each who asks.

Nobody but the worker's own user and root can open the socket (0600, in a folder of 0700), so there is no password. What
is asked takes no part in the work: a slow answer holds up who has asked, and nobody else.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control.protocol import MOST_ASKED, OTHER_VERSION, RefusedError, hear, say
from control.sockets import SUFFIX, listen, remove_dead
from core.events.base import EventStream
from core.events.control import DoorUnusable, QuestionFailed

AT_ONCE = 16  # who asks; more wait
SHORTAGE = 0.2  # seconds between two tries to let somebody in
PATIENCE = 10.0  # seconds in which a question must have come, and its answer must have been read
_PEER = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that asks, as the kernel knows it."""

    pid: int
    uid: int


Answer = Callable[[Mapping[str, Any], Caller], Any]  # raises RefusedError


class Door:
    """The socket of one worker in `folder`, which is made. `answers` by what is asked."""

    def __init__(self, folder: Path, answers: Mapping[str, Answer], events: EventStream) -> None:
        self._path = folder / f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        self._answers = answers
        self._events = events
        self._seats = threading.Semaphore(AT_ONCE)
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._is_unusable = False

    def start(self) -> None:
        """Open the door; where that cannot be done an event says why, and the worker works without."""
        if self._listening is not None:  # the thread has died, and is replaced
            self._listening.close()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_dead(self._path.parent)
            self._listening = listen(self._path, AT_ONCE)
        except OSError as error:
            self._is_unusable = True
            self._events.emit(DoorUnusable(str(self._path.parent), str(error)))
            return
        self._thread = threading.Thread(target=self._let_in, args=(self._listening,), name="control", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._is_unusable or (self._thread is not None and self._thread.is_alive())

    def close(self) -> None:
        self._is_closing = True
        if self._listening is not None:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it has ended already
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _let_in(self, listening: socket.socket) -> None:
        while not self._is_closing:
            self._seats.acquire()
            try:
                connection, _ = listening.accept()
            except OSError:  # no descriptor is left for whoever asks: he waits
                self._seats.release()
                time.sleep(SHORTAGE)
            else:
                answering = threading.Thread(target=self._serve, args=(connection,), name="control-answer", daemon=True)
                answering.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):  # who has asked has gone, or is too slow
                connection.settimeout(PATIENCE)
                say(connection, self._told(connection))
        finally:
            self._seats.release()

    def _told(self, connection: socket.socket) -> Mapping[str, Any]:
        try:
            question = hear(connection, MOST_ASKED)
            answer, told = self._answers.get(str(question.get("ask"))), question.get("with", {})
            if answer is None or not isinstance(told, dict):
                raise RefusedError("unknown_question", OTHER_VERSION)
            return {"answer": answer(told, _caller(connection))}
        except RefusedError as error:
            return {"refused": {"code": error.code, "en": error.text.en, "ru": error.text.ru}}
        except OSError:
            raise
        # Foreign handlers and trackers give figures, too: who asks must hear of a mistake, and so must the log.
        except Exception as error:  # noqa: BLE001
            self._events.emit(QuestionFailed(error))
            told_error = f"{type(error).__name__}: {error}"
            return {"refused": {"code": "failed", "en": told_error, "ru": told_error}}


def _caller(connection: socket.socket) -> Caller:
    pid, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return Caller(pid, uid)
