"""A handler that takes its time, for stories of kills. What it begins is a line in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from base_handler import BaseMessageHandler
from core.messages import IncomingMessage
from core.results import Accepted


class SlowHandler(BaseMessageHandler):
    def __init__(self) -> None:
        super().__init__("slow")

    def handle(self, message: IncomingMessage) -> Accepted:
        with Path(os.environ["SLOW_BEGUN"]).open("a") as file:
            file.write(f"{message.task.task_id}\n")
        time.sleep(float(os.environ["SLOW_SECONDS"]))
        return Accepted({"result": {"task": {"id": message.task.task_id}}})
