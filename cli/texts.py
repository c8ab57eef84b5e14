"""Texts of the command line for people, in English and in Russian."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping

from core.texts import Language

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "about": "Integration worker between Camunda's RabbitMQ queues and the systems where people work. "
        "Without a command it runs the worker.",
        "run": "run the worker (what happens without a command)",
        "demo": "show the closed loop with a private RabbitMQ and a sandbox of the system",
        "system": "which system (default bitrix24)",
        "keep": "leave everything running until Ctrl+C",
        "tasks": "how many tasks Camunda sends (up to 5000, default 30)",
        "json": "write the account of all tasks to this file as JSON (- is stdout)",
        "sandbox": "run a private RabbitMQ and local servers of the systems, without a worker, to develop against",
        "of_sandbox": "which system; may be given several times (default all)",
        "write-env": "write the settings for a worker into this file, which ends with the sandbox",
        "force": "overwrite an existing file",
        "bitrix": "commands for Bitrix24",
        "init-fields": "create the user fields that the worker needs on the portal",
        "config": "commands for the settings",
        "check": "say what is wrong with the settings, or which queues would be worked on",
        "probe": "also ask RabbitMQ and every system in use whether they are usable",
        "version": "show the version and end",
        "help": "show this help",
        "command": "COMMAND",
        "range": "--tasks {given}: --system {system} takes {fewest} to {most}",
    },
    "ru": {
        "about": "Интеграционный воркер между очередями RabbitMQ от Camunda и системами, где работают люди. "
        "Без команды запускается воркер.",
        "run": "запустить воркер (то же, что без команды)",
        "demo": "показать замкнутый цикл на собственном RabbitMQ и песочнице системы",
        "system": "какая система (по умолчанию bitrix24)",
        "keep": "не останавливаться до Ctrl+C",
        "tasks": "сколько задач отправит Camunda (до 5000, по умолчанию 30)",
        "json": "записать учёт всех задач в этот файл в виде JSON (- означает stdout)",
        "sandbox": "запустить собственный RabbitMQ и локальные серверы систем, без воркера, для разработки",
        "of_sandbox": "какая система; можно повторять (по умолчанию все)",
        "write-env": "записать настройки для воркера в этот файл; он исчезнет вместе с песочницей",
        "force": "перезаписать существующий файл",
        "bitrix": "команды для Bitrix24",
        "init-fields": "создать на портале пользовательские поля, нужные воркеру",
        "config": "команды для настроек",
        "check": "показать ошибки в настройках или какие очереди будут обслуживаться",
        "probe": "ещё и спросить RabbitMQ и каждую используемую систему, доступны ли они",
        "version": "показать версию и закончить",
        "help": "показать эту справку",
        "command": "КОМАНДА",
        "range": "--tasks {given}: для --system {system} нужно от {fewest} до {most}",
    },
}


def language(environ: Mapping[str, str]) -> Language:
    """Return the reader's language.

    Russian when the locale is; the first of LC_ALL, LC_MESSAGES and LANG that is set decides.
    """
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "ru" if environ[name].lower().startswith("ru") else "en"
    return "en"


def make_streams_forgiving() -> None:
    """Let a terminal that cannot show a letter show a question mark instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
