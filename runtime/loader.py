"""Loads handlers and trackers by the names in QUEUE_HANDLERS and TRACKER_CONFIG."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from config import Settings
from core.errors import NotConfiguredError, TransientError
from core.messages import IncomingMessage
from core.results import Acknowledged, Result
from core.texts import BilingualError, Text
from settings.base import EnvironmentSettings
from settings.errors import Mistake

_Made = TypeVar("_Made")

Setting = Literal["QUEUE_HANDLERS", "TRACKER_CONFIG"]
HANDLERS: Setting = "QUEUE_HANDLERS"
TRACKERS: Setting = "TRACKER_CONFIG"


_CLASS_HINT = Text(
    "correct the module and the class, in .env or in config.py", "исправьте модуль и класс в .env или в config.py"
)


class LoadError(BilingualError):
    """A configured class cannot be used; the text says why."""


class SimpleHandlerAdapter(BaseMessageHandler):
    """A handler of the old kind: `process_message(message_data, properties) -> bool`, no result is stored."""

    def __init__(self, name: str, handler: Any) -> None:
        super().__init__(name)
        self._handler = handler

    def handle(self, message: IncomingMessage) -> Result:
        if not self._handler.process_message(dict(message.task.fields), message.properties):
            name = f"{type(self._handler).__name__}.process_message"
            raise TransientError(Text(f"{name} returned False", f"{name}: ответ False"))
        return Acknowledged()

    def get_stats(self) -> dict[str, Any]:
        get_stats = getattr(self._handler, "get_stats", None)
        return dict(get_stats()) if callable(get_stats) else {}


def load_classes(wanted: Mapping[str, tuple[str, str]], setting: Setting) -> tuple[dict[str, type[Any]], list[Mistake]]:
    """Turn queue -> (module, class name) into queue -> class, and what is wrong with those that cannot be used."""
    require = _require_handler if setting == HANDLERS else _require_tracker
    classes: dict[str, type[Any]] = {}
    mistakes = []
    for queue, (module, name) in wanted.items():
        try:
            found = _load_class(module, name)
            require(found)
            classes[queue] = found
        except LoadError as error:
            mistakes.append(Mistake(f'{setting}["{queue}"]', None, error.text, _CLASS_HINT))
    return classes, mistakes


def make_handler(cls: type[Any], settings: Any, stop: threading.Event) -> BaseMessageHandler:
    """Return an instance behind the one interface that the processor knows. Raises NotConfiguredError or LoadError."""
    _require_handler(cls)
    if issubclass(cls, BaseMessageHandler):
        return _made(cls, partial(cls.from_settings, settings, stop))
    return SimpleHandlerAdapter(cls.__name__, _made(cls, cls))


def make_tracker(cls: type[Any], settings: Any, stop: threading.Event) -> BaseTracker:
    """Return an instance. Raises NotConfiguredError or LoadError."""
    _require_tracker(cls)
    tracker: BaseTracker = _made(cls, partial(cls.from_settings, settings, stop))
    return tracker


def _made(cls: type[Any], make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except NotConfiguredError:
        raise
    except (Exception, SystemExit) as error:
        name, what = f"{cls.__module__}.{cls.__name__}", f"{type(error).__name__}: {error}"
        raise LoadError(Text(f"{name} cannot be made: {what}", f"{name} не создаётся: {what}")) from error


def settings_classes(classes: Iterable[type[Any]]) -> list[type[Any]]:
    """Return the systems' own settings classes, each once, in order."""
    found = (getattr(cls, "settings_class", None) for cls in classes)
    return list(dict.fromkeys(each for each in found if each is not None))


def settings_of(cls: type[Any], settings: Settings) -> Any:
    """Return the settings of the class's own system; None for a class that has none."""
    settings_class = getattr(cls, "settings_class", None)
    return None if settings_class is None else settings.for_system(settings_class)


def _require_settings(cls: type[Any]) -> None:
    found = getattr(cls, "settings_class", None)
    if found is not None and not (isinstance(found, type) and issubclass(found, EnvironmentSettings)):
        name, what = f"{cls.__module__}.{cls.__name__}", getattr(found, "__name__", repr(found))
        text = Text(
            f"settings_class of {name} is {what}, which is no settings.base.EnvironmentSettings",
            f"settings_class класса {name} – это {what}, а он не наследует settings.base.EnvironmentSettings",
        )
        raise LoadError(text)


def _require_handler(cls: type[Any]) -> None:
    _require_settings(cls)
    if not issubclass(cls, BaseMessageHandler) and not callable(getattr(cls, "process_message", None)):
        name = f"{cls.__module__}.{cls.__name__}"
        text = Text(
            f"{name} is no BaseMessageHandler and has no process_message",
            f"{name} не наследует BaseMessageHandler, и у него нет process_message",
        )
        raise LoadError(text)


def _require_tracker(cls: type[Any]) -> None:
    _require_settings(cls)
    if not issubclass(cls, BaseTracker):
        name = f"{cls.__module__}.{cls.__name__}"
        raise LoadError(Text(f"{name} is no BaseTracker", f"{name} не наследует BaseTracker"))


def _load_class(module_name: str, class_name: str) -> type[Any]:
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # SystemExit: a script that runs on import
        raise LoadError(_import_problem(module_name, error)) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        text = Text(
            f"module {module_name!r} has no class {class_name!r}", f"в модуле {module_name!r} нет класса {class_name!r}"
        )
        raise LoadError(text)
    return found


def _import_problem(module_name: str, error: BaseException) -> Text:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        what = f"{type(error).__name__}: {error}"
        return Text(
            f"module {module_name!r} fails on import: {what}", f"модуль {module_name!r} не импортируется: {what}"
        )
    # Absent is not broken: a module that exists and misses one of its own imports needs another cure.
    if f"{module_name}.".startswith(f"{error.name}."):
        return Text(f"there is no module {module_name!r}", f"модуля {module_name!r} нет")
    return Text(
        f"module {module_name!r} needs {error.name!r}, which is not installed",
        f"модулю {module_name!r} нужен {error.name!r}, а он не установлен",
    )
