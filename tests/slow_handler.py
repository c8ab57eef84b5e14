"""Handlers that take their time, for stories of kills; a task whose id begins with fatal ends the process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from base_handler import BaseMessageHandler, HandlerOutcome
from core.messages import IncomingMessage
from core.results import Accepted


class SlowHandler(BaseMessageHandler):
    def __init__(self) -> None:
        super().__init__("fatal")

    def handle(self, message: IncomingMessage) -> Accepted:
        time.sleep(float(os.environ["SLOW_SECONDS"]))
        if message.task.task_id.startswith("fatal"):
            os._exit(139)
        return Accepted({"result": {"task": {"id": message.task.task_id}}})


class SlowBatchHandler(SlowHandler):
    """The whole batch takes as long as one, and its outcomes come at the end."""

    batch_size = 20

    def handle_batch(self, messages: Sequence[IncomingMessage]) -> Iterator[tuple[IncomingMessage, HandlerOutcome]]:
        time.sleep(float(os.environ["SLOW_SECONDS"]))
        if any(message.task.task_id.startswith("fatal") for message in messages):
            os._exit(139)
        for message in messages:
            yield message, Accepted({"result": {"task": {"id": message.task.task_id}}})
