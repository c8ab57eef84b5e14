"""A sent message in the hands of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

from broker.properties import ReceivedProperties
from broker.taken_queue import copy_of
from core.envelopes import SentHeader
from core.messages import OutgoingMessage


@dataclass(slots=True)
class Held:
    """A message taken from the queue and not settled yet."""

    tag: int
    properties: ReceivedProperties
    body: bytes
    header: SentHeader

    def copy(self) -> OutgoingMessage:
        """Return the same message for the tail of its queue; what the broker has added stays behind."""
        return copy_of(self.properties, self.body, f"{self.header.task_id}:sent")
