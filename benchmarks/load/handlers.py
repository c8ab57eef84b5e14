"""Systems of very different speeds, loaded into the real worker by QUEUE_HANDLERS."""

from __future__ import annotations

import time
from typing import ClassVar

from base_handler import BaseMessageHandler
from core.errors import OutageError
from core.messages import IncomingMessage
from core.results import Accepted, Result


class QuickHandler(BaseMessageHandler):
    """Answers at once; `seconds` is how long the subclasses' systems take."""

    seconds: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__("benchmark")

    def handle(self, message: IncomingMessage) -> Result:
        if self.seconds:
            time.sleep(self.seconds)
        return Accepted({"result": {"task": {"id": message.task.task_id}}}, message.task.task_id)


class SteadyHandler(QuickHandler):
    """A system in the same building."""

    seconds = 0.05


class SlowHandler(QuickHandler):
    """A system that thinks."""

    seconds = 5.0


class DownHandler(QuickHandler):
    """A system that is not there."""

    def handle(self, message: IncomingMessage) -> Result:
        raise OutageError("connection refused")

    def probe(self) -> None:
        raise OutageError("connection refused")


class NearbyHandler(QuickHandler):
    """A system on the same machine."""

    seconds = 0.005
