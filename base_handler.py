"""The base class that an author of a new system implements so that its tasks are created.

The smallest handler implements `_process_message_impl` (docs/adding-a-system.md). A handler for many tasks at once
overrides `handle_batch`. A handler never touches RabbitMQ: storing the result and settling the message is
done for it, in the order that loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from core.errors import OutcomeError, TransientError
from core.messages import IncomingMessage
from core.request_figures import RequestFigures
from core.results import Accepted, FoundTask, Result
from core.texts import Text
from core.traces import within
from settings.base import EnvironmentSettings

HandlerOutcome = Result | OutcomeError
MoreMessages = Callable[[int], Sequence[IncomingMessage]]


class BaseMessageHandler:
    """Creates tasks in one system.

    `settings_class` names the system's own settings; they are validated at start together with all others.
    `batch_size` is the most messages that `handle_batch` is given at once. `exclusive` is for a system that cannot
    refuse a second object with the same key: of several workers only one consumes the queue, the others stand by.
    """

    settings_class: ClassVar[type[EnvironmentSettings] | None] = None
    batch_size: int = 1
    exclusive: bool = False

    def __init__(self, system_name: str) -> None:
        self.system_name = system_name

    @classmethod
    def from_settings(cls, settings: Any, stop: threading.Event) -> BaseMessageHandler:
        """Build the handler from its `settings_class`: `cls(settings, stop)`, without settings of its own `cls()`.

        Raises NotConfiguredError when the system is not in use. `stop` is set when the daemon is stopping; long waits
        inside the handler must end by StoppingError then.
        """
        return cls() if cls.settings_class is None else cls(settings, stop)  # type: ignore[call-arg]

    def prepare_for(self, concurrency: int) -> int:
        """Prepare for that much work at once; return how many threads work on the queue. Called once, at the start.

        `concurrency` is how much may be under way in the system at once. A handler that takes more threads, so that
        requests are prepared while others are under way, keeps to that bound itself.
        """
        return concurrency

    def handle(self, message: IncomingMessage) -> Result:
        """Do the task. Raises one of core.errors when it cannot be done now or ever."""
        response = self._process_message_impl(dict(message.task.fields), message.properties)
        if response is None:
            raise TransientError(
                Text(
                    f"{self.system_name} handler returned no result", f"обработчик {self.system_name} не дал результата"
                )
            )
        return Accepted(response)

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        """Yield one outcome for each message, as soon as it is known (its result is stored at once).

        Messages without an outcome when the iterator ends or raises are treated as if they had raised that error.
        """
        # What is called here is called in the traces of all: of a single one, in its own.
        handle = self.handle if len(messages) == 1 else self._handle_in_its_trace
        for message in messages:
            try:
                result = handle(message)
            except OutcomeError as error:
                yield message, error
            else:
                yield message, result

    def _handle_in_its_trace(self, message: IncomingMessage) -> Result:
        with within(message.trace):
            return self.handle(message)

    def handle_backlog(
        self, messages: Sequence[IncomingMessage], more: MoreMessages
    ) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        """Do the same as `handle_batch`, for a system that can prepare the next messages while it works on these.

        `more(limit)` gives up to `limit` further messages of the queue's backlog, none when there are none at the
        moment; outcomes must be yielded for them, too. Never more than `batch_size` messages are in hand.
        """
        return self.handle_batch(messages)

    def probe(self) -> None:
        """Ask a paused system, cheaply, whether it is usable again. Raises OutageError or ConfigurationError."""

    def inspect(self) -> Sequence[str | Text]:
        """Return what people should repair in the system's set-up: one sentence each, none if all is well.

        Found by asking the system: once at start, beside the work, and by `config check --probe`. Raises what `probe`
        raises.
        """
        return ()

    def find_task(self, task_id: str) -> FoundTask | None:
        """Return what the system has for this Camunda task, found by our key; None when it has nothing.

        For a person who looks for a task. A system that keeps no key does not override it. Raises what `probe` raises.
        """
        return None

    def task_address(self, external_id: str, topic: str | None) -> str | None:
        """Return where people see in a browser what a message of this topic has become; None where nobody knows."""
        return None

    def get_stats(self) -> dict[str, Any]:
        """Return the system's own figures for the heartbeat line (requests, waits).

        Counters of messages are kept for you.
        """
        return {}

    def request_figures(self) -> Sequence[RequestFigures]:
        """Return the figures of the HTTP clients that ask the system: `figures` of toolkit.http.HttpClient."""
        return ()

    def _process_message_impl(self, message_data: dict[str, Any], properties: Any) -> dict[str, Any] | None:
        """Do one message, the JSON object that Camunda's side sent; return the system's answer, None = try again."""
        raise NotImplementedError(f"{type(self).__name__} must implement _process_message_impl or handle")

    def _get_original_queue_name(self) -> str:
        """Return the queue that this handler serves.

        For handlers of the old kind; the daemon knows it from QUEUE_HANDLERS.
        """
        return f"{self.system_name}.queue"
