"""The side of the commands and of the API: finds the running workers of a state directory and asks them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from control.protocol import MOST_ANSWERED, RefusedError, folder_of, hear, say
from control.sockets import SUFFIX, connect
from core.texts import BilingualError, Text

PATIENCE = 10.0  # seconds for an answer


class NoWorkerError(BilingualError):
    """No worker of this state directory runs, or none that this user may ask."""


class ForbiddenError(BilingualError):
    """A worker may run, but its socket belongs to another user."""


class SilentWorkerError(BilingualError, OSError):
    """A worker has a socket and does not answer: it stands still, or it is overwhelmed."""


UNANSWERED = (NoWorkerError, ForbiddenError, SilentWorkerError, RefusedError)  # all that `ask` raises


class Workers:
    """The running workers of one state directory: two when one waits for the other. Usable from any thread."""

    def __init__(self, state_dir: Path, patience: float = PATIENCE) -> None:
        self._state_dir = state_dir
        self._patience = patience

    def ask(self, question: str, **told: Any) -> list[Any]:
        """Return the answer of each worker.

        Raises NoWorkerError, ForbiddenError, RefusedError when one refuses, SilentWorkerError when one gives no answer.
        """
        answers = []
        for path in self._sockets():
            with contextlib.suppress(FileNotFoundError, ConnectionError):  # of a worker that has ended
                answers.append(self._ask(path, {"ask": question, "with": told}))
        if not answers:
            raise NoWorkerError(
                Text(
                    f"no worker runs with STATE_DIR={self._state_dir}",
                    f"с STATE_DIR={self._state_dir} воркер не запущен",
                )
            )
        return answers

    def _sockets(self) -> list[Path]:
        folder = folder_of(self._state_dir)
        try:
            return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            raise _forbidden(folder) from error

    def _ask(self, path: Path, question: dict[str, Any]) -> Any:
        try:
            connection = connect(path, self._patience)
        except PermissionError as error:
            raise _forbidden(path) from error
        except (FileNotFoundError, ConnectionError):
            raise
        except OSError as error:
            raise self._silent(error) from error
        with connection:
            try:
                say(connection, question)
                told = hear(connection, MOST_ANSWERED)
            except ConnectionError:
                raise
            except OSError as error:
                raise self._silent(error) from error
        if (refused := told.get("refused")) is not None:
            raise RefusedError(refused["code"], Text(refused["en"], refused["ru"]))
        return told["answer"]

    def _silent(self, error: OSError) -> SilentWorkerError:
        seconds = round(self._patience)
        return SilentWorkerError(
            Text(
                f"a worker runs with STATE_DIR={self._state_dir} and does not answer within {seconds} s: {error}",
                f"воркер с STATE_DIR={self._state_dir} запущен, но не отвечает за {seconds} с: {error}",
            )
        )


def _forbidden(path: Path) -> ForbiddenError:
    return ForbiddenError(
        Text(
            f"{path} belongs to another user: run this as the user of the worker",
            f"{path} принадлежит другому пользователю: запустите команду от имени пользователя воркера",
        )
    )
