"""The handler of the benchmark: it creates nothing and answers at once."""

from __future__ import annotations

from base_handler import BaseMessageHandler
from core.messages import IncomingMessage
from core.results import Accepted, Result


class NoOpHandler(BaseMessageHandler):
    def __init__(self) -> None:
        super().__init__("relay")

    def handle(self, message: IncomingMessage) -> Result:
        return Accepted({"result": {"task": {"id": "1"}}, "success": True})
