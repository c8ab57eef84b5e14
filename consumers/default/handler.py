"""Handles `default.queue`: another queue, a webhook, or the error queue with the reason; never a made-up success."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from base_handler import BaseMessageHandler
from consumers.default.config import DefaultSettings
from consumers.default.routes import Routes
from consumers.default.webhook import Webhook
from core.copies import hops
from core.errors import PermanentError
from core.messages import IncomingMessage
from core.request_figures import RequestFigures
from core.results import Done, Rerouted, Result
from core.texts import Text

MOST_HOPS = 1


class DefaultHandler(BaseMessageHandler):
    settings_class = DefaultSettings

    def __init__(self, settings: DefaultSettings, stop: threading.Event) -> None:
        super().__init__("default")
        self._routes = Routes(settings.routes)
        url = settings.webhook_url
        self._webhook = None if url is None else Webhook(settings, url, stop)

    def handle(self, message: IncomingMessage) -> Result:
        task = message.task
        system = str(task.fields.get("system") or "")
        queue = self._routes.find(system, task.topic)
        if queue is not None and _hops(message) < MOST_HOPS:
            return Rerouted(queue)
        if self._webhook is not None:
            return Done(self._webhook.deliver(task, message.ensure_ours))
        if queue is not None:
            text = Text(
                f"This message was put into another queue once and has come back; the rules would put it into {queue} "
                "again",
                "Это сообщение уже перекладывали в другую очередь, и оно вернулось; по правилам оно снова попало бы в "
                f"{queue}",
            )
            raise PermanentError(text, code="came_back")
        of_system = Text(f" of system {system!r}", f" системы {system!r}") if system else Text.of("")
        text = Text(
            f"There is no handler for topic {task.topic!r}{of_system.en}: correct the topic in the process, or name "
            "its queue in DEFAULT_QUEUE_ROUTES",
            f"Нет обработчика для топика {task.topic!r}{of_system.ru}: исправьте топик в процессе или укажите его "
            "очередь в DEFAULT_QUEUE_ROUTES",
        )
        raise PermanentError(text, code="no_handler")

    def request_figures(self) -> Sequence[RequestFigures]:
        return () if self._webhook is None else self._webhook.figures


def _hops(message: IncomingMessage) -> int:
    headers: dict[str, Any] = getattr(message.properties, "headers", None) or {}
    return hops(headers)
