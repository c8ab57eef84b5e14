"""`python main.py config check`: what the worker would do with these settings, without doing it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from base_handler import BaseMessageHandler
from cli.alerting import make_alerting
from cli.exit_codes import EXIT_BAD_CONFIGURATION, EXIT_CHECK_FAILED, EXIT_OK
from cli.queue_remarks import remarks
from cli.startup import Startup, read_configuration
from core.errors import NotConfiguredError, OutcomeError
from core.settings_errors import Language, SettingsError, Text
from runtime.amqp import ERRORS_QUEUE, connection_parameters
from runtime.loader import LoadError, make_handler, make_tracker
from runtime.nodes import Nodes

_VALID = Text("✔ the settings are valid", "✔ настройки верны")
_IN_USE = Text("in use", "используется")
_TRACKED = Text("tracked by", "отслеживает")
_UNTRACKED = Text("NOT TRACKED: results stay in {queue}", "НЕ ОТСЛЕЖИВАЕТСЯ: результаты останутся в {queue}")
_NOT_IN_USE = Text("not in use: {reason}", "не используется: {reason}")
_USABLE = Text("answers", "отвечает")
_UNUSABLE = Text("NOT USABLE: {reason}", "НЕДОСТУПНА: {reason}")
_TO_MEND = Text("TO BE MENDED: {remark}", "ИСПРАВИТЬ: {remark}")
_REMARK = Text("remark", "замечание")


def check_configuration(environ: Mapping[str, str], env_file: Path, lang: Language, *, probe: bool) -> int:
    """Prints what is wrong, or one line per queue; with `probe` every system in use is asked whether it is usable."""
    try:
        startup = read_configuration(environ, env_file)
        usable = _show(startup, lang, probe=probe)
    except SettingsError as error:
        print(error.render(lang), file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    except LoadError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    return EXIT_OK if usable else EXIT_CHECK_FAILED


def _show(startup: Startup, lang: Language, *, probe: bool) -> bool:
    make_alerting(startup.settings, threading.Event(), startup.secrets.mask)
    print(_VALID.say(lang))
    width = max(map(len, startup.handlers), default=0)
    usable = True
    for queue, cls in startup.handlers.items():
        try:
            handler = make_handler(cls, _settings_of(startup, cls), threading.Event())
        except NotConfiguredError as error:
            print(f"  {queue:<{width}}  {_NOT_IN_USE.say(lang).format(reason=error)}")
            continue
        print(f"  {queue:<{width}}  {_IN_USE.say(lang)}: {cls.__name__}; {_tracking(startup, queue, lang)}")
        if probe:
            lines, is_usable = _probed(handler, startup, lang)
            usable = usable and is_usable
            for line in lines:
                print(f"  {'':<{width}}  {line}")
    for notice in startup.settings.warnings:
        print(f"  {_REMARK.say(lang)}: {notice.render(lang)}")
    if probe:
        for remark in _remarks_on_queues(startup, lang):
            print(f"  {_REMARK.say(lang)}: {startup.secrets.mask(remark)}")
    return usable


def _tracking(startup: Startup, queue: str, lang: Language) -> str:
    sent_queue = startup.settings.worker.sent_queue_of(queue)
    cls = startup.trackers.get(sent_queue)
    if cls is None:
        return _UNTRACKED.say(lang).format(queue=sent_queue)
    make_tracker(cls, _settings_of(startup, cls), threading.Event())
    return f"{sent_queue}, {_TRACKED.say(lang)} {cls.__name__}"


def _remarks_on_queues(startup: Startup, lang: Language) -> list[str]:
    settings, worker = startup.settings.rabbitmq, startup.settings.worker
    sent = (worker.sent_queue_of(queue) for queue in startup.handlers)
    queues = (*startup.handlers, *sent, *startup.trackers, settings.responses_queue, ERRORS_QUEUE)
    return remarks(Nodes(partial(connection_parameters, settings, "check")), queues, lang)


def _probed(handler: BaseMessageHandler, startup: Startup, lang: Language) -> tuple[list[str], bool]:
    try:
        handler.probe()
        remarks = handler.inspect()
    except OutcomeError as error:
        return [_UNUSABLE.say(lang).format(reason=startup.secrets.mask(str(error)))], False
    told = [_TO_MEND.say(lang).format(remark=startup.secrets.mask(remark)) for remark in remarks]
    return [_USABLE.say(lang), *told], not remarks


def _settings_of(startup: Startup, cls: type[Any]) -> Any:
    settings_class = getattr(cls, "settings_class", None)
    return None if settings_class is None else startup.settings.for_system(settings_class)
