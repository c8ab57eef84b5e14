"""What the command line says to people, in English and in Russian."""

from __future__ import annotations

from collections.abc import Mapping

from core.settings_errors import Language

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "about": "Integration worker between Camunda's RabbitMQ queues and the systems where people work. "
        "Without a command it runs the worker.",
        "run": "run the worker (what happens without a command)",
        "demo": "show the closed loop with a private RabbitMQ and a Bitrix24 sandbox",
        "keep": "leave everything running until Ctrl+C",
        "bitrix": "commands for Bitrix24",
        "init_fields": "create the user fields that the worker needs on the portal",
    },
    "ru": {
        "about": "Интеграционный воркер между очередями RabbitMQ от Camunda и системами, где работают люди. "
        "Без команды запускается воркер.",
        "run": "запустить воркер (то же, что без команды)",
        "demo": "показать замкнутый цикл на собственном RabbitMQ и песочнице Bitrix24",
        "keep": "не останавливаться до Ctrl+C",
        "bitrix": "команды для Bitrix24",
        "init_fields": "создать на портале пользовательские поля, нужные воркеру",
    },
}


def language(environ: Mapping[str, str]) -> Language:
    """Russian when the locale is; the first of LC_ALL, LC_MESSAGES and LANG that is set decides."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "ru" if environ[name].lower().startswith("ru") else "en"
    return "en"
