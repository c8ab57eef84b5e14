"""`python main.py config check`: shows what the worker would do with these settings, without doing it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from assembly.startup import Startup, read_configuration
from base_handler import BaseMessageHandler
from cli.broker_report import ask_broker
from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_CHECK_FAILED, EXIT_OK
from cli.folders import folder_notices
from core.errors import NotConfiguredError
from core.texts import Language, Text
from operation.probing import probed
from runtime.loader import LoadError, make_handler, make_tracker, settings_of
from settings.errors import SettingsError

_VALID = Text("✔ the settings are valid", "✔ настройки верны")
_WITH_FILE = Text("from {file} and the environment, which wins", "из {file} и окружения, которое важнее")
_WITHOUT_FILE = Text("from the environment alone: there is no {file}", "только из окружения: файла {file} нет")
_IN_USE = Text("in use", "используется")
_TRACKED = Text("tracked by", "отслеживает")
_UNTRACKED = Text("NOT TRACKED: results stay in {queue}", "НЕ ОТСЛЕЖИВАЕТСЯ: результаты останутся в {queue}")
_NOT_IN_USE = Text("not in use: {reason}", "не используется: {reason}")
_USABLE = Text("answers", "отвечает")
_UNUSABLE = Text("NOT USABLE: {reason}", "НЕЛЬЗЯ ИСПОЛЬЗОВАТЬ: {reason}")
_TO_MEND = Text("TO BE MENDED: {remark}", "ИСПРАВИТЬ: {remark}")
_REMARK = Text("remark", "замечание")
_BROKER = "RabbitMQ"


def check_configuration(environ: Mapping[str, str], env_file: Path, lang: Language, *, probe: bool) -> int:
    """Print what is wrong, or one line per queue; with `probe` RabbitMQ and every system in use are asked.

    The exit code is 78 for wrong settings, 3 when something that was asked cannot be used.
    """
    try:
        startup = read_configuration(environ, env_file)
        usable = _Report(startup, lang).show(env_file, probe=probe)
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except LoadError as error:
        print(error.text.say(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    return EXIT_OK if usable else EXIT_CHECK_FAILED


class _Report:
    def __init__(self, startup: Startup, lang: Language) -> None:
        self._startup = startup
        self._lang = lang
        self._width = max(map(len, (*startup.handlers, _BROKER)))

    def show(self, env_file: Path, *, probe: bool) -> bool:
        """Print the report; return whether all that was asked can be used."""
        startup, lang = self._startup, self._lang
        source = _WITH_FILE if env_file.exists() else _WITHOUT_FILE
        print(f"{_VALID.say(lang)}, {source.say(lang).format(file=env_file.absolute())}")
        handlers, unused = self._make_handlers()
        tracked = self._make_trackers()
        notices = (*startup.settings.warnings, *folder_notices(startup.settings.worker))
        remarks = [notice.render(lang) for notice in notices]
        usable = True
        if probe:
            broker = ask_broker(startup, handlers, tracked, lang)
            self._print(_BROKER, *broker.lines)
            remarks += broker.remarks
            usable = broker.is_usable
        for queue, cls in startup.handlers.items():
            if queue in unused:
                self._print(queue, _NOT_IN_USE.say(lang).format(reason=unused[queue]))
                continue
            lines, is_usable = self._probed(handlers[queue]) if probe else ([], True)
            usable = usable and is_usable
            self._print(queue, f"{_IN_USE.say(lang)}: {cls.__name__}; {self._tracking(queue)}", *lines)
        for remark in remarks:
            print(f"  {_REMARK.say(lang)}: {remark}")
        return usable

    def _make_handlers(self) -> tuple[dict[str, BaseMessageHandler], dict[str, str]]:
        """Return the handlers in use, and why the others are not."""
        handlers, unused = {}, {}
        for queue, cls in self._startup.handlers.items():
            try:
                handlers[queue] = make_handler(cls, settings_of(cls, self._startup.settings), threading.Event())
            except NotConfiguredError as error:
                unused[queue] = error.text.say(self._lang)
        return handlers, unused

    def _make_trackers(self) -> list[str]:
        """Return the queues that the worker would follow: not those of systems that have no settings."""
        tracked = []
        for queue, cls in self._startup.trackers.items():
            with contextlib.suppress(NotConfiguredError):
                make_tracker(cls, settings_of(cls, self._startup.settings), threading.Event())
                tracked.append(queue)
        return tracked

    def _tracking(self, queue: str) -> str:
        sent_queue = self._startup.settings.worker.sent_queue_of(queue)
        cls = self._startup.trackers.get(sent_queue)
        if cls is None:
            return _UNTRACKED.say(self._lang).format(queue=sent_queue)
        return f"{sent_queue}, {_TRACKED.say(self._lang)} {cls.__name__}"

    def _probed(self, handler: BaseMessageHandler) -> tuple[list[str], bool]:
        lang, mask = self._lang, self._startup.secrets.mask
        told = probed(handler)
        reason = "" if told.reason is None else mask(told.reason.say(lang))
        if told.is_usable is None:
            return [reason], True
        if not told.is_usable:
            return [_UNUSABLE.say(lang).format(reason=reason)], False
        remarks = [_TO_MEND.say(lang).format(remark=mask(remark.say(lang))) for remark in told.remarks]
        return [_USABLE.say(lang), *remarks], not remarks

    def _print(self, name: str, first: str, *further: str) -> None:
        print(f"  {name:<{self._width}}  {first}")
        for line in further:
            print(f"  {'':<{self._width}}  {line}")
