"""Lets a person change a message in his editor, and shows what he has changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from cli.exit_codes import EXIT_CONFLICT, EXIT_USAGE
from cli.output import Output
from cli.running import CommandError
from core.texts import Text
from operation.desk import Desk
from operation.editing import EditError, difference, edited_body, pretty
from operation.reports import Report


def edited(desk: Desk, output: Output, report: Report, original: bytes, *, yes: bool) -> bytes:
    """Return the changed message. Raises CommandError when it is not changed, or is no task any more."""
    before = pretty(original)
    after = _asked_of_editor(before)
    if after.strip() == before.strip():
        raise CommandError(EXIT_CONFLICT, Text("nothing was changed", "ничего не изменено"))
    try:
        body = edited_body(report, after, desk.settings.worker.message_limits)
    except EditError as error:
        raise CommandError(EXIT_USAGE, error.text) from None
    for line in difference(before, after):
        tone = "good" if line.startswith("+") else "bad" if line.startswith("-") else "dim"
        output.note(desk.mask(line), tone)
    if not yes and not output.confirm(Text("put it back like this?", "вернуть в таком виде?")):
        raise CommandError(EXIT_CONFLICT, Text("nothing was done", "ничего не сделано"))
    return body


def _asked_of_editor(text: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="task-creator-") as folder:
        file = Path(folder) / "message.json"
        file.touch(0o600)
        file.write_text(text, encoding="utf-8")
        try:
            ended = subprocess.run([*shlex.split(editor), str(file)], check=False)  # noqa: S603 - his own editor
        except (OSError, ValueError) as error:
            told = Text(f"EDITOR={editor} cannot be started: {error}", f"EDITOR={editor} не запускается: {error}")
            raise CommandError(EXIT_USAGE, told) from error
        if ended.returncode:
            told = Text(f"{editor} ended with {ended.returncode}", f"{editor} завершился с кодом {ended.returncode}")
            raise CommandError(EXIT_CONFLICT, told)
        return file.read_text(encoding="utf-8", errors="surrogateescape")
