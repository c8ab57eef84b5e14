"""Commands for Bitrix24: `python main.py bitrix init-fields`, and what the smoke script asks of the portal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_CHECK_FAILED, EXIT_OK
from config import Settings, load_settings
from consumers.bitrix import init_fields as init
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.config import BitrixSettings
from consumers.bitrix.fields import ANSWER_FIELD
from consumers.bitrix.handler import BitrixTaskHandler
from consumers.bitrix.lookup import TaskLookup
from consumers.bitrix.rows import id_of
from core.errors import NotConfiguredError, OutcomeError
from core.secrets import Secrets
from core.texts import Language, Text
from settings.errors import SettingsError

NO_WEBHOOK = Text(
    "BITRIX_WEBHOOK_URL is not set: put the address of an inbound webhook into .env",
    "BITRIX_WEBHOOK_URL не задана: впишите адрес входящего вебхука в .env",
)
REFUSED = Text("Bitrix24: {reason}", "Битрикс24: {reason}")
_CREATED = Text("created  {name}", "создано  {name}")
_PRESENT = Text("present  {name}", "уже есть {name}")
_WRONG_TYPE = Text(
    "WRONG    {name}: it exists with another type than {type}; delete it on the portal or rename it, then run again",
    "НЕВЕРНО  {name}: уже есть, но другого типа, чем {type}; удалите или переименуйте его и запустите команду снова",
)
_BY_HAND = Text(
    "BY HAND  {name}: a list with the choices ДА and НЕТ, which REST cannot create. Add it in the portal's "
    "administration as a user field of TASKS_TASK; processes that ask no question do without it",
    "ВРУЧНУЮ  {name}: список со значениями ДА и НЕТ, через REST его не создать. Добавьте его в администрировании "
    "портала как пользовательское поле TASKS_TASK; процессам без вопросов оно не нужно",
)


def init_fields(environ: Mapping[str, str], env_file: Path, lang: Language) -> int:
    """Create the user fields that the worker needs and say what became of each."""
    try:
        settings = read_bitrix_settings(environ, env_file)
        bitrix = settings.for_system(BitrixSettings)
        client = BitrixClient(bitrix, threading.Event())
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except NotConfiguredError:
        print(NO_WEBHOOK.say(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    try:
        report = init.init_fields(client, bitrix.key_field)
    except OutcomeError as error:
        reason = Secrets(settings.secret_values()).mask(error.text.say(lang))
        print(REFUSED.say(lang).format(reason=reason), file=sys.stderr)
        return EXIT_CHECK_FAILED
    _print_report(report, bitrix.key_field, lang)
    # The key and the answers would not work with a field of the wrong type.
    return EXIT_CHECK_FAILED if report.wrong_type else EXIT_OK


def read_bitrix_settings(environ: Mapping[str, str], env_file: Path) -> Settings:
    """Return the settings, with those of Bitrix24. Raises SettingsError."""
    return load_settings(environ, env_file, [BitrixSettings])


class PortalWitness:
    """The portal as the worker sees it. Raises NotConfiguredError when BITRIX_WEBHOOK_URL is not set."""

    def __init__(self, settings: Settings) -> None:
        bitrix = settings.for_system(BitrixSettings)
        self._key_field = bitrix.key_field
        self._client = BitrixClient(bitrix, threading.Event())
        self._handler = BitrixTaskHandler(bitrix, self._client)

    def check(self) -> None:
        """Raise the outcome that would stop the worker: no answer, no key field, no right to read all tasks."""
        self._handler.probe()

    def find_task(self, key: str) -> str | None:
        """Return the id of the task that has this key (a Camunda task id). Raises the outcome of a refused request."""
        return id_of(TaskLookup(self._client, self._key_field).one(key))


def _print_report(report: init.InitReport, key_field: str, lang: Language) -> None:
    for name in report.created:
        print(_CREATED.say(lang).format(name=name))
    for name in report.present:
        print(_PRESENT.say(lang).format(name=name))
    types = {wanted.name: wanted.type for wanted in init.wanted_fields(key_field)}
    for name in report.wrong_type:
        print(_WRONG_TYPE.say(lang).format(name=name, type=types[name]))
    if ANSWER_FIELD not in report.present:
        print(_BY_HAND.say(lang).format(name=ANSWER_FIELD))
