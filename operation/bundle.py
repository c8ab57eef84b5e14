"""Puts all that is known of one message into a file for a developer or a vendor: its way, the log, the set-up.

No secret is in it: everything goes through `mask` once more, whoever has written it.
"""

from __future__ import annotations

import io
import json
import platform
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.texts import Text
from core.version import VERSION
from operation.desk import Desk
from operation.plain import masked, plain
from operation.settings_shown import shown_settings
from operation.tracing import MessageTrace
from operation.workers import answers_of, system_among

LOG = "worker.log"
MOST_LINES = 5000  # of the log; the latest count
_ABOUT = """trace.txt      the way of the message, as `main.py trace` shows it
trace.json     the same as data
log.txt        the lines of the worker's log that name the message
set-up.json    version, what the worker says of the system, the settings without secrets
"""


def bundle_of(desk: Desk, trace: MessageTrace, said: str | None, mask: Callable[[str], str]) -> bytes:
    """Return the zip file; `said` is the trace in words, where there is one. Raises ForbiddenError."""
    lines, remarks = _log_of(desk.settings.worker.log_dir, trace.message.name)
    parts = {
        "README.txt": _ABOUT if said is not None else _ABOUT.partition("\n")[2],
        **({} if said is None else {"trace.txt": mask(said)}),
        "trace.json": _json(masked(plain(trace), mask)),
        "log.txt": mask("".join(lines)),
        "set-up.json": _json(masked(_set_up(desk, trace, remarks), mask)),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return file.getvalue()


def _set_up(desk: Desk, trace: MessageTrace, remarks: list[Text]) -> dict[str, Any]:
    answers, why_none = answers_of(desk.workers)
    system = trace.message.system
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "workers": [{name: each[name] for name in ("version", "started", "now", "is_ready")} for each in answers],
        "system": None if system is None else system_among(answers, system),
        "settings": plain(shown_settings(desk.settings)),
        "remarks": plain([*remarks, *([] if why_none is None else [why_none.text])]),
    }


def _log_of(folder: Path, name: str) -> tuple[deque[str], list[Text]]:
    """Return the lines that name the message, the oldest first, and what could not be read."""
    lines: deque[str] = deque(maxlen=MOST_LINES)
    remarks: list[Text] = []
    for path in _log_files(folder):
        try:
            with path.open(encoding="utf-8", errors="replace") as log:
                lines.extend(line for line in log if name in line)
        except OSError as error:
            remarks.append(Text.of(f"{path}: {error.strerror}"))
    if not lines and not remarks:
        remarks.append(Text(f"no line in {folder}/{LOG}", f"в {folder}/{LOG} ни одной строки"))
    return lines, remarks


def _log_files(folder: Path) -> Iterator[Path]:
    """Yield the files of the log, the oldest first: `worker.log.5`, …, `worker.log.1`, `worker.log`."""
    older = [path for path in folder.glob(f"{LOG}.*") if path.suffix[1:].isdecimal()]
    yield from sorted(older, key=lambda path: -int(path.suffix[1:]))
    yield folder / LOG


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n"
