"""Checks whether the worker could write into its folders, by trying; nothing of that stays behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from config import WorkerSettings
from core.texts import Text
from settings.errors import Notice

_WITHOUT_LOG = Text("the log would be on the console alone", "журнал был бы только в консоли")
_WITHOUT_STATE = Text(
    "a message that kills the worker would not be found out, and mails, Telegram messages and functions would wait",
    "сообщение, убивающее воркера, не было бы найдено, а письма, сообщения Telegram и функции ждали бы",
)


def folder_notices(worker: WorkerSettings) -> Iterator[Notice]:
    """Yield a notice for each folder that cannot be written."""
    for variable, folder, without in (
        ("LOG_DIR", worker.log_dir, _WITHOUT_LOG),
        ("STATE_DIR", worker.state_dir, _WITHOUT_STATE),
    ):
        try:
            _try_to_write(folder)
        except OSError as error:
            why = error.strerror
            text = Text(
                f"{folder} cannot be written ({why}): {without.en}", f"в {folder} писать нельзя ({why}): {without.ru}"
            )
            yield Notice(variable, text)


def _try_to_write(folder: Path) -> None:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    with tempfile.TemporaryDirectory(dir=there, prefix=".task-creator-"):
        pass
