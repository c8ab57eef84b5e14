"""Events of settings, secrets and files that change or cannot be used, and of the log itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.events.base import Event
from core.texts import Text


@dataclass(frozen=True, slots=True)
class SettingsNotice(Event):
    text: str

    code = "settings.notice"
    level = logging.WARNING
    meaning = Text(
        "a setting works but should be known",
        "настройка работает, но о ней стоит знать",
    )

    def line(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SecretRenewed(Event):
    variable: str

    code = "secret.renewed"
    meaning = Text(
        "the file of a secret holds a new one, which is used from now on",
        "в файле секрета новый секрет, теперь используется он",
    )

    def line(self) -> str:
        return f"{self.variable} has changed and is used from now on"


@dataclass(frozen=True, slots=True)
class SecretUnreadable(Event):
    variable: str
    reason: str

    code = "secret.unreadable"
    level = logging.ERROR
    meaning = Text(
        "the file of a secret cannot be read or used; the last secret stays in use",
        "файл секрета не читается или не годится; используется прежний секрет",
    )

    def line(self) -> str:
        return f"{self.variable}: {self.reason}; the last secret stays in use"

    def throttle(self) -> str:
        return f"secret {self.variable}"


@dataclass(frozen=True, slots=True)
class FileRenewed(Event):
    variable: str

    code = "file.renewed"
    meaning = Text(
        "a file of the settings (roles) has changed, and is used as it is from now on",
        "файл из настроек (роли) изменился, теперь используется новый",
    )

    def line(self) -> str:
        return f"{self.variable} has changed and is used from now on"


@dataclass(frozen=True, slots=True)
class FileUnreadable(Event):
    variable: str
    reason: Text

    code = "file.unreadable"
    level = logging.ERROR
    meaning = Text(
        "such a file cannot be read or used; what it held before stays in use",
        "такой файл не читается или не годится; используется то, что в нём было прежде",
    )

    def line(self) -> str:
        return f"{self.reason.en}; what it held before stays in use"

    def throttle(self) -> str:
        return f"file {self.variable}"


@dataclass(frozen=True, slots=True)
class CrashJournalUnusable(Event):
    text: str

    code = "starts.unusable"
    level = logging.WARNING
    meaning = Text(
        "`STATE_DIR` cannot be used: a message that kills the worker would not be found out",
        "`STATE_DIR` не годится: сообщение, убивающее воркер, не будет найдено",
    )

    def line(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SystemdUnreachable(Event):
    reason: str

    code = "systemd.unreachable"
    level = logging.WARNING
    meaning = Text(
        "systemd could not be told something",
        "не удалось сообщить что-то в systemd",
    )

    def line(self) -> str:
        return f"systemd could not be notified: {self.reason}"

    def throttle(self) -> str:
        return "systemd.unreachable"


@dataclass(frozen=True, slots=True)
class LogFileFailed(Event):
    path: str
    error: str | None

    code = "log.file_failed"
    level = logging.WARNING
    meaning = Text(
        "a log file cannot be written",
        "файл журнала не пишется",
    )

    def line(self) -> str:
        return "the log file cannot be written; its lines are dropped until it can"

    def fields(self) -> Mapping[str, Any]:
        return {"path": self.path, "error": self.error}


@dataclass(frozen=True, slots=True)
class LogFileRecovered(Event):
    path: str
    dropped: int

    code = "log.file_recovered"
    level = logging.WARNING
    meaning = Text(
        "it can be written again; how many lines were dropped",
        "он снова пишется; сколько строк пропало",
    )

    def line(self) -> str:
        return "the log file is written again"

    def fields(self) -> Mapping[str, Any]:
        return {"path": self.path, "dropped": self.dropped}


@dataclass(frozen=True, slots=True)
class RecordUnprintable(Event):
    logger: str
    error: str

    code = "log.unprintable"
    level = logging.WARNING
    meaning = Text(
        "a log record could not be printed",
        "запись журнала не удалось напечатать",
    )

    def line(self) -> str:
        return f"a record of {self.logger}"

    def fields(self) -> Mapping[str, Any]:
        return {"error": self.error}


@dataclass(frozen=True, slots=True)
class HoldsUnreadable(Event):
    file: str
    reason: str

    code = "holds.unreadable"
    level = logging.ERROR
    meaning = Text(
        "start-up: the file with the pauses that persons have set cannot be read; these systems work",
        "запуск: файл пауз, поставленных людьми, не читается; эти системы работают",
    )

    def line(self) -> str:
        return f"{self.file} cannot be read, what persons have paused works: {self.reason}"

    def fields(self) -> Mapping[str, Any]:
        return {"file": self.file}
