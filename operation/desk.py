"""What an operator's questions are answered from: the running workers, the journal, RabbitMQ, the outside systems."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from base_handler import BaseMessageHandler
from broker.connection import Connection, connect, connection_parameters
from broker.taken_queue import TakenQueue
from broker.topology import Topology
from config import Settings
from control.client import Workers
from core.errors import NotConfiguredError
from core.texts import Text
from journal.opening import open_reader
from journal.settings import JournalSettings
from runtime.loader import make_handler, settings_of

if TYPE_CHECKING:
    from journal.reading import JournalReader


class Desk:
    """Nothing is connected to before it is needed. `mask` hides secrets in what others have written.

    `handlers` are the classes of QUEUE_HANDLERS, by input queue. `input_queue_of` names the input queue of a sent
    queue.
    """

    def __init__(
        self, settings: Settings, mask: Callable[[str], str], handlers: Mapping[str, type[Any]] | None = None
    ) -> None:
        self.settings = settings
        self.mask = mask
        self.workers = Workers(settings.worker.state_dir)
        self.topology = Topology(settings.rabbitmq)
        self._journal: JournalReader | None = None
        self._classes = handlers or {}
        self._closed = threading.Event()
        self.input_queue_of = {self.sent_queue_of(queue): queue for queue in settings.worker.queue_handlers}

    @property
    def journal(self) -> JournalReader | None:
        """The journal; None where none is kept, or none has been begun. Raises StoreError."""
        if self._journal is None:
            self._journal = open_reader(self.settings.for_system(JournalSettings))
        return self._journal

    @contextmanager
    def broker(self, role: str) -> Iterator[Connection]:
        """A connection of its own to RabbitMQ. Raises BROKER_ERRORS."""
        connection, _ = connect(connection_parameters(self.settings.rabbitmq, role))
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()

    @contextmanager
    def taken(self, queue: str, role: str) -> Iterator[TakenQueue]:
        """A queue to go through; what is not acknowledged goes back into its place. Raises BROKER_ERRORS."""
        parameters = connection_parameters(self.settings.rabbitmq, role)
        with TakenQueue.opened(queue, self.topology, parameters, self._closed.is_set) as taken:
            yield taken

    def sent_queue_of(self, queue: str) -> str:
        return self.settings.worker.sent_queue_of(queue)

    def handler_of(self, queue: str) -> BaseMessageHandler | None:
        """Return what a worker would ask the system of an input queue by; None for one that it cannot be asked by.

        Raises LoadError.
        """
        cls = self._classes.get(queue)
        if cls is None or not issubclass(cls, BaseMessageHandler) or cls.find_task is BaseMessageHandler.find_task:
            return None
        made = self.any_handler_of(queue)
        return None if isinstance(made, Text) else made

    def any_handler_of(self, queue: str) -> BaseMessageHandler | Text:
        """Return the handler of an input queue, or why there is none. Raises LoadError."""
        cls = self._classes.get(queue)
        if cls is None:
            return Text(f"there is no input queue {queue}", f"входной очереди {queue} нет")
        try:
            return make_handler(cls, settings_of(cls, self.settings), self._closed)
        except NotConfiguredError as error:
            return error.text

    def close(self) -> None:
        self._closed.set()
        if self._journal is not None:
            self._journal.close()
