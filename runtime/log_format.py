"""Writes a log record as one line, for people or for machines.

Whatever a message brings along, the result is one printable line of limited length without secrets: line breaks,
terminal sequences and characters that turn the direction of writing are escaped, so that no task title can forge
a line or hide a part of one.
"""

from __future__ import annotations

import json
import logging
import math
import re
from datetime import UTC, datetime
from typing import Any

from core.events.base import HAPPENED
from core.secrets import Secrets
from core.texts import escape

FIELD_LIMIT = 4 * 1024  # characters
TRACEBACK_LIMIT = 16 * 1024
THROTTLE_FIELD = "throttle"  # says how often the record may appear, not what happened
STATS_FIELD = "stats"  # an object for machines: to people the line says what they want of it
STATS_LIMIT = 64 * 1024  # characters

_RESERVED = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", THROTTLE_FIELD, HAPPENED})
_LEVELS = {logging.WARNING: "WARN", logging.CRITICAL: "CRIT"}
# At a fixed place and in this order; the short names keep a line readable.
_CORRELATION = {
    "task_id": "task",
    "process_instance_id": "pi",
    "external_id": "ext",
    "queue": "queue",
    "attempt": "attempt",
}
_BARE = re.compile(r"[^\s\"'=\\]+")


class LineFormatter(logging.Formatter):
    """The common part of both forms: masked, shortened texts and the fields of a record."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def text(self, value: object, limit: int = FIELD_LIMIT) -> str:
        plain = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
        text = self._secrets.mask(plain)
        return text if len(text) <= limit else f"{text[: limit - 1]}…"

    def message(self, record: logging.LogRecord) -> str:
        try:
            return self.text(record.getMessage())
        except (TypeError, ValueError, KeyError):
            # The fact is worth more than its form: a wrong placeholder must not lose the line.
            return self.text(f"{record.msg} {record.args!r}")

    def traceback(self, record: logging.LogRecord) -> str | None:
        parts = [self.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        if not parts:
            return None
        text = self._secrets.mask("\n".join(parts))
        # The end says what happened.
        return text if len(text) <= TRACEBACK_LIMIT else f"…{text[1 - TRACEBACK_LIMIT :]}"

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the fields in `extra`: numbers and booleans as they are, all else as text; not the object."""
        extra = {name: value for name, value in record.__dict__.items() if name not in _RESERVED}
        if isinstance(extra.get(STATS_FIELD), dict):
            del extra[STATS_FIELD]
        return {name: self._plain(value) for name, value in extra.items() if value is not None}

    def _plain(self, value: object) -> object:
        if isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 2**53:  # beyond, readers of JSON lose digits
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self.text(value)


class TextFormatter(LineFormatter):
    """A log line for people, in local time, without the object that is for machines.

    `2026-11-23 11:02:16.020 INFO  bitrix24 task.created  task=… ext=48211 attempt=2  Created`.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        time = datetime.fromtimestamp(record.created).astimezone()
        level = _LEVELS.get(record.levelno, record.levelname)
        system, event = fields.pop("system", "-"), fields.pop("event", record.name)
        correlated = {short: fields.pop(name) for name, short in _CORRELATION.items() if name in fields}
        pairs = " ".join(f"{name}={self._value(value)}" for name, value in {**correlated, **fields}.items())
        message = self.message(record)
        if trace := self.traceback(record):
            message = f"{message}\n{trace}"
        head = f"{time:%Y-%m-%d %H:%M:%S}.{int(record.msecs):03d} {level:<5} {system:<8} {event:<20}"
        return escape("  ".join(filter(None, [f"{head} {pairs}" if pairs else head, message])))

    @staticmethod
    def _value(value: object) -> str:
        text = str(value)
        return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class JsonFormatter(LineFormatter):
    """One object per line, flat but for `stats`; `ts` is UTC."""

    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "ts": f"{time:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": fields.pop("event", None),
            "msg": self.message(record),
            "logger": record.name,
            "system": fields.pop("system", None),
            "exc": self.traceback(record),
        }
        if isinstance(stats := record.__dict__.get(STATS_FIELD), dict):
            fields[STATS_FIELD] = self._whole(stats)
        for name, value in fields.items():
            # A field of this name must not replace what the line itself says.
            line[f"{name}_" if name in line else name] = value
        kept = {name: value for name, value in line.items() if value is not None}
        # json.dumps escapes C0; the rest stays the same data when it is written as a JSON escape.
        return escape(json.dumps(kept, ensure_ascii=False))

    def _whole(self, stats: dict[str, Any]) -> object:
        """Return the object as it is, or its beginning as text where it is far too large: others add to it."""
        whole = self._masked(stats, ())
        written = json.dumps(whole, ensure_ascii=False)
        return whole if len(written) <= STATS_LIMIT else f"{written[: STATS_LIMIT - 1]}…"

    def _masked(self, value: object, around: tuple[int, ...]) -> object:
        if id(value) in around:
            return "…"  # it holds itself
        if isinstance(value, dict):
            return {self.text(name): self._masked(inner, (*around, id(value))) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(inner, (*around, id(value))) for inner in value]
        return None if value is None else self._plain(value)
