"""Writes the files that a command has been asked for: readable by their owner alone, and none without his word."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cli.exit_codes import EXIT_CONFLICT, EXIT_FAILURE
from cli.running import CommandError
from core.texts import Text

MODE = 0o600


def write_new(path: Path, content: bytes, *, is_forced: bool) -> None:
    """Write a file that is not there yet, or `is_forced` in the place of one. Raises CommandError."""
    try:
        if is_forced:
            interim = path.with_name(f".{path.name}.{os.getpid()}")
            with contextlib.ExitStack() as undo:
                undo.callback(interim.unlink, missing_ok=True)
                _write(interim, content)
                interim.replace(path)
        else:
            _write(path, content)
    except FileExistsError:
        raise exists_already(path) from None
    except OSError as error:
        raise CommandError(EXIT_FAILURE, Text.of(f"{path}: {error.strerror}")) from None


def exists_already(path: Path) -> CommandError:
    text = Text(f"{path} exists already; --force overwrites it", f"{path} уже есть; --force перезапишет")
    return CommandError(EXIT_CONFLICT, text)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with open(descriptor, "wb") as file:
        file.write(content)
