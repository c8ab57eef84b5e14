"""Handles `python-services.queue`: from the topic of a message to the service that does it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from base_handler import BaseMessageHandler
from consumers.python_services.callable_service import CallableService
from consumers.python_services.client import title
from consumers.python_services.config import ServicesSettings
from consumers.python_services.health import ServiceHealth
from consumers.python_services.http_service import HttpService
from consumers.python_services.registry import HttpSpec, Spec
from core.errors import PermanentError, StoppingError
from core.messages import IncomingMessage
from core.request_figures import RequestFigures
from core.results import Result
from core.secrets import Secrets
from core.texts import Text
from settings.secret_files import watch
from toolkit.claims import KeyClaims, busy
from toolkit.send_journal import SendJournal

MOST_THREADS = 64
_CLAIMED_WAIT = 5.0  # seconds until a second message of a task that is in work is looked at again

_Service = HttpService | CallableService


class PythonServicesHandler(BaseMessageHandler):
    """Gives tasks to services.

    Every service has its own requests at once and its own health, so none holds up another.
    """

    settings_class = ServicesSettings

    def __init__(self, settings: ServicesSettings, stop: threading.Event) -> None:
        """Raise NotConfiguredError when SERVICES_FILE is empty."""
        super().__init__("python-services")
        self._registry = settings.registry()
        self._stop = stop
        self._claims = KeyClaims()
        self._journal = SendJournal(settings.state_dir, self.system_name)
        specs = self._registry.services
        self._services = {name: self._made(name, spec, settings) for name, spec in specs.items()}
        self._health = {
            name: ServiceHealth(title(name), spec.at_once, settings.outage_wait) for name, spec in specs.items()
        }
        self._at_once = sum(spec.at_once for spec in specs.values())

    @classmethod
    def from_settings(cls, settings: ServicesSettings, stop: threading.Event) -> PythonServicesHandler:
        """Build the handler. Raises NotConfiguredError when SERVICES_FILE is empty."""
        return cls(settings, stop)

    def prepare_for(self, concurrency: int) -> int:
        """Return so many that services which hang with all the requests they may have leave threads for the others."""
        return max(concurrency, min(self._at_once, MOST_THREADS))

    def handle(self, message: IncomingMessage) -> Result:
        if self._stop.is_set():
            raise StoppingError
        task = message.task
        name = self._registry.service_of(task.topic)
        if name is None:
            known = ", ".join(self._registry.topics)
            reason = Text(
                f"SERVICES_FILE has no service for the topic {task.topic!r}; it has {known}",
                f"В SERVICES_FILE нет сервиса для топика {task.topic!r}; есть {known}",
            )
            raise PermanentError(reason, code="unknown_topic")
        if not self._claims.take(task.task_id):
            raise busy(_CLAIMED_WAIT)
        try:
            return self._health[name].run(task.task_id, self._services[name].prepared(message))
        finally:
            self._claims.release([task.task_id])

    def get_stats(self) -> dict[str, Any]:
        return {"down": sorted(name for name, health in self._health.items() if health.is_down())}

    def request_figures(self) -> Sequence[RequestFigures]:
        return [service.figures for service in self._services.values() if isinstance(service, HttpService)]

    def close(self) -> None:
        """End the processes of callables; a daemon that ends takes them along in any case."""
        for service in self._services.values():
            service.close()
        self._journal.close()

    def _made(self, name: str, spec: Spec, settings: ServicesSettings) -> _Service:
        if isinstance(spec, HttpSpec):
            return HttpService(name, spec, settings.secrets, settings.ambiguous_wait)
        secrets = Secrets(secret.get_secret_value() for secret in settings.secrets.values())
        for secret in settings.secrets.values():
            watch(secret, secrets.add)
        return CallableService(name, spec, self._journal, secrets, settings.import_timeout)
