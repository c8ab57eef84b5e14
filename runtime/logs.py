"""Logging of the whole process: the console, `worker.log`, and `worker_errors.log` for errors alone.

What happened is reported as an event, which `core.events.base.write` makes a record of. Of records with one throttle
key one passes each minute; the next one that passes says in `suppressed` how many did not.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from config import WorkerSettings
from core.events.base import Event
from core.events.files import LogFileFailed, LogFileRecovered, RecordUnprintable
from core.repeats import REPEAT_INTERVAL, Repeats
from core.secrets import Secrets
from runtime.log_files import Failed, LogFile, Recovered
from runtime.log_format import THROTTLE_FIELD, JsonFormatter, LineFormatter, TextFormatter
from runtime.overhearing import pass_on

# Their debug lines hold whole URLs and frames, their info lines repeat what ours say. pika writes a refused
# connection as several errors with a traceback, which is one line of ours.
_NOISY_LIBRARIES = {
    "urllib3": logging.WARNING,
    "requests": logging.WARNING,
    "asyncio": logging.WARNING,
    "pika": logging.CRITICAL,
}


class RepeatFilter(logging.Filter):
    """Passes one record of each throttle key per interval and counts the others."""

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self._repeats = Repeats(interval)
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        key = getattr(record, THROTTLE_FIELD, None)
        if key is None:
            return True
        suppressed = self._repeats.admit(key, self._clock())
        if suppressed:
            record.suppressed = suppressed
        return suppressed is not None


class WorkerLogHandler(logging.Handler):
    """Formats each record once and writes the line to all places. Never raises, never lets a place stop another."""

    def __init__(
        self, console: TextIO, log_file: LogFile, error_file: LogFile, formatter: LineFormatter, repeats: RepeatFilter
    ) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._console = console
        self._log_file = log_file
        self._error_file = error_file
        self._repeats = repeats

    def emit(self, record: logging.LogRecord) -> None:
        if not self._repeats.filter(record):
            return
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  # a value that cannot be printed must not stop the work it describes
            line = self._line_of(RecordUnprintable(record.name, type(error).__name__))
        self._write_console(line)
        self._write_file(self._log_file, line)
        if record.levelno >= logging.ERROR:
            self._write_file(self._error_file, line)

    def close(self) -> None:
        self.acquire()
        try:
            self._log_file.close()
            self._error_file.close()
        finally:
            self.release()
        super().close()

    def _write_file(self, file: LogFile, line: str) -> None:
        match file.write(line):
            case Failed(path, error):
                self._write_console(self._line_of(LogFileFailed(str(path), error.strerror)))
            case Recovered(path, dropped):
                told = self._line_of(LogFileRecovered(str(path), dropped))
                self._write_console(told)
                file.write(told)

    def _line_of(self, event: Event) -> str:
        """Return the line of an event of the log itself."""
        pass_on(event)
        told = {"name": __name__, "levelno": event.level, "levelname": logging.getLevelName(event.level)}
        return self.format(logging.makeLogRecord({**told, "msg": event.line(), "event": event.code, **event.fields()}))

    def _write_console(self, line: str) -> None:
        try:
            self._console.write(f"{line}\n")
            self._console.flush()
        except (OSError, ValueError):
            # A closed terminal or pipe. There is no place left to tell it, and the files have the line.
            return


class LoggingHandle:
    """Undoes `setup_logging`."""

    def __init__(self, handler: WorkerLogHandler, levels: dict[str | None, int]) -> None:
        self._handler = handler
        self._levels = levels

    def close(self) -> None:
        """Give the loggers back as they were and close the files. May be called twice."""
        logging.getLogger().removeHandler(self._handler)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def setup_logging(
    settings: WorkerSettings,
    secrets: Secrets,
    *,
    console: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> LoggingHandle:
    """Send every record of the process to `console` (None: stderr) and to the files in LOG_DIR.

    Raises nothing: a folder that cannot be written is reported on the console.
    """
    formatter = JsonFormatter(secrets) if settings.log_format == "json" else TextFormatter(secrets)

    def file(name: str) -> LogFile:
        return LogFile(settings.log_dir / name, settings.log_max_bytes, settings.log_backups, clock=clock)

    handler = WorkerLogHandler(
        console or _unbuffered_stderr(),
        file("worker.log"),
        file("worker_errors.log"),
        formatter,
        RepeatFilter(REPEAT_INTERVAL, clock),
    )
    levels: dict[str | None, int] = {name: logging.getLogger(name).level for name in (None, *_NOISY_LIBRARIES)}
    handler.setLevel(settings.log_level)  # its own as well: what is overheard below that is not for the log
    root = logging.getLogger()
    root.setLevel(settings.log_level)
    for name, level in _NOISY_LIBRARIES.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    root.addHandler(handler)
    return LoggingHandle(handler, levels)


def _unbuffered_stderr() -> TextIO:
    """Return a console that keeps nothing back.

    What a broken one has refused would be tried again at the end of the process, fail again, and make its exit code
    120.
    """
    stderr: TextIO | None = sys.stderr
    if stderr is None:  # the process was started without one
        return open(os.devnull, "w", encoding="utf-8")  # for as long as the process lives
    try:
        descriptor = stderr.fileno()
    except (OSError, ValueError):
        return stderr  # somebody's own object in its place
    raw = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, encoding=stderr.encoding, errors="backslashreplace", write_through=True)
