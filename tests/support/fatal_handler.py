"""A handler that some messages kill together with its whole process, as a crash in a C library would."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from base_handler import BaseMessageHandler, HandlerOutcome
from core.messages import IncomingMessage
from core.results import Accepted


class FatalHandler(BaseMessageHandler):
    def __init__(self) -> None:
        super().__init__("fatal")

    def handle(self, message: IncomingMessage) -> Accepted:
        if message.task.task_id.startswith("fatal"):
            os._exit(139)
        return Accepted({"result": {"task": {"id": message.task.task_id}}})


class FatalBatchHandler(FatalHandler):
    batch_size = 100

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        yield from [(message, self.handle(message)) for message in messages]
