"""What an operator's questions are answered from: the running workers, the journal, RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from broker.connection import Connection, connect, connection_parameters
from broker.topology import Topology
from config import Settings
from control.client import Workers
from journal.opening import open_reader
from journal.settings import JournalSettings

if TYPE_CHECKING:
    from journal.reading import JournalReader


class Desk:
    """Nothing is connected to before it is needed. `mask` hides secrets in what others have written."""

    def __init__(self, settings: Settings, mask: Callable[[str], str]) -> None:
        self.settings = settings
        self.mask = mask
        self.workers = Workers(settings.worker.state_dir)
        self.topology = Topology(settings.rabbitmq)
        self._journal: JournalReader | None = None

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

    def sent_queue_of(self, queue: str) -> str:
        return self.settings.worker.sent_queue_of(queue)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
